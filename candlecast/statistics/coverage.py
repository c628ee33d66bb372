"""How often a band holds the outcome, and on which side it misses."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.statistics.estimate import Estimate
from candlecast.statistics.ratios import ratio_of_sums

Numbers = NDArray[np.float64] | NDArray[np.int64]

NOMINAL: Final = 0.8
NOMINAL_MISS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of outcomes inside, below and above a band; p-values against 80 %, 10 % and 10 %."""

    inside: Estimate
    below: Estimate
    above: Estimate


def coverage_of_sums(n_inside: Numbers, n_below: Numbers, n_above: Numbers, n: Numbers, overlap: float) -> Coverage:
    """Coverage of the 80 % band and both one-sided misses, from counts over days [T], of all instruments.

    A band that is right on the whole and wrong on each side shows only in the misses. `overlap` in calendar days.
    """
    return Coverage(
        inside=share_of_sums(n_inside, n, overlap, NOMINAL),
        below=share_of_sums(n_below, n, overlap, NOMINAL_MISS),
        above=share_of_sums(n_above, n, overlap, NOMINAL_MISS),
    )


def share_of_sums(count: Numbers, n: Numbers, overlap: float, null: float) -> Estimate:
    """The share Σ count / Σ n, with the error of `ratios.ratio_of_sums` and an interval made on the logit scale.

    ln(p / (1 - p)) has the standard error se / (p (1 - p)). That keeps the interval within 0 to 1, and keeps its size
    where misses are few: a record without many is also one with a small error, so that p ± t·se leaves a true 10 % out
    in 11 to 15 % of worlds (h = 120, 60 days to a year), and this in 5 to 7 %.

    Where every outcome fell alike the days do not vary and tell no error. Then the interval is that of Clopper and
    Pearson (1934) for as many independent outcomes as there are spans of `overlap`: as few as that may have been.
    """
    top, bottom = np.asarray(count, dtype=np.float64), np.asarray(n, dtype=np.float64)
    share = ratio_of_sums(top, bottom, overlap, null)
    if share.value in (0.0, 1.0):
        spans = float(np.count_nonzero(bottom)) / max(1.0, overlap)
        end = 1.0 - 0.025 ** (1.0 / spans)
        chance = (null if share.value == 1.0 else 1.0 - null) ** spans
        low, high = (0.0, end) if share.value == 0.0 else (1.0 - end, 1.0)
        return replace(share, low=low, high=high, p_value=min(1.0, 2.0 * chance))
    if not (math.isfinite(share.value) and math.isfinite(share.se)):
        return share
    odds = Estimate.of(_logit(share.value), share.se / (share.value * (1.0 - share.value)), share.dof, _logit(null))
    return replace(share, low=_expit(odds.low), high=_expit(odds.high), p_value=odds.p_value)


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def _expit(odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-odds)) if odds > 0.0 else 1.0 - 1.0 / (1.0 + math.exp(odds))
