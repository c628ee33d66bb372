"""What overlapping insides of a right band are worth, forecasting.md §3.3, and whether its interval says so."""

from functools import cache

import numpy as np
import pytest

from candlecast.statistics.coverage import coverage_of_sums
from candlecast.statistics.overlap import measured_inflation, span_days, variance_inflation
from candlecast.statistics.uniformity import counts_per_period, uniformity_of_counts
from tests.statistics.classic_worlds import rate

REACH = 1.2815515655446004  # 90 % quantile of the standard normal law


@cache
def standardised_outcomes(step: int, n_days: int, n_worlds: int) -> np.ndarray:
    """[W, N] outcomes of `step` hourly bars in sigmas, as float32; the forecaster's law is exact."""
    rng = np.random.default_rng(step * 1000 + n_days)
    price = np.cumsum(rng.standard_normal((n_worlds, 24 * n_days + step), dtype=np.float32), axis=1, dtype=np.float64)
    return ((price[:, step:] - price[:, :-step]) / np.sqrt(step)).astype(np.float32)


@pytest.mark.parametrize(
    ("step", "n_days", "half_width"),
    [(24, 30, 9.8), (24, 90, 5.6), (24, 365, 2.8), (120, 30, 21.6), (120, 90, 12.5), (120, 365, 6.2)],
)
def test_half_widths_of_coverage_are_those_of_the_table(step: int, n_days: int, half_width: float) -> None:
    """500 worlds know a spread to ± 3 %, the table perhaps to as much; twice both together are 9 %.

    A month of 120 bars is six outcomes: the law is skew there, and a half-width read from quantiles is another than
    one read from the spread; 15 %.
    """
    inside = (np.abs(standardised_outcomes(step, n_days, 500)) <= REACH).mean(axis=1)

    assert inside.mean() == pytest.approx(0.8, abs=0.02)
    assert 196 * inside.std() == pytest.approx(half_width, rel=0.15 if (step, n_days) == (120, 30) else 0.09)


@pytest.mark.parametrize("step", [24, 120])
def test_the_variance_of_overlapping_insides_is_inflated_by_half_the_step(step: int) -> None:
    """D = 11 at h = 24 and 55 at h = 120; a variance from 500 worlds is known to ± 6 %, so 15 % are allowed."""
    inside = np.abs(standardised_outcomes(step, 365, 500)) <= REACH
    inflation = inside.mean(axis=1).var() / (0.8 * 0.2 / inside.shape[1])

    assert inflation == pytest.approx({24: 11, 120: 55}[step], rel=0.15)
    assert variance_inflation(step) == pytest.approx(inflation, rel=0.15)
    by_lags = np.mean([measured_inflation(row.astype(float), step) for row in inside[:100]])
    assert by_lags == pytest.approx(inflation, rel=0.2)


@pytest.mark.parametrize("step", [1, 24, 120])
def test_a_right_band_is_found_wrong_in_5_percent_of_worlds(step: int) -> None:
    """And so is each side: all three p-values; 500 worlds know 5 % to ± 1 point."""
    outcomes = standardised_outcomes(step, 90, 500)
    n = np.full(90, 24)
    below, above = ((side > REACH).reshape(500, 90, 24).sum(axis=2) for side in (-outcomes, outcomes))

    found = [
        coverage_of_sums(n - lo - hi, lo, hi, n, span_days(step, 168)) for lo, hi in zip(below, above, strict=True)
    ]

    for side, null in (("inside", 0.8), ("below", 0.1), ("above", 0.1)):
        assert 0.03 <= rate([getattr(c, side).excludes(null) for c in found]) <= 0.08, side


@pytest.mark.parametrize("step", [1, 24])
def test_a_right_forecaster_is_found_uneven_in_about_5_percent_of_worlds(step: int) -> None:
    """200 worlds know 5 % to ± 1.5 points; two errors on top of 3 to 8 %."""
    from scipy.special import ndtr

    outcomes = standardised_outcomes(step, 90, 200)
    day = np.repeat(np.arange(90), 24)

    found = [
        uniformity_of_counts(counts_per_period(ndtr(row.astype(float)), day, 10), span_days(step, 168), n_draws=99)
        for row in outcomes
    ]

    assert 0.01 <= rate([u.ks_p <= 0.05 for u in found]) <= 0.11
    assert 0.01 <= rate([u.cvm_p <= 0.05 for u in found]) <= 0.11
