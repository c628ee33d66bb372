"""Verdicts on record: the sums that they are judged from, and the table that the page reads."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection, text

from candlecast.store.arrays import fetch_arrays
from candlecast.store.sql import load

DAY_COLUMNS: Final = (
    "interval", "model_name", "record", "asset_class", "step", "day", "n_common", "n_pairs", "loss", "base",
    "band_loss", "band_base",
)  # fmt: skip
SERIES: Final = ["interval", "model_name", "record", "asset_class", "step"]

Behind = dict[tuple[Any, ...], tuple[int, int]]


def read_days(conn: Connection, before: date) -> pd.DataFrame:
    """`DAY_COLUMNS`, one row per day and class on which pairs were judged, of days before `before`, by day."""
    found = fetch_arrays(conn, load("verdict_days"), {"before": before})
    if found["interval"] is None:
        return pd.DataFrame({name: [] for name in DAY_COLUMNS})
    return pd.DataFrame({name: found[name] for name in DAY_COLUMNS})


def read_behind(conn: Connection) -> Behind:
    """How many forecasts of how many instruments both were scored on, by `SERIES`."""
    return {tuple(row[:-2]): (row.n_forecasts, row.n_symbols) for row in conn.execute(load("verdict_series"))}


def write_verdicts(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put `rows`, one per cell, in place of all that were there; readers see either the old or the new ones."""
    # Two scorers (1h and 1d) may come together; the second then judges what the first has added.
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('candlecast.skill_verdicts', 0))"))
    conn.execute(text("DELETE FROM candlecast.skill_verdicts"))
    if rows:
        conn.execute(load("verdict_write"), list(rows))
