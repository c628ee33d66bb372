"""The volatility of one bar as the last close leaves it, and what the returns were in units of it.

Returns are logarithmic where every close of the lookback is positive, else differences of price.
"""

from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DECAY: Final = 0.97  # weight of yesterday's variance; a half-life of 23 bars


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """A lookback split into its volatility and what was left.

    scale : sigma of the next bar, in log return or in price; 0 for a price that never moved
    residuals : [n] returns in units of the sigma expected before each
    logarithmic : whether returns are logarithmic
    """

    scale: float
    residuals: Floats
    logarithmic: bool


def filtered(closes: Floats) -> Filtered:
    """Volatility and residuals of `closes` [n + 1], n >= 1.

    The variance starts at the mean squared return of the whole lookback, all of it known at issue; after
    k bars that start weighs 0.97^k, so 14 % after 64 bars and nothing after 400.
    """
    closes = np.ascontiguousarray(closes)  # numpy's logarithm of a strided column may differ in the last bit
    logarithmic = bool((closes > 0.0).all())
    return filtered_returns(np.diff(np.log(closes) if logarithmic else closes), logarithmic)


def filtered_returns(returns: Floats, logarithmic: bool = True) -> Filtered:
    """The same of returns [n], n >= 1."""
    squares = returns * returns
    start = float(squares.mean())
    if start == 0.0:
        return Filtered(0.0, np.zeros_like(returns), logarithmic)
    variances = np.fromiter(
        accumulate(squares.tolist(), lambda var, square: DECAY * var + (1.0 - DECAY) * square, initial=start),
        dtype=np.float64,
        count=len(returns) + 1,
    )
    sigmas = np.sqrt(variances)
    return Filtered(float(sigmas[-1]), returns / sigmas[:-1], logarithmic)


def ewma_scale(closes: Floats) -> float:
    """Sigma of one bar as expected after the last close: log return, or price where a close is not positive."""
    if len(closes) < 2:
        raise ValueError(f"a volatility needs two closes or more, got {len(closes)}")
    return filtered(np.asarray(closes, dtype=np.float64)).scale
