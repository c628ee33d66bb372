import numpy as np
import pytest

from candlecast import scoring
from candlecast.statistics.overlap import (
    INFLATION_PER_STEP,
    effective_sample,
    measured_inflation,
    span_days,
    variance_inflation,
)


def test_the_view_and_the_statistics_count_alike() -> None:
    assert INFLATION_PER_STEP == scoring.OVERLAP_PER_STEP
    assert effective_sample(8760, 24) == scoring.effective_sample(8760, 24)


def test_a_day_ahead_every_hour_is_worth_an_eleventh() -> None:
    assert variance_inflation(24) == pytest.approx(11.04)
    assert effective_sample(1104, 24) == pytest.approx(100.0)


def test_forecasts_that_do_not_overlap_are_worth_what_they_are() -> None:
    assert effective_sample(365, 24, spacing_bars=24) == 365.0
    assert effective_sample(365, 1) == 365.0


def test_120_hourly_bars_are_five_days_of_crypto_a_week_of_currencies_and_24_days_of_shares() -> None:
    assert [span_days(120, bars) for bars in (168, 120, 35)] == pytest.approx([5.0, 7.0, 24.0])


def test_the_inflation_of_a_moving_average_is_its_length() -> None:
    """Sums of 8 independent values correlate as 1 - k/8, so 1 + 2 Σ (1 - k/8) = 8."""
    noise = np.random.default_rng(1).standard_normal(60_007)
    x = np.convolve(noise, np.ones(8), mode="valid")

    assert measured_inflation(x, 8) == pytest.approx(8.0, rel=0.05)


def test_what_does_not_vary_has_no_inflation() -> None:
    assert np.isnan(measured_inflation(np.ones(10), 3))
