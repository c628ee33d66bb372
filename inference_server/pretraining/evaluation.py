"""What a checkpoint is worth: its paths beside those of the baseline, on bars that training never saw.

Axes: N pairs of (origin, step), S paths. Losses are in σ√h: a log return over h bars in units of the volatility
per bar that the baseline expected at the origin, times √h.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from candlecast.baselines import ewma_scale
from candlecast.clock import INTERVALS
from candlecast.forecasts import CLOSE, Forecast, Forecaster, Series
from candlecast.instruments import load_instruments
from candlecast.scoring import fair_crps
from candlecast.sessions import Sessions
from inference_server.pretraining.histories import History

Floats = NDArray[np.float64]
STEPS = (1, 2, 4, 8, 12, 24, 48, 72, 96, 120)
HORIZON = STEPS[-1]
GOLDEN = 0.6180339887498949
"""Multiples of it modulo 1 fill the unit interval evenly, however many there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Origin:
    """A series as it was known at one moment, and closes [len(STEPS)] that came, NaN where no bar did."""

    series: Series
    asset_class: str
    scale: float
    outcome: Floats


def origins(
    histories: Sequence[History], *, first: np.datetime64, last: np.datetime64, lookback: int, per_history: int
) -> list[Origin]:
    """Evenly spread moments of the instruments that are forecast, in time order; outcomes open in [first, last).

    Instruments move together, so each is asked at moments of its own: between those of the one before it.

    Hourly moments lie inside that time. Daily ones start 120 bars before it, or else its 120th step would be
    met by a handful of days only; their steps that end before it do not count.
    """
    forecast = {one.symbol: one for one in load_instruments() if one.forecast}
    found: list[Origin] = []
    for history in histories:
        if history.symbol not in forecast:
            continue
        sessions = Sessions.of(forecast[history.symbol].calendar)
        lead = HORIZON if history.interval == "1d" else 1
        lowest = max(history.first_from(first) - lead, lookback - 1)
        highest = history.first_from(last) - 2
        if highest < lowest:
            continue
        phase = len(found) / per_history * GOLDEN % 1.0
        for at in np.unique(lowest + ((np.arange(per_history) + phase) / per_history * (highest - lowest)).astype(int)):
            found.append(_origin(history, int(at), sessions, first, last, lookback))
    return sorted(found, key=lambda one: one.series.issued_at)


def _origin(
    history: History, at: int, sessions: Sessions, first: np.datetime64, last: np.datetime64, lookback: int
) -> Origin:
    window = slice(at + 1 - lookback, at + 1)
    after = history.opened_at[at] + np.timedelta64(1, "s")
    targets = sessions.next_bars(history.interval, after, HORIZON)[0].astype("datetime64[s]")
    wanted = targets[np.array(STEPS) - 1]
    places = np.minimum(np.searchsorted(history.opened_at, wanted), len(history.opened_at) - 1)
    came = (history.opened_at[places] == wanted) & (wanted >= first) & (wanted < last)
    bars = history.bars[window]
    issued_at = datetime.fromtimestamp(int(history.opened_at[at].astype(np.int64)), UTC) + INTERVALS[history.interval]
    series = Series(history.symbol, history.interval, issued_at, bars, history.opened_at[window], targets)
    outcome = np.where(came, history.bars[places, CLOSE], np.nan)
    return Origin(series, history.asset_class, ewma_scale(bars[:, CLOSE]), outcome)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One row per pair whose bar came, all arrays [N] but `paths` [N, S]: returns from the last close in σ√h.

    actual : what came; week : days since 1970 of the origin over 7, for blocks
    """

    symbol: NDArray[np.str_]
    interval: NDArray[np.str_]
    asset_class: NDArray[np.str_]
    step: NDArray[np.int64]
    week: NDArray[np.int64]
    actual: Floats
    paths: Floats

    def where(self, rows: NDArray[np.bool_]) -> "Table":
        return Table(*(getattr(self, name)[rows] for name in self.__slots__))

    def widened(self, factors: Floats) -> "Table":
        """Distances from the median path times `factors` [N]."""
        middle = np.median(self.paths, axis=1, keepdims=True)
        paths = middle + factors[:, None] * (self.paths - middle)
        return Table(self.symbol, self.interval, self.asset_class, self.step, self.week, self.actual, paths)

    def crps(self) -> Floats:
        """[N] fair CRPS."""
        return fair_crps(self.paths, self.actual)

    def band(self) -> tuple[Floats, Floats]:
        """p10 and p90 [N] by the Weibull rule, as a fan reads them off its paths."""
        low, high = np.quantile(self.paths, [0.1, 0.9], axis=1, method="weibull")
        return low, high

    def inside(self) -> NDArray[np.bool_]:
        """[N] whether the 80 % band held what came."""
        low, high = self.band()
        return (self.actual >= low) & (self.actual <= high)


def forecast_all(
    forecaster: Forecaster, asked: Sequence[Origin], *, n_paths: int, seen: Callable[[int], None] = lambda n: None
) -> Table:
    """The table of `forecaster` on `asked`; an origin that it refuses has no rows."""
    columns: list[tuple[object, ...]] = []
    paths: list[Floats] = []
    answers = forecaster.forecast([one.series for one in asked], horizon=HORIZON, n_paths=n_paths, base_seed=0)
    for n, (origin, answer) in enumerate(zip(asked, answers, strict=False), 1):
        if isinstance(answer, Forecast) and answer.paths is not None:
            for row, returns in _rows(origin, answer.paths):
                columns.append(row)
                paths.append(returns)
        seen(n)
    symbol, interval, asset_class, step, week, actual = (np.array(each) for each in zip(*columns, strict=True))
    return Table(symbol, interval, asset_class, step, week, actual, np.array(paths))


def _rows(origin: Origin, paths: NDArray[np.float32]) -> Iterator[tuple[tuple[object, ...], Floats]]:
    last, series = origin.series.last_close, origin.series
    for index, step in enumerate(STEPS):
        outcome = origin.outcome[index]
        if np.isnan(outcome) or origin.scale <= 0:
            continue
        closes = paths[:, step - 1].astype(np.float64)
        positive = min(last, outcome, closes.min()) > 0
        unit = origin.scale * step**0.5
        returns = np.log(closes / last) / unit if positive else (closes - last) / (unit * abs(last))
        actual = (np.log(outcome / last) if positive else (outcome - last) / abs(last)) / unit
        week = int(series.issued_at.timestamp()) // (7 * 86400)
        yield (series.symbol, series.interval, origin.asset_class, step, week, actual), returns


def common(one: Table, other: Table) -> tuple[Table, Table]:
    """The rows that both hold, in the same order; a pair is known by symbol, interval, step, week and outcome."""

    def keys(table: Table) -> list[tuple[object, ...]]:
        names = ("symbol", "interval", "step", "week", "actual")
        return list(zip(*(getattr(table, name).tolist() for name in names), strict=True))

    first, second = keys(one), keys(other)
    if first == second:
        return one, other
    places = {key: place for place, key in enumerate(second)}
    kept = np.array([key in places for key in first])
    order = [places[key] for key in first if key in places]
    return one.where(kept), Table(*(getattr(other, name)[order] for name in other.__slots__))


@dataclass(frozen=True, slots=True)
class Interval95:
    """An estimate and its 95 % confidence interval."""

    value: float
    low: float
    high: float


def by_weeks(
    week: NDArray[np.int64], statistic: Callable[[NDArray[np.intp]], float], *, block: int, n: int = 1000
) -> Interval95:
    """A statistic of rows with a block bootstrap over time: weeks are drawn in runs of `block`, with all their rows.

    Rows of one week stay together, because instruments move together; runs of weeks, because targets overlap.
    """
    weeks, place = np.unique(week, return_inverse=True)
    rows = [np.flatnonzero(place == k) for k in range(len(weeks))]
    rng = np.random.default_rng(0)
    n_blocks = -(-len(weeks) // block)
    found = np.empty(n)
    for i in range(n):
        starts = rng.integers(0, len(weeks), n_blocks)
        picked = (starts[:, None] + np.arange(block)).ravel() % len(weeks)
        found[i] = statistic(np.concatenate([rows[k] for k in picked[: len(weeks)]]))
    low, high = np.quantile(found, [0.025, 0.975])
    return Interval95(statistic(np.arange(len(week))), float(low), float(high))
