"""Score a forecast at one step against what the market then did.

A pair is one (prediction, step). Axes: N pairs, M sample paths, Q the 11 levels of a fan.

Every loss is in sigmas: a return divided by `scale`, the volatility of one bar as it was expected at issue (see
`units`). So losses compare across symbols, and a loss grows with about the square root of the step.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS
from candlecast.scoring.losses import brier_loss, fair_crps_of_sorted, interval_loss, pinball_loss
from candlecast.scoring.ranks import p_up_of_fan, p_up_of_paths, pit_of_fan, pit_of_paths
from candlecast.scoring.units import Unit, unit

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Paths = NDArray[np.float32]

P10, P90 = LEVELS.index(0.1), LEVELS.index(0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """What was forecast and what came, for N pairs. Prices are in the unit of each series.

    last_close, scale : [N] the newest close the forecast knew, and sigma of one bar at issue, above 0
    p10, p50, p90 : [N] the band that was served
    fan : [N, Q] values at `LEVELS` as the model gave them, rising along Q
    outcome : [N] close of the target bar
    calibrated : [N, Q] the fan as served; equal to `fan` where nothing was corrected
    v : [N] in [0, 1), of `ranks.uniforms`: what randomises the rank
    """

    last_close: Floats
    scale: Floats
    p10: Floats
    p50: Floats
    p90: Floats
    fan: Floats
    outcome: Floats
    calibrated: Floats
    v: Floats

    @property
    def corrected(self) -> Bools:
        """[N] whether what was served is not what the model gave."""
        moved: Bools = (self.calibrated != self.fan).any(axis=1)
        return moved


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One score per pair; losses and widths in sigmas, see the module. `calibrated_` is of what was served.

    log_return : [N] realised return, not scaled (a difference of prices where logarithms do not exist); z : in sigmas
    signal : [N] direction of p50 against the last close: 1, 0 or -1
    move : [N] direction of the outcome against the last close
    hit : [N] 1 right, 0 wrong, -1 when forecast or outcome did not move: such a pair is not counted
    inside, below, above : [N] where the outcome fell, of the served band; the ends of a band belong to it
    interval_score, width : [N] of the served band; raw_ of the band that the model gave
    pinballs, calibrated_pinballs : [N, Q] pinball loss at each of `LEVELS`
    abs_error : [N] |outcome - p50|
    crps, calibrated_crps : [N] fair CRPS of the sample paths, NaN where there are fewer than 2
    pit, calibrated_pit : [N] randomised rank of the outcome among the paths, or within the fan where there are none
    p_up, calibrated_p_up : [N] probability of a close above the last one
    brier, calibrated_brier : [N] its Brier score, NaN where the outcome did not move
    """

    log_return: Floats
    z: Floats
    signal: NDArray[np.int8]
    move: NDArray[np.int8]
    hit: NDArray[np.int8]
    inside: Bools
    below: Bools
    above: Bools
    raw_inside: Bools
    raw_below: Bools
    raw_above: Bools
    pinballs: Floats
    calibrated_pinballs: Floats
    interval_score: Floats
    raw_interval_score: Floats
    width: Floats
    raw_width: Floats
    abs_error: Floats
    crps: Floats
    calibrated_crps: Floats
    pit: Floats
    calibrated_pit: Floats
    p_up: Floats
    calibrated_p_up: Floats
    brier: Floats
    calibrated_brier: Floats

    @property
    def pinball(self) -> Floats:
        """[N] mean over the levels."""
        mean: Floats = self.pinballs.mean(axis=1)
        return mean

    @property
    def calibrated_pinball(self) -> Floats:
        """[N] mean over the levels."""
        mean: Floats = self.calibrated_pinballs.mean(axis=1)
        return mean


def score_pairs(pairs: Pairs, paths: Paths | None = None, calibrated_paths: Paths | None = None) -> Scores:
    """Every score of N pairs.

    paths : [N, M] closes of the sample paths at the pair's step, None without any
    calibrated_paths : [K, M] those of the K pairs that were corrected, as the correction moves them, in their order;
        needed where `paths` are given and K is not 0

    Raises
    ------
    ValueError : a scale that is not above 0, or a value that is not finite; such a pair is void, not scored.
    """
    _refuse_broken(pairs)
    if paths is not None and paths.shape[1] < 2:
        paths = None
    places = np.flatnonzero(pairs.corrected)
    if paths is not None and (0 if calibrated_paths is None else len(calibrated_paths)) != len(places):
        raise ValueError(f"{len(places)} pairs were corrected; their paths are needed as the correction moves them")
    measure = _unit(pairs, paths)
    actual, sigma = measure.returns(pairs.outcome), measure.sigma
    low, middle, high = (measure.returns(price) for price in (pairs.p10, pairs.p50, pairs.p90))
    fan, served = measure.returns(pairs.fan), measure.returns(pairs.calibrated)
    signal = np.sign(pairs.p50 - pairs.last_close).astype(np.int8)
    move = np.sign(pairs.outcome - pairs.last_close).astype(np.int8)
    below, above = pairs.outcome < pairs.p10, pairs.outcome > pairs.p90
    raw_below, raw_above = pairs.outcome < pairs.fan[:, P10], pairs.outcome > pairs.fan[:, P90]

    crps, pit, p_up = _of_law(pairs, measure, actual, pairs.fan, fan, paths)
    law = crps.copy(), pit.copy(), p_up.copy()
    if len(places):
        of_corrected = _of_law(
            _take(pairs, places),
            Unit(measure.last_close[places], measure.logarithmic[places], sigma[places]),
            actual[places],
            pairs.calibrated[places],
            served[places],
            None if paths is None else calibrated_paths,
        )
        for whole, part in zip(law, of_corrected, strict=True):
            whole[places] = part
    calibrated_crps, calibrated_pit, calibrated_p_up = law
    return Scores(
        log_return=actual,
        z=actual / sigma,
        signal=signal,
        move=move,
        hit=np.where((signal == 0) | (move == 0), -1, signal == move).astype(np.int8),
        inside=~below & ~above,
        below=below,
        above=above,
        raw_inside=~raw_below & ~raw_above,
        raw_below=raw_below,
        raw_above=raw_above,
        pinballs=pinball_loss(fan, actual, np.asarray(LEVELS)) / sigma[:, None],
        calibrated_pinballs=pinball_loss(served, actual, np.asarray(LEVELS)) / sigma[:, None],
        interval_score=interval_loss(low, high, actual) / sigma,
        raw_interval_score=interval_loss(fan[:, P10], fan[:, P90], actual) / sigma,
        width=(high - low) / sigma,
        raw_width=(fan[:, P90] - fan[:, P10]) / sigma,
        abs_error=np.abs(actual - middle) / sigma,
        crps=crps,
        calibrated_crps=calibrated_crps,
        pit=pit,
        calibrated_pit=calibrated_pit,
        p_up=p_up,
        calibrated_p_up=calibrated_p_up,
        brier=np.where(move == 0, np.nan, brier_loss(p_up, move > 0)),
        calibrated_brier=np.where(move == 0, np.nan, brier_loss(calibrated_p_up, move > 0)),
    )


def _of_law(
    pairs: Pairs, measure: Unit, actual: Floats, fan: Floats, fan_returns: Floats, paths: Paths | None
) -> tuple[Floats, Floats, Floats]:
    """CRPS, PIT and probability of a rise: from the paths where there are some, else from the fan."""
    if paths is None:
        nothing = np.full(len(actual), np.nan)
        return nothing, pit_of_fan(fan, pairs.outcome, pairs.v), p_up_of_fan(fan_returns)
    # Sorted as stored: half the bytes to move, and a return rises with its price.
    ranked = np.sort(paths, axis=1)
    crps = fair_crps_of_sorted(measure.returns(ranked.astype(np.float64)), actual) / measure.sigma
    return crps, pit_of_paths(paths, pairs.outcome, pairs.v), p_up_of_paths(paths, pairs.last_close)


def _unit(pairs: Pairs, paths: Paths | None) -> Unit:
    served = np.column_stack([pairs.last_close, pairs.p10, pairs.p50, pairs.p90])
    positive = np.asarray((served > 0.0).all(axis=1))
    positive &= (pairs.fan > 0.0).all(axis=1) & (pairs.calibrated > 0.0).all(axis=1)
    if paths is not None:
        positive &= paths.min(axis=1) > 0.0
    return unit(pairs.last_close, pairs.scale, positive, pairs.outcome)


def _refuse_broken(pairs: Pairs) -> None:
    columns = (pairs.last_close, pairs.scale, pairs.p10, pairs.p50, pairs.p90, pairs.fan, pairs.calibrated)
    stack = np.column_stack([*columns, pairs.outcome])
    broken = ~np.isfinite(stack).all(axis=1) | (pairs.scale <= 0.0)
    if broken.any():
        raise ValueError(f"{int(broken.sum())} of {len(broken)} pairs have a scale of 0 or a value that is not finite")


def _take(pairs: Pairs, places: NDArray[np.intp]) -> Pairs:
    return Pairs(*(getattr(pairs, name)[places] for name in Pairs.__slots__))
