"""What goes into a forecast, what comes out, and the protocol between the two.

Axes: L lookback bars, H horizon steps, S sample paths, Q levels of a fan. Prices are in the unit of the
series. Instants at this border are `datetime`s aware of UTC; arrays of instants are `datetime64[s]` in UTC.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

LEVELS: Final[tuple[float, ...]] = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
N_EVENT_CHANNELS: Final = 20
OPEN, HIGH, LOW, CLOSE, VOLUME, AMOUNT = range(6)  # columns of `Series.ohlcv`


def never() -> bool:
    """The `cancel` of a caller who always wants the answer."""
    return False


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One instrument as it was known at `issued_at`, and the bars that are asked for.

    ohlcv : [L, 6] open, high, low, close, volume, amount; oldest bar first
    opened_at : [L] opening times of those bars, rising
    target_opened_at : [H] opening times of the next scheduled bars, rising, after the lookback
    events : [L + H, 20] the event tensor, None when there is none
    """

    symbol: str
    interval: str
    issued_at: datetime
    ohlcv: NDArray[np.float64]
    opened_at: NDArray[np.datetime64]
    target_opened_at: NDArray[np.datetime64]
    events: NDArray[np.float32] | None = None

    @property
    def last_close(self) -> float:
        """Close of the newest bar that the forecast may use."""
        return float(self.ohlcv[-1, CLOSE])


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """The fan of one series, and the paths it came from where the model has paths.

    fan : [H, 11] closes at `LEVELS`, rising along the levels
    paths : [S, H] closes of the sample paths, float32; None when there are none or they were not asked for
    """

    symbol: str
    interval: str
    issued_at: datetime
    model_name: str
    model_version: str
    seed: int
    fan: NDArray[np.float64]
    paths: NDArray[np.float32] | None = None

    @property
    def p10(self) -> NDArray[np.float64]:
        """[H] the lower end of the 80 % band."""
        return self.fan[:, LEVELS.index(0.1)]

    @property
    def p50(self) -> NDArray[np.float64]:
        """[H] the median, never the mean of the paths."""
        return self.fan[:, LEVELS.index(0.5)]

    @property
    def p90(self) -> NDArray[np.float64]:
        """[H] the upper end of the 80 % band."""
        return self.fan[:, LEVELS.index(0.9)]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no forecast for one series: a word for code, a sentence for people."""

    symbol: str
    interval: str
    issued_at: datetime
    code: str
    message: str


Result = Forecast | Refusal


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a forecaster is.

    version : sha256 in hex over the weights and the adapter; for a baseline over the numbers that define it
    max_context : most bars of lookback and horizon together, None when there is no limit
    determinism : "bitwise" when the same request gives the same bytes on the same machine
    gives_quantiles : the fan does not come from counting paths, so any number of paths will do, also none
    """

    name: str
    version: str
    max_context: int | None
    takes_events: bool
    determinism: Literal["bitwise", "tolerance"]
    description: str
    gives_quantiles: bool = False


class Forecaster(Protocol):
    """A model: pure, order kept, one bad series gives a `Refusal` and never fails the others.

    The result of a series does not depend, bit for bit, on what else is asked in the same call.
    """

    @property
    def info(self) -> ModelInfo: ...

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series, in order, each as soon as it is ready; ends early once `cancel()` is true."""
        ...


def seed_for(
    model_name: str, model_version: str, symbol: str, interval: str, issued_at: datetime, base_seed: int
) -> int:
    """The seed of one forecast: 63 bits of a sha256, so that a rerun or another batch draws the same paths."""
    issued = issued_at.astimezone(UTC).isoformat(timespec="seconds")
    text = "|".join((model_name, model_version, symbol, interval, issued, str(base_seed)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def refuse(series: Series, code: str, message: str) -> Refusal:
    """A refusal addressed to `series`; the sentence begins with its symbol."""
    return Refusal(series.symbol, series.interval, series.issued_at, code, f"{series.symbol}: {message}")


def series_fault(series: Series, horizon: int) -> Refusal | None:
    """Why no model should be shown `series`: wrong shapes, values that are not finite, times that do not rise."""
    bars = series.ohlcv
    if bars.ndim != 2 or bars.shape[1] != 6 or len(bars) == 0:
        return refuse(series, "bad_shape", f"ohlcv has shape {bars.shape}, needed is [bars, 6] with one bar or more")
    if not np.isfinite(bars).all():
        row = int(np.flatnonzero(~np.isfinite(bars).all(axis=1))[0])
        return refuse(series, "not_finite", f"bar {row} of {len(bars)} holds a value that is not finite")
    if series.opened_at.shape != (len(bars),):
        return refuse(series, "bad_shape", f"{len(bars)} bars, but {len(series.opened_at)} opening times")
    if series.target_opened_at.shape != (horizon,):
        found = len(series.target_opened_at)
        return refuse(series, "bad_shape", f"{found} target bars for a horizon of {horizon}")
    times = np.concatenate([series.opened_at, series.target_opened_at])
    if not (np.diff(times) > np.timedelta64(0, "s")).all():
        return refuse(series, "times_not_rising", "opening times of lookback and targets do not rise strictly")
    wanted = (len(bars) + horizon, N_EVENT_CHANNELS)
    if series.events is not None and series.events.shape != wanted:
        return refuse(series, "bad_shape", f"events have shape {series.events.shape}, needed is {wanted}")
    if series.events is not None and not np.isfinite(series.events).all():
        return refuse(series, "not_finite", "the event tensor holds a value that is not finite")
    return None


def forecast_fault(forecast: Forecast, horizon: int) -> str | None:
    """Why `forecast` may not be issued, as the end of a sentence; None when it may."""
    fan, paths = forecast.fan, forecast.paths
    if fan.shape != (horizon, len(LEVELS)):
        return f"its fan has shape {fan.shape}, needed is ({horizon}, {len(LEVELS)})"
    if not np.isfinite(fan).all():
        return f"its fan is not finite at step {int(np.flatnonzero(~np.isfinite(fan).all(axis=1))[0]) + 1}"
    if (np.diff(fan, axis=1) < 0).any():
        step = int(np.flatnonzero((np.diff(fan, axis=1) < 0).any(axis=1))[0]) + 1
        return f"its fan falls along the levels at step {step}"
    if paths is not None and (paths.ndim != 2 or paths.shape[1] != horizon):
        return f"its paths have shape {paths.shape}, needed is [paths, {horizon}]"
    if paths is not None and not np.isfinite(paths).all():
        return "its paths hold a value that is not finite"
    return None
