"""Folders of bars: formats, and files with something wrong in them."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from candlecast.bars import COLUMNS, BarsUnreadable
from jobs.providers.files import bar_files, read_bar_file

HEADER = "ts,open,high,low,close,volume\n"
ROW = "2024-07-10T00:00:00Z,10,12,9,11,5\n"
MIDNIGHT = pd.Timestamp("2024-07-10T00:00Z")


def write(folder: Path, text: str, name: str = "ohlcv_1h/BTCUSDT.csv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_a_folder_is_read_hourly_first_and_by_symbol(tmp_path: Path) -> None:
    for name in (
        "ohlcv_1d/SPY.parquet",
        "ohlcv_1h/SPY.csv.gz",
        "ohlcv_1h/AAPL.csv",
        "ohlcv_1h/notes.txt",
        "MANIFEST.csv",
    ):
        write(tmp_path, HEADER, name)

    assert [(file.interval, file.symbol) for file in bar_files(tmp_path)] == [
        ("1h", "AAPL"),
        ("1h", "SPY"),
        ("1d", "SPY"),
    ]


def test_a_folder_without_bars_says_what_is_looked_for(tmp_path: Path) -> None:
    with pytest.raises(BarsUnreadable, match=r"holds no bars; they are looked for as ohlcv_1h/SYMBOL\.csv\.gz"):
        bar_files(tmp_path)


def test_two_files_of_one_series_are_refused(tmp_path: Path) -> None:
    write(tmp_path, HEADER, "ohlcv_1h/SPY.csv")
    write(tmp_path, HEADER, "ohlcv_1h/SPY.csv.gz")

    with pytest.raises(BarsUnreadable, match="several 1h files of SPY"):
        bar_files(tmp_path)


@pytest.mark.parametrize("name", ["ohlcv_1h/BTCUSDT.csv", "ohlcv_1h/BTCUSDT.csv.gz"])
def test_a_plain_and_a_compressed_file_hold_the_same(tmp_path: Path, name: str) -> None:
    frame, findings = read_bar_file(write(tmp_path, HEADER + ROW, name))

    assert findings == ()
    assert list(frame.columns) == list(COLUMNS)
    assert frame.iloc[0].tolist() == [MIDNIGHT, 10.0, 12.0, 9.0, 11.0, 5.0]
    assert str(frame["ts"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize(
    "ts",
    [
        "2024-07-10T00:00:00Z",
        "2024-07-10 00:00:00",
        "2024-07-10T02:00:00+02:00",
        "1720569600",
        "1720569600000",
        "1720569600000000",  # Binance's archives since 2025
    ],
)
def test_an_instant_may_be_written_in_many_ways(tmp_path: Path, ts: str) -> None:
    frame, findings = read_bar_file(write(tmp_path, HEADER + f"{ts},10,12,9,11,5\n"))

    assert (frame["ts"].tolist(), findings) == ([MIDNIGHT], ())


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    frame, _ = read_bar_file(write(tmp_path, "volume,x,ts,close,low,high,open\n5,?,2024-07-10T00:00:00Z,11,9,12,10\n"))

    assert frame.iloc[0].tolist() == [MIDNIGHT, 10.0, 12.0, 9.0, 11.0, 5.0]


def test_rows_that_cannot_be_read_are_counted_and_the_others_kept(tmp_path: Path) -> None:
    bad = [
        "2024-07-10T01:00:00Z,abc,12,9,11,5\n",
        "2024-07-10T02:00:00Z,10,12,9\n",  # torn
        "yesterday,10,12,9,11,5\n",
        "2024-07-10T03:00:00Z,,12,9,11,5\n",
    ]

    frame, (finding,) = read_bar_file(write(tmp_path, HEADER + ROW + "".join(bad) + ROW.replace("T00", "T04")))

    assert [hour.hour for hour in frame["ts"]] == [0, 4]
    assert (finding.rule, finding.count) == ("unparsable", 4)
    assert finding.first == "4 instead of 6 fields in '2024-07-10T02:00:00Z,10,12,9'"


def test_a_number_that_says_it_is_none_is_left_to_validation(tmp_path: Path) -> None:
    frame, findings = read_bar_file(write(tmp_path, HEADER + "2024-07-10T00:00:00Z,nan,12,9,inf,5\n"))

    assert (len(frame), findings) == (1, ())
    assert frame["open"].isna().all()


@pytest.mark.parametrize("form", ["aware", "naive", "milliseconds", "new_york", "text", "epoch"])
def test_parquet_may_hold_instants_of_any_type(tmp_path: Path, form: str) -> None:
    frame, _ = read_bar_file(write(tmp_path, HEADER + ROW))
    ts = {
        "aware": frame["ts"],
        "naive": frame["ts"].dt.tz_localize(None),
        "milliseconds": frame["ts"].dt.as_unit("ms"),
        "new_york": frame["ts"].dt.tz_convert("America/New_York"),
        "text": frame["ts"].astype(str),
        "epoch": frame["ts"].dt.as_unit("ms").astype("int64"),
    }[form]
    path = tmp_path / "BTCUSDT.parquet"
    frame.assign(ts=ts).to_parquet(path)

    again, findings = read_bar_file(path)

    assert findings == ()
    pd.testing.assert_frame_equal(again, frame)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "cannot be read"),
        ("a.csv", b"ts,open\n1,2\n", "lacks the column high, low, close, volume; it has ts, open"),
        ("a.csv", b"<html>\n429 Too Many Requests\n</html>", "lacks the column"),
        ("a.csv", b"\xff\xfe\x00\x01" * 99, "cannot be read"),
        ("a.csv.gz", b"no gzip", "cannot be read"),
        ("a.csv.gz", gzip.compress((HEADER + ROW * 5000).encode())[:200], "replace it by a whole copy"),
        ("a.parquet", b"PAR1", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused_as_a_whole(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(BarsUnreadable) as refused:
        read_bar_file(path)
    assert sentence in str(refused.value)


def test_a_file_without_rows_is_a_file(tmp_path: Path) -> None:
    frame, findings = read_bar_file(write(tmp_path, HEADER))

    assert (len(frame), findings, list(frame.columns)) == (0, (), list(COLUMNS))
