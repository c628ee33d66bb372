"""Score a forecast against what the market then did.

A pair is one (prediction, step). Axes: N pairs, M sample paths, Q the 11 levels of a fan.

Units. Every loss is in sigmas: a return divided by `scale`, the volatility of one bar as it was expected at
issue. So losses compare across symbols, and a loss grows with about the square root of the step. A return is
logarithmic, ln(price / last close); where the last close, the outcome or the fan is not positive it is the
difference of prices instead. A forecast whose prices are all positive has a logarithmic scale; if then the
market goes below zero, that scale is turned into money by multiplying it with the last close.

References
----------
Gneiting and Raftery (2007), Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 102: interval score.
Koenker and Bassett (1978), Regression Quantiles, Econometrica 46: pinball loss.
Ferro (2014), Fair scores for ensemble forecasts, QJRMS 140; Zamo and Naveau (2018), Math. Geosciences 50:
the fair CRPS and its form by probability-weighted moments.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SCORE_VERSION: Final = 1  # of the rules below; raise it when a rule changes, stored scores keep theirs

# The steps that are scored: one bar, a short day, about a day or month, the whole horizon.
SCORED_STEPS: Final[dict[str, tuple[int, ...]]] = {"1h": (1, 4, 24, 120), "1d": (1, 5, 20, 120)}

MISS_PENALTY: Final = 10.0  # 2 / (1 - 0.8), for the 80 % band from p10 to p90

# Fixed before any forecast is issued: a target whose bar has not come this long after its close is void.
VOID_AFTER: Final = timedelta(days=7)

# Variance of the mean of overlapping 80 % hits over that of independent ones, per step (simulated, h = 24 and 120).
OVERLAP_PER_STEP: Final = 0.46


def effective_sample(n: float, step: int) -> float:
    """How many independent outcomes `n` pairs are worth, when a forecast is issued on every bar.

    Targets of neighbours overlap in step - 1 of their bars, which inflates the variance of a mean by about 0.46
    times the step, never below 1. Forecasts issued less often overlap less; then this is too careful.
    """
    return n / max(1.0, OVERLAP_PER_STEP * step)


def longest_span(interval: str, step: int) -> timedelta:
    """More time than `step` bars of any venue take, weekends and holidays included.

    The slowest hourly venue has 35 bars a week (4.8 hours each), the slowest daily one 5 (1.4 days each).
    """
    bar = timedelta(hours=6) if interval == "1h" else timedelta(days=2)
    return step * bar + timedelta(days=15)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What was forecast and what came, for N pairs. Prices are in the unit of each series.

    last_close, scale : [N] the newest close the forecast knew, and sigma of one bar at issue, above 0
    p10, p50, p90 : [N] the band that was served
    fan : [N, Q] values at `LEVELS`, rising along Q
    outcome : [N] close of the target bar
    """

    last_close: Floats
    scale: Floats
    p10: Floats
    p50: Floats
    p90: Floats
    fan: Floats
    outcome: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One score per pair; losses and `width` in sigmas, see the module.

    log_return : [N] realised return, not scaled (a difference of prices where logarithms do not exist)
    signal : [N] direction of p50 against the last close: 1, 0 or -1
    move : [N] direction of the outcome against the last close
    hit : [N] 1 right, 0 wrong, -1 when forecast or outcome did not move: such a pair is not counted
    inside, below, above : [N] where the outcome fell; the ends of the band belong to it
    pinballs : [N, Q] pinball loss at each of `LEVELS`
    interval_score : [N] of the 80 % band
    width : [N] p90 - p10
    abs_error : [N] |outcome - p50|
    crps : [N] fair CRPS of the sample paths, NaN where there are fewer than 2
    """

    log_return: Floats
    signal: NDArray[np.int8]
    move: NDArray[np.int8]
    hit: NDArray[np.int8]
    inside: Bools
    below: Bools
    above: Bools
    pinballs: Floats
    interval_score: Floats
    width: Floats
    abs_error: Floats
    crps: Floats

    @property
    def pinball(self) -> Floats:
        """[N] mean over the levels."""
        mean: Floats = self.pinballs.mean(axis=1)
        return mean


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
    return _fair_crps_of_sorted(ranked, outcome)


def _fair_crps_of_sorted(ranked: Floats, outcome: Floats) -> Floats:
    m = ranked.shape[1]
    # sum over i < j of (x_j - x_i), each x counted once for every neighbour below it and minus once above
    weights = (2.0 * np.arange(m) - (m - 1)) / (m * (m - 1))
    miss: Floats = np.abs(ranked - outcome[:, None]).mean(axis=1)
    # Differences to the middle path: large common levels would cost digits in the weighted sum.
    spread: Floats = (ranked - ranked[:, m // 2, None]) @ weights
    return miss - spread


def score_pairs(pairs: Pairs, paths: NDArray[np.float32] | None = None) -> Scores:
    """Every score of N pairs. `paths` [N, M] are closes of the sample paths at the pair's step, None without any.

    Raises
    ------
    ValueError : a scale that is not above 0, or a value that is not finite; such a pair is void, not scored.
    """
    stack = np.column_stack([pairs.last_close, pairs.scale, pairs.p10, pairs.p50, pairs.p90, pairs.fan, pairs.outcome])
    broken = ~np.isfinite(stack).all(axis=1) | (pairs.scale <= 0.0)
    if broken.any():
        raise ValueError(f"{int(broken.sum())} of {len(broken)} pairs have a scale of 0 or a value that is not finite")

    n = len(pairs.outcome)
    was_positive = (stack[:, [0, 2, 3, 4]] > 0.0).all(axis=1) & (pairs.fan > 0.0).all(axis=1)
    if paths is not None and paths.shape[1] > 0:
        was_positive &= paths.min(axis=1) > 0.0
    logarithmic = was_positive & (pairs.outcome > 0.0)
    sigma = np.where(was_positive & ~logarithmic, pairs.scale * np.abs(pairs.last_close), pairs.scale)

    def returns(price: NDArray[Any]) -> Floats:
        last, log = pairs.last_close, logarithmic
        if price.ndim == 2:
            last, log = last[:, None], log[:, None]
        if logarithmic.all():
            moved: Floats = np.log(price / last)
            return moved
        ratio = np.where(log, price / np.where(last == 0.0, 1.0, last), 1.0)
        return np.where(log, np.log(ratio), price - last)

    actual = returns(pairs.outcome)
    low, middle, high = returns(pairs.p10), returns(pairs.p50), returns(pairs.p90)
    signal = np.sign(pairs.p50 - pairs.last_close).astype(np.int8)
    move = np.sign(pairs.outcome - pairs.last_close).astype(np.int8)
    below, above = pairs.outcome < pairs.p10, pairs.outcome > pairs.p90
    if paths is None or paths.shape[1] < 2:
        crps = np.full(n, np.nan)
    else:
        # Sorted as stored: half the bytes to move, and a return rises with its price.
        ranked = np.sort(paths, axis=1).astype(np.float64)
        crps = _fair_crps_of_sorted(returns(ranked), actual) / sigma
    return Scores(
        log_return=actual,
        signal=signal,
        move=move,
        hit=np.where((signal == 0) | (move == 0), -1, signal == move).astype(np.int8),
        inside=~below & ~above,
        below=below,
        above=above,
        pinballs=pinball_loss(returns(pairs.fan), actual, np.asarray(LEVELS)) / sigma[:, None],
        interval_score=interval_loss(low, high, actual) / sigma,
        width=(high - low) / sigma,
        abs_error=np.abs(actual - middle) / sigma,
        crps=crps,
    )
