"""The 20 channels of the event tensor: what each is called, what it may know, and how it is computed.

Axes: L lookback bars, H horizon bars, T = L + H. The order is that of the published plan, so that adapters stay
interchangeable. A release belongs to the first bar that closes after it: the bar that contains it, or, while the
venue is closed, the bar in which the venue answers (US figures come out at 08:30 New York, an hour before stocks
trade).

No look-ahead is kept by type, not by habit. `KnownFuture` sees a `Schedule`, which has no room for a value, and fills
all T rows. `PastOnly` sees values, takes only `LookbackRows`, and what it returns has only L rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.calendar import FirstPrints, Floats, Schedule, Seconds
from candlecast.leaders import LeaderBars, level_z, log_returns

Kind = Literal["known_future", "past_only"]
Instants = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of the tensor; a known_future one may be filled past issue, a past_only one cannot be."""

    index: int
    name: str
    kind: Kind


_KINDS: Final[tuple[tuple[str, Kind], ...]] = (
    ("is_fomc", "known_future"),
    ("is_cpi", "known_future"),
    ("is_nfp", "known_future"),
    ("is_gdp", "known_future"),
    ("is_pce", "known_future"),
    ("cpi_surprise_z", "past_only"),
    ("fomc_hawkish_score", "past_only"),
    ("nfp_surprise_z", "past_only"),
    ("is_earnings", "known_future"),
    ("is_rate_decision", "known_future"),
    ("days_to_fomc_sin", "known_future"),
    ("days_to_fomc_cos", "known_future"),
    ("days_to_cpi_sin", "known_future"),
    ("days_to_cpi_cos", "known_future"),
    ("btc_log_return", "past_only"),
    ("spy_log_return", "past_only"),
    ("dxy_log_return", "past_only"),
    ("vix_level_z", "past_only"),
    ("session_elapsed", "known_future"),
    ("high_impact_ahead", "known_future"),
)
CHANNELS: Final = tuple(Channel(index, name, kind) for index, (name, kind) in enumerate(_KINDS))
N_CHANNELS: Final = len(CHANNELS)
# The sets of channels that an adapter may have been trained with, by name.
CHANNEL_SETS: Final[dict[str, tuple[Channel, ...]]] = {"calendar-10": CHANNELS[:10], "events-20": CHANNELS}

KNOWN_FUTURE: Final = tuple(one for one in CHANNELS if one.kind == "known_future")
PAST_ONLY: Final = tuple(one for one in CHANNELS if one.kind == "past_only")

DAY_S: Final = 86_400
DAYS_AHEAD: Final = 45  # days_to_* turn once in this many days
HIGH_IMPACT_UNIT: Final = 4.0
MAX_HIGH_IMPACT: Final = 3.0
_FLAGS: Final = {"is_fomc": ("FOMC",), "is_cpi": ("CPI",), "is_nfp": ("NFP",), "is_gdp": ("GDP",), "is_pce": ("PCE",)}
# The Federal Reserve decides rates too.
_BANKS: Final = ("FOMC", "RATE")


class _Tradable(Protocol):
    """As much of an instrument as channels need."""

    @property
    def symbol(self) -> str: ...

    @property
    def calendar(self) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Bars in epoch seconds, [n], rising; `knows` is the moment up to which a row may know, never falling."""

    opened: Seconds
    closed: Seconds
    knows: Seconds

    def carrying(self, instant: Seconds) -> tuple[Seconds, NDArray[np.bool_]]:
        """For each instant the first row that closes after it, and whether there is one."""
        row = np.searchsorted(self.closed, instant, side="right")
        inside = (row < len(self.closed)) & (instant >= self.opened[0])
        return np.minimum(row, len(self.closed) - 1), inside

    def reading(self, spells: Schedule) -> tuple[Seconds, Seconds]:
        """For each spell the rows `[first, last)` that knew it while it held."""
        return np.searchsorted(self.knows, spells.known_from), np.searchsorted(self.knows, spells.known_to)


class LookbackRows(_Rows):
    """The L bars that a forecast was made from; each knows what was known by its own close."""


class TimelineRows(_Rows):
    """Lookback and horizon, T bars; a horizon row knows what was known at issue."""


class KnownFuture:
    """Channels 0-4, 8-13, 18 and 19, from schedules and sessions; it never holds a value that was published."""

    def __init__(self, schedule: Schedule, elapsed: Callable[[str, Instants], Floats]) -> None:
        market = schedule.where(schedule.symbol == "")
        self.all = schedule
        self.elapsed = elapsed
        self.flags = {name: market.of_family(*families) for name, families in _FLAGS.items()}
        self.flags["is_rate_decision"] = market.of_family(*_BANKS)
        self.high = market.where(market.high)
        earnings = schedule.of_family("EARNINGS")
        self.earnings = {symbol: earnings.where(earnings.symbol == symbol) for symbol in set(earnings.symbol.tolist())}

    def columns(self, instrument: _Tradable, rows: TimelineRows) -> dict[str, Floats]:
        """Each known_future channel by name, [T]."""
        columns = {name: _flag(spells, rows) for name, spells in self.flags.items()}
        columns["is_earnings"] = _day_flag(self.earnings.get(instrument.symbol), rows)
        for name in ("fomc", "cpi"):
            turns = _turns_to_next(self.flags[f"is_{name}"], rows)
            known = np.isfinite(turns)
            angle = 2.0 * np.pi * np.where(known, turns, 0.0)
            columns[f"days_to_{name}_sin"] = np.where(known, np.sin(angle), 0.0)
            columns[f"days_to_{name}_cos"] = np.where(known, np.cos(angle), 0.0)
        elapsed = self.elapsed(instrument.calendar, rows.closed.astype("datetime64[s]"))
        columns["session_elapsed"] = np.nan_to_num(np.clip(elapsed, 0.0, 1.0), nan=0.0)
        columns["high_impact_ahead"] = np.minimum(_n_ahead(self.high, rows) / HIGH_IMPACT_UNIT, MAX_HIGH_IMPACT)
        return columns


class PastOnly:
    """Channels 5-7 and 14-17, from first prints and leaders; it can be asked about lookback rows only."""

    def __init__(self, prints: pd.DataFrame, leaders: Mapping[str, LeaderBars]) -> None:
        self.prints = {
            "cpi_surprise_z": FirstPrints.surprises(prints, "CPI"),
            "fomc_hawkish_score": FirstPrints.rate_changes(prints),
            "nfp_surprise_z": FirstPrints.surprises(prints, "NFP"),
        }
        self.leaders = {f"{name.lower()}_log_return": log_returns(leaders.get(name)) for name in ("BTC", "SPY", "DXY")}
        self.leaders["vix_level_z"] = level_z(leaders.get("VIX"))

    def columns(self, rows: LookbackRows) -> dict[str, Floats]:
        """Each past_only channel by name, [L]."""
        columns = {name: _impulses(prints, rows) for name, prints in self.prints.items()}
        for name, leader in self.leaders.items():
            columns[name] = leader.closing_within(rows.opened, rows.closed)
        return columns


def _flag(spells: Schedule, rows: TimelineRows) -> Floats:
    """1 on the row that carries a release whose place was known by that row."""
    column = np.zeros(len(rows.closed))
    row, inside = rows.carrying(spells.ts)
    first, last = rows.reading(spells)
    column[row[inside & (first <= row) & (row < last)]] = 1.0
    return column


def _day_flag(spells: Schedule | None, rows: TimelineRows) -> Floats:
    """1 on every row that opens on the (UTC) day of a release known by that row."""
    column = np.zeros(len(rows.closed))
    if spells is not None:
        day = spells.ts // DAY_S
        first, last = rows.reading(spells)
        starts = np.maximum(first, np.searchsorted(rows.opened, day * DAY_S))
        ends = np.minimum(last, np.searchsorted(rows.opened, (day + 1) * DAY_S))
        for start, end in zip(starts, ends, strict=True):
            column[start:end] = 1.0
    return column


def _turns_to_next(spells: Schedule, rows: TimelineRows) -> Floats:
    """min(d, 45) / 45 with d the days from a row's close to the next release it knew of; NaN where it knew none."""
    first, last = rows.reading(spells)
    last = np.minimum(last, np.searchsorted(rows.closed, spells.ts, side="right"))
    next_at = np.full(len(rows.closed), np.nan)
    # Latest release first, so that the nearest one is written last.
    for at in np.flatnonzero(first < last)[::-1]:
        next_at[first[at] : last[at]] = spells.ts[at]
    days = (next_at - rows.closed) / DAY_S
    return np.minimum(days, DAYS_AHEAD) / DAYS_AHEAD


def _n_ahead(spells: Schedule, rows: TimelineRows) -> Floats:
    """How many releases each row knew of in the 24 hours from its close on."""
    first, last = rows.reading(spells)
    first = np.maximum(first, np.searchsorted(rows.closed, spells.ts - DAY_S, side="right"))
    last = np.minimum(last, np.searchsorted(rows.closed, spells.ts, side="right"))
    counted = first < last
    n_rows = len(rows.closed)
    steps = np.bincount(first[counted], minlength=n_rows + 1) - np.bincount(last[counted], minlength=n_rows + 1)
    return np.cumsum(steps)[:n_rows].astype(np.float64)


def _impulses(prints: FirstPrints, rows: LookbackRows) -> Floats:
    """Each value on the first row that closes after it could be read, 0 elsewhere; the later of two on one row."""
    column = np.zeros(len(rows.closed))
    row, inside = rows.carrying(prints.visible_at)
    column[row[inside]] = prints.value[inside]
    return column
