"""What a report reads, each by one query, as it was known at a moment. Days are datetime64[s] at midnight UTC."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection

from candlecast.store.arrays import Timestamps, fetch_arrays
from candlecast.store.sql import load

CELL: Final = ["interval", "record", "model_name", "asset_class", "step"]


def read_judged_days(conn: Connection, as_of: datetime, baseline: str) -> pd.DataFrame:
    """Sums per `CELL` and day of everything that was judged, and on rows common with `baseline`; see the query."""
    return _frame(conn, "report_days", {"as_of": as_of, "baseline": baseline})


def read_pits(conn: Connection, as_of: datetime) -> pd.DataFrame:
    """Counts n (served) and n_raw per `CELL`, day and twentieth (`bin`, 0 to 19) of the forecast distribution."""
    return _frame(conn, "report_pits", {"as_of": as_of})


def read_signals(conn: Connection, as_of: datetime) -> pd.DataFrame:
    """Direction and width of every judged pair, in order of issue."""
    return _frame(conn, "report_signals", {"as_of": as_of})


def read_shifts(conn: Connection, released_at: Any, steps: Sequence[int], as_of: datetime) -> pd.DataFrame:
    """The median's drift in sigmas before and after each release, per model, instrument and step; NaN without one."""
    parameters = {"released_at": Timestamps(released_at), "steps": list(steps), "as_of": as_of}
    result = conn.execute(load("report_shifts"), parameters)
    columns = list(result.keys())
    return pd.DataFrame([tuple(row) for row in result], columns=columns).astype(
        {"drift_before": float, "drift_after": float}
    )


def read_voids(conn: Connection, as_of: datetime) -> list[dict[str, Any]]:
    """How many pairs were given up, by interval, record, model and reason."""
    return [dict(row) for row in conn.execute(load("report_voids"), {"as_of": as_of}).mappings()]


def _frame(conn: Connection, query: str, parameters: dict[str, object]) -> pd.DataFrame:
    found = fetch_arrays(conn, load(query), parameters)
    if found["interval"] is None:
        return pd.DataFrame({name: [] for name in found})
    frame = pd.DataFrame(found)
    if "day" in frame:
        frame["day"] = frame["day"].astype("datetime64[s]")
    return frame
