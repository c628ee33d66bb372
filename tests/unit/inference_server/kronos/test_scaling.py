"""Scaling: the original's numbers where they are asked for, and no surprise where they are not."""

import numpy as np
import pytest

from inference_server.kronos.errors import RolloutError
from inference_server.kronos.scaling import calendar_fields, complete_bars, scale_bars


def _bars(prices: list[float], volume: float = 1.0) -> np.ndarray:
    return np.array([[price, price, price, price, volume, 0.0] for price in prices])


def test_scaling_is_a_z_score_that_restores() -> None:
    scaled = scale_bars(_bars([1.0, 3.0]))  # mean 2, population deviation 1

    assert scaled.x[:, 0] == pytest.approx([-1.0, 1.0], abs=2e-5)
    assert scaled.restore(scaled.x)[:, 3] == pytest.approx([1.0, 3.0], abs=1e-6)


def test_a_spike_is_cut_at_five() -> None:
    assert scale_bars(_bars([1.0] * 99 + [1000.0])).x[-1, 0] == 5.0


def test_a_constant_price_is_exactly_zero_and_restores_exactly() -> None:
    scaled = scale_bars(_bars([60000.1] * 7))

    assert (scaled.x == 0).all()
    assert (scaled.restore(scaled.x)[:, :4] == 60000.1).all()


def test_tiny_prices_keep_their_spread_where_the_original_squashes_them() -> None:
    bars = _bars([1.0e-5, 3.0e-5])

    assert scale_bars(bars).x[:, 0] == pytest.approx([-1.0, 1.0], abs=1e-4)
    assert scale_bars(bars, "upstream").x[:, 0] == pytest.approx([-0.5, 0.5], abs=1e-4)  # 1e-5 / (1e-5 + 1e-5)


def test_an_absent_amount_is_volume_times_the_mean_price() -> None:
    filled = complete_bars(np.array([[1.0, 4.0, 1.0, 2.0, 10.0, 0.0]]))

    assert filled[0, 5] == 20.0


def test_an_amount_without_volume_means_nothing() -> None:
    assert complete_bars(np.array([[1.0, 4.0, 1.0, 2.0, 0.0, 99.0]]))[0, 5] == 0.0


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(RolloutError, match="1 of 12 values"):
        scale_bars(np.array([[1.0] * 6, [1.0] * 5 + [np.inf]]))


def test_calendar_fields_of_a_leap_day_evening() -> None:
    fields = calendar_fields(np.array(["2024-02-29T23:30:00", "2023-01-01T00:00:00"], dtype="datetime64[s]"))

    assert fields.tolist() == [[30, 23, 3, 29, 2], [0, 0, 6, 1, 1]]  # a Thursday and a Sunday
