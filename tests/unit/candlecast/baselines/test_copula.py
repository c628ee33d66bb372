import numpy as np
import pytest

from candlecast.baselines import carried_over, sample_sums, sum_quantiles
from candlecast.forecasts import LEVELS

LENDER = np.linspace(-5.0, 5.0, 11)[None, :]


def moved(paths: list[float], fan: np.ndarray) -> np.ndarray:
    return carried_over(np.array(paths)[:, None], LENDER, fan[None, :])[:, 0]


def test_a_level_goes_to_the_same_level_and_what_lies_between_goes_between() -> None:
    fan = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0])

    assert moved([-5.0, 0.0, 0.5, 5.0], fan) == pytest.approx([0.0, 10.0, 11.0, 20.0])


def test_beyond_the_outermost_levels_distances_grow_with_the_width_of_that_side() -> None:
    fan = 7.0 + np.concatenate([np.linspace(-20.0, 0.0, 6), np.linspace(1.0, 5.0, 5)])

    # Below, 5 became 20: each unit counts four. Above, 5 stayed 5: each counts one.
    assert moved([-6.0, 7.0], fan) == pytest.approx([7.0 - 20.0 - 4.0, 7.0 + 5.0 + 2.0])


def test_a_lender_that_never_moves_lends_its_ranks_all_the_same() -> None:
    made = carried_over(np.zeros((3, 1)), np.zeros((1, 11)), np.arange(11.0)[None, :])

    assert np.isfinite(made).all()


def test_paths_keep_their_ranks_at_every_step_and_have_the_fan_they_were_given() -> None:
    z, n = np.random.default_rng(4).standard_t(4, 300), 20_000
    lender = sum_quantiles(z, 5)
    fan = lender * np.linspace(0.5, 3.0, 5)[:, None] + 1.0
    sums = sample_sums(z, 5, n, 3)

    paths = carried_over(sums, lender, fan)

    in_order = np.take_along_axis(paths, np.argsort(sums, axis=0, kind="stable"), axis=0)
    assert (np.diff(in_order, axis=0) >= 0.0).all()
    below = (paths[:, :, None] <= fan).mean(axis=0)
    assert below == pytest.approx(np.tile(LEVELS, (5, 1)), abs=5 * np.sqrt(0.25 / n))
