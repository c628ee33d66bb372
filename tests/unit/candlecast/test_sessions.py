"""Schedules against hand-computed days: daylight saving, half-days, holidays, breaks."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.sessions import OutsideCalendar, Sessions
from candlecast.venues import UnknownCalendar

CALENDARS = ("24/7", "24/5", "FX-UTC", "FX-LONDON", "FX-LONDON-18NY", "CFD-23H", "DXY", "VIX", "XNYS", "XHKG")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def hours_of(calendar: str, day: str) -> list[str]:
    """`opening-close` of the hourly bars that open on a UTC day."""
    start = np.datetime64(day, "s")
    opened_at, closed_at = Sessions.of(calendar).scheduled("1h", start, start + np.timedelta64(1, "D"))
    return [f"{str(o)[11:16]}-{str(c)[11:16]}" for o, c in zip(opened_at, closed_at, strict=True)]


SUMMER_SESSION = [
    "13:30-14:30",
    "14:30-15:30",
    "15:30-16:30",
    "16:30-17:30",
    "17:30-18:30",
    "18:30-19:30",
    "19:30-20:00",
]
WINTER_SESSION = [
    "14:30-15:30",
    "15:30-16:30",
    "16:30-17:30",
    "17:30-18:30",
    "18:30-19:30",
    "19:30-20:30",
    "20:30-21:00",
]


@pytest.mark.parametrize(
    ("day", "bars"),
    [
        ("2024-03-08", WINTER_SESSION),  # New York moves its clocks on Sunday 2024-03-10
        ("2024-03-11", SUMMER_SESSION),
        ("2024-11-01", SUMMER_SESSION),  # and back on Sunday 2024-11-03
        ("2024-11-04", WINTER_SESSION),
        ("2024-11-28", []),  # Thanksgiving
        ("2024-11-29", ["14:30-15:30", "15:30-16:30", "16:30-17:30", "17:30-18:00"]),
        ("2024-07-03", ["13:30-14:30", "14:30-15:30", "15:30-16:30", "16:30-17:00"]),
        ("2024-07-04", []),
        ("2024-03-29", []),  # Good Friday
        ("2025-01-09", []),  # national day of mourning
        ("2024-03-09", []),  # a Saturday
    ],
)
def test_us_shares_open_at_half_past_and_end_with_half_an_hour(day: str, bars: list[str]) -> None:
    assert hours_of("XNYS", day) == bars


def test_a_lunch_break_ends_one_bar_and_starts_the_next() -> None:
    # Hong Kong 09:30-12:00 and 13:00-16:00, eight hours ahead of UTC.
    assert hours_of("XHKG", "2024-07-10") == [
        "01:30-02:30",
        "02:30-03:30",
        "03:30-04:00",
        "05:00-06:00",
        "06:00-07:00",
        "07:00-08:00",
    ]


@pytest.mark.parametrize(
    ("calendar", "sunday", "monday_first", "friday", "friday_last"),
    [
        ("24/5", "21:00", "00:00", "2024-07-12", "20:00"),  # Sunday 17:00 to Friday 17:00 New York, summer
        ("FX-UTC", None, "00:00", "2024-07-12", "20:00"),
        ("FX-LONDON", "23:00", "00:00", "2024-07-12", "20:00"),  # midnight in London
        ("FX-LONDON-18NY", "23:00", "00:00", "2024-07-12", "21:00"),
    ],
)
def test_the_currency_week_in_summer(
    calendar: str, sunday: str | None, monday_first: str, friday: str, friday_last: str
) -> None:
    first_of_sunday = [bar[:5] for bar in hours_of(calendar, "2024-07-07")][:1]

    assert first_of_sunday == ([sunday] if sunday else [])
    assert hours_of(calendar, "2024-07-08")[0][:5] == monday_first
    assert len(hours_of(calendar, "2024-07-10")) == 24
    assert hours_of(calendar, friday)[-1][:5] == friday_last
    assert hours_of(calendar, "2024-07-13") == []


@pytest.mark.parametrize(
    ("sunday", "opening"),
    [("2024-01-07", "22:00"), ("2024-03-03", "22:00"), ("2024-03-10", "21:00"), ("2024-11-03", "22:00")],
)
def test_the_currency_week_opens_on_sunday_at_17_new_york(sunday: str, opening: str) -> None:
    assert hours_of("24/5", sunday)[0][:5] == opening
    assert Sessions.of("24/5").is_open(at(f"{sunday}T{opening}"))
    assert not Sessions.of("24/5").is_open(at(f"{sunday}T20:59:59"))


def test_the_london_week_follows_london_while_the_clocks_differ() -> None:
    # From 2024-03-10 to 2024-03-31 New York is on summer time and London is not.
    assert hours_of("FX-LONDON", "2024-03-17") == []
    assert hours_of("FX-LONDON", "2024-03-18")[0] == "00:00-01:00"
    assert hours_of("FX-LONDON", "2024-03-22")[-1] == "20:00-21:00"  # 17:00 New York
    assert hours_of("FX-LONDON", "2024-03-31") == ["23:00-00:00"]


def test_currencies_rest_on_new_years_day_and_most_of_christmas() -> None:
    # The New York day of 1 January 2025 runs from 22:00Z on 31 December to 22:00Z on 1 January.
    assert hours_of("FX-UTC", "2024-12-31")[-1] == "21:00-22:00"
    assert hours_of("FX-UTC", "2025-01-01") == ["22:00-23:00", "23:00-00:00"]
    assert [bar[:5] for bar in hours_of("FX-UTC", "2024-12-25")] == [
        *(f"0{hour}:00" for hour in range(8)),  # until 03:00 New York
        "22:00",
        "23:00",
    ]


@pytest.mark.parametrize(
    ("day", "break_opens"),
    [("2024-01-10", "22:00"), ("2024-03-12", "21:00"), ("2024-07-10", "21:00"), ("2024-11-05", "22:00")],
)
def test_gold_rests_between_17_and_18_new_york(day: str, break_opens: str) -> None:
    opening_hours = [bar[:5] for bar in hours_of("CFD-23H", day)]

    assert break_opens not in opening_hours
    assert len(opening_hours) == 23


def test_gold_closes_early_on_us_holidays_and_trades_through_a_day_of_mourning() -> None:
    def of_summer_day(day: str) -> list[str]:
        return [bar[:5] for bar in hours_of("CFD-23H", day)]

    # Memorial Day to 15:00, Independence Day to 14:00 New York; both reopen at 18:00, which is 22:00Z.
    assert of_summer_day("2024-05-27")[-3:] == ["18:00", "22:00", "23:00"]
    assert of_summer_day("2024-07-04")[-3:] == ["17:00", "22:00", "23:00"]
    assert len(hours_of("CFD-23H", "2025-01-09")) == 23
    assert hours_of("CFD-23H", "2024-03-29") == []  # Good Friday


def test_the_dollar_index_runs_from_20_to_17_new_york() -> None:
    summer = [bar[:5] for bar in hours_of("DXY", "2024-07-10")]
    friday = [bar[:5] for bar in hours_of("DXY", "2024-07-12")]

    assert (summer[0], summer[-1], len(summer)) == ("00:00", "20:00", 21)
    assert friday[-1] == "19:00"


def test_the_volatility_index_opens_at_ten_past() -> None:
    full, half = hours_of("VIX", "2024-07-10"), hours_of("VIX", "2024-11-29")

    assert (full[0], full[-1], len(full)) == ("07:10-08:10", "20:10-21:10", 14)
    assert (half[0], half[-1], len(half)) == ("08:10-09:10", "18:10-19:10", 11)


def test_120_hours_ahead_of_a_us_share_are_17_sessions_and_4_bars_when_one_of_them_is_short() -> None:
    # July 2025: 1 and 2 full (14 bars), 3 short (4), 4 closed, 7-11, 14-18 (70), 21-24 (28) make 116.
    opened_at, closed_at = Sessions.of("XNYS").next_bars("1h", at("2025-06-30T20:00"), 120)

    assert opened_at.size == 120
    assert str(opened_at[0]) == "2025-07-01T13:30:00"
    assert (str(opened_at[-1]), str(closed_at[-1])) == ("2025-07-25T16:30:00", "2025-07-25T17:30:00")


def test_a_daily_bar_is_labelled_by_its_date_and_closes_a_day_later() -> None:
    opened_at, closed_at = Sessions.of("XNYS").next_bars("1d", at("2025-07-03T00:00"), 2)

    assert [str(day) for day in opened_at] == ["2025-07-03T00:00:00", "2025-07-07T00:00:00"]
    assert [str(day) for day in closed_at] == ["2025-07-04T00:00:00", "2025-07-08T00:00:00"]


@pytest.mark.parametrize(
    ("calendar", "absent"),
    [
        ("XNYS", {"2024-12-25", "2025-01-01", "2025-01-09"}),
        ("FX-UTC", {"2024-12-25", "2025-01-01"}),
        ("CFD-23H", {"2024-12-25", "2025-01-01"}),
        ("DXY", {"2024-12-25", "2025-01-01", "2025-01-09"}),
        ("24/7", set()),
    ],
)
def test_days_without_a_daily_bar(calendar: str, absent: set[str]) -> None:
    opened_at, _ = Sessions.of(calendar).scheduled("1d", at("2024-12-23"), at("2025-01-11"))
    days = {str(day)[:10] for day in opened_at}
    weekend = set() if calendar == "24/7" else {"2024-12-28", "2024-12-29", "2025-01-04", "2025-01-05"}

    every_day = {str(day) for day in np.arange("2024-12-23", "2025-01-11", dtype="datetime64[D]")}
    assert every_day - days == absent | weekend


def test_bars_off_the_schedule_run_their_full_length_and_are_told_apart() -> None:
    sessions = Sessions.of("XNYS")
    # The last half-hour, a bar before the opening, one on a holiday.
    opened_at = np.array(["2024-07-10T19:30", "2024-07-10T11:30", "2024-07-04T13:30"], "datetime64[s]")

    assert sessions.is_scheduled("1h", opened_at).tolist() == [True, False, False]
    assert [str(close)[11:16] for close in sessions.closes_of("1h", opened_at)] == ["20:00", "12:30", "14:30"]


@pytest.mark.parametrize(
    ("calendar", "opened_at", "misplaced"),
    [
        ("XNYS", "2024-07-10T13:30", False),
        ("XNYS", "2024-07-10T14:00", True),  # half an hour into a bar
        ("XNYS", "2024-07-10T13:00", True),  # runs into the first bar
        ("XNYS", "2024-07-10T12:30", False),  # pre-market
        ("XNYS", "2024-07-10T20:30", False),  # after hours
        ("XNYS", "2024-07-13T12:00", True),  # closed, but no bar of this venue opens on the hour
        ("24/7", "2024-07-10T00:30", True),
        ("24/7", "2024-07-10T00:00", False),
    ],
)
def test_a_bar_whose_clock_cannot_be_the_venues_is_misplaced(calendar: str, opened_at: str, misplaced: bool) -> None:
    found = Sessions.of(calendar).is_misplaced("1h", np.array([opened_at], "datetime64[us]"))

    assert found.tolist() == [misplaced]


def test_missing_bars_are_those_of_the_schedule_only() -> None:
    sessions = Sessions.of("XNYS")
    # Friday's last bar, Monday's first and third: the weekend is no hole, Monday's second bar is.
    present = np.array(["2024-07-12T19:30", "2024-07-15T13:30", "2024-07-15T15:30"], "datetime64[s]")

    missing = sessions.missing("1h", present)
    until_next = sessions.missing("1h", present, until=at("2024-07-15T17:30"))

    assert [str(bar) for bar in missing] == ["2024-07-15T14:30:00"]
    assert [str(bar) for bar in until_next] == ["2024-07-15T14:30:00", "2024-07-15T16:30:00"]


def test_the_part_of_the_session_behind_a_bar() -> None:
    def elapsed(calendar: str, *closes: str) -> list[float]:
        return Sessions.of(calendar).session_elapsed(np.array(closes, "datetime64[s]")).tolist()

    day = "2024-07-10"
    # 13:30 to 20:00 are 6.5 hours; the opening instant itself belongs to no session.
    assert elapsed("XNYS", f"{day}T14:30", f"{day}T16:45", f"{day}T20:00") == pytest.approx([1 / 6.5, 0.5, 1.0])
    assert elapsed("XNYS", f"{day}T13:30", f"{day}T20:30", "2024-07-13T15:30") == [0.0, 0.0, 0.0]
    assert elapsed("24/7", f"{day}T06:00", "2024-07-11T00:00") == [0.25, 1.0]
    # A lunch break is closed; the afternoon goes on where the whole day of 6.5 hours stands.
    assert elapsed("XHKG", f"{day}T04:00", f"{day}T04:30", f"{day}T08:00") == pytest.approx([2.5 / 6.5, 0.0, 1.0])


def test_history_back_to_2010_and_120_sessions_ahead_of_today_resolve() -> None:
    for calendar in CALENDARS:
        sessions = Sessions.of(calendar)
        first, _ = sessions.next_bars("1d", at("2010-01-01"), 1)
        ahead, _ = sessions.next_bars("1d", datetime.now(UTC), 120)

        assert str(first[0])[:7] == "2010-01"
        assert ahead.size == 120


def test_beyond_the_calendars_end_it_says_so() -> None:
    sessions = Sessions.of("24/7")

    with pytest.raises(OutsideCalendar, match="24/7 knows the sessions from 2005-01-01"):
        sessions.next_bars("1d", at("2199-01-01"), 1)
    with pytest.raises(OutsideCalendar):
        sessions.scheduled("1d", at("1999-01-01"), at("2010-01-01"))


def test_an_unknown_calendar_is_named() -> None:
    with pytest.raises(UnknownCalendar, match="'MOON' is not known"):
        Sessions.of("MOON")


def test_an_instant_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Sessions.of("24/7").is_open(datetime(2024, 7, 10))


instants = st.integers(1_262_304_000, 1_830_297_600).map(lambda seconds: np.datetime64(seconds, "s"))  # 2010 to 2027


@given(st.sampled_from(CALENDARS), instants, st.integers(1, 200))
def test_bars_of_a_schedule_neither_overlap_nor_outlast_an_hour(calendar: str, after: np.datetime64, n: int) -> None:
    opened_at, closed_at = Sessions.of(calendar).next_bars("1h", after, n)

    assert opened_at[0] >= after
    assert ((closed_at - opened_at) > np.timedelta64(0, "s")).all()
    assert ((closed_at - opened_at) <= np.timedelta64(1, "h")).all()
    assert all(closed <= opened for closed, opened in pairwise_bars(opened_at, closed_at))
    assert all(Sessions.of(calendar).is_open(opened) for opened in opened_at[:3])


@given(st.sampled_from(CALENDARS), instants, st.integers(1, 60), st.integers(1, 60), st.sampled_from(["1h", "1d"]))
def test_going_on_from_a_bar_continues_the_schedule(
    calendar: str, after: np.datetime64, n: int, m: int, interval: str
) -> None:
    sessions = Sessions.of(calendar)
    together, _ = sessions.next_bars(interval, after, n + m)
    first, _ = sessions.next_bars(interval, after, n)
    rest, _ = sessions.next_bars(interval, first[-1] + np.timedelta64(1, "s"), m)

    assert together.tolist() == [*first.tolist(), *rest.tolist()]
    assert sessions.missing(interval, together).size == 0


def pairwise_bars(opened_at: np.ndarray, closed_at: np.ndarray) -> list[tuple[np.datetime64, np.datetime64]]:
    return [(closed_at[i], opened_at[j]) for i, j in pairwise(range(opened_at.size))]
