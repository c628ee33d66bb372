"""Whose bar it is, and when it closed: the hours of the venues by their own clocks, and slots that no clock moves."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from candlecast.bars import validate
from candlecast.clock import SCHEDULES, missed_slots, slot_at
from candlecast.sessions import Sessions
from tests.leaks.world import DAY, END, HOUR, START, instrument, nyse_hours, schedule

NEW_YORK = ZoneInfo("America/New_York")


def stamps(times: np.ndarray) -> list[datetime]:
    return [at.replace(tzinfo=UTC) for at in times.astype("datetime64[s]").tolist()]


@pytest.mark.parametrize(("symbol", "interval"), [("BTCUSDT", "1h"), ("BTCUSDT", "1d"), ("SPY", "1h"), ("SPY", "1d")])
def test_bars_open_and_close_by_the_venues_clock(symbol: str, interval: str) -> None:
    """Through summer and winter time and the short day after Thanksgiving."""
    opened, closed = Sessions.of(instrument(symbol).calendar).scheduled(interval, START[interval], END)

    assert list(zip(stamps(opened), stamps(closed), strict=True)) == schedule(symbol, interval, START[interval], END)


@pytest.mark.parametrize(
    ("symbol", "opened", "closed"),
    [
        ("BTCUSDT", "2024-11-03T05:00", "2024-11-03T06:00"),
        ("SPY", "2024-11-01T19:30", "2024-11-01T20:00"),  # summer time: the last half hour
        ("SPY", "2024-11-04T20:30", "2024-11-04T21:00"),  # winter time
        ("SPY", "2024-11-29T17:30", "2024-11-29T18:00"),  # closes at 13:00
        ("AAPL", "2025-03-10T13:30", "2025-03-10T14:30"),
        ("AAPL", "2025-03-07T14:30", "2025-03-07T15:30"),
        ("EURUSD", "2024-11-01T20:00", "2024-11-01T21:00"),
        ("XAUUSD", "2024-11-04T23:00", "2024-11-05T00:00"),
        ("VIX", "2024-10-31T21:10", None),
    ],
)
def test_a_bar_closes_when_its_hour_is_over_or_its_venue_shuts(symbol: str, opened: str, closed: str | None) -> None:
    sessions, at = Sessions.of(instrument(symbol).calendar), np.array([opened], dtype="datetime64[s]")

    if closed is None:
        assert not sessions.is_scheduled("1h", at).any()
    else:
        assert sessions.closes_of("1h", at)[0] == np.datetime64(closed)
        assert sessions.closes_of("1d", at.astype("datetime64[D]"))[0] == at[0].astype("datetime64[D]") + 1


@pytest.mark.parametrize("interval", ["1h", "1d"])
@pytest.mark.parametrize("symbol", ["BTCUSDT", "SPY", "EURUSD", "XAUUSD", "VIX"])
def test_the_next_bars_start_where_the_newest_one_ended(symbol: str, interval: str) -> None:
    sessions = Sessions.of(instrument(symbol).calendar)
    opened, closed = sessions.scheduled(interval, START[interval], END)
    for at in range(3, len(closed) - 30, 97):
        after_opened, after_closed = sessions.next_bars(interval, closed[at], 20)
        first = int(np.searchsorted(opened, closed[at]))
        # A day's bar closes as the next calendar day begins: the bar after it is the very next one.
        assert first == at + 1
        assert np.array_equal(after_opened, opened[first : first + 20])
        assert np.array_equal(after_closed, closed[first : first + 20])
        # A second into a bar that bar is no longer ahead.
        assert sessions.next_bars(interval, opened[first] + np.timedelta64(1, "s"), 1)[0][0] == opened[first + 1]


@pytest.mark.parametrize(("symbol", "interval"), [("BTCUSDT", "1h"), ("SPY", "1h"), ("ETHUSDT", "1d"), ("AAPL", "1d")])
def test_an_imported_bar_is_stamped_by_its_close_and_a_forming_one_is_dropped(symbol: str, interval: str) -> None:
    times = schedule(symbol, interval, datetime(2024, 10, 28, tzinfo=UTC), datetime(2024, 12, 2, tzinfo=UTC))
    frame = pd.DataFrame({"ts": pd.DatetimeIndex([opened for opened, _ in times]).as_unit("us")})
    frame = frame.assign(open=1.0, high=2.0, low=0.5, close=1.5, volume=1.0)
    for now in (times[-1][1], times[-1][1] - timedelta(seconds=1), times[-9][0] + timedelta(minutes=25)):
        clean, _ = validate(frame, instrument(symbol), interval, now=now)
        kept = [bar for bar in times if bar[1] <= now]
        assert clean["ts"].tolist() == [opened for opened, _ in kept]
        assert clean["closed_at"].tolist() == [closed for _, closed in kept]


def test_nothing_is_put_into_a_hole() -> None:
    times = schedule("BTCUSDT", "1h", datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 11, 8, tzinfo=UTC))
    kept = [bar for k, bar in enumerate(times) if k % 7 and not 50 <= k < 60]
    frame = pd.DataFrame({"ts": pd.DatetimeIndex([opened for opened, _ in kept]).as_unit("us")})
    close = np.arange(1.0, len(kept) + 1)
    frame = frame.assign(open=close, high=close, low=close, close=close, volume=3.0)

    clean, _ = validate(frame, instrument("BTCUSDT"), "1h", now=None)

    assert clean["ts"].tolist() == [opened for opened, _ in kept]
    assert clean["close"].tolist() == close.tolist()


def test_a_slot_is_the_last_one_that_came_however_late_the_run() -> None:
    at = datetime(2024, 11, 3, 5, 55, tzinfo=UTC)
    for job in ("kronos-batch-1h", "chronos2-batch-1h"):
        cron = SCHEDULES[job]
        for late in (timedelta(0), timedelta(seconds=1), timedelta(minutes=59, seconds=59)):
            assert slot_at(cron, at + late) == at
        assert slot_at(cron, at - timedelta(seconds=1)) == at - HOUR
        assert missed_slots(cron, at - 3 * HOUR, at + timedelta(minutes=10)) == [at - 2 * HOUR, at - HOUR]
    assert slot_at(SCHEDULES["kronos-batch-1d"], at) == datetime(2024, 11, 3, 5, 45, tzinfo=UTC)


def test_daylight_time_moves_new_york_and_nobody_else() -> None:
    """The hours above, from the wall clock: 09:30 is 13:30Z until 1 November and 14:30Z from 4 November."""
    bars = nyse_hours(datetime(2024, 11, 1, tzinfo=UTC), datetime(2024, 11, 5, tzinfo=UTC))

    assert [opened.hour for opened, _ in bars] == [*range(13, 20), *range(14, 21)]
    opens = {opened.astimezone(NEW_YORK).date(): opened for opened, _ in reversed(bars)}
    assert opens[date(2024, 11, 4)] - opens[date(2024, 11, 1)] == 3 * DAY + HOUR
