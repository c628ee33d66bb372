"""The calendar in a real Postgres: vintages are added, never edited, and read as of a moment."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from candlecast.calendar import CalendarColumnsMissing, entry_id, vintages
from candlecast.events import EventEncoder
from candlecast.store.calendar import CalendarCounts, read_calendar, upsert_entries

JUNE = datetime(2024, 6, 12, 12, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def vintage(known_at: datetime, ts: datetime = JUNE, what: str = "CPI y/y", **more: Any) -> dict[str, Any]:
    listed_at = more.pop("listed_at", ts)
    names = {"currency": "USD", "event": what, "impact": "High", "source": "test"}
    return {"entry_id": entry_id("USD", what, listed_at), "known_at": known_at, "ts": ts, **names, **more}


def monthly(n: int) -> list[dict[str, Any]]:
    """CPI every 30 days up to June: scheduled, then printed with surprises of ±0.1 and a last one of 0.2."""
    rows = []
    for month in range(n):
        ts = JUNE - 30 * DAY * (n - 1 - month)
        surprise = 0.2 if month == n - 1 else 0.1 * (-1) ** month
        rows += [vintage(ts - 60 * DAY, ts), vintage(ts, ts, forecast=3.0, actual=3.0 + surprise)]
    return rows


def read(engine: Engine, as_of: datetime, since: datetime = JUNE - 30 * DAY) -> pd.DataFrame:
    with engine.connect() as conn:
        return read_calendar(conn, as_of=as_of, since=since)


def store(engine: Engine, rows: list[dict[str, Any]]) -> CalendarCounts:
    with engine.begin() as conn:
        return upsert_entries(conn, vintages(rows))


def test_importing_twice_is_importing_once(engine: Engine) -> None:
    rows = [vintage(JUNE - 60 * DAY), vintage(JUNE, forecast_text="3.4%", actual_text="3.3%")]

    assert store(engine, rows) == CalendarCounts(inserted=2)
    assert store(engine, rows) == CalendarCounts(unchanged=2)
    assert len(read(engine, JUNE)) == 2


def test_a_feed_that_says_the_same_again_adds_nothing_until_something_moves(engine: Engine) -> None:
    hourly = [vintage(JUNE - 2 * DAY + timedelta(hours=hour), forecast_text="3.4%") for hour in range(5)]
    moved = vintage(JUNE - DAY, ts=JUNE + DAY, listed_at=JUNE, forecast_text="3.4%")

    assert store(engine, hourly[:1]) == CalendarCounts(inserted=1)
    assert store(engine, hourly[1:]) == CalendarCounts(unchanged=4)
    assert store(engine, [moved]) == CalendarCounts(inserted=1)


def test_a_vintage_that_contradicts_a_stored_one_of_its_moment_is_counted_and_left_out(engine: Engine) -> None:
    store(engine, [vintage(JUNE, actual_text="3.3%")])

    assert store(engine, [vintage(JUNE, actual_text="9.9%")]) == CalendarCounts(conflicting=1)
    assert read(engine, JUNE)["actual"].tolist() == [3.3]


def test_vintages_older_than_the_stored_ones_find_their_place(engine: Engine) -> None:
    store(engine, [vintage(JUNE, actual_text="3.3%")])

    assert store(engine, [vintage(JUNE - 60 * DAY)]) == CalendarCounts(inserted=1)
    assert np.isnan(read(engine, JUNE - DAY)["actual"]).tolist() == [True]


def test_a_reader_sees_what_was_known_at_its_moment(engine: Engine) -> None:
    store(
        engine, [vintage(JUNE - 60 * DAY), vintage(JUNE, actual_text="3.3%"), vintage(JUNE + DAY, actual_text="3.2%")]
    )

    assert read(engine, JUNE - 61 * DAY).empty
    assert read(engine, JUNE)["actual"].tolist()[1:] == [3.3]
    assert read(engine, JUNE + DAY)["actual"].tolist()[1:] == [3.3, 3.2]


def test_only_entries_that_matter_are_read_and_the_releases_that_surprises_are_measured_by(engine: Engine) -> None:
    store(
        engine,
        [
            vintage(JUNE - 100 * DAY, JUNE - 40 * DAY, "Retail Sales m/m"),  # before the bars
            vintage(JUNE - 100 * DAY, JUNE - 40 * DAY, "Advance GDP q/q"),  # before the bars
            vintage(JUNE - 100 * DAY, JUNE - 10 * DAY, "Factory Orders m/m", impact="Low"),
            vintage(JUNE - 100 * DAY, JUNE - 10 * DAY, "Retail Sales m/m"),
            vintage(JUNE - 100 * DAY, JUNE - 10 * DAY, "Final GDP q/q", impact="Medium"),
            vintage(JUNE - 600 * DAY, JUNE - 599 * DAY, "Non-Farm Employment Change"),
            vintage(JUNE - 60 * DAY, JUNE + 30 * DAY, "FOMC Statement"),
            # Placed before the bars at first, moved among them later: both vintages are needed.
            vintage(JUNE - 100 * DAY, JUNE - 40 * DAY, "Prelim GDP q/q"),
            vintage(JUNE - 50 * DAY, JUNE - 5 * DAY, "Prelim GDP q/q", listed_at=JUNE - 40 * DAY),
        ],
    )

    assert sorted(read(engine, JUNE)["event"]) == [
        "FOMC Statement",
        "Final GDP q/q",
        "Non-Farm Employment Change",
        "Prelim GDP q/q",
        "Prelim GDP q/q",
        "Retail Sales m/m",
    ]


def test_the_calendar_is_one_query_whatever_it_holds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store(engine, monthly(24))
    execute, n_statements = psycopg.Cursor.execute, []

    def counted(self: Any, *statement: Any, **options: Any) -> Any:
        n_statements.append(1)
        return execute(self, *statement, **options)

    with engine.connect() as conn:
        monkeypatch.setattr(psycopg.Cursor, "execute", counted)
        frame = read_calendar(conn, as_of=JUNE, since=JUNE - 500 * DAY)

    assert sum(n_statements) == 1
    assert len(frame) == 48


def test_the_store_keeps_all_that_a_tensor_needs(engine: Engine) -> None:
    frame = vintages(monthly(24))
    opened = (np.datetime64("2024-06-12T00:00:00") + np.arange(20) * np.timedelta64(3600, "s")).astype("datetime64[s]")
    closed = opened + np.timedelta64(3600, "s")
    issued_at = JUNE + timedelta(minutes=30)  # 13:00, the close of row 12
    store(engine, monthly(24))

    class Btc:
        symbol, calendar, asset_class = "BTCUSDT", "24/7", "crypto"

    def encode(entries: pd.DataFrame) -> np.ndarray:
        encoder = EventEncoder(entries, {}, elapsed=lambda calendar, at: np.zeros(len(at)))
        return encoder.encode(Btc, "1h", opened[:13], closed[:13], opened[13:], closed[13:], issued_at=issued_at)  # type: ignore[arg-type]

    stored = encode(read(engine, issued_at, since=JUNE - DAY))

    assert stored.tobytes() == encode(frame).tobytes()
    # 20 surprises of ±0.1, ten of each sign: σ = sqrt(0.2 / 19), the last one is 0.2.
    assert stored[12, 5] == pytest.approx(0.2 / np.sqrt(0.2 / 19))
    assert stored[12, 1] == 1.0


def test_what_is_learnt_later_does_not_change_a_read_of_the_past(engine: Engine) -> None:
    store(engine, monthly(24))
    before = read(engine, JUNE)

    poison = [{**row, "known_at": JUNE + DAY, "actual": 1e9, "forecast": 1e9} for row in monthly(24)[::2]]
    assert store(engine, poison).inserted == 24

    pd.testing.assert_frame_equal(read(engine, JUNE), before)


def test_a_stored_vintage_cannot_be_edited_or_removed(engine: Engine) -> None:
    store(engine, [vintage(JUNE, actual_text="3.3%")])

    for statement in (
        "UPDATE candlecast.economic_calendar SET actual = 9.9",
        "DELETE FROM candlecast.economic_calendar",
        "TRUNCATE candlecast.economic_calendar",
    ):
        with pytest.raises(DBAPIError), engine.begin() as conn:
            conn.execute(text(statement))


def test_the_writer_adds_vintages_and_the_reader_reads_them(engine_as: Any) -> None:
    store(engine_as("writer"), [vintage(JUNE, actual_text="3.3%")])

    assert read(engine_as("reader"), JUNE)["actual"].tolist() == [3.3]


def test_an_empty_calendar_is_an_empty_frame_that_can_be_encoded(engine: Engine) -> None:
    assert store(engine, []) == CalendarCounts()
    assert read(engine, JUNE).empty
    EventEncoder(read(engine, JUNE), {})


def test_a_frame_that_lacks_columns_is_refused_before_anything_is_written(engine: Engine) -> None:
    frame = vintages([vintage(JUNE)]).drop(columns=["impact"])

    with pytest.raises(CalendarColumnsMissing, match="impact"), engine.begin() as conn:
        upsert_entries(conn, frame)
