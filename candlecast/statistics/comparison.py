"""Whether one forecaster's losses are lower than another's, and by how much.

References
----------
Diebold and Mariano (1995), Comparing Predictive Accuracy, J. Business & Economic Statistics 13.
Harvey, Leybourne and Newbold (1997), Testing the equality of prediction mean squared errors, Int. J. Forecasting 13:
the small-sample factor.
"""

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from candlecast.statistics.estimate import Estimate
from candlecast.statistics.longrun import MIN_VALUES, equal_weighted_cosines, is_constant, newey_west
from candlecast.statistics.ratios import ratio_of_sums

Floats = NDArray[np.float64]

Method = Literal["ewc", "nw", "hln"]


def diebold_mariano(loss: Floats, base_loss: Floats, step: int, method: Method = "ewc") -> Estimate:
    """The mean of base_loss - loss: above 0, the forecaster beats the baseline.

    Parameters
    ----------
    loss, base_loss : [N] in order of issue, one forecast per bar; or [N, S] of S instruments with NaN where one has
        no pair: their differences are averaged over the instruments of each bar first, which clusters by time
    step : horizon in bars
    method : `ewc` cosines and t; `nw` Newey-West with 2·step lags and the normal law; `hln` the truncated sum of
        step - 1 autocovariances with the factor of Harvey, Leybourne and Newbold and t with N - 1 degrees, which can
        come out negative: there is no interval then
    """
    if loss.shape != base_loss.shape:
        raise ValueError(f"losses differ in shape: {loss.shape} and {base_loss.shape}")
    gap = base_loss - loss
    if gap.ndim == 2:
        gap = gap[np.isfinite(gap).any(axis=1)]
        gap = np.nanmean(gap, axis=1) if len(gap) else np.empty(0)
    if not np.isfinite(gap).all():
        raise ValueError("a loss is not finite; leave the pair out of both rows")
    if method == "ewc":
        return equal_weighted_cosines(gap, overlap=step)
    if method == "nw":
        return newey_west(gap, lags=2 * step)
    return _harvey_leybourne_newbold(gap, step)


def _harvey_leybourne_newbold(gap: Floats, step: int) -> Estimate:
    from statsmodels.stats.sandwich_covariance import S_hac_simple, weights_uniform

    n = len(gap)
    if n < max(MIN_VALUES, 2 * step) or is_constant(gap):
        return Estimate.unknown(float(gap.mean()) if n else math.nan)
    mean = float(gap.mean())
    variance = float(S_hac_simple(gap - mean, nlags=step - 1, weights_func=weights_uniform)[0, 0]) / n**2
    shrink = (n + 1 - 2 * step + step * (step - 1) / n) / n
    if variance <= 0.0 or shrink <= 0.0:
        return Estimate.unknown(mean)
    return Estimate.of(mean, math.sqrt(variance / shrink), float(n - 1))


def skill_of_sums(loss_sums: Floats, base_sums: Floats, overlap: float) -> Estimate:
    """Skill, 1 - Σ loss / Σ base loss, from sums over days: above 0 beats the baseline; p-value against 0.

    loss_sums, base_sums : [T] over all common pairs of a day, of every instrument; 0 or absent without pairs
    overlap : calendar days over which outcomes overlap, `overlap.span_days` of the longest step among them

    See `ratios.ratio_of_sums` for the interval, and for when there is none. Its p-value is that of a
    Diebold-Mariano test on the daily sums.
    """
    share = ratio_of_sums(loss_sums, base_sums, overlap, null=1.0)
    return Estimate(1.0 - share.value, share.se, 1.0 - share.high, 1.0 - share.low, share.dof, share.p_value)
