"""The bars a venue is scheduled to print, hour by hour and day by day.

Hourly bars start at the session's opening (13:30Z for a US share in summer) and the last one is cut at
the close. A daily bar is labelled by its session date at 00:00Z and counts as closed 24 hours later, for
every symbol: by then its contents are complete whatever the venue, so reading it then never looks ahead.
Instants are datetime64[s] in UTC.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.clock import INTERVALS
from candlecast.errors import CandlecastError
from candlecast.venues import FIRST_DAY, LAST_DAY, Instants, SessionTable, session_table

Bools = NDArray[np.bool_]

LENGTHS: Final = {interval: np.timedelta64(int(length.total_seconds()), "s") for interval, length in INTERVALS.items()}
HOUR: Final = LENGTHS["1h"]


class OutsideCalendar(CandlecastError):
    """Bars were asked for where the calendar knows no sessions."""

    def __init__(self, calendar: str, wanted: str) -> None:
        super().__init__(
            f"calendar {calendar} knows the sessions from {FIRST_DAY} to {LAST_DAY}; {wanted}. "
            "Ask for an earlier moment or fewer bars, or move the bounds in candlecast/venues.py"
        )
        self.calendar = calendar


@dataclass(frozen=True, slots=True)
class Schedule:
    """All bars of one interval: opening and closing instants, both rising."""

    opened_at: Instants
    closed_at: Instants


class Sessions:
    """The sessions of one calendar; made once per process and name by `Sessions.of`."""

    def __init__(self, calendar: str, table: SessionTable) -> None:
        self.calendar = calendar
        self._table = table

    @staticmethod
    def of(calendar: str) -> "Sessions":
        """The sessions of `calendar`, built on first use; raises UnknownCalendar."""
        return _sessions(calendar)

    def scheduled(
        self, interval: str, start: datetime | np.datetime64, end: datetime | np.datetime64
    ) -> tuple[Instants, Instants]:
        """(opened_at, closed_at) of the bars that open in [start, end).

        Raises OutsideCalendar where the calendar does not cover the whole stretch.
        """
        schedule = self._schedule(interval)
        first, last = instant(start), instant(end)
        if first < np.datetime64(FIRST_DAY) or last > np.datetime64(LAST_DAY):
            raise OutsideCalendar(self.calendar, f"bars from {first}Z to {last}Z were asked for")
        low, high = np.searchsorted(schedule.opened_at, np.array([first, last]))
        return schedule.opened_at[low:high], schedule.closed_at[low:high]

    def next_bars(self, interval: str, after: datetime | np.datetime64, n: int) -> tuple[Instants, Instants]:
        """(opened_at[n], closed_at[n]) of the first `n` bars that open at `after` or later; raises OutsideCalendar."""
        schedule = self._schedule(interval)
        start = instant(after)
        low = int(np.searchsorted(schedule.opened_at, start))
        if start < np.datetime64(FIRST_DAY) or low + n > schedule.opened_at.size:
            raise OutsideCalendar(self.calendar, f"{n} bars of {interval} from {start}Z on were asked for")
        return schedule.opened_at[low : low + n], schedule.closed_at[low : low + n]

    def is_scheduled(self, interval: str, opened_at: Instants) -> Bools:
        """True where a bar of the schedule opens at that very instant."""
        schedule, at = self._schedule(interval), opened_at.astype("datetime64[s]")
        found = np.minimum(np.searchsorted(schedule.opened_at, at), schedule.opened_at.size - 1)
        return np.asarray(schedule.opened_at[found] == at)

    def closes_of(self, interval: str, opened_at: Instants) -> Instants:
        """When each bar closes; one that is not on the schedule (a holiday quote, pre-market) runs its full length."""
        schedule, at = self._schedule(interval), opened_at.astype("datetime64[s]")
        found = np.minimum(np.searchsorted(schedule.opened_at, at), schedule.opened_at.size - 1)
        return np.where(schedule.opened_at[found] == at, schedule.closed_at[found], at + LENGTHS[interval])

    def is_misplaced(self, interval: str, opened_at: Instants) -> Bools:
        """True where a bar's clock cannot be the venue's: it shares time with a scheduled bar without being that
        bar, or opens at a minute at which no bar of the venue opens. Daily bars open at 00:00Z.
        """
        schedule = self._schedule(interval)
        at = opened_at.astype("datetime64[s]")
        off_grid = (at != opened_at) | ~np.isin(at.astype(np.int64) % _seconds(LENGTHS[interval]), self._grid[interval])
        if interval == "1d":
            return np.asarray(off_grid)
        previous = np.searchsorted(schedule.opened_at, at, side="right") - 1
        following = np.minimum(previous + 1, schedule.opened_at.size - 1)
        begun = (previous >= 0) & (at != schedule.opened_at[previous])
        inside = begun & (at < schedule.closed_at[previous])
        next_opened_at = schedule.opened_at[following]
        runs_into = (at < next_opened_at) & (at > next_opened_at - LENGTHS[interval])
        exact = (previous >= 0) & ~begun
        return np.asarray(off_grid | ((inside | runs_into) & ~exact))

    def missing(self, interval: str, opened_at: Instants, *, until: datetime | np.datetime64 | None = None) -> Instants:
        """Opening instants of the scheduled bars that are absent between the first and the last of `opened_at`.

        `opened_at` rises. With `until`, also the bars after the last one that had closed by then.
        """
        if opened_at.size == 0:
            return opened_at.astype("datetime64[s]")
        schedule, at = self._schedule(interval), opened_at.astype("datetime64[s]")
        low = np.searchsorted(schedule.opened_at, at[0])
        high = np.searchsorted(schedule.opened_at, at[-1], side="right")
        if until is not None:
            high = max(high, np.searchsorted(schedule.closed_at, instant(until), side="right"))
        return np.setdiff1d(schedule.opened_at[low:high], at, assume_unique=True)

    def is_open(self, at: datetime | np.datetime64) -> bool:
        """Whether the venue trades at that moment."""
        now = instant(at)
        segment = int(np.searchsorted(self._table.opens, now, side="right")) - 1
        return segment >= 0 and bool(now < self._table.closes[segment])

    def session_elapsed(self, closed_at: Instants) -> NDArray[np.float64]:
        """Part of the session that lies behind a bar closing at each instant: in (0, 1], 0 where the venue is closed.

        A session counts up to and including its close; a lunch break is closed.
        """
        opens, closes, at = self._table.opens, self._table.closes, closed_at.astype("datetime64[s]")
        segment = np.searchsorted(opens, at) - 1
        known = np.maximum(segment, 0)
        start, end = (bound[self._table.session[known]] for bound in self._session_bounds)
        elapsed = (at - start) / (end - start)
        return np.where((segment >= 0) & (at <= closes[known]), elapsed, 0.0)

    def _schedule(self, interval: str) -> Schedule:
        if interval == "1h":
            return self._hourly
        if interval == "1d":
            return self._daily
        raise ValueError(f"interval {interval!r} has no schedule; use one of {', '.join(LENGTHS)}")

    @cached_property
    def _hourly(self) -> Schedule:
        opens, closes = self._table.opens, self._table.closes
        n_bars = -((opens - closes) // HOUR)  # rounded up: the last bar of a session may be shorter
        segment = np.repeat(np.arange(opens.size), n_bars)
        position = np.arange(segment.size) - np.repeat(np.cumsum(n_bars) - n_bars, n_bars)
        opened_at = opens[segment] + position * HOUR
        return Schedule(opened_at, np.minimum(opened_at + HOUR, closes[segment]))

    @cached_property
    def _daily(self) -> Schedule:
        return Schedule(self._table.daily, self._table.daily + LENGTHS["1d"])

    @cached_property
    def _grid(self) -> dict[str, NDArray[np.int64]]:
        """Seconds past the hour (past midnight for days) at which bars open."""
        return {"1h": np.unique(self._hourly.opened_at.astype(np.int64) % _seconds(HOUR)), "1d": np.zeros(1, np.int64)}

    @cached_property
    def _session_bounds(self) -> tuple[Instants, Instants]:
        session = self._table.session
        first = np.flatnonzero(np.diff(session, prepend=-1))
        last = np.append(first[1:], session.size) - 1
        return self._table.opens[first], self._table.closes[last]


def instant(at: datetime | np.datetime64) -> np.datetime64:
    """`at` as datetime64[s] in UTC; a datetime must know its time zone."""
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise ValueError(f"{at} has no time zone; instants are aware of UTC")
        return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "s")
    seconds: np.datetime64 = at.astype("datetime64[s]")
    return seconds


def _seconds(length: np.timedelta64) -> int:
    return int(length.astype("timedelta64[s]").astype(np.int64))


@lru_cache(maxsize=64)
def _sessions(calendar: str) -> Sessions:
    return Sessions(calendar, session_table(calendar))
