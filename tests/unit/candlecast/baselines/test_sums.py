"""The law of a sum of unequal draws; that of equal ones is tried in test_random_walk.py."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from candlecast.baselines import CELLS_PER_SCALE, sample_sums, sum_quantiles, weighted_sum_quantiles
from candlecast.forecasts import LEVELS

UPPER = [level for level in LEVELS if level > 0.5]


def test_equal_weights_give_the_sum_of_equal_draws() -> None:
    z = np.random.default_rng(1).standard_t(4, 200)

    assert weighted_sum_quantiles(z, np.ones(40)) == pytest.approx(sum_quantiles(z, 40), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("weights", [[1.0, 3.0, 0.5], [0.2, 0.2, 5.0, 1.0]])
def test_quantiles_equal_those_of_every_weighted_sum_written_out(weights: list[float]) -> None:
    z = np.array([1.0, 0.3, 0.1, 2.5])
    draws = np.array(list(product(np.concatenate([z, -z]), repeat=len(weights))))
    every = np.abs(draws @ weights)
    cell = np.quantile(z, 0.6827) * np.sqrt(np.sum(np.square(weights))) / CELLS_PER_SCALE
    slack = 2 * len(weights) * cell

    upper = weighted_sum_quantiles(z, np.array(weights))[-1, 6:]

    for level, value in zip(UPPER, upper, strict=True):
        assert np.mean(every <= value + slack) >= 2 * level - 1 - 1e-9
        assert np.mean(every < value - slack) <= 2 * level - 1 + 1e-9


def test_weighted_sums_of_normal_residuals_are_normal() -> None:
    z = norm.ppf((np.arange(1, 1001) - 0.5) / 1000)
    weights = np.tile([0.5, 1.0, 2.0], 14)

    fan = weighted_sum_quantiles(z, weights)

    for step in (3, 10, 42):
        spread = np.sqrt(np.sum(weights[:step] ** 2) * np.mean(z * z))
        assert fan[step - 1] == pytest.approx(norm.ppf(LEVELS) * spread, abs=2e-3 * spread)


def test_paths_of_weighted_draws_follow_the_same_law_as_their_fan() -> None:
    z, weights, n = np.random.default_rng(4).standard_t(4, 300), np.linspace(0.3, 3.0, 20), 20_000

    sums = sample_sums(z, 20, n, 11, weights)
    fan = weighted_sum_quantiles(z, weights)

    for step in (1, 2, 20):
        below = (sums[:, step - 1, None] <= fan[step - 1]).mean(axis=0)
        assert below == pytest.approx(np.array(LEVELS), abs=5 * np.sqrt(0.25 / n))
