"""The losses themselves, each proper for what it judges.

Axes: N outcomes, M sample paths, Q levels, P steps of a path. All in one unit, which the caller chooses.

References
----------
Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 102: interval score,
energy score.
Koenker and Bassett (1978), Regression Quantiles, Econometrica 46: pinball loss.
Ferro (2014), Fair scores for ensemble forecasts, QJRMS 140; Zamo and Naveau (2018), Math. Geosciences 50:
the fair CRPS and its form by probability-weighted moments.
Scheuerer and Hamill (2015), Variogram-based proper scoring rules, Monthly Weather Review 143.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MISS_PENALTY: Final = 10.0  # 2 / (1 - 0.8), for the 80 % band from p10 to p90


def pinball_loss(fan: Floats, outcome: Floats, levels: Floats) -> Floats:
    """[N, Q] the loss of each quantile on its own, in the unit of `fan` and `outcome` [N]."""
    if fan.shape[-1] != levels.size:
        raise ValueError(f"fan has {fan.shape[-1]} quantiles on its last axis, levels has {levels.size}")
    short = outcome[..., None] - fan
    return np.maximum(levels * short, (levels - 1.0) * short)


def interval_loss(low: Floats, high: Floats, outcome: Floats) -> Floats:
    """[N] interval score of the 80 % band: its width, plus ten times the distance of a miss."""
    loss: Floats = (high - low) + MISS_PENALTY * (np.maximum(low - outcome, 0.0) + np.maximum(outcome - high, 0.0))
    return loss


def fair_crps(paths: NDArray[np.floating[Any]], outcome: Floats) -> Floats:
    """[N] CRPS of `paths` [N, M] against `outcome` [N], unbiased for any M; NaN for M < 2.

    mean |x - y| - sum over pairs |x_i - x_j| / (M (M - 1)), where the second sum is read off the sorted paths, so
    the cost is M log M. The common biased form divides by M squared and is 1/M too high for a perfect forecaster.
    """
    n, m = paths.shape
    if m < 2:
        return np.full(n, np.nan)
    ranked = np.sort(paths, axis=1).astype(np.float64, copy=False)
    return fair_crps_of_sorted(ranked, outcome)


def fair_crps_of_sorted(ranked: Floats, outcome: Floats) -> Floats:
    """[N] the same for two paths or more that rise along M; spares the sorting."""
    m = ranked.shape[1]
    # sum over i < j of (x_j - x_i), each x counted once for every neighbour below it and minus once above
    weights = (2.0 * np.arange(m) - (m - 1)) / (m * (m - 1))
    miss: Floats = np.abs(ranked - outcome[:, None]).mean(axis=1)
    # Differences to the middle path: large common levels would cost digits in the weighted sum.
    # Summed along each row by itself: a matrix product's last digits would depend on the pairs beside.
    spread: Floats = np.einsum("nm,m->n", ranked - ranked[:, m // 2, None], weights)
    return miss - spread


def brier_loss(probability: Floats, happened: NDArray[np.bool_]) -> Floats:
    """[N] squared distance of `probability` from what happened, 1 or 0."""
    loss: Floats = (probability - happened) ** 2
    return loss


def fair_energy_score(paths: Floats, outcome: Floats) -> Floats:
    """[N] energy score of vectors: `paths` [P, N, M] against `outcome` [P, N], M of 2 or more; unbiased for any M.

    mean |x_i - y| - sum over pairs |x_i - x_j| / (M (M - 1)) with Euclidean lengths over P: the CRPS where P is 1.
    The fair estimator of scoringrules' `es_ensemble`, in the memory of one path more and a fiftieth of its time.
    """
    m = paths.shape[2]
    miss: Floats = np.sqrt(((paths - outcome[:, :, None]) ** 2).sum(axis=0)).mean(axis=1)
    spread = np.zeros(paths.shape[1])
    for shift in range(1, m):
        spread += np.sqrt(((paths[:, :, shift:] - paths[:, :, :-shift]) ** 2).sum(axis=0)).sum(axis=1)
    score: Floats = miss - spread / (m * (m - 1))
    return score


def fair_variogram_score(paths: Floats, outcome: Floats, power: float = 0.5) -> Floats:
    """[N] variogram score of vectors: `paths` [P, N, M] against `outcome` [P, N], M of 2 or more; unbiased for any M.

    Over all ordered pairs of steps (a, b): (mean of |x_a - x_b|^p - |y_a - y_b|^p)^2, less the variance that the mean
    over M paths has by itself, s^2 / M. It feels how the steps hang together, which the energy score hardly does. The
    fair estimator of scoringrules' `vs_ensemble`, with all weights 1; a single step has none, 0.
    """
    m = paths.shape[2]
    total = np.zeros(paths.shape[1])
    for a in range(len(paths)):
        for b in range(a):
            apart = np.abs(paths[a] - paths[b]) ** power
            mean = apart.mean(axis=1)
            noise = ((apart - mean[:, None]) ** 2).sum(axis=1) / (m * (m - 1))
            total += 2.0 * ((mean - np.abs(outcome[a] - outcome[b]) ** power) ** 2 - noise)
    return total
