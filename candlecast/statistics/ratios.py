"""Ratios of sums over days: a skill, a coverage, a hit rate, with clustering by time.

Everything that was judged on one day, of all instruments, goes into one pair of sums, so outcomes that move together
across instruments count as the one observation they are. Days that overlap are left to the long-run variance.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.statistics.estimate import Estimate, critical_value, tail
from candlecast.statistics.longrun import basis_count, cosine_transform

Floats = NDArray[np.float64]

# Weekends and holidays leave shares 252 days of 365. Where fewer days have pairs, it was not the calendar.
FEWEST_TRADING_DAYS: Final = 0.65


def ratio_of_sums(top: Floats, bottom: Floats, overlap: float, null: float = 0.0) -> Estimate:
    """Σ top / Σ bottom with the interval of all ratios that a test does not reject, from T daily sums.

    A ratio θ is tested by the mean of top - θ·bottom, which is 0 for the true one, with equal-weighted cosines and
    t. The interval of those that pass is Fieller's: a quadratic in θ, not symmetric, and the whole line where the
    mean of `bottom` itself is not known to differ from 0. Against a symmetric interval around the ratio it keeps
    its size on short records: 6 % where the other rejects 8 to 9 % (h = 120, shares, 90 days).

    Parameters
    ----------
    top, bottom : [T] sums over consecutive days; a day without pairs is 0 in both, or absent
    overlap : days over which outcomes overlap, `overlap.span_days`; in calendar days
    null : what `p_value` speaks of

    Returns
    -------
    `se` is that of first order, from the residuals top - ratio·bottom. No interval where the days with pairs are
    fewer than 8, or than 3.5 spans of `overlap`, or where the residuals do not vary.

    Raises
    ------
    ValueError : lengths that differ, or a sum that is not finite.

    References
    ----------
    Fieller (1954), Some Problems in Interval Estimation, JRSS B 16. See `longrun` for the cosines.
    """
    if top.shape != bottom.shape or top.ndim != 1:
        raise ValueError(f"daily sums must be two rows of equal length, not {top.shape} and {bottom.shape}")
    if not (np.isfinite(top).all() and np.isfinite(bottom).all()):
        raise ValueError("a daily sum is not finite; leave out what was not judged before adding up")
    top, bottom = top.astype(np.float64), bottom.astype(np.float64)

    days = np.flatnonzero((top != 0.0) | (bottom != 0.0))
    total = float(bottom.sum())
    if not len(days) or total == 0.0:
        return Estimate.unknown()
    ratio = float(top.sum()) / total

    # Days without pairs are left out; what overlaps then does so over fewer of those that remain.
    n = len(days)
    density = max(FEWEST_TRADING_DAYS, n / (days[-1] - days[0] + 1.0))
    n_basis = basis_count(n, overlap * density)
    top, bottom = top[days], bottom[days]
    residual = top - ratio * bottom
    if n_basis == 0 or np.abs(residual).max() <= 1e-12 * max(np.abs(top).max(), np.abs(ratio * bottom).max()):
        return Estimate.unknown(ratio)

    waves_top, waves_bottom = cosine_transform(top, n_basis), cosine_transform(bottom, n_basis)
    # Variances of the means of top and bottom, and their covariance.
    v_top = float(waves_top @ waves_top) / n_basis / n
    v_both = float(waves_top @ waves_bottom) / n_basis / n
    v_bottom = float(waves_bottom @ waves_bottom) / n_basis / n
    mean_top, mean_bottom = float(top.mean()), float(bottom.mean())

    def error(theta: float) -> float:
        """Standard error of the mean of top - theta·bottom."""
        waves = waves_top - theta * waves_bottom
        return math.sqrt(float(waves @ waves) / n_basis / n)

    se = error(ratio) / abs(mean_bottom)
    if se == 0.0:
        return Estimate.unknown(ratio)
    reach = critical_value(n_basis) ** 2
    at_null = error(null)
    p_value = 1.0 if at_null == 0.0 else tail((mean_top - null * mean_bottom) / at_null, n_basis)

    # (mean_top - θ mean_bottom)² <= reach · var(top - θ bottom), that is a θ² - 2 b θ + c <= 0
    a = mean_bottom**2 - reach * v_bottom
    b = mean_top * mean_bottom - reach * v_both
    c = mean_top**2 - reach * v_top
    if a <= 0.0:
        return Estimate(ratio, se, -math.inf, math.inf, float(n_basis), p_value)
    middle, half = b / a, math.sqrt(max(0.0, b * b - a * c)) / a
    return Estimate(ratio, se, middle - half, middle + half, float(n_basis), p_value)
