"""A folder of bars into a real store: the good beside the bad, twice, changed, and with its calendar."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, text

from candlecast.bars import COLUMNS, BarsUnreadable
from candlecast.store.bars import read_lookbacks
from jobs.ingest import ingest_files, ingest_synthetic
from jobs.ingest_report import IngestReport

HEADER = ",".join(COLUMNS) + "\n"
ROWS = [f"2024-07-10T{hour:02}:00:00Z,10,12,9,{11 + hour / 100},5\n" for hour in range(4)]
NOW = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.fixture
def writer(engine_as: Callable[[str], Engine]) -> Engine:
    """The jobs' own login: the shipped instruments are loaded by the first import."""
    return engine_as("writer")


def write(folder: Path, name: str, rows: list[str], header: str = HEADER) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (header + "".join(rows)).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


def n_stored(engine: Engine, table: str = "ohlcv_1h") -> int:
    with engine.connect() as conn:
        return conn.execute(text(f"SELECT count(*) FROM candlecast.{table}")).scalar_one()


def test_a_folder_imports_completely_and_again_without_a_change(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv.gz", ROWS)
    write(tmp_path, "ohlcv_1h/ETHUSDT.csv", ROWS)
    daily = pd.DataFrame([(pd.Timestamp("2024-07-10", tz="UTC"), 10.0, 12.0, 9.0, 11.0, 5.0)], columns=list(COLUMNS))
    (tmp_path / "ohlcv_1d").mkdir()
    daily.to_parquet(tmp_path / "ohlcv_1d/SPY.parquet")

    first = ingest_files(writer, tmp_path, now=NOW)
    again = ingest_files(writer, tmp_path, now=NOW)

    assert (first.counts.inserted, first.errors, first.n_dropped) == (9, (), 0)
    assert [item.name for item in first.items] == [
        "ohlcv_1h/BTCUSDT.csv.gz",
        "ohlcv_1h/ETHUSDT.csv",
        "ohlcv_1d/SPY.parquet",
    ]
    assert (again.counts.inserted, again.counts.unchanged, again.counts.revised) == (0, 9, 0)
    assert str(first).startswith(f"9 bars of 3 series read from {tmp_path}: 9 new, 0 already there")
    assert str(again).endswith("Nothing changed.")
    assert (n_stored(writer), n_stored(writer, "ohlcv_1d")) == (8, 1)


def test_nothing_bad_stops_the_good_beside_it(writer: Engine, tmp_path: Path) -> None:
    low_above_open = "2024-07-10T04:00:00Z,10,12,10.5,11,5\n"
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv.gz", [*ROWS, "nonsense\n", low_above_open])
    write(tmp_path, "ohlcv_1h/ETHUSDT.csv.gz", ROWS)
    write(tmp_path, "ohlcv_1h/NOWHERE.csv.gz", ROWS)
    write(tmp_path, "ohlcv_1h/SOLUSDT.csv", ROWS, header="time,price\n")
    (tmp_path / "ohlcv_1h/XRPUSDT.csv.gz").write_bytes(gzip.compress((HEADER + "".join(ROWS)).encode())[:40])

    report = ingest_files(writer, tmp_path, now=NOW)

    assert n_stored(writer) == 8
    assert report.findings() == {"unparsable": 1, "low_above_body": 1}
    assert (report.n_read, report.n_dropped) == (10, 2)
    assert [sentence.split(":")[0] for sentence in report.errors] == [
        "ohlcv_1h/NOWHERE.csv.gz",
        "ohlcv_1h/SOLUSDT.csv",
        "ohlcv_1h/XRPUSDT.csv.gz",
    ]
    assert "NOWHERE is not in the table of instruments" in report.errors[0]
    (bitcoin, *_) = report.lines()
    assert "BTCUSDT 1h: 4 of 6 rows kept; 1 × unparsable" in bitcoin
    assert (
        "1 × low_above_body (low above open or close), first 2024-07-10T04:00:00Z open 10 high 12 low 10.5" in bitcoin
    )


def test_a_corrected_file_is_a_revision(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    ingest_files(writer, tmp_path, now=NOW)
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", [*ROWS[:3], "2024-07-10T03:00:00Z,10,12,9,11.5,5\n"])

    report = ingest_files(writer, tmp_path, now=NOW)

    assert (report.counts.inserted, report.counts.unchanged, report.counts.revised) == (0, 3, 1)
    assert n_stored(writer, "ohlcv_revisions") == 1


def test_a_bar_that_is_open_when_it_is_imported_comes_with_the_next_import(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)

    early = ingest_files(writer, tmp_path, now=datetime(2024, 7, 10, 3, 30, tzinfo=UTC))
    later = ingest_files(writer, tmp_path, now=datetime(2024, 7, 10, 4, tzinfo=UTC))

    assert (early.counts.inserted, early.findings()["still_open"]) == (3, 1)
    assert later.counts.inserted == 1


def test_the_bars_of_an_archive_count_as_known_when_they_closed(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    ingest_files(writer, tmp_path, now=NOW)

    with writer.connect() as conn:
        as_of = datetime(2024, 7, 10, 2, 55, tzinfo=UTC)
        known = read_lookbacks(conn, ["BTCUSDT"], "1h", as_of, 10)["BTCUSDT"]

    assert known.closed_at.tolist() == [datetime(2024, 7, 10, 1), datetime(2024, 7, 10, 2)]


def test_the_calendar_of_the_folder_comes_along_and_a_broken_one_stops_no_bars(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    header = "ts,currency,event,impact,actual,forecast,previous\n"
    write(tmp_path, "economic_calendar.csv.gz", ["2024-07-11T12:30:00Z,USD,CPI y/y,High,3.0%,3.1%,3.3%\n"], header)

    first, again = (ingest_files(writer, tmp_path, now=NOW) for _ in range(2))
    (tmp_path / "economic_calendar.csv.gz").write_bytes(b"broken")
    broken = ingest_files(writer, tmp_path, now=NOW)

    assert first.calendar is not None
    assert again.calendar is not None
    assert (first.calendar.inserted, again.calendar.inserted, again.calendar.unchanged) == (2, 0, 2)
    assert broken.counts.unchanged == 4
    assert "economic_calendar.csv.gz" in broken.errors[0]


def test_progress_ends_at_the_total(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    write(tmp_path, "ohlcv_1h/ETHUSDT.csv", ROWS)
    seen: list[tuple[int, int]] = []

    ingest_files(writer, tmp_path, now=NOW, progress=lambda done, total, _: seen.append((done, total)))

    assert seen == [(1, 2), (2, 2)]


def test_a_folder_without_bars_is_an_error(writer: Engine, tmp_path: Path) -> None:
    with pytest.raises(BarsUnreadable, match="holds no bars"):
        ingest_files(writer, tmp_path)


def test_real_and_generated_bars_never_share_a_store(writer: Engine, tmp_path: Path) -> None:
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    ingest_files(writer, tmp_path, now=NOW)

    with pytest.raises(
        Exception, match=r"the store holds real bars \(of BTCUSDT\), and generated ones never join them"
    ):
        ingest_synthetic(writer, now=NOW)


def test_generated_bars_fill_a_store_say_so_and_go_on_later(writer: Engine, tmp_path: Path) -> None:
    def generate(now: datetime) -> IngestReport:
        return ingest_synthetic(writer, now=now, n_hours=300, n_days=100)

    first, again, later = generate(NOW), generate(NOW), generate(datetime(2024, 8, 2, tzinfo=UTC))

    assert first.errors == ()
    assert first.counts.inserted == 25 * (300 + 100)
    assert (again.counts.inserted, again.counts.revised) == (0, 0)
    assert later.counts.inserted > 0
    assert later.counts.revised == 0
    assert first.calendar is not None
    assert first.calendar.inserted > 100
    assert "synthetic, not market prices" in str(first)
    with writer.connect() as conn:
        lookbacks = read_lookbacks(conn, ["BTCUSDT", "SPY"], "1h", NOW, 300)
    assert [lookbacks[symbol].synthetic for symbol in ("BTCUSDT", "SPY")] == [True, True]
    write(tmp_path, "ohlcv_1h/BTCUSDT.csv", ROWS)
    with pytest.raises(Exception, match="the store holds generated bars"):
        ingest_files(writer, tmp_path, now=NOW)


def test_reports_add_up() -> None:
    total = IngestReport("here", seconds=1.0) + IngestReport("there", seconds=2.0)

    assert (total.source, total.seconds, total.items) == ("here and there", 3.0, ())
