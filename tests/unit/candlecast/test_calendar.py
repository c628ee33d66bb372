"""Vintages, numbers and first prints, on calendars small enough to be worked out by hand."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from candlecast.calendar import (
    FAMILIES,
    WITHDRAWN,
    FirstPrints,
    Schedule,
    entry_id,
    epoch,
    family_of,
    first_prints,
    known_by,
    parse_number,
    vintages,
)

JAN = datetime(2024, 1, 11, 13, 30, tzinfo=UTC)


def vintage(known_at: datetime, ts: datetime = JAN, event: str = "CPI y/y", **more: object) -> dict[str, object]:
    listed_at = more.pop("listed_at", ts)
    assert isinstance(listed_at, datetime)
    return {
        "entry_id": entry_id("USD", event, listed_at),
        "known_at": known_at,
        "ts": ts,
        "currency": "USD",
        "event": event,
        "impact": "High",
        **more,
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3.4%", 3.4),
        ("216K", 216_000.0),
        ("78.6K", 78_600.0),
        ("267k", 267_000.0),
        ("-566M", -566e6),
        ("-5.9B", -5.9e9),
        ("1.70T", 1.7e12),
        ("-0.75%", -0.75),
        ("−0.75%", -0.75),
        ("<0.25%", 0.25),
        (" 56.2 ", 56.2),
        ("1,234.5", 1234.5),
        ("0", 0.0),
    ],
)
def test_a_published_number_is_read_with_its_unit(text: str, number: float) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize("text", ["", "0-0-9", "1.53|1.8", "Pass", "1,23", "%", "1e5", "nan", "inf", "9" * 400])
def test_what_is_not_one_finite_number_is_no_number(text: str) -> None:
    assert parse_number(text) is None


@pytest.mark.parametrize(
    ("currency", "event", "symbol", "family"),
    [
        ("USD", "Federal Funds Rate", None, "FOMC"),
        ("USD", "FOMC Statement", None, "FOMC"),
        ("USD", "FOMC Meeting Minutes", None, None),
        ("USD", "CPI y/y", None, "CPI"),
        ("USD", "Core CPI m/m", None, "CPI"),
        ("GBP", "CPI y/y", None, None),
        ("USD", "Non-Farm Employment Change", None, "NFP"),
        ("USD", "ADP Non-Farm Employment Change", None, None),
        ("USD", "Advance GDP q/q", None, "GDP"),
        ("USD", "Advance GDP Price Index q/q", None, None),
        ("USD", "Core PCE Price Index m/m", None, "PCE"),
        ("EUR", "Main Refinancing Rate", None, "RATE"),
        ("AUD", "Cash Rate", None, "RATE"),
        ("AUD", "Unemployment Rate", None, None),
        ("JPY", "Average Cash Earnings y/y", None, None),
        ("USD", "Apple Inc. Earnings", "AAPL", "EARNINGS"),
        ("USD", "Average Hourly Earnings", None, None),
    ],
)
def test_a_family_is_told_by_currency_and_name(
    currency: str, event: str, symbol: str | None, family: str | None
) -> None:
    assert family_of(currency, event, symbol) == family


def test_a_reader_sees_the_newest_vintage_that_existed() -> None:
    frame = vintages(
        [
            vintage(JAN - timedelta(days=60)),
            vintage(JAN - timedelta(days=1), forecast_text="3.2%"),
            vintage(JAN, forecast_text="3.2%", actual_text="3.4%"),
        ]
    )

    assert known_by(frame, JAN - timedelta(days=61)).empty
    assert np.isnan(known_by(frame, JAN - timedelta(days=2))["forecast"]).all()
    assert known_by(frame, JAN - timedelta(seconds=1))[["forecast", "actual"]].fillna(-1).to_numpy().tolist() == [
        [3.2, -1]
    ]
    assert known_by(frame, JAN)["actual"].tolist() == [3.4]


def test_a_part_of_a_second_is_not_known_in_the_second_before() -> None:
    assert epoch(pd.Series([pd.Timestamp("1970-01-01T00:00:01.000001Z")])).tolist() == [2]


def test_a_schedule_is_a_spell_for_each_place_that_an_entry_had() -> None:
    moved = JAN + timedelta(days=7)
    frame = vintages(
        [
            vintage(JAN - timedelta(days=60)),
            vintage(JAN - timedelta(days=5), forecast_text="3.2%"),  # a value alone is no new spell
            vintage(JAN - timedelta(days=2), ts=moved, listed_at=JAN),
            vintage(moved, ts=moved, listed_at=JAN, actual_text="3.4%"),
        ]
    )

    schedule = Schedule.of(frame)

    assert schedule.ts.tolist() == [int(JAN.timestamp()), int(moved.timestamp())]
    assert schedule.known_from.tolist() == [
        int((JAN - timedelta(days=60)).timestamp()),
        int((JAN - timedelta(days=2)).timestamp()),
    ]
    assert schedule.known_to[0] == schedule.known_from[1]
    assert schedule.known_to[1] == np.iinfo(np.int64).max
    assert {FAMILIES[code] for code in schedule.family} == {"CPI"}


def test_an_entry_taken_off_the_calendar_is_known_only_until_then() -> None:
    gone_at = JAN - timedelta(days=3)
    frame = vintages([vintage(JAN - timedelta(days=60)), {**vintage(gone_at), "impact": WITHDRAWN}])

    schedule = Schedule.of(frame)

    assert schedule.known_at(int(gone_at.timestamp()) - 1).ts.tolist() == [int(JAN.timestamp())]
    assert schedule.known_at(int(gone_at.timestamp())).ts.tolist() == []


def test_an_empty_calendar_has_an_empty_schedule_and_no_prints() -> None:
    frame = vintages([])

    assert len(Schedule.of(frame).ts) == 0
    assert first_prints(frame).empty


def test_a_revision_of_an_actual_never_replaces_the_first_print() -> None:
    first = [vintage(JAN - timedelta(days=60)), vintage(JAN, forecast_text="3.2%", actual_text="3.4%")]
    revised = [vintage(JAN + timedelta(days=30), forecast_text="3.2%", actual_text="3.3%")]

    pd.testing.assert_frame_equal(first_prints(vintages(first + revised)), first_prints(vintages(first)))


def test_the_consensus_of_a_surprise_is_the_last_one_before_the_release() -> None:
    frame = vintages(
        [
            vintage(JAN - timedelta(days=3), forecast_text="3.1%"),
            vintage(JAN - timedelta(hours=1), forecast_text="3.2%"),
            vintage(JAN + timedelta(minutes=1), forecast_text="3.4%", actual_text="3.4%"),
        ]
    )

    prints = first_prints(frame)

    assert prints[["forecast", "actual"]].to_numpy().tolist() == [[3.2, 3.4]]
    assert prints["visible_at"].tolist() == [int(JAN.timestamp()) + 60]


def test_an_actual_stored_before_its_release_is_visible_only_from_the_release() -> None:
    prints = first_prints(vintages([vintage(JAN - timedelta(hours=2), actual_text="3.4%")]))

    assert prints["visible_at"].tolist() == [int(JAN.timestamp())]


def released(surprises: list[float]) -> pd.DataFrame:
    """One CPI release every 30 days, forecast 3 %, with these surprises."""
    moments = [JAN + timedelta(days=30 * month) for month in range(len(surprises))]
    return vintages(
        vintage(at, ts=at, forecast=3.0, actual=3.0 + one) for at, one in zip(moments, surprises, strict=True)
    )


def test_a_surprise_is_measured_by_the_twenty_before_it_and_told_from_the_sixth_on() -> None:
    # Five surprises 0.1, -0.1, 0.1, -0.1, 0.0: mean 0, sum of squares 0.04, so σ = sqrt(0.04 / 4) = 0.1.
    prints = FirstPrints.surprises(first_prints(released([0.1, -0.1, 0.1, -0.1, 0.0, 0.2, 10.0])), "CPI")

    assert prints.n_before.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert prints.told.tolist() == [False] * 5 + [True] * 2
    assert prints.value[:5].tolist() == [0.0] * 5
    assert prints.value[5] == pytest.approx(2.0)
    assert prints.value[6] == 3.0  # clipped


def test_only_the_last_twenty_surprises_make_sigma() -> None:
    # A wild past, then 20 surprises of ±0.1: sum of squares 0.2, σ = sqrt(0.2 / 19) = 0.102598.
    prints = FirstPrints.surprises(first_prints(released([50.0, -50.0] + [0.1, -0.1] * 10 + [0.1])), "CPI")

    assert prints.n_before[-1] == 20
    assert prints.value[-1] == pytest.approx(0.1 / np.sqrt(0.2 / 19))


def test_equal_surprises_leave_the_next_one_untold() -> None:
    prints = FirstPrints.surprises(first_prints(released([0.2] * 8)), "CPI")

    assert not prints.told.any()
    assert not prints.value.any()


def test_other_series_of_the_family_do_not_speak_for_it() -> None:
    frame = vintages(
        vintage(JAN + timedelta(days=30 * month), ts=JAN + timedelta(days=30 * month), event="Core CPI m/m", actual=1.0)
        for month in range(8)
    )

    assert len(FirstPrints.surprises(first_prints(frame), "CPI").value) == 0


@pytest.mark.parametrize(
    ("actual", "previous", "tone"),
    [
        ("5.25%", "5.00%", 1.0),
        ("0.50%", "<0.25%", 1.0),
        ("1.75%", "1.00%", 1.0),
        ("4.50%", "4.50%", 0.0),
        ("1.25%", "1.75%", -1.0),
        ("5.10%", "5.00%", 0.4),  # 10 basis points / 25
        ("5.25%", "", 0.0),
    ],
)
def test_the_tone_of_a_rate_decision_is_its_change_over_25_basis_points(
    actual: str, previous: str, tone: float
) -> None:
    frame = vintages([vintage(JAN, event="Federal Funds Rate", actual_text=actual, previous_text=previous)])

    prints = FirstPrints.rate_changes(first_prints(frame))

    assert prints.value.tolist() == pytest.approx([tone])
    assert prints.told.tolist() == [previous != ""]
