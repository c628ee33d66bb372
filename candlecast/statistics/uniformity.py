"""Whether outcomes fall evenly over the forecast distribution.

The probability integral transform (PIT) of an outcome is the share of the forecast below it, and is uniform for a
calibrated forecaster. Outcomes overlap and move together, so the usual tables of Kolmogorov-Smirnov and Cramér-von
Mises do not hold; here their laws come from drawing blocks of days again.

References
----------
Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and sharpness, JRSS B 69.
Politis and Romano (1992), see `bootstrap`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_BINS: Final = 20
MIN_BLOCKS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Uniformity:
    """How even a PIT histogram is.

    n : outcomes
    shares : [K] of the outcomes per bin, 1/K each when calibrated
    low, high : [K] between which 95 % of a calibrated forecaster's shares lie; NaN where the record is too short
    ks, cvm : largest, and n times the mean squared, distance of the cumulated shares from a straight line, at the
        bins' edges
    ks_p, cvm_p : p-values; 1 where the record is too short
    """

    n: int
    shares: Floats
    low: Floats
    high: Floats
    ks: float
    ks_p: float
    cvm: float
    cvm_p: float


def counts_per_period(pit: Floats, period: NDArray[np.integer], n_bins: int = N_BINS) -> NDArray[np.int64]:
    """[T, K] outcomes per period (day, 0 to T - 1) and bin of the PIT; 1.0 belongs to the last bin."""
    bins = np.minimum((pit * n_bins).astype(np.int64), n_bins - 1)
    n_periods = int(period.max()) + 1 if len(period) else 0
    flat = np.bincount(period * n_bins + bins, minlength=n_periods * n_bins)
    return flat.reshape(n_periods, n_bins)


def uniformity(pit: Floats, overlap: int, n_bins: int = N_BINS, n_draws: int = 999, seed: int = 0) -> Uniformity:
    """Of one series' PIT [N] in order of issue; `overlap` in forecasts. See `uniformity_of_counts`."""
    return uniformity_of_counts(counts_per_period(pit, np.arange(len(pit)), n_bins), overlap, n_draws, seed)


def uniformity_of_counts(counts: NDArray[np.int64], overlap: float, n_draws: int = 999, seed: int = 0) -> Uniformity:
    """Histogram with bands, and both tests, from counts [T, K] per day and bin over all instruments.

    overlap : days over which outcomes overlap; blocks are twice as long

    Draws of blocks scatter about the observed shares as those scatter about the true ones. So the scatter, set about
    1/K, is the band; and the share of draws whose distance from the observed shares is at least that of the observed
    ones from a straight line is the p-value. Blocks of length b cut some neighbours apart and miss a share o / 3b of
    the variance of outcomes that overlap evenly over o days, and b / T for the mean that they are set about: the
    scatter is widened by as much.
    """
    n, n_bins = int(counts.sum()), counts.shape[1]
    shares = counts.sum(axis=0) / n if n else np.full(n_bins, np.nan)
    even = np.arange(1, n_bins) / n_bins

    def distances(gaps: Floats) -> tuple[Floats, Floats]:
        """KS and CvM of `gaps` [..., K - 1] between cumulated shares."""
        return np.abs(gaps).max(axis=-1), n * np.mean(gaps**2, axis=-1)

    ks, cvm = (float(distance) for distance in distances(np.cumsum(shares)[:-1] - even))
    days = counts[counts.sum(axis=1) > 0]
    block = max(1, round(2 * overlap))
    nothing = np.full(n_bins, np.nan)
    if len(days) < MIN_BLOCKS * block:
        return Uniformity(n, shares, nothing, nothing, ks, 1.0, cvm, 1.0)

    drawn = _drawn_sums(days, block, n_draws, seed)
    kept = (1.0 - min(overlap, block) / (3.0 * block)) * (1.0 - block / len(days))
    scatter = (drawn / drawn.sum(axis=1, keepdims=True) - shares) / np.sqrt(kept)
    ks_draws, cvm_draws = distances(np.cumsum(scatter, axis=1)[:, :-1])
    low, high = np.quantile(scatter, [0.025, 0.975], axis=0) + 1.0 / n_bins
    return Uniformity(
        n=n,
        shares=shares,
        low=np.maximum(low, 0.0),
        high=high,
        ks=ks,
        ks_p=float((np.count_nonzero(ks_draws >= ks) + 1) / (n_draws + 1)),
        cvm=cvm,
        cvm_p=float((np.count_nonzero(cvm_draws >= cvm) + 1) / (n_draws + 1)),
    )


def _drawn_sums(days: NDArray[np.int64], block: int, n_draws: int, seed: int) -> Floats:
    """[n_draws, K] sums over days of resamples in circular blocks."""
    from arch.bootstrap import CircularBlockBootstrap

    resampled = CircularBlockBootstrap(block, days.astype(np.float64), seed=np.random.default_rng(seed))
    return np.asarray(resampled.apply(lambda drawn: drawn.sum(axis=0), n_draws), dtype=np.float64)
