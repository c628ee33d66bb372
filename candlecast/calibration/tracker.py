"""The slow quantile tracker: how far each level has to lie from the median, learned from matured outcomes.

For a level above the median, ratio = (outcome - median) / (level's value - median). A factor f is right when
P(ratio > f) = 1 - level, and the tracker moves log f up by gain * level where an outcome fell beyond f, and down by
gain * (1 - level) where it did not; below the median alike. Such a step asks nothing of the distribution but that
quantile (Koenker and Bassett 1978), and repeated for ever it makes the long-run share of misses right whatever the
world does (Gibbs and Candès 2021, arXiv 2106.00170; Angelopoulos, Candès and Tibshirani 2023, arXiv 2307.16895).

log f of a symbol is that of its class plus its own deviation, which fades, so that a symbol differs from its class
only as far as its own outcomes keep saying so.

Axes: N labels, C classes, S symbols, G steps, Q the 11 levels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from candlecast.calibration.correction import MEDIAN, Correction, Floats, distances
from candlecast.forecasts import LEVELS

Times = NDArray[np.datetime64]

GAIN: Final = 0.005  # of log factor, per scheduled bar and error
OWN_GAIN: Final = 0.0025  # of a symbol's deviation from its class
FADE: Final = 0.0005  # of a deviation, per bar: a memory of 2,000 bars
MOST_BARS: Final = 25.0  # that one outcome may stand for
LOWEST, HIGHEST = np.log(0.5), np.log(4.0)
ENOUGH: Final = 30.0  # independent outcomes; with fewer a band is widened and never narrowed
ACTIVE_S: Final = 45 * 86400  # a symbol without outcomes for this long no longer counts in its class
SPACINGS_KEPT: Final = 50.0
OVERLAP_PER_STEP: Final = 0.46  # as in `candlecast.scoring`: how much less overlapping outcomes are worth

# Scheduled bars in a week of the slowest venue of a class; the rate at which time passes for its symbols.
BARS_A_WEEK: Final[dict[str, dict[str, float]]] = {
    "1h": {"crypto": 168.0, "forex_commodity": 120.0, "equity": 35.0},
    "1d": {"crypto": 7.0, "forex_commodity": 5.0, "equity": 5.0},
}
WEEK_S: Final = 7 * 86400

_MISSES: Final = np.minimum(LEVELS, 1.0 - np.asarray(LEVELS))  # [Q] the share that should fall beyond each level
_SIDE: Final = np.where(np.arange(len(LEVELS)) < MEDIAN, -1.0, 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """What was forecast at judged steps and what came, for N pairs whose outcome is known.

    issued_at : [N] what the forecast knew
    known_at : [N] when its outcome could be used: close of the target plus the settle lag, or arrival if later
    last_close : [N] the newest close that the forecast knew
    fan : [N, Q] raw values at `LEVELS`
    outcome : [N] close of the target bar
    """

    symbol: NDArray[np.str_]
    step: NDArray[np.int64]
    issued_at: Times
    known_at: Times
    last_close: Floats
    fan: Floats
    outcome: Floats

    def __len__(self) -> int:
        return len(self.symbol)

    def where(self, rows: NDArray[Any]) -> "Labels":
        """The labels at `rows`, a mask or an order."""
        return Labels(*(getattr(self, field.name)[rows] for field in fields(self)))


class Tracker:
    """The state of one interval and model; knows only what `learn` was given."""

    def __init__(self, interval: str, steps: Sequence[int], asset_class_of: Mapping[str, str]) -> None:
        self.interval = interval
        self.steps = tuple(sorted(steps))
        self.known_until = np.datetime64("1970-01-01T00:00:00", "s")
        self._asset_class_of = dict(asset_class_of)
        self._classes: dict[str, int] = {}
        self._symbols: dict[str, int] = {}
        g, q = len(self.steps), len(LEVELS)
        self._level = np.zeros((0, g, q))  # [C, G, Q] log factors of the classes
        self._class_of = np.zeros(0, dtype=np.intp)  # [S]
        self._own = np.zeros((0, g, q))  # [S, G, Q] deviations from the class
        self._last_s = np.zeros((0, g))  # [S, G] when the newest outcome was known, 0: never
        self._spacing = np.zeros((0, g))  # [S, G] scheduled bars between two outcomes, smoothed
        self._n = np.zeros((0, g))  # [S, G]
        self._n_eff = np.zeros((0, g))  # [S, G]

    def learn(self, labels: Labels) -> None:
        """Take in labels that became known after `known_until`, in the order in which they became known.

        However they are cut into calls by known_at, the state comes out the same, bit for bit. A label of a step that
        is not tracked, or with a value that is not finite, teaches nothing.

        Raises
        ------
        ValueError : a label was known by `known_until`, so it should have been learned from already.
        """
        if len(labels) == 0:
            return
        known = labels.known_at.astype("datetime64[s]")
        if (known <= self.known_until).any():
            early = int((known <= self.known_until).sum())
            raise ValueError(
                f"{early} of {len(labels)} labels were known by {self.known_until}, up to which this tracker has "
                "learned; give it later labels, or rebuild it from all of them"
            )
        newest = known.max()
        finite = np.isfinite(np.column_stack([labels.last_close, labels.fan, labels.outcome])).all(axis=1)
        labels = labels.where(finite & np.isin(labels.step, self.steps))
        if len(labels):
            self._learn_sorted(labels.where(_order(labels)))
        self.known_until = newest

    def correction(self, symbol: str) -> Correction:
        """The correction of a forecast of `symbol`, as of everything learned."""
        g, q = len(self.steps), len(LEVELS)
        n_eff, logs = np.zeros(g), np.zeros((g, q))
        at = self._symbols.get(symbol)
        if at is not None:
            n_eff, logs = self._n_eff[at].copy(), self._level[self._class_of[at]] + self._own[at]
        else:
            of_class = self._classes.get(self._asset_class_of.get(symbol, ""))
            logs = logs if of_class is None else self._level[of_class]
        logs = np.where(n_eff[:, None] < ENOUGH, np.maximum(logs, 0.0), logs)
        factors = np.exp(np.clip(logs, LOWEST, HIGHEST))
        factors[:, MEDIAN] = 1.0
        return Correction(self.steps, factors, n_eff)

    def _learn_sorted(self, labels: Labels) -> None:
        symbols, of_label = np.unique(labels.symbol, return_inverse=True)
        rows = np.array([self._row_of(str(symbol)) for symbol in symbols])[of_label]
        steps = np.searchsorted(self.steps, labels.step)
        reach = _log_ratios(labels)
        known_s = labels.known_at.astype("datetime64[s]").astype(np.int64).astype(np.float64)
        cuts = np.flatnonzero(np.diff(known_s)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(labels)], strict=True):
            part = slice(begin, end)
            self._take(rows[part], steps[part], reach[part], known_s[begin])

    def _take(self, row: NDArray[np.intp], step: NDArray[np.intp], reach: Floats, now_s: float) -> None:
        """Learn from the labels that became known at one moment; several of one cell count as their mean."""
        cell, place, together = np.unique(row * len(self.steps) + step, return_inverse=True, return_counts=True)
        row, step = cell // len(self.steps), cell % len(self.steps)
        of_class = self._class_of[row]
        logs = np.clip(self._level[of_class, step] + self._own[row, step], LOWEST, HIGHEST)
        error = np.zeros_like(logs)
        missed = reach > logs[place]
        np.add.at(error, place, np.where(np.isnan(reach), 0.0, missed - _MISSES))
        error /= together[:, None]

        bars = np.minimum(self._bars_since(row, step, now_s), MOST_BARS)
        self._last_s[row, step] = now_s
        self._n[row, step] += 1.0
        span = OVERLAP_PER_STEP * np.asarray(self.steps, dtype=np.float64)[step]
        self._n_eff[row, step] += 1.0 / np.maximum(1.0, span / bars)

        active = self._last_s > now_s - ACTIVE_S
        peers = np.zeros(self._level.shape[:2])
        np.add.at(peers, self._class_of, active)
        push = GAIN * bars[:, None] * error
        np.add.at(self._level, (of_class, step), push / peers[of_class, step][:, None])
        np.clip(self._level, LOWEST, HIGHEST, out=self._level)
        kept = np.exp(-FADE * bars)[:, None]
        self._own[row, step] = kept * self._own[row, step] + OWN_GAIN * bars[:, None] * error

    def _bars_since(self, row: NDArray[np.intp], step: NDArray[np.intp], now_s: float) -> Floats:
        """[cells] the scheduled bars that each outcome stands for: the usual distance to the one before it.

        Smoothed, or the first outcome after a night would weigh as much as the rest of the session.
        """
        last, n = self._last_s[row, step], self._n[row, step]
        a_week = BARS_A_WEEK[self.interval]
        names = list(self._classes)
        rate = np.array([a_week.get(name, max(a_week.values())) for name in names])[self._class_of[row]] / WEEK_S
        passed = np.where(n > 0.0, (now_s - last) * rate, 1.0)
        weight = 1.0 / np.clip(n, 1.0, SPACINGS_KEPT)
        spacing = np.where(n > 0.0, self._spacing[row, step] * (1.0 - weight) + weight * passed, 1.0)
        self._spacing[row, step] = spacing
        return np.maximum(spacing, 1.0)

    def _row_of(self, symbol: str) -> int:
        if symbol not in self._symbols:
            name = self._asset_class_of.get(symbol, "")
            if name not in self._classes:
                self._classes[name] = len(self._classes)
                self._level = _with_row(self._level)
            self._symbols[symbol] = len(self._symbols)
            self._class_of = np.append(self._class_of, self._classes[name])
            for each in ("_own", "_last_s", "_spacing", "_n", "_n_eff"):
                setattr(self, each, _with_row(getattr(self, each)))
        return self._symbols[symbol]

    def to_json(self) -> dict[str, Any]:
        """The state as plain lists, in the order of names; `from_json` brings it back bit for bit."""
        return {
            "interval": self.interval,
            "steps": list(self.steps),
            "known_until": str(self.known_until),
            "asset_class_of": dict(sorted(self._asset_class_of.items())),
            "classes": {name: self._level[at].tolist() for name, at in sorted(self._classes.items())},
            "symbols": {
                symbol: {
                    "own": self._own[at].tolist(),
                    "last_s": self._last_s[at].tolist(),
                    "spacing": self._spacing[at].tolist(),
                    "n": self._n[at].tolist(),
                    "n_eff": self._n_eff[at].tolist(),
                }
                for symbol, at in sorted(self._symbols.items())
            },
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], asset_class_of: Mapping[str, str] | None = None) -> Self:
        """The tracker that `to_json` wrote; `asset_class_of` adds instruments that it did not know."""
        classes = {**(asset_class_of or {}), **document["asset_class_of"]}
        tracker = cls(document["interval"], document["steps"], classes)
        tracker.known_until = np.datetime64(document["known_until"], "s")
        for symbol, state in document["symbols"].items():
            at = tracker._row_of(symbol)
            for name, value in state.items():
                getattr(tracker, f"_{name}")[at] = value
        for name, level in document["classes"].items():
            tracker._level[tracker._classes[name]] = level
        return tracker


def _order(labels: Labels) -> NDArray[np.intp]:
    return np.lexsort((labels.step, labels.symbol, labels.issued_at, labels.known_at))


def _log_ratios(labels: Labels) -> Floats:
    """[N, Q] ln of (outcome - median) / (value - median); -inf on the other side, NaN where the two values agree."""
    positive = (labels.fan > 0.0).all(axis=1, keepdims=True) & (labels.outcome > 0.0)[:, None]
    positive &= (labels.last_close > 0.0)[:, None]
    middle = labels.fan[:, MEDIAN, None]
    size = distances(labels.fan, middle, positive) * _SIDE
    move = distances(labels.outcome[:, None], middle, positive) * _SIDE
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0.0, np.log(np.maximum(move, 0.0)) - np.log(size), np.nan)


def _with_row(array: Floats) -> Floats:
    return np.concatenate([array, np.zeros((1, *array.shape[1:]))])
