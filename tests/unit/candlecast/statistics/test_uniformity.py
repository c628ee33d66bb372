import numpy as np
import pytest
from scipy import stats

from candlecast.scoring.ranks import pit_of_paths
from candlecast.statistics.uniformity import counts_per_period, uniformity, uniformity_of_counts

RNG = np.random.default_rng(14)


@pytest.mark.parametrize("n_paths", [1, 10])
@pytest.mark.parametrize("grid", [None, 1.0])
def test_the_pit_of_a_right_forecaster_is_uniform_with_ties_or_without(n_paths: int, grid: float | None) -> None:
    """Rounded to whole sigmas most outcomes tie with a path; a law of Kolmogorov: below 1.63/√n in 99 %."""
    paths, outcome = RNG.standard_normal((5000, n_paths)), RNG.standard_normal(5000)
    if grid:
        paths, outcome = np.round(paths), np.round(outcome)

    pit = pit_of_paths(paths.astype(np.float32), outcome, RNG.random(5000))

    assert stats.kstest(pit, "uniform").statistic < 1.63 / np.sqrt(5000)


def test_counts_go_to_their_day_and_bin() -> None:
    counts = counts_per_period(np.array([0.0, 0.24, 0.25, 1.0, 0.6]), np.array([0, 0, 0, 2, 2]), n_bins=4)

    assert counts.tolist() == [[2, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]


def test_distances_by_hand() -> None:
    """Shares 0.4, 0.1, 0.25, 0.25: cumulated 0.4, 0.5, 0.75 beside 0.25, 0.5, 0.75."""
    found = uniformity_of_counts(np.tile([8, 2, 5, 5], (40, 1)), overlap=1.0, n_draws=9)

    assert found.shares == pytest.approx([0.4, 0.1, 0.25, 0.25])
    assert found.ks == pytest.approx(0.15)
    assert found.cvm == pytest.approx(800 * 0.15**2 / 3)


def test_on_fine_bins_the_distance_is_that_of_scipy() -> None:
    pit = RNG.random(500)

    assert uniformity(pit, 1, n_bins=500, n_draws=9).ks == pytest.approx(
        stats.kstest(pit, "uniform").statistic, abs=2 / 500
    )


def test_for_independent_outcomes_the_p_value_is_that_of_scipy() -> None:
    """A slight slope; 999 draws know a p-value near 0.1 to ± 0.01, and bins miss a little of the distance."""
    pit = np.random.default_rng(3).random(2000) ** 1.04

    found = uniformity(pit, 1, n_bins=40)

    assert found.ks_p == pytest.approx(stats.kstest(pit, "uniform").pvalue, abs=0.06)
    assert found.cvm_p == pytest.approx(stats.cramervonmises(pit, "uniform").pvalue, abs=0.06)


def test_bands_that_are_too_narrow_show_at_both_ends() -> None:
    pit = stats.norm.cdf(1.5 * RNG.standard_normal(1500))

    found = uniformity(pit, 1, n_bins=10)

    assert (found.ks_p, found.cvm_p) <= (0.01, 0.01)
    assert (found.shares[[0, -1]] > found.high[[0, -1]]).all()
    assert (found.shares[4:6] < found.low[4:6]).all()


def test_overlap_widens_the_bands() -> None:
    pit = np.repeat(RNG.random(100), 10)

    alone, together = uniformity(pit, 1, n_bins=5), uniformity(pit, 10, n_bins=5)

    assert (together.high - together.low).mean() > 2 * (alone.high - alone.low).mean()


def test_a_short_record_shows_its_shares_and_nothing_else() -> None:
    found = uniformity(RNG.random(30), 24, n_bins=5)

    assert found.n == 30
    assert np.isnan(found.low).all()
    assert (found.ks_p, found.cvm_p) == (1.0, 1.0)
    assert np.isnan(uniformity_of_counts(np.zeros((3, 5), dtype=np.int64), 1.0).shares).all()
