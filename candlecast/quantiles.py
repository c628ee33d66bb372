"""Fans from sample paths.

A path is one of S equally likely futures, so the outcome is as likely to fall into each of the S + 1 gaps
between the sorted paths. The Weibull rule puts level p at rank p (S + 1) and so keeps an 80 % band at 80 %
coverage for any S; the usual linear rule covers 75 % with 30 paths (Hyndman and Fan 1996, definition 6).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS


def fan_from_paths(paths: NDArray[np.floating[Any]], levels: Sequence[float] = LEVELS) -> NDArray[np.float64]:
    """[H, Q] the quantiles of the paths [S, H] at `levels`, rising along Q.

    A level beyond the outermost paths (below 1 / (S + 1)) gets the outermost path: a fan does not guess
    further than its paths went.

    Raises
    ------
    ValueError : no paths, values that are not finite, or levels outside (0, 1) or not rising.
    """
    if paths.ndim != 2 or len(paths) == 0:
        raise ValueError(f"paths have shape {paths.shape}, needed is [S, H] with at least one path")
    if not np.isfinite(paths).all():
        raise ValueError(f"{int((~np.isfinite(paths)).sum())} of {paths.size} path values are not finite")
    at = np.asarray(levels, dtype=np.float64)
    if at.ndim != 1 or at.size == 0 or at[0] <= 0.0 or at[-1] >= 1.0 or (np.diff(at) <= 0.0).any():
        raise ValueError(f"levels must rise strictly inside (0, 1), got {tuple(levels)}")

    ranked = np.sort(paths.astype(np.float64), axis=0)
    rank = np.clip(at * (len(paths) + 1) - 1.0, 0.0, len(paths) - 1.0)
    below = np.floor(rank).astype(np.intp)
    above = np.minimum(below + 1, len(paths) - 1)
    share = (rank - below)[:, None]
    fan = ranked[below] * (1.0 - share) + ranked[above] * share
    # The two products are rounded on their own, so equal paths could come out one ulp apart and out of order.
    rising: NDArray[np.float64] = np.maximum.accumulate(fan, axis=0).T
    return np.ascontiguousarray(rising)
