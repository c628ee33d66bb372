"""Whether a forecaster knows which way the market goes.

Only pairs that count as a hit or a miss enter: forecast and outcome both moved. A share of hits above one half shows
nothing in a market that rises: a forecaster that always says up has it too. So hits are set against the better of
always up and always down, and against what independent signals with the same shares of up would have hit.

References
----------
Pesaran and Timmermann (1992), A Simple Nonparametric Test of Predictive Performance, J. Business & Economic
Statistics 10; (2009), Testing Dependence Among Serially Correlated Multicategory Variables, JASA 104, for why its
own variance, that of independent outcomes, does not do for overlapping ones.
"""

import numpy as np
from numpy.typing import NDArray

from candlecast.statistics.coverage import share_of_sums
from candlecast.statistics.estimate import Estimate
from candlecast.statistics.ratios import ratio_of_sums

Floats = NDArray[np.float64]
Numbers = NDArray[np.float64] | NDArray[np.int64]


def pesaran_timmermann(signal: NDArray[np.integer], move: NDArray[np.integer], overlap: int) -> Estimate:
    """Hit rate above that of independence, from N pairs in order of issue; see `pesaran_timmermann_of_sums`.

    signal, move : [N] directions 1, 0, -1; a pair with a 0 in either is left out
    overlap : steps of the forecast, issued on every bar
    """
    counts = (signal != 0) & (move != 0)
    up, rose = signal[counts] > 0, move[counts] > 0
    return pesaran_timmermann_of_sums(
        np.ones(len(up)), (up == rose).astype(np.float64), up.astype(np.float64), rose.astype(np.float64), overlap
    )


def pesaran_timmermann_of_sums(n: Numbers, hits: Numbers, ups: Numbers, rises: Numbers, overlap: float) -> Estimate:
    """Hit rate minus P_s P_m + (1 - P_s)(1 - P_m), what signals that know nothing hit: above 0, they know something.

    Parameters
    ----------
    n, hits, ups, rises : [T] counts over days: pairs that count, hits, signals up, and outcomes up
    overlap : days over which outcomes overlap

    The excess is twice the covariance of "signal up" and "market up". Its error is that of the mean of
    2 (s - P_s)(m - P_m), whose daily sums follow from the counts; the shares' own errors are of second order. No
    interval for signals that are always on one side: independence cannot be told from anything.
    """
    n, hits, ups, rises = (np.asarray(counts, dtype=np.float64) for counts in (n, hits, ups, rises))
    total = float(n.sum())
    if total == 0.0:
        return Estimate.unknown()
    p_up, p_rise = float(ups.sum()) / total, float(rises.sum()) / total
    if not (0.0 < p_up < 1.0 and 0.0 < p_rise < 1.0):
        return Estimate.unknown(0.0)
    # hits are the pairs with both up and those with neither
    both = (hits - n + ups + rises) / 2.0
    products = both - p_up * rises - p_rise * ups + n * p_up * p_rise
    return ratio_of_sums(2.0 * products, n, overlap)


def hit_rate_of_sums(n: Numbers, hits: Numbers, overlap: float) -> Estimate:
    """Share of hits with its interval within 0 to 1, `coverage.share_of_sums`; p-value against one half."""
    return share_of_sums(hits, n, overlap, null=0.5)


def hits_above_naive(n: Numbers, hits: Numbers, rises: Numbers, overlap: float) -> Estimate:
    """Hit rate minus max(p_up, 1 - p_up), the rate of the better of always up and always down; counts as above.

    Which of the two was better is known only afterwards, so the value lies a little below 0 for a forecaster that
    knows nothing, the more the shorter the record: what is above 0 is so in spite of it.
    """
    n, hits, rises = (np.asarray(counts, dtype=np.float64) for counts in (n, hits, rises))
    naive = rises if 2.0 * float(rises.sum()) >= float(n.sum()) else n - rises
    return ratio_of_sums(hits - naive, n, overlap)
