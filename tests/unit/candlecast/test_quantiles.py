import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast.forecasts import LEVELS
from candlecast.quantiles import fan_from_paths


def test_level_p_sits_at_rank_p_times_paths_plus_one() -> None:
    paths = np.array([[40.0], [10.0], [30.0], [20.0]])

    fan = fan_from_paths(paths, (0.2, 0.3, 0.5, 0.8))

    assert fan[0] == pytest.approx([10.0, 15.0, 25.0, 40.0])  # ranks 1, 1.5, 2.5 and 4 of four


def test_levels_beyond_the_outermost_paths_get_the_outermost_paths() -> None:
    fan = fan_from_paths(np.array([[1.0], [2.0], [3.0]]), (0.05, 0.5, 0.95))

    assert fan[0].tolist() == [1.0, 2.0, 3.0]


def test_an_eighty_percent_band_covers_eighty_percent_with_thirty_paths() -> None:
    draws = np.random.default_rng(7).standard_normal((31, 40_000))

    fan = fan_from_paths(draws[:30])
    inside = (fan[:, LEVELS.index(0.1)] <= draws[30]) & (draws[30] <= fan[:, LEVELS.index(0.9)])

    assert inside.mean() == pytest.approx(0.8, abs=0.01)  # 0.751 by the linear rule; standard error 0.002


def test_equal_paths_give_a_flat_fan_of_exactly_that_price() -> None:
    assert (fan_from_paths(np.full((7, 3), 0.1 + 0.2)) == 0.1 + 0.2).all()


@settings(deadline=None)
@given(hnp.arrays(np.float64, (13, 4), elements=st.floats(-1e9, 1e9)))
def test_a_fan_rises_and_stays_inside_its_paths(paths: np.ndarray) -> None:
    fan = fan_from_paths(paths)

    assert (np.diff(fan, axis=1) >= 0).all()
    assert (fan >= paths.min(axis=0)[:, None] - 1e-6).all()
    assert (fan <= paths.max(axis=0)[:, None] + 1e-6).all()


@pytest.mark.parametrize("paths", [np.empty((0, 3)), np.zeros(3), np.array([[np.nan]]), np.array([[np.inf]])])
def test_paths_that_cannot_be_ranked_are_refused(paths: np.ndarray) -> None:
    with pytest.raises(ValueError, match="path"):
        fan_from_paths(paths)


@pytest.mark.parametrize("levels", [(), (0.0, 0.5), (0.5, 1.0), (0.5, 0.5), (0.9, 0.1)])
def test_levels_must_rise_inside_zero_and_one(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="levels"):
        fan_from_paths(np.zeros((5, 1)), levels)
