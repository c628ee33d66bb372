"""What is written down when bars and entries come in: when each was known, and nothing that happened later."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, text

from candlecast.calendar import vintages
from candlecast.store.bars import copy_many, read_closes, read_lookbacks
from candlecast.store.calendar import read_calendar, upsert_entries
from jobs.ingest import ingest_files
from jobs.providers.calendar_files import read_calendar_file
from jobs.providers.calendar_synthetic import synthetic_calendar
from tests.leaks.world import DAY, HOUR, VALUES, World

NOW = datetime(2024, 11, 20, 12, 20, tzinfo=UTC)


@pytest.fixture
def conn(quiet_market: Engine) -> Iterator[Connection]:
    """The quiet market, for the length of a test."""
    with quiet_market.connect() as conn, conn.begin() as transaction:
        yield conn
        transaction.rollback()


def stored(conn: Connection, since: datetime) -> pd.DataFrame:
    query = "SELECT * FROM candlecast.ohlcv_1h WHERE symbol = 'BTCUSDT' AND ts >= :since ORDER BY ts"
    return pd.DataFrame(conn.execute(text(query), {"since": since}).mappings())


def bars_of(world: World, since: datetime, n: int) -> pd.DataFrame:
    hourly = world.bars[(world.bars["symbol"] == "BTCUSDT") & (world.bars["interval"] == "1h")]
    return hourly[hourly["ts"] >= since].head(n).reset_index(drop=True)


def test_an_archive_s_bars_were_known_at_their_close_and_live_ones_when_they_came(
    conn: Connection, quiet_world: World
) -> None:
    assert (stored(conn, NOW)["first_seen"] == stored(conn, NOW)["closed_at"]).all()

    conn.execute(text("DELETE FROM candlecast.ohlcv_1h WHERE symbol = 'BTCUSDT' AND ts >= :since"), {"since": NOW})
    before = datetime.now(UTC) - timedelta(minutes=1)
    copy_many(conn, "1h", {"BTCUSDT": bars_of(quiet_world, NOW, 20)}, source="world", first_seen="now")

    came = stored(conn, NOW)
    assert len(came) == 20
    assert (came["first_seen"] > before).all()
    # So a slot of 2024 does not know them.
    known = read_lookbacks(conn, ["BTCUSDT"], "1h", as_of=NOW + 30 * HOUR, n_bars=5)["BTCUSDT"]
    assert known.closed_at[-1] <= np.datetime64((NOW + HOUR).replace(tzinfo=None))


def test_a_correction_changes_no_moment_before_it_came(conn: Connection, quiet_world: World) -> None:
    as_of = NOW + 40 * HOUR
    since = NOW - 10 * DAY
    before = read_lookbacks(conn, ["BTCUSDT"], "1h", as_of=as_of, n_bars=60)["BTCUSDT"]
    closes = read_closes(conn, ["BTCUSDT"], "1h", since=since, as_of=as_of)["BTCUSDT"]

    frame = bars_of(quiet_world, NOW, 25)
    frame[VALUES] *= 1.25
    counts = copy_many(conn, "1h", {"BTCUSDT": frame}, source="world", first_seen="now")["BTCUSDT"]

    assert counts.revised == 25
    again = read_lookbacks(conn, ["BTCUSDT"], "1h", as_of=as_of, n_bars=60)["BTCUSDT"]
    assert np.array_equal(before.ohlcv, again.ohlcv)
    assert np.array_equal(before.closed_at, again.closed_at)
    assert np.array_equal(closes[1], read_closes(conn, ["BTCUSDT"], "1h", since=since, as_of=as_of)["BTCUSDT"][1])
    # Whoever asks from now on is told the corrected numbers.
    now = read_lookbacks(conn, ["BTCUSDT"], "1h", as_of=datetime.now(UTC) + DAY, n_bars=10_000)["BTCUSDT"]
    corrected = np.isin(now.opened_at, frame["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[s]"))
    assert np.array_equal(now.ohlcv[corrected], frame[VALUES].to_numpy())


def test_a_file_s_forming_bar_is_not_imported(engine: Engine, tmp_path: Path, quiet_world: World) -> None:
    (tmp_path / "ohlcv_1h").mkdir()
    frame = bars_of(quiet_world, NOW - 5 * HOUR, 9)
    lines = frame[["ts", *VALUES]].assign(ts=frame["ts"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    lines.to_csv(tmp_path / "ohlcv_1h" / "BTCUSDT.csv", index=False)

    ingest_files(engine, tmp_path, now=NOW)

    with engine.connect() as conn:
        kept = stored(conn, NOW - 5 * HOUR)
    assert kept["ts"].tolist() == [at for at in frame["ts"] if at + HOUR <= NOW]
    assert (kept["closed_at"] == kept["ts"] + HOUR).all()


ARCHIVE = """ts,currency,event,impact,actual,forecast,previous
2024-11-13T13:30:00Z,USD,CPI y/y,High,2.6%,2.6%,2.4%
2024-11-07T19:00:00Z,USD,Federal Funds Rate,High,4.75%,4.75%,5.00%
2020-03-03T15:00:00Z,USD,Federal Funds Rate,High,1.25%,,1.75%
2020-03-03T15:00:00Z,USD,FOMC Statement,High,,,
2024-11-14T20:00:00Z,USD,Fed Chair Powell Speaks,High,,,
2024-12-06T13:30:00Z,USD,Non-Farm Employment Change,High,227K,218K,36K
"""


def test_an_archive_s_numbers_were_known_at_the_release_and_an_emergency_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "economic_calendar.csv").write_text(ARCHIVE)

    frame, _ = read_calendar_file(tmp_path / "economic_calendar.csv")

    for column in ("actual", "forecast", "previous"):
        told = frame[np.isfinite(frame[column])]
        assert (told["known_at"] >= told["ts"]).all(), column
    lead = (frame["ts"] - frame["known_at"]).groupby(frame["event"]).max()
    assert lead["CPI y/y"] == pd.Timedelta(days=60)
    assert lead["Fed Chair Powell Speaks"] == pd.Timedelta(days=1)
    march = frame[frame["ts"] < pd.Timestamp("2021-01-01", tz="UTC")]
    assert (march["known_at"] >= march["ts"]).all()


def test_a_made_up_calendar_tells_no_number_before_its_time() -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    frame = synthetic_calendar(start, end, now=NOW, seed=1)
    printed = frame[np.isfinite(frame["actual"])]

    assert len(printed) > 30
    assert (printed["known_at"] >= printed["ts"]).all()
    assert (frame["known_at"] <= pd.Timestamp(NOW)).all()
    # An earlier `now` gives the same vintages, as far as it goes.
    early = synthetic_calendar(start, end, now=NOW - 90 * DAY, seed=1)
    cut = frame[frame["known_at"] <= pd.Timestamp(NOW - 90 * DAY)]
    key = ["entry_id", "known_at", "ts", "actual", "forecast", "previous"]
    assert early[key].sort_values(key).reset_index(drop=True).equals(cut[key].sort_values(key).reset_index(drop=True))


def test_an_entry_is_never_edited(conn: Connection) -> None:
    what = {"entry_id": "x", "currency": "USD", "event": "CPI y/y", "impact": "High", "source": "world"}
    due = NOW + DAY
    first = {**what, "known_at": NOW - 9 * DAY, "ts": due}
    printed = {**what, "known_at": due, "ts": due, "actual": 2.0, "forecast": 1.0, "previous": 1.5}
    upsert_entries(conn, vintages([first, printed]))
    upsert_entries(conn, vintages([{**printed, "actual": 9.0}, {**printed, "known_at": due + DAY, "actual": 3.0}]))

    for as_of, actuals in ((NOW, []), (due, [2.0]), (due + HOUR, [2.0]), (due + 2 * DAY, [2.0, 3.0])):
        known = read_calendar(conn, as_of=as_of, since=NOW - 30 * DAY)
        mine = known[(known["entry_id"] == "x") & np.isfinite(known["actual"])]
        assert mine["actual"].tolist() == actuals, as_of
        assert (known["known_at"] <= pd.Timestamp(as_of)).all()
