"""When each venue trades, as a table of sessions: the rules that `sessions.py` cuts into bars.

A calendar is named by an instrument. `24/7` and `24/5` and the broker weeks below are written out here,
any other name (`XNYS`, `XLON`, `XHKG` …) is looked up in exchange_calendars, which also supplies every
holiday used here. The broker weeks are those that the feeds really keep, measured bar by bar on the
shared data: a week that no feed delivers would leave every weekend forecast without an outcome.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.errors import CandlecastError

Instants = NDArray[np.datetime64]

FIRST_DAY: Final = date(2005, 1, 1)
# Two calendar years past the current one: 120 daily sessions ahead always resolve, and nothing has to be edited later.
LAST_DAY: Final = date(datetime.now(UTC).year + 2, 12, 31)

NEW_YORK: Final = "America/New_York"
LONDON: Final = "Europe/London"

# Broker feeds end some minutes into the last hour of a shortened day (14:30, 13:45 New York). These are whole hours, so
# that no bar is held to be complete before it is.
HOLIDAY_CLOSE: Final = 15
SUMMER_HOLIDAY_CLOSE: Final = 14  # Juneteenth and Independence Day
EVE_CLOSE: Final = 14  # the day after Thanksgiving, 24 December


class UnknownCalendar(CandlecastError):
    """No venue of that name is known, here or in exchange_calendars."""

    def __init__(self, calendar: str) -> None:
        super().__init__(
            f"calendar {calendar!r} is not known; use one of {', '.join(sorted(VENUES))} "
            "or a name of exchange_calendars such as XNYS"
        )
        self.calendar = calendar


@dataclass(frozen=True, slots=True)
class SessionTable:
    """Trading of one venue from FIRST_DAY to LAST_DAY.

    Segments are stretches without a pause (a session with a lunch break has two); `session` says which
    session each belongs to. All instants are datetime64[s] in UTC, all arrays rise.
    """

    opens: Instants  # [segments]
    closes: Instants  # [segments]
    session: NDArray[np.int64]  # [segments]
    daily: Instants  # [days] dates at 00:00Z that have a daily bar


def session_table(calendar: str) -> SessionTable:
    """The sessions of `calendar`; raises UnknownCalendar."""
    build = VENUES.get(calendar)
    return build() if build is not None else _exchange(calendar)


def _around_the_clock() -> SessionTable:
    days = _days()
    return SessionTable(days, days + np.timedelta64(1, "D"), np.arange(days.size), days)


def _exchange(calendar: str) -> SessionTable:
    schedule = _library(calendar).schedule
    opens, closes = _seconds(schedule["open"]), _seconds(schedule["close"])
    break_start, break_end = _seconds(schedule["break_start"]), _seconds(schedule["break_end"])
    paused = ~np.isnat(break_start)
    session = np.arange(opens.size)
    all_opens = np.concatenate([opens, break_end[paused]])
    all_closes = np.concatenate([np.where(paused, break_start, closes), closes[paused]])
    order = np.argsort(all_opens)
    return SessionTable(
        all_opens[order],
        all_closes[order],
        np.concatenate([session, session[paused]])[order],
        _seconds(schedule.index),
    )


def _fx_week(*, monday: tuple[str, int, int], friday_close: int = 17) -> SessionTable:
    """24/5: days run from 17:00 to 17:00 New York; `monday` is (time zone, days before, hour) of the week's first bar.

    Only New Year's Day is closed as a whole; on 25 December quotes end at 03:00 New York, and no daily bar is made.
    """
    days = _days()
    days = days[_weekday(days) < 5]
    days = days[~_on(days, 1, 1)]
    weekday, christmas = _weekday(days), _on(days, 12, 25)
    zone, days_before, hour = monday
    opens = np.where(weekday == 0, _wall(days - _n_days(days_before), hour, zone), _wall(days - _n_days(1), 17))
    closes = np.where(weekday == 4, _wall(days, friday_close), _wall(days, 17))
    closes = np.where(christmas, _wall(days, 3), closes)
    return SessionTable(opens, closes, np.arange(days.size), days[~christmas])


def _metals_and_oil() -> SessionTable:
    """23 hours a day, 18:00 to 17:00 New York, on the days of the US futures exchanges; shorter on US holidays."""
    days = _seconds(_library("us_futures").sessions)
    closes = _wall(days, 17)
    holiday = np.isin(days, _new_york_holidays())
    summer = holiday & np.isin(_month(days), (6, 7))
    eve = np.isin(days, _new_york_eves())
    closes = np.where(holiday, _wall(days, HOLIDAY_CLOSE), closes)
    closes = np.where(summer, _wall(days, SUMMER_HOLIDAY_CLOSE), closes)
    closes = np.where(eve, _wall(days, EVE_CLOSE), closes)
    return SessionTable(_wall(days - _n_days(1), 18), closes, np.arange(days.size), days)


def _dollar_index() -> SessionTable:
    """20:00 to 17:00 New York, Friday to 16:00, on the days of the US futures exchanges; daily bars on NYSE days."""
    days = _seconds(_library("us_futures").sessions)
    closes = np.where(_weekday(days) == 4, _wall(days, 16), _wall(days, 17))
    closes = np.where(np.isin(days, _new_york_eves()), _wall(days, EVE_CLOSE), closes)
    daily = _seconds(_library("XNYS").sessions)
    return SessionTable(_wall(days - _n_days(1), 20), closes, np.arange(days.size), daily)


def _volatility_index() -> SessionTable:
    """03:10 to 17:10 New York on the days of the NYSE, until 14:10 where the NYSE closes early."""
    library = _library("XNYS")
    days = _seconds(library.sessions)
    early = np.isin(days, _seconds(library.early_closes))
    closes = np.where(early, _wall(days, 14, minute=10), _wall(days, 17, minute=10))
    return SessionTable(_wall(days, 3, minute=10), closes, np.arange(days.size), days)


VENUES: Final[dict[str, Callable[[], SessionTable]]] = {
    "24/7": _around_the_clock,
    "24/5": lambda: _fx_week(monday=(NEW_YORK, 1, 17)),
    "FX-UTC": lambda: _fx_week(monday=("UTC", 0, 0)),
    "FX-LONDON": lambda: _fx_week(monday=(LONDON, 0, 0)),
    "FX-LONDON-18NY": lambda: _fx_week(monday=(LONDON, 0, 0), friday_close=18),
    "CFD-23H": _metals_and_oil,
    "DXY": _dollar_index,
    "VIX": _volatility_index,
}


@lru_cache(maxsize=16)
def _library(calendar: str) -> Any:
    # Imported only here: crypto and FX never pay for it, and a job pays once (about 0.2 s).
    from exchange_calendars import calendar_utils, errors

    if calendar == "24/5":  # ours knows when the week opens, the library's does not
        raise UnknownCalendar(calendar)
    try:
        return calendar_utils.get_calendar(calendar, start=str(FIRST_DAY), end=str(LAST_DAY))
    except errors.InvalidCalendarName as error:
        raise UnknownCalendar(calendar) from error


@lru_cache(maxsize=1)
def _new_york_holidays() -> Instants:
    # Regular ones only: on a day of mourning the NYSE closes and metals trade on (2025-01-09).
    return _seconds(_library("XNYS").regular_holidays.holidays(str(FIRST_DAY), str(LAST_DAY)))


@lru_cache(maxsize=1)
def _new_york_eves() -> Instants:
    early = _seconds(_library("XNYS").early_closes)
    return early[np.isin(_month(early), (11, 12))]


def _days() -> Instants:
    return np.arange(str(FIRST_DAY), str(LAST_DAY), dtype="datetime64[D]").astype("datetime64[s]")


def _n_days(n: int) -> np.timedelta64:
    return np.timedelta64(n, "D")


def _weekday(days: Instants) -> NDArray[np.int64]:
    """0 = Monday; 1970-01-01 was a Thursday."""
    return (days.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _month(days: Instants) -> NDArray[np.int64]:
    return days.astype("datetime64[M]").astype(np.int64) % 12 + 1


def _on(days: Instants, month: int, day: int) -> NDArray[np.bool_]:
    first = days.astype("datetime64[M]")
    of_month = (days.astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64) + 1
    return np.asarray((_month(days) == month) & (of_month == day))


def _wall(days: Instants, hour: int, zone: str = NEW_YORK, *, minute: int = 0) -> Instants:
    """The instants at which clocks in `zone` show `hour`:`minute` on `days`."""
    local = pd.DatetimeIndex(days + np.timedelta64(60 * hour + minute, "m"))
    return _seconds(local.tz_localize(zone).tz_convert("UTC"))


def _seconds(times: Any) -> Instants:
    index = pd.DatetimeIndex(times)
    if index.tz is not None:
        index = index.tz_convert("UTC").tz_localize(None)
    return index.to_numpy().astype("datetime64[s]")
