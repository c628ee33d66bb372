"""The track record: rows of the view `signal_performance`, filtered by the reader."""

from typing import Any, Final, Literal

import orjson

from gateway.answers import Document, iso
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.database import Database

Window = Literal["30d", "90d", "all"]
Record = Literal["live", "late", "replay", "synthetic"]

FILTERS: Final = ("symbol", "interval", "model_name", "step", "window", "record")
MAX_ROWS: Final = 2000

NOTE: Final = (
    "Losses and width are means in sigmas at issue. coverage, below, above, interval_score and width are of the band "
    "that was served, raw_ of the one that the model gave; pinball, crps and brier are the model's, calibrated_ those "
    "of what was served. Forecasts of overlapping horizons are not independent: n of them are worth n_eff. skill "
    "compares with baseline-rw on the same rows, 0 means no better. Records are never mixed: only `live` was issued "
    "before the outcome."
)


def performance_key(**filters: str | int | None) -> tuple[str, ...]:
    """The cache key of a filter; "" stands for no filter."""
    return ("performance", *("" if filters.get(name) is None else str(filters[name]) for name in FILTERS))


async def read_performance(database: Database, key: tuple[str, ...]) -> Document:
    """The rows that a key of `performance_key` selects, `MAX_ROWS` at most."""
    filters: dict[str, Any] = {name: text or None for name, text in zip(FILTERS, key[1:], strict=True)}
    filters["step"] = int(filters["step"]) if filters["step"] else None
    rows = await database.rows("gateway_performance", **filters, max_rows=MAX_ROWS + 1)
    for row in rows:
        row["as_of"], row["updated_at"] = iso(utc(row["as_of"])), iso(utc(row["updated_at"]))
    document = {
        "filters": filters,
        "n_rows": min(len(rows), MAX_ROWS),
        "truncated": len(rows) > MAX_ROWS,
        "note": NOTE,
        "notice": SYNTHETIC_STORE if any(row["record"] == "synthetic" for row in rows) else None,
        "rows": rows[:MAX_ROWS],
    }
    return Document(orjson.dumps(document), max_age_s=60, fresh_s=60.0)
