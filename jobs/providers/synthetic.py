"""Generated bars for a machine without data or network: plausible, reproducible, and marked as what they are.

Log returns per hour are ε·σ: ε Student-t (heavy tails), log σ an AR(1) process (calm and wild weeks) with a shape
over the hours of the day. Part of ε is common to an asset class, so that markets move together. Bars lie on the real
sessions of their instrument; the hours in between show up as an opening gap. Daily bars are made of the hourly ones.

The same seed and moment give the same bars, and a later moment continues the series without changing it.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from candlecast.bars import COLUMNS
from candlecast.errors import CandlecastError
from candlecast.instruments import Instrument
from candlecast.sessions import Sessions, instant

Floats = NDArray[np.float64]

ANCHOR: Final = datetime(2022, 1, 1, tzinfo=UTC)  # where every series begins
SOURCE: Final = "synthetic"
SHARES: Final = ("AAPL", "NVDA", "TSLA", "MSFT", "GOOGL")  # that report earnings
DEGREES: Final = 4.0  # of freedom of ε: kurtosis as in hourly returns of real markets
MAX_SIGMAS: Final = 12.0
PERSISTENCE: Final = 0.98  # of log σ from hour to hour: a half-life of 34 hours
LOG_SIGMA_SPREAD: Final = 0.45
COMMON_SHARE: Final = 0.55  # of the variance, within a class
N_TICKS: Final = 8  # prices inside a bar, from which high and low come
GAP_SHARE: Final = 0.3  # of an hour's variance that a closed hour adds to the opening gap
MAX_GAP_HOURS: Final = 48.0

# Price at the anchor and volatility per hour, in log units.
START: Final[dict[str, float]] = {
    "BTCUSDT": 47000, "ETHUSDT": 3700, "SOLUSDT": 170, "XRPUSDT": 0.83, "ADAUSDT": 1.31, "DOGEUSDT": 0.17,
    "AVAXUSDT": 109, "LINKUSDT": 19.6, "LTCUSDT": 146, "BNBUSDT": 512,
    "AAPL": 178, "NVDA": 29, "TSLA": 352, "MSFT": 336, "GOOGL": 145, "SPY": 475, "QQQ": 398, "SPX": 4766,
    "EURUSD": 1.137, "GBPUSD": 1.353, "USDJPY": 115.1, "XAUUSD": 1829, "WTI": 75.2, "DXY": 95.7, "VIX": 17.2,
}  # fmt: skip
SIGMA: Final[dict[str, float]] = {
    "crypto": 0.007, "equity": 0.005, "forex_commodity": 0.0009,
    "SPY": 0.0032, "QQQ": 0.0042, "SPX": 0.0032, "XAUUSD": 0.0018, "WTI": 0.0045, "VIX": 0.012,
}  # fmt: skip


class TooEarly(CandlecastError):
    """Generated series begin at the anchor."""

    def __init__(self, now: datetime) -> None:
        super().__init__(
            f"synthetic bars begin at {ANCHOR:%Y-%m-%d}, and {now:%Y-%m-%dT%H:%MZ} is less than a year later; "
            "set the clock of this machine"
        )


@dataclass(frozen=True, slots=True)
class SyntheticBars:
    """Generated bars of one instrument and interval, unvalidated, all closed by the moment asked for."""

    instrument: Instrument
    interval: str
    frame: pd.DataFrame


def synthetic_bars(
    instruments: Sequence[Instrument], *, now: datetime, seed: int = 0, n_hours: int = 2000, n_days: int = 1000
) -> Iterator[SyntheticBars]:
    """The newest `n_hours` hourly and `n_days` daily bars closed by `now`, of what is forecast and what leads.

    Raises
    ------
    TooEarly : `now` lies before the anchor or less than a year after it.
    """
    if (now - ANCHOR).days < 365:
        raise TooEarly(now)
    hours = int((now - ANCHOR).total_seconds() // 3600) + 1
    classes = sorted({instrument.asset_class for instrument in instruments})
    common = {name: _class_factor(name, hours, seed) for name in classes}
    for instrument in instruments:
        if not (instrument.forecast or instrument.leader):
            continue
        factor = common[instrument.asset_class] * (-1 if instrument.leader == "VIX" else 1)  # fear rises as shares fall
        hourly = _hourly(instrument, factor, now, seed)
        yield SyntheticBars(instrument, "1h", hourly.tail(n_hours).reset_index(drop=True))
        yield SyntheticBars(instrument, "1d", _daily(instrument, hourly, now).tail(n_days).reset_index(drop=True))


def _rng(seed: int, *names: str) -> np.random.Generator:
    # A stream of its own for every series and purpose: drawing more of one never shifts another.
    return np.random.default_rng([seed, *(zlib.crc32(name.encode()) for name in names)])


def _shocks(rng: np.random.Generator, n: int) -> Floats:
    """Student-t draws of unit variance, clipped."""
    draws: Floats = rng.standard_t(DEGREES, n) * np.sqrt((DEGREES - 2) / DEGREES)
    return np.clip(draws, -MAX_SIGMAS, MAX_SIGMAS)


def _class_factor(asset_class: str, hours: int, seed: int) -> Floats:
    """ε that a class has in common, one for each hour since the anchor."""
    return _shocks(_rng(seed, asset_class, "common"), hours)


def _log_sigma(rng: np.random.Generator, n: int) -> Floats:
    """An AR(1) process around zero with the stationary spread LOG_SIGMA_SPREAD, started in its mean."""
    innovations = rng.standard_normal(n) * LOG_SIGMA_SPREAD * np.sqrt(1 - PERSISTENCE**2)
    process: Floats = lfilter([1.0], [1.0, -PERSISTENCE], innovations)
    return process


def _hourly(instrument: Instrument, factor: Floats, now: datetime, seed: int) -> pd.DataFrame:
    opened_at, closed_at = Sessions.of(instrument.calendar).scheduled("1h", ANCHOR, now)
    closed = closed_at <= instant(now)
    opened_at, closed_at = opened_at[closed], closed_at[closed]
    n, symbol = opened_at.size, instrument.symbol
    hour = ((opened_at - instant(ANCHOR)) // np.timedelta64(1, "h")).astype(np.int64)
    length = (closed_at - opened_at) / np.timedelta64(1, "h")
    paused = (opened_at[1:] - closed_at[:-1]) / np.timedelta64(1, "h")
    paused = np.minimum(np.concatenate([[0.0], paused]), MAX_GAP_HOURS)

    busy = 1 + 0.35 * np.cos((hour % 24 - 15) * 2 * np.pi / 24)  # both London and New York are awake at 15 UTC
    level = SIGMA.get(symbol, SIGMA[instrument.asset_class])
    sigma = level * busy * np.exp(_log_sigma(_rng(seed, symbol, "sigma"), n) - LOG_SIGMA_SPREAD**2)
    own = _shocks(_rng(seed, symbol, "own"), n)
    epsilon = np.sqrt(COMMON_SHARE) * factor[hour] + np.sqrt(1 - COMMON_SHARE) * own
    moves = epsilon * sigma * np.sqrt(length)
    gaps = _shocks(_rng(seed, symbol, "gap"), n) * sigma * np.sqrt(GAP_SHARE * paused)
    opens, closes = _log_prices(instrument, moves, gaps)

    # Inside a bar: a bridge from open to close, as wide as the bar's own move or its usual one.
    wander = _rng(seed, symbol, "inside").standard_normal((n, N_TICKS)).cumsum(axis=1)
    share = np.arange(1, N_TICKS + 1) / N_TICKS
    bridge = (wander - share * wander[:, -1:]) * (sigma * np.sqrt(length / N_TICKS))[:, None]
    inside = opens[:, None] + share * (closes - opens)[:, None] + bridge
    high = np.maximum(inside.max(axis=1), np.maximum(opens, closes))
    low = np.minimum(inside.min(axis=1), np.minimum(opens, closes))

    traded = np.exp(_rng(seed, symbol, "volume").standard_normal(n) * 0.4 + 0.6 * np.log1p(np.abs(epsilon)))
    volume = np.zeros(n) if instrument.calendar.startswith("FX") or symbol == "VIX" else 1000 * traded * busy * length
    start = START.get(symbol, 100.0)
    prices = [_rounded(start * np.exp(log_price), start) for log_price in (opens, high, low, closes)]
    frame = pd.DataFrame(dict(zip(COLUMNS[1:], [*prices, np.round(volume, 3)], strict=True)))
    frame.insert(0, "ts", pd.DatetimeIndex(opened_at.astype("datetime64[us]"), tz="UTC"))
    return frame


def _log_prices(instrument: Instrument, moves: Floats, gaps: Floats) -> tuple[Floats, Floats]:
    """Log price at the opening and at the close of each bar, relative to the start."""
    # A volatility index returns to its mean within weeks. The others feel a weak pull, half of it in 20 weeks, without
    # which years of steps would drift to prices that nobody would recognise.
    pull = 0.005 if instrument.leader == "VIX" else 0.0002
    closes: Floats = lfilter([1.0], [1.0, pull - 1.0], moves + gaps)
    return closes - moves, closes


def _rounded(price: Floats, start: float) -> Floats:
    """Prices on a tick that gives six digits at the start; never zero."""
    decimals = 5 - int(np.floor(np.log10(start)))
    return np.maximum(np.round(price, decimals), 10.0**-decimals)


def _daily(instrument: Instrument, hourly: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """A bar for each scheduled day, of the hours that open on its date in UTC: over 24 hours after the day's label."""
    opened_at, closed_at = Sessions.of(instrument.calendar).scheduled("1d", ANCHOR, now)
    opened_at = opened_at[closed_at <= instant(now)]
    hours = hourly["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    day = np.searchsorted(opened_at, hours, side="right") - 1
    inside = (day >= 0) & (hours < opened_at[np.maximum(day, 0)] + np.timedelta64(1, "D"))
    grouped = hourly[inside].groupby(day[inside])
    frame: pd.DataFrame = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"})
    frame.insert(0, "ts", pd.DatetimeIndex(opened_at[frame.index].astype("datetime64[us]"), tz="UTC"))
    return frame.assign(volume=frame["volume"].round(3))
