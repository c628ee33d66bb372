"""The scores and bands themselves: forecasting.md §3.2, by simulation of a forecaster that is right."""

import numpy as np
import pytest
import scoringrules
from numpy.typing import NDArray

from candlecast.quantiles import fan_from_paths
from candlecast.scoring import fair_crps


@pytest.mark.parametrize("n_paths", [2, 3, 30, 100, 1000])
def test_crps_equals_the_fair_estimator_of_scoringrules_to_1e_12(n_paths: int) -> None:
    rng = np.random.default_rng(n_paths)
    n = 20_000 // n_paths  # scoringrules compares every path with every other
    paths, outcome = rng.standard_t(5, (n, n_paths)), rng.standard_t(5, n)
    expected = scoringrules.crps_ensemble(outcome, paths, estimator="fair")
    assert np.abs(fair_crps(paths, outcome) - expected).max() < 1e-12


@pytest.mark.parametrize("n_paths", [10, 30, 100])
def test_the_biased_crps_is_one_in_m_too_high_for_a_forecaster_that_is_right(n_paths: int) -> None:
    """3.3 % with 30 paths, 1 % with 100. The fair mean is known exactly: 1/√π for the normal law."""
    rng = np.random.default_rng(n_paths)
    paths, outcome = rng.standard_normal((4_000, n_paths)), rng.standard_normal(4_000)
    law = 1.0 / np.sqrt(np.pi)

    fair = fair_crps(paths, outcome)
    biased = scoringrules.crps_ensemble(outcome, paths, estimator="nrg")

    error = fair.std() / np.sqrt(len(fair))
    assert fair.mean() == pytest.approx(law, abs=3 * error)
    # Half the mean distance between two paths, 2/√π, is divided by M too much, hardly with any noise.
    assert (biased - fair).mean() == pytest.approx(law / n_paths, rel=0.01)


def coverage(band: NDArray[np.float64], outcome: NDArray[np.float64]) -> float:
    return float(np.mean((band[0] <= outcome) & (outcome <= band[1])))


@pytest.mark.parametrize(("n_paths", "linear"), [(20, 0.726), (30, 0.751), (100, 0.784)])
def test_the_weibull_rule_covers_80_percent_where_the_linear_rule_covers_less(n_paths: int, linear: float) -> None:
    """60,000 bands know a coverage to ± 0.17 points; the tolerance is three of these and the table's rounding."""
    rng = np.random.default_rng(n_paths)
    paths, outcome = rng.standard_normal((n_paths, 60_000)), rng.standard_normal(60_000)

    assert coverage(np.quantile(paths, [0.1, 0.9], axis=0), outcome) == pytest.approx(linear, abs=0.0055)
    assert coverage(fan_from_paths(paths, [0.1, 0.9]).T, outcome) == pytest.approx(0.8, abs=0.0055)


def test_halving_every_band_costs_crps_little_and_coverage_much() -> None:
    """§3.2: 6 to 8 % of CRPS; why coverage stands beside it. A normal band of half the width covers 47.8 %."""
    outcome = np.random.default_rng(1).standard_normal(200_000)
    right, narrow = (scoringrules.crps_normal(outcome, 0.0, sigma).mean() for sigma in (1.0, 0.5))

    assert narrow / right - 1.0 == pytest.approx(0.07, abs=0.015)
    assert np.mean(np.abs(outcome) < 0.5 * 1.2816) == pytest.approx(0.478, abs=0.005)
