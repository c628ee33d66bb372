"""The economic calendar in the store: vintages are added, never edited, and read as they were known at a moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from candlecast.calendar import COLUMNS, NUMBERS, CalendarColumnsMissing, vintages
from candlecast.store.arrays import fetch_arrays
from candlecast.store.sql import load

# How far before the first bar a surprise's σ reaches: 20 monthly releases and room for a government that was shut.
SURPRISES_BACK: Final = timedelta(days=3 * 365)
CHUNK: Final = 20_000  # vintages a statement


@dataclass(frozen=True, slots=True)
class CalendarCounts:
    """What an import did to the stored calendar.

    inserted : vintages that said something new
    unchanged : vintages that repeat what was known before them
    conflicting : vintages that contradict a stored one of the same entry and moment; the stored one stays
    """

    inserted: int = 0
    unchanged: int = 0
    conflicting: int = 0

    def __add__(self, other: "CalendarCounts") -> "CalendarCounts":
        return CalendarCounts(
            self.inserted + other.inserted, self.unchanged + other.unchanged, self.conflicting + other.conflicting
        )


def upsert_entries(conn: Connection, frame: pd.DataFrame) -> CalendarCounts:
    """Add the vintages of `frame` (columns `candlecast.calendar.COLUMNS`) that say something new.

    Inside the caller's transaction; importing twice is importing once.

    Raises
    ------
    CalendarColumnsMissing : the frame lacks columns; nothing is written.
    """
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise CalendarColumnsMissing(missing, frame.columns)
    ordered = frame.sort_values(["entry_id", "known_at"], kind="stable")
    counts = CalendarCounts()
    for start in range(0, len(ordered), CHUNK):
        chunk = ordered.iloc[start : start + CHUNK]
        row = conn.execute(load("calendar_insert"), {column: _values(chunk[column]) for column in COLUMNS}).one()
        conflicting = len(chunk) - row.n_inserted - row.n_unchanged
        counts += CalendarCounts(row.n_inserted, row.n_unchanged, conflicting)
    return counts


def read_calendar(conn: Connection, *, as_of: datetime, since: datetime) -> pd.DataFrame:
    """The vintages known by `as_of` that the events of bars from `since` on need, in one query.

    `since` is the opening of the oldest bar that will be encoded. The required 30 days before now are the least
    for an hourly lookback; a daily one reaches back for years, and surprises are measured by 20 releases
    before its first bar, so CPI and payrolls are read from three years earlier. The published texts are not read.
    """
    parameters = {"as_of": as_of, "since": since, "surprises_since": since - SURPRISES_BACK}
    columns = fetch_arrays(conn, load("calendar_as_of"), parameters)
    if columns["entry_id"] is None:
        return vintages([])
    frame = pd.DataFrame({name: values for name, values in columns.items() if name not in ("known_at", "ts")})
    for name in ("known_at", "ts"):
        frame[name] = pd.DatetimeIndex(columns[name]).tz_localize("UTC")
    return frame


def _values(column: pd.Series) -> list[object]:
    """One column as the driver wants it: None for what is not there."""
    if column.name in NUMBERS:
        numbers = column.to_numpy(dtype=np.float64)
        return [float(one) if np.isfinite(one) else None for one in numbers]
    if column.name in ("known_at", "ts"):
        return [one.to_pydatetime() for one in column]
    return [None if one is None or one != one else one for one in column]
