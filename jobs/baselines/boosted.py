"""Boosted quantiles: what trees make of the volatility, the hour and the last moves, from one series alone.

Every bar of the lookback is an origin, and every horizon of a few whose outcome the lookback still holds is a row:

    target    size of the move over h bars / (sigma sqrt(h)), sigma the volatility expected at the origin
    features  log h; how fast volatility is against slow; the sizes of the last three returns and of the last day's move
              in sigmas; the hour and weekday of the origin's bar

all of it known at the origin. Each level is a LightGBM model of its own (Ke et al. 2017, LightGBM, NeurIPS 30) with the
pinball loss; crossing levels are sorted (Chernozhukov, Fernandez-Val and Galichon 2010).

Sizes and not moves: a lookback of a fortnight holds one drift, which trees find through any feature with a sign and
take for the future. The law has both signs alike, as that of the random walk has, and the median is the last close.
"""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from itertools import accumulate
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candlecast.baselines import CannotSpeak, Filtered, Moves, OwnLookback, carried_over, sample_sums, sum_quantiles
from candlecast.baselines.volatility import DECAY
from candlecast.forecasts import CLOSE, LEVELS, ModelInfo, Series

Floats = NDArray[np.float64]

MIN_BARS: Final = 200
BURN_IN: Final = 32  # returns that only start the volatilities; the first origin follows them
MIN_ORIGINS: Final = 100  # a horizon is learned from that many matured outcomes or not at all
HORIZONS: Final = (1, 2, 4, 8, 16, 24, 48, 72, 96, 120)
FAST: Final = 0.8  # decays of the variance, beside the 0.97 of the random walk
SLOW: Final = 0.99
N_LAST: Final = 3
TREND: Final = 24

N_TREES: Final = 20
PARAMETERS: Final[dict[str, Any]] = {
    "objective": "quantile",
    "learning_rate": 0.1,
    "num_leaves": 6,
    "min_data_in_leaf": 1,
    "min_sum_hessian_in_leaf": 80.0,  # the sum of a leaf's weights: what its overlapping outcomes are worth
    "max_bin": 63,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "seed": 1,
    "verbosity": -1,
}

_UPPER: Final = [2.0 * level - 1.0 for level in LEVELS if level > 0.5]  # P(size <= quantile)


@dataclass(frozen=True, slots=True, eq=False)
class Origins:
    """What was known at each bar from the end of the burn-in on: N of them, the last is the issue.

    at : [N] index of the bar in the lookback
    scale : [N] volatility expected after it
    features : [N, F]
    """

    at: NDArray[np.intp]
    scale: Floats
    features: Floats


class Boosted(OwnLookback):
    """`baseline-lgbm`."""

    min_bars = MIN_BARS

    def __init__(self) -> None:
        # Another release may grow other trees from the same rows.
        definition = (
            f"baseline-lgbm|rule 1|lightgbm {version('lightgbm')}|{sorted(PARAMETERS.items())}|trees {N_TREES}"
            f"|min bars {MIN_BARS}|burn-in {BURN_IN}|min origins {MIN_ORIGINS}|horizons {HORIZONS}"
            f"|decays {DECAY} {FAST} {SLOW}|last {N_LAST}|trend {TREND}|levels {LEVELS}"
        )
        self.info = ModelInfo(
            name="baseline-lgbm",
            version=hashlib.sha256(definition.encode()).hexdigest(),
            max_context=None,
            takes_events=False,
            determinism="bitwise",
            description="LightGBM quantile regression of scaled moves, fitted to the lookback of the series alone",
            gives_quantiles=True,
        )

    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:
        """The trees' quantiles; paths take their ranks from the random walk's."""
        closes = np.ascontiguousarray(series.ohlcv[:, CLOSE])
        values = np.log(closes) if split.logarithmic else closes
        origins = known_at_origins(values, series.opened_at)
        rows, targets, learned = training_rows(values, origins, horizon)
        sizes = _predicted(rows, targets, _rows_of(learned, origins.features[-1:]))
        # Between learned horizons linear in log h, beyond the last one as wide as it in sigmas.
        steps = np.log(np.arange(1, horizon + 1))
        upper = np.column_stack([np.interp(steps, np.log(learned), column) for column in sizes.T])
        upper *= origins.scale[-1] * np.sqrt(np.arange(1, horizon + 1))[:, None]
        upper = np.maximum.accumulate(upper, axis=1)  # between equal levels the last bit may fall
        fan = np.concatenate([-upper[:, ::-1], np.zeros((horizon, 1)), upper], axis=1)
        if n_paths == 0:
            return Moves(fan, None)
        walk = sum_quantiles(split.residuals, horizon)
        return Moves(fan, carried_over(sample_sums(split.residuals, horizon, n_paths, seed), walk, fan))


def known_at_origins(values: Floats, opened_at: NDArray[np.datetime64]) -> Origins:
    """Features of every origin of `values` [L], log closes or closes; none reads a bar after its own."""
    returns = np.diff(values)
    start = float(np.mean(returns[:BURN_IN] ** 2))
    if start == 0.0:
        raise CannotSpeak("no_movement", f"the close did not move in its first {BURN_IN} bars, which set its scale")
    slow, own, fast = (_volatility(returns, start, decay) for decay in (SLOW, DECAY, FAST))
    at = np.arange(BURN_IN, len(values))
    scale = own[at - BURN_IN]
    hours = opened_at[at].astype("datetime64[h]").astype(np.int64)
    last = [returns[at - 1 - k] / scale for k in range(N_LAST)]
    trend = (values[at] - values[at - TREND]) / (scale * np.sqrt(TREND))
    loud = [np.log(fast / own), np.log(own / slow)]
    when = [hours % 24, (hours // 24 + 3) % 7]
    return Origins(at, scale, np.column_stack([*loud, *np.abs(last), np.abs(trend), *when]))


def _volatility(returns: Floats, start: float, decay: float) -> Floats:
    """[n - BURN_IN + 1] volatility expected after each return, from the last of the burn-in on."""
    variances = accumulate(
        (returns * returns)[BURN_IN:].tolist(), lambda var, square: decay * var + (1.0 - decay) * square, initial=start
    )
    # A market that stands still for weeks leaves a variance that is hardly a number.
    return np.sqrt(np.maximum(np.fromiter(variances, np.float64), 1e-12 * start))


def training_rows(values: Floats, origins: Origins, horizon: int) -> tuple[Floats, Floats, list[int]]:
    """Rows [R, 1 + F], their targets [R], and the horizons that have enough outcomes.

    Raises
    ------
    CannotSpeak : `too_few_bars`, not even one bar ahead has.
    """
    rows, targets, learned = [], [], []
    for h in HORIZONS:
        n = len(origins.at) - h  # the others' outcomes lie after the lookback
        if h > horizon or n < MIN_ORIGINS:
            break
        at = origins.at[:n]
        rows.append(_rows_of([h], origins.features[:n]))
        targets.append(np.abs(values[at + h] - values[at]) / (origins.scale[:n] * np.sqrt(h)))
        learned.append(h)
    if not learned:
        raise CannotSpeak("too_few_bars", f"{len(values)} bars hold fewer than {MIN_ORIGINS} outcomes to learn from")
    return np.concatenate(rows), np.concatenate(targets), learned


def _rows_of(horizons: list[int], features: Floats) -> Floats:
    """[horizons x N, 1 + F] each origin of `features` [N, F] with each horizon."""
    return np.concatenate([np.column_stack([np.full(len(features), np.log(h)), features]) for h in horizons])


def _predicted(rows: Floats, targets: Floats, now: Floats) -> Floats:
    """[rows of `now`, levels above the median] quantiles of the size, rising along the levels."""
    import lightgbm  # a second, and only a run that gets here pays for it

    # Outcomes over h bars from h neighbours overlap, together they are worth one.
    data = lightgbm.Dataset(rows, targets, weight=np.exp(-rows[:, 0]), params=PARAMETERS, free_raw_data=False)
    found = [
        lightgbm.train({**PARAMETERS, "alpha": level}, data, num_boost_round=N_TREES).predict(now, num_threads=1)
        for level in _UPPER
    ]
    return np.sort(np.maximum(np.column_stack([np.asarray(each) for each in found]), 0.0), axis=1)
