"""Bars from a folder of files `ohlcv_1h/SYMBOL.csv.gz`, `ohlcv_1d/SYMBOL.parquet` and so on.

The columns are ts,open,high,low,close,volume. `ts` is the opening instant: ISO 8601 (without a zone it is UTC) or an
epoch in seconds, milliseconds or microseconds, told apart by their size. Rows that cannot be read are counted and
left out; a file that cannot be read at all raises.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from candlecast.bars import COLUMNS, VALUES, BarsUnreadable, Finding
from candlecast.clock import INTERVALS

SUFFIXES: Final = (".csv.gz", ".csv", ".parquet")
LAYOUT: Final = "ohlcv_1h/SYMBOL.csv.gz and ohlcv_1d/SYMBOL.csv.gz (or .csv, .parquet)"
UTC_INSTANT: Final = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class BarFile:
    """One file of the layout."""

    path: Path
    symbol: str
    interval: str


def bar_files(folder: Path) -> tuple[BarFile, ...]:
    """The files of the layout in `folder`, hourly first, by symbol.

    Raises
    ------
    BarsUnreadable : there are none, or one symbol has two files for an interval.
    """
    found: list[BarFile] = []
    for interval in INTERVALS:
        for path in sorted((folder / f"ohlcv_{interval}").glob("*")):
            suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
            if suffix and path.is_file():
                found.append(BarFile(path, path.name.removesuffix(suffix), interval))
    if not found:
        raise BarsUnreadable(f"{folder} holds no bars; they are looked for as {LAYOUT}")
    twice = [key for key, count in Counter((file.interval, file.symbol) for file in found).items() if count > 1]
    if twice:
        interval, symbol = twice[0]
        raise BarsUnreadable(f"{folder} has several {interval} files of {symbol}; keep one of them")
    return tuple(found)


def read_bar_file(path: Path) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """The file's rows as a frame of bars, unvalidated, and what was left out because it could not be read.

    Raises
    ------
    BarsUnreadable : not the format that its name says, truncated, empty, or without one of the columns.
    """
    try:
        if path.name.endswith(".parquet"):
            return _from_columns(_parquet(path), [])
        return _csv(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise BarsUnreadable(f"{path} cannot be read: {reason}; replace it by a whole copy") from error


def _csv(path: Path) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    try:
        table = _read_csv(path, {"ts": UTC_INSTANT} | dict.fromkeys(VALUES, pa.float64()))
        if not any(column.null_count for column in table.columns):
            return _frame(table), ()
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            raise
    # Something in the file is no instant or no number: read it as text and judge every cell.
    torn: list[str] = []
    table = _read_csv(path, dict.fromkeys(COLUMNS, pa.string()), torn)
    texts = {name: np.asarray(table[name].to_pylist(), dtype=object) for name in COLUMNS}
    return _from_columns(texts, torn)


def _read_csv(path: Path, types: dict[str, pa.DataType], torn: list[str] | None = None) -> pa.Table:
    def skip(row: Any) -> str:
        if torn is None:
            return "error"
        torn.append(f"{row.actual_columns} instead of {row.expected_columns} fields in {row.text[:80]!r}")
        return "skip"

    table = pa_csv.read_csv(
        path,
        read_options=pa_csv.ReadOptions(use_threads=torn is None),
        parse_options=pa_csv.ParseOptions(invalid_row_handler=skip),
        convert_options=pa_csv.ConvertOptions(column_types=types, strings_can_be_null=False),
    )
    _require_columns(table.column_names, path)
    return table.select(list(COLUMNS))


def _parquet(path: Path) -> dict[str, Any]:
    _require_columns(pa_parquet.read_schema(path).names, path)
    table = pa_parquet.read_table(path, columns=list(COLUMNS))
    return {name: table[name].to_pandas() for name in COLUMNS}


def _require_columns(names: list[str], path: Path) -> None:
    lacking = [column for column in COLUMNS if column not in names]
    if lacking:
        raise BarsUnreadable(
            f"{path} lacks the column {', '.join(lacking)}; it has {', '.join(names)[:80]}, "
            f"and bars have {', '.join(COLUMNS)}"
        )


def _frame(table: pa.Table) -> pd.DataFrame:
    frame = pd.DataFrame({name: table[name].to_numpy() for name in VALUES})
    frame.insert(0, "ts", pd.DatetimeIndex(table["ts"].to_numpy().astype("datetime64[us]"), tz="UTC"))
    return frame


def _from_columns(columns: dict[str, Any], torn: list[str]) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """A frame of bars from columns of any type, without the rows in which a cell is no instant or no number.

    A number that is written down as not being one (`nan`, `inf`) is readable: validation speaks about it.
    """
    ts, bad = _to_instants(pd.Series(columns["ts"]))
    values = {}
    for name in VALUES:
        given = pd.Series(columns[name])
        number = pd.to_numeric(given, errors="coerce")
        if not pd.api.types.is_numeric_dtype(given):
            bad |= number.isna() & (given.astype(str).str.strip().str.lower() != "nan")
        values[name] = number.astype(float)
    frame = pd.DataFrame({"ts": ts, **values})
    examples = torn[:1]
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        cells = ",".join(str(columns[name][first]) for name in COLUMNS)
        examples.append(f"row {first + 1}: {cells[:120]}")
        frame = frame[~bad].reset_index(drop=True)
    n_bad = len(torn) + int(bad.sum())
    return frame, (Finding("unparsable", n_bad, examples[0]),) if n_bad else ()


def _to_instants(ts: "pd.Series[Any]") -> tuple["pd.Series[pd.Timestamp]", "pd.Series[bool]"]:
    if not pd.api.types.is_datetime64_any_dtype(ts):
        epoch = pd.to_numeric(ts, errors="coerce")
        if len(ts) and epoch.notna().mean() > 0.5:  # a column of numbers, perhaps with a few broken cells
            # 1e11 s is the year 5138, 1e11 ms is 1973; 1e14 ms is 5138, 1e14 us is 1973.
            scale = np.select([epoch.abs() < 1e11, epoch.abs() < 1e14], [1_000_000, 1_000], 1)
            micros = (epoch * scale).where((epoch * scale).abs() < 2**62)
            ts = pd.to_datetime(micros.round(), unit="us", utc=True, errors="coerce")
        else:
            ts = pd.to_datetime(ts, format="ISO8601", utc=True, errors="coerce")
    ts = ts.dt.tz_localize("UTC") if ts.dt.tz is None else ts.dt.tz_convert("UTC")
    return ts.dt.as_unit("us"), ts.isna()
