"""What every baseline does alike: it looks at one series at a time, and says why where it cannot speak.

A baseline is a law of moves: what the close of each step is away from the last close, in the returns of its lookback
(logarithmic where every close is positive, else differences of price). The rest is here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from candlecast.baselines.volatility import Filtered, filtered
from candlecast.forecasts import (
    CLOSE,
    Forecast,
    ModelInfo,
    Result,
    Series,
    forecast_fault,
    never,
    refuse,
    seed_for,
    series_fault,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """Returns since the last close: `fan` [H, 11] at `LEVELS`, and `paths` [S, H] where paths were asked for."""

    fan: Floats
    paths: Floats | None


class CannotSpeak(Exception):
    """Why a baseline has no law for this lookback: a word for code, the end of a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class OwnLookback(ABC):
    """A baseline that learns from the lookback of the series alone; needs no weights, takes any number of paths."""

    info: ModelInfo
    min_bars: int

    @abstractmethod
    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:
        """The law of the moves from here; the lookback is whole, long enough, and has moved.

        Raises
        ------
        CannotSpeak : this baseline has nothing to say about this lookback.
        """

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series; refused are too few bars, prices that never moved and broken series."""
        for one in series:
            if cancel():
                return
            yield self._one(one, horizon, n_paths, base_seed)

    def _one(self, series: Series, horizon: int, n_paths: int, base_seed: int) -> Result:
        fault = series_fault(series, horizon)
        if fault is not None:
            return fault
        name, version, n_bars = self.info.name, self.info.version, len(series.ohlcv)
        if n_bars < self.min_bars:
            return refuse(series, "too_few_bars", f"{n_bars} bars in the lookback, {name} needs {self.min_bars}")
        split = filtered(series.ohlcv[:, CLOSE])
        if split.scale == 0.0:
            return refuse(series, "no_movement", f"the close did not move in {n_bars} bars, so it has no volatility")

        seed = seed_for(name, version, series.symbol, series.interval, series.issued_at, base_seed)
        try:
            moves = self.moves(series, split, horizon=horizon, n_paths=n_paths, seed=seed)
        except CannotSpeak as reason:
            return refuse(series, reason.code, reason.message)
        fan = _closes(series.last_close, split, moves.fan)
        paths = None
        if moves.paths is not None:
            with np.errstate(over="ignore"):
                paths = _closes(series.last_close, split, moves.paths).astype(np.float32)
        made = Forecast(series.symbol, series.interval, series.issued_at, name, version, seed, fan, paths)
        wrong = forecast_fault(made, horizon)
        if wrong is not None:
            return refuse(series, "out_of_range", f"the lookback moves so wildly that {wrong}; check its prices")
        return made


def _closes(last_close: float, split: Filtered, moves: Floats) -> Floats:
    """Closes after `moves`; inf where the number line ends."""
    with np.errstate(over="ignore"):
        return last_close * np.exp(moves) if split.logarithmic else last_close + moves
