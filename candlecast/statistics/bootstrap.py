"""Intervals by drawing blocks of the record again.

A block keeps what neighbours have in common, so it should span twice the overlap of the outcomes. The slow way, for
statistics that have no formula; a mean or a ratio is better served by `longrun` and `ratios`.

References
----------
Politis and Romano (1992), A circular block-resampling procedure for stationary data, in Exploring the Limits of
Bootstrap.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from candlecast.statistics.estimate import Estimate

Floats = NDArray[np.float64]

MIN_BLOCKS = 4  # from fewer, the draws are nearly all the same


def circular_block(
    statistic: Callable[..., float],
    arrays: tuple[Floats, ...],
    block: int,
    n: int = 999,
    seed: int = 0,
    null: float = 0.0,
) -> Estimate:
    """`statistic(*arrays)` with the basic bootstrap interval from `n` draws of circular blocks.

    arrays : rows of equal length T in order of time, drawn together; further axes are carried along
    block : length of a block in rows, twice the overlap or more
    null : what the p-value speaks of, equal-tailed, at least 1 / (n + 1)

    No interval where T holds fewer than four blocks, or where the draws do not vary. The same seed gives the same
    interval.
    """
    from arch.bootstrap import CircularBlockBootstrap

    value = float(statistic(*arrays))
    if len(arrays[0]) < MIN_BLOCKS * block:
        return Estimate.unknown(value)
    resampled = CircularBlockBootstrap(block, *arrays, seed=np.random.default_rng(seed))
    draws = resampled.apply(lambda *drawn: np.array([statistic(*drawn)]), n)[:, 0]
    if not np.isfinite(draws).all() or np.ptp(draws) <= 1e-12 * np.abs(draws).max():
        return Estimate.unknown(value)
    lower, upper = np.quantile(draws, [0.025, 0.975])
    error = draws - value
    tails = [np.count_nonzero(error >= value - null), np.count_nonzero(error <= value - null)]
    p_value = float(min(1.0, 2.0 * (min(tails) + 1) / (n + 1)))
    return Estimate(value, float(draws.std(ddof=1)), 2 * value - float(upper), 2 * value - float(lower), None, p_value)
