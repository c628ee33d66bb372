"""The slow quantile tracker: how far each level has to lie from the median, learned from matured outcomes.

For a level above the median, ratio = (outcome - median) / (level's value - median). A factor f is right when
P(ratio > f) = 1 - level. The tracker moves log f up by gain * level for an outcome that fell beyond f, and down by
gain * (1 - level) for one that did not; below the median alike. Such a step asks nothing of the distribution but that
quantile (Koenker and Bassett 1978), and the share of misses comes out right in the long run whatever the world does:
the sum of the errors is the way that log f has gone, over the gain (Gibbs and Candès 2021; Angelopoulos, Candès and
Tibshirani 2023). For that the error has to be the one of the factor in force when the forecast was issued: measured
with today's factor, which has already answered to outcomes that overlap, long horizons are left too narrow.

log f = width + tilt + own. The width of a pair of levels (5 and 95 %, 10 and 90 % ...) and their tilt, its opposite in
the two, belong to a class of instruments; an instrument's own part is relative to its class. Tilt and own part fade,
so they stay only as far as outcomes keep asking for them.

Axes: N labels, C classes, S symbols, G steps, K kept moments, Q the 11 levels.

References
----------
Gibbs and Candès (2021), Adaptive Conformal Inference Under Distribution Shift, arXiv 2106.00170.
Angelopoulos, Candès and Tibshirani (2023), Conformal PID Control for Time Series Prediction, arXiv 2307.16895.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from candlecast.calibration.correction import MEDIAN, Correction, Floats, distances
from candlecast.forecasts import LEVELS

Times = NDArray[np.datetime64]

# The gain of the width, per outcome and error of both sides: while little is known, EAGER / (outcomes learned from +
# PATIENCE) for an independent outcome, HASTY at most; and never below GAIN / overlap ** CALM for each scheduled bar
# that it stands for. overlap is how many outcomes are worth one, 0.46 times the step.
GAIN: Final = 0.0025
CALM: Final = 0.5
EAGER: Final = 5.0
PATIENCE: Final = 10.0
HASTY: Final = 0.15
TILT_SHARE: Final = 0.2  # of that gain
OWN_SHARE: Final = 0.2
FADE: Final = 0.0001  # of tilt and own part, per bar: a memory of 10,000 bars
MOST_BARS: Final = 50.0  # that one outcome may stand for
LOWEST, HIGHEST = np.log(0.5), np.log(4.0)
ENOUGH: Final = 30.0  # independent outcomes; with fewer a band is widened and never narrowed
ACTIVE_S: Final = 45 * 86400  # a symbol without outcomes for this long no longer counts in its class
SPACINGS_KEPT: Final = 50.0
KEPT: Final = 24  # past moments of a class and step, the eighth of a horizon or more apart
OVERLAP_PER_STEP: Final = 0.46  # as in `candlecast.scoring`: how much less overlapping outcomes are worth

# Scheduled bars in a week of the slowest venue of a class; the rate at which time passes for its symbols.
BARS_A_WEEK: Final[dict[str, dict[str, float]]] = {
    "1h": {"crypto": 168.0, "forex_commodity": 120.0, "equity": 35.0},
    "1d": {"crypto": 7.0, "forex_commodity": 5.0, "equity": 5.0},
}
WEEK_S: Final = 7 * 86400

_MISSES: Final = np.minimum(LEVELS, 1.0 - np.asarray(LEVELS))  # [Q] the share that should fall beyond each level
_OF_CLASS: Final = ("width", "tilt", "learned", "past_s", "past")
_OF_SYMBOL: Final = ("own", "last_s", "spacing", "n", "n_eff")
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
        self._width = np.zeros((0, g, q))  # [C, G, Q] the same in a level and its mirror image
        self._tilt = np.zeros((0, g, q))  # [C, G, Q] the opposite in them
        self._learned = np.zeros((0, g))  # [C, G] outcomes learned from, times the overlap; a mean over its symbols
        self._past_s = np.zeros((0, g, KEPT))  # [C, G, K] moments, rising, and from each on
        self._past = np.zeros((0, g, KEPT, q))  # [C, G, K, Q] width + tilt; before the first outcome 0
        self._class_of = np.zeros(0, dtype=np.intp)  # [S]
        self._own = np.zeros((0, g, q))  # [S, G, Q] beside the class
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
            n_eff, logs = self._n_eff[at].copy(), self._of_class(self._class_of[at]) + self._own[at]
        else:
            of_class = self._classes.get(self._asset_class_of.get(symbol, ""))
            logs = logs if of_class is None else self._of_class(of_class)
        logs = np.where(n_eff[:, None] < ENOUGH, np.maximum(logs, 0.0), logs)
        factors = np.exp(np.clip(logs, LOWEST, HIGHEST))
        factors[:, MEDIAN] = 1.0
        return Correction(self.steps, factors, n_eff)

    def _of_class(self, at: int) -> Floats:
        logs: Floats = self._width[at] + self._tilt[at]
        return logs

    def _learn_sorted(self, labels: Labels) -> None:
        symbols, of_label = np.unique(labels.symbol, return_inverse=True)
        rows = np.array([self._row_of(str(symbol)) for symbol in symbols])[of_label]
        steps = np.searchsorted(self.steps, labels.step)
        reach = _log_ratios(labels)
        issued_s, known_s = _seconds(labels.issued_at), _seconds(labels.known_at)
        cuts = np.flatnonzero(np.diff(known_s)) + 1
        for begin, end in zip([0, *cuts], [*cuts, len(labels)], strict=True):
            part = slice(begin, end)
            self._take(rows[part], steps[part], issued_s[part], reach[part], float(known_s[begin]))

    def _take(
        self, row: NDArray[np.intp], step: NDArray[np.intp], issued_s: Floats, reach: Floats, now_s: float
    ) -> None:
        """Learn from the labels that became known at one moment; several of one cell count as their mean."""
        error = self._errors(row, step, issued_s, reach)
        cell, place, together = np.unique(row * len(self.steps) + step, return_inverse=True, return_counts=True)
        row, step = cell // len(self.steps), cell % len(self.steps)
        mean = np.zeros((len(cell), len(LEVELS)))
        np.add.at(mean, place, error / together[place, None])

        bars = np.minimum(self._bars_since(row, step, now_s), MOST_BARS)
        self._last_s[row, step] = now_s
        self._n[row, step] += 1.0
        self._n_eff[row, step] += 1.0 / np.maximum(1.0, OVERLAP_PER_STEP * np.asarray(self.steps)[step] / bars)

        # Instruments that say nothing at this moment count as zero, so that a straggler weighs no more than others.
        of_class = self._class_of[row]
        peers = np.zeros(self._width.shape[:2])
        np.add.at(peers, self._class_of, self._last_s > now_s - ACTIVE_S)
        place = (of_class, step)
        share = 1.0 / peers[place]
        overlap = np.maximum(1.0, OVERLAP_PER_STEP * np.asarray(self.steps))
        # While little is known an outcome teaches as one, however long the time that it stands for; later as that time.
        worth = np.minimum(bars, overlap[step])
        eager = np.minimum(EAGER / (self._learned + PATIENCE * overlap), HASTY)[place]
        gain = np.maximum(eager * worth, (GAIN / overlap**CALM)[step] * bars)[:, None]
        wide, tilt = mean + mean[:, ::-1], mean - mean[:, ::-1]
        widened, pooled, moved = (np.zeros_like(self._width) for _ in range(3))
        np.add.at(widened, place, share[:, None] * gain * wide)
        np.add.at(pooled, place, share[:, None] * wide)
        np.add.at(moved, place, share[:, None] * (TILT_SHARE * gain * tilt - FADE * bars[:, None] * self._tilt[place]))
        np.add.at(self._learned, place, share * worth)
        np.clip(self._width + widened, LOWEST, HIGHEST, out=self._width)
        self._tilt += moved
        kept = np.exp(-FADE * bars)[:, None]
        self._own[row, step] = kept * self._own[row, step] + OWN_SHARE * gain * (wide - pooled[place])
        self._remember(of_class, step, now_s)

    def _errors(self, row: NDArray[np.intp], step: NDArray[np.intp], issued_s: Floats, reach: Floats) -> Floats:
        """[N, Q] one for an outcome beyond the level as it was put at issue, less the share that should be there."""
        of_class = self._class_of[row]
        at = (self._past_s[of_class, step] <= issued_s[:, None]).sum(axis=1) - 1
        logs = self._past[of_class, step, np.maximum(at, 0)] + self._own[row, step]
        missed = reach > np.clip(logs, LOWEST, HIGHEST)
        return np.where(np.isnan(reach), 0.0, missed - _MISSES)

    def _remember(self, of_class: NDArray[np.intp], step: NDArray[np.intp], now_s: float) -> None:
        """Keep the factors of classes and steps whose last kept moment lies the eighth of a horizon back."""
        bar_s = WEEK_S / self._rates()
        due = now_s - self._past_s[..., -1] >= bar_s[:, None] * np.asarray(self.steps) / 8.0
        touched = np.zeros_like(due)
        touched[of_class, step] = True
        for place in zip(*np.nonzero(due & touched), strict=True):
            self._past_s[place] = np.append(self._past_s[place][1:], now_s)
            self._past[place] = np.concatenate([self._past[place][1:], (self._width + self._tilt)[place][None]])

    def _rates(self) -> Floats:
        """[C] scheduled bars a week."""
        known = BARS_A_WEEK[self.interval]
        return np.array([known.get(name, max(known.values())) for name in self._classes])

    def _bars_since(self, row: NDArray[np.intp], step: NDArray[np.intp], now_s: float) -> Floats:
        """[cells] the scheduled bars that each outcome stands for: the usual distance to the one before it.

        Smoothed, or the first outcome after a night would weigh as much as the rest of the session.
        """
        last, n = self._last_s[row, step], self._n[row, step]
        rate = self._rates()[self._class_of[row]] / WEEK_S
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
                for each in _OF_CLASS:
                    setattr(self, f"_{each}", _with_row(getattr(self, f"_{each}")))
            self._symbols[symbol] = len(self._symbols)
            self._class_of = np.append(self._class_of, self._classes[name])
            for each in _OF_SYMBOL:
                setattr(self, f"_{each}", _with_row(getattr(self, f"_{each}")))
        return self._symbols[symbol]

    def to_json(self) -> dict[str, Any]:
        """The state as plain lists, in the order of names; `from_json` brings it back bit for bit."""
        return {
            "interval": self.interval,
            "steps": list(self.steps),
            "known_until": str(self.known_until),
            "asset_class_of": dict(sorted(self._asset_class_of.items())),
            "classes": {
                name: {each: getattr(self, f"_{each}")[at].tolist() for each in _OF_CLASS}
                for name, at in sorted(self._classes.items())
            },
            "symbols": {
                symbol: {each: getattr(self, f"_{each}")[at].tolist() for each in _OF_SYMBOL}
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
            for each in _OF_SYMBOL:
                getattr(tracker, f"_{each}")[at] = state[each]
        for name, state in document["classes"].items():
            for each in _OF_CLASS:
                getattr(tracker, f"_{each}")[tracker._classes[name]] = state[each]
        return tracker


def _order(labels: Labels) -> NDArray[np.intp]:
    return np.lexsort((labels.step, labels.symbol, labels.issued_at, labels.known_at))


def _seconds(at: Times) -> Floats:
    return at.astype("datetime64[s]").astype(np.int64).astype(np.float64)


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
