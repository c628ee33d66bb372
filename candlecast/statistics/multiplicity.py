"""Which of many cells may be named: the expected share of wrong names is at most the level.

References
----------
Benjamini and Hochberg (1995), JRSS B 57: false discoveries among p-values.
Wang and Ramdas (2022), False discovery rate control with e-values, JRSS B 84: e-BH, valid under any dependence.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def false_discoveries(p_values: ArrayLike) -> Floats:
    """[..., K] Benjamini-Hochberg's adjusted p-values along the last axis; NaN where there is no p-value.

    A cell is named at level a where the result is at most a. A cell without a p-value takes no part.
    """
    from scipy.stats import false_discovery_control  # slow to import

    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    for row in np.ndindex(p.shape[:-1]):
        there = ~np.isnan(p[row])
        if there.any():
            adjusted[row][there] = false_discovery_control(p[row][there])
    return adjusted


def e_bh(log_e: ArrayLike, level: float = 0.05) -> NDArray[np.bool_]:
    """[..., K] which hypotheses e-BH rejects along the last axis, from the logarithms of their e-values.

    The k largest are rejected for the largest k whose k-th e-value is at least K / (k level). Where no hypothesis is
    false, a rejection makes the mean of all e-values reach 1 / level; the mean of e-processes is an e-process, so the
    chance that a page that is watched for ever *ever* shows a rejection is at most `level`.
    """
    log_e = np.asarray(log_e, dtype=np.float64)
    n = log_e.shape[-1]
    ranked = -np.sort(-log_e, axis=-1)
    needed = math.log(n / level) - np.log(np.arange(1, n + 1)) if n else np.empty(0)
    k = np.where(ranked >= needed, np.arange(1, n + 1), 0).max(axis=-1, initial=0, keepdims=True)
    threshold = np.take_along_axis(ranked, np.maximum(k - 1, 0), axis=-1) if n else ranked
    rejected: NDArray[np.bool_] = (k > 0) & (log_e >= threshold)
    return rejected
