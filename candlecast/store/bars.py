"""Bars in the store: written by COPY, corrected without forgetting, read as they were known at a moment.

Arrays: n bars, oldest first. Instants are datetime64[s] in UTC. The SQL files are written for `ohlcv_1h`;
for daily bars the table's name is exchanged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection, TextClause, text

from candlecast.bars import VALUES, Lookback
from candlecast.errors import CandlecastError
from candlecast.store.arrays import EPOCH, fetch_arrays
from candlecast.store.sql import load, read

COPY: Final = (
    "COPY pg_temp.incoming_bars (symbol, ts, closed_at, open, high, low, close, volume, state) "
    "FROM STDIN (FORMAT binary)"
)
HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"


class UnknownSymbol(CandlecastError):
    """Bars were to be stored for a symbol that the table of instruments does not have."""

    def __init__(self, symbols: Sequence[str]) -> None:
        super().__init__(
            f"{', '.join(symbols)} is not in the table of instruments; add it to the instruments file, "
            "run `candlecast db upgrade`, and import again"
        )
        self.symbols = tuple(symbols)


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did to the stored bars."""

    inserted: int = 0
    unchanged: int = 0
    revised: int = 0

    def __add__(self, other: "ImportCounts") -> "ImportCounts":
        return ImportCounts(
            self.inserted + other.inserted, self.unchanged + other.unchanged, self.revised + other.revised
        )


@dataclass(frozen=True, slots=True)
class NewestBar:
    """The newest stored bar of an instrument."""

    opened_at: datetime
    closed_at: datetime
    synthetic: bool


def copy_bars(
    conn: Connection,
    symbol: str,
    interval: str,
    frame: pd.DataFrame,
    *,
    source: str,
    first_seen: Literal["close", "now"],
) -> ImportCounts:
    """Store the bars of one symbol; see `copy_many`."""
    return copy_many(conn, interval, {symbol: frame}, source=source, first_seen=first_seen)[symbol]


def copy_many(
    conn: Connection,
    interval: str,
    frames: Mapping[str, pd.DataFrame],
    *,
    source: str,
    first_seen: Literal["close", "now"],
) -> dict[str, ImportCounts]:
    """Store validated bars of many symbols with a constant number of statements, inside the caller's transaction.

    A bar that is there with the same numbers is left alone, one with other numbers is corrected and its old
    numbers are kept in ohlcv_revisions. Importing twice is importing once.

    Parameters
    ----------
    frames : by symbol, as `candlecast.bars.validate` returns them
    source : where they come from; `synthetic` marks generated bars for good
    first_seen : `close` for an archive, whose bars count as known when they closed; `now` for bars as they arrive

    Raises
    ------
    UnknownSymbol : a symbol is not in the table of instruments; nothing is written.
    """
    locked = conn.execute(load("bars_lock"), {"symbols": list(frames)}).all()
    unknown = sorted(frames.keys() - {row.symbol for row in locked})
    if unknown:
        raise UnknownSymbol(unknown)
    if not frames:
        return {}

    fresh, corrected, counts = _compare(conn, interval, frames)
    if corrected:
        _stage(conn, corrected)
        conn.execute(_statement("bars_revise", interval), {"interval": interval, "source": source})
    if fresh:
        _stage(conn, fresh)
        seen_at = max(row.locked_at for row in locked) if first_seen == "now" else None
        conn.execute(_statement("bars_insert", interval), {"source": source, "seen_at": seen_at})
    return counts


def read_lookbacks(
    conn: Connection, symbols: Sequence[str], interval: str, as_of: datetime, n_bars: int
) -> dict[str, Lookback]:
    """The newest `n_bars` of each symbol as they were known at `as_of`, in one query; symbols without bars are absent.

    A bar is known once it had closed and settled and had been seen by then. Values are those of that moment:
    a correction that came later changes nothing.
    """
    found = fetch_arrays(
        conn,
        _statement("bars_lookbacks", interval),
        {"symbols": list(symbols), "interval": interval, "as_of": as_of, "n_bars": n_bars},
    )
    if found["place"] is None:
        return {}
    ohlcv = np.column_stack([found[name] for name in VALUES])
    return {
        symbols[place]: Lookback(
            symbols[place],
            ohlcv[rows],
            found["opened_at"][rows].astype("datetime64[s]"),
            found["closed_at"][rows].astype("datetime64[s]"),
            bool(found["synthetic"][rows].any()),
            feed,
        )
        for (place, rows), feed in zip(_by_place(found["place"]), found["feed"], strict=True)
    }


def read_closes(
    conn: Connection, symbols: Sequence[str], interval: str, since: datetime, as_of: datetime
) -> dict[str, tuple[NDArray[np.datetime64], NDArray[np.float64]]]:
    """(closed_at [n], close [n]) of each symbol's bars that closed after `since`, as known at `as_of`, in one query."""
    found = fetch_arrays(
        conn,
        _statement("bars_closes", interval),
        {"symbols": list(symbols), "interval": interval, "since": since, "as_of": as_of},
    )
    if found["place"] is None:
        return {}
    return {
        symbols[place]: (found["closed_at"][rows].astype("datetime64[s]"), found["close"][rows])
        for place, rows in _by_place(found["place"])
    }


def newest_bars(conn: Connection, interval: str) -> dict[str, NewestBar]:
    """The newest stored bar of every instrument that has one."""
    rows = conn.execute(_statement("bars_newest", interval)).all()
    return {
        row.symbol: NewestBar(row.opened_at.astimezone(UTC), row.closed_at.astimezone(UTC), row.synthetic)
        for row in rows
    }


def newest_close(conn: Connection, interval: str, *, symbol: str | None = None) -> datetime | None:
    """When the newest stored bar closed, of `symbol` or of all; None where there is none."""
    closes = {name: bar.closed_at for name, bar in newest_bars(conn, interval).items()}
    return closes.get(symbol) if symbol is not None else max(closes.values(), default=None)


@cache
def _statement(name: str, interval: str) -> TextClause:
    if interval not in ("1h", "1d"):
        raise ValueError(f"there is no table of {interval!r} bars; intervals are 1h and 1d")
    return text(read(f"queries/{name}").replace("ohlcv_1h", f"ohlcv_{interval}"))


def _compare(
    conn: Connection, interval: str, frames: Mapping[str, pd.DataFrame]
) -> tuple[dict[str, pd.DataFrame], dict[str, pd.DataFrame], dict[str, ImportCounts]]:
    """(bars that are not stored, bars stored with other numbers, counts), by symbol; symbols without any left out."""
    asked = [symbol for symbol, frame in frames.items() if len(frame)]
    found = fetch_arrays(
        conn,
        _statement("bars_stored", interval),
        {
            "symbols": asked,
            "firsts": [frames[symbol]["ts"].iloc[0].to_pydatetime() for symbol in asked],
            "lasts": [frames[symbol]["ts"].iloc[-1].to_pydatetime() for symbol in asked],
        },
    )
    places = {} if found["place"] is None else {asked[place]: rows for place, rows in _by_place(found["place"])}
    fresh, corrected, counts = {}, {}, {}
    for symbol, frame in frames.items():
        stored = places.get(symbol)
        if stored is None:
            is_new = np.ones(len(frame), dtype=bool)
            is_other = ~is_new
        else:
            ts, stored_ts = _instants(frame["ts"]), found["ts"][stored]
            at = np.minimum(np.searchsorted(stored_ts, ts), stored_ts.size - 1)
            is_new = stored_ts[at] != ts
            differs = [found[name][stored][at] != frame[name].to_numpy() for name in VALUES]
            is_other = ~is_new & np.logical_or.reduce(differs)
        counts[symbol] = ImportCounts(int(is_new.sum()), int((~is_new & ~is_other).sum()), int(is_other.sum()))
        fresh[symbol], corrected[symbol] = frame[is_new], frame[is_other]
    return _not_empty(fresh), _not_empty(corrected), counts


def _not_empty(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    return {symbol: frame for symbol, frame in frames.items() if len(frame)}


def _stage(conn: Connection, frames: Mapping[str, pd.DataFrame]) -> None:
    conn.execute(load("bars_stage"))
    conn.exec_driver_sql("TRUNCATE pg_temp.incoming_bars")
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    with driver.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(HEADER)
        for symbol, frame in frames.items():
            for state, rows in frame.groupby("state", sort=False):
                copy.write(_records(symbol, str(state), rows))
        copy.write(TRAILER)


def _by_place(place: NDArray[np.int32]) -> list[tuple[int, slice]]:
    """(position in the list asked for, its stretch of rows), from the rising 1-based `place` of every row."""
    first = np.flatnonzero(np.diff(place, prepend=0))
    ends = [*first[1:].tolist(), place.size]
    return [(int(place[start]) - 1, slice(start, end)) for start, end in zip(first.tolist(), ends, strict=True)]


def _records(symbol: str, state: str, frame: pd.DataFrame) -> bytes:
    """The rows in the binary form of COPY: every field is its length and its bytes, numbers big-endian.

    Symbol and state are the same in all rows, so all rows have one length and numpy writes them at once.
    """
    texts = {"symbol": symbol.encode(), "state": state.encode()}
    numbers = dict.fromkeys(("ts", "closed_at"), ">i8") | dict.fromkeys(VALUES, ">f8")
    layout: list[tuple[str, Any]] = [("n_fields", ">i2")]
    for name in ("symbol", *numbers, "state"):
        layout += [(f"{name}_size", ">i4"), (name, numbers.get(name, f"S{len(texts.get(name, b''))}"))]
    rows = np.empty(len(frame), dtype=layout)
    rows["n_fields"] = len(texts) + len(numbers)
    for name, value in texts.items():
        rows[f"{name}_size"], rows[name] = len(value), value
    for name in numbers:
        rows[f"{name}_size"] = 8
        if isinstance(frame[name].dtype, pd.DatetimeTZDtype):
            rows[name] = (_instants(frame[name]) - EPOCH).astype(np.int64)
        else:
            rows[name] = frame[name].to_numpy(dtype=np.float64)
    return rows.tobytes()


def _instants(column: "pd.Series[pd.Timestamp]") -> NDArray[np.datetime64]:
    return column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")
