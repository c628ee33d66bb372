"""The track record: rows of the view `signal_performance`, filtered by the reader."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import orjson

from gateway.answers import Document, iso
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.cursors import cursor_of, place_of
from gateway.database import Database, Row
from gateway.patience import Patient

Window = Literal["30d", "90d", "all"]
Record = Literal["live", "late", "replay", "synthetic"]

FILTERS: Final = ("symbol", "interval", "model_name", "step", "window", "record")
KEY: Final = ("record", "symbol", "interval", "model_name", "step", "window")  # names a row, and orders them
FIRST: Final = (None,) * len(KEY)  # the place before the first row
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
    query = {**filters, "asset_class": None, **_after(FIRST), "n_rows": MAX_ROWS + 1}
    rows = await database.rows("gateway_performance", **query)
    document = performance_json(filters, rows, MAX_ROWS)
    return Document(orjson.dumps(document), max_age_s=60, fresh_s=60.0)


async def read_performance_page(
    database: Patient, filters: Mapping[str, Any], limit: int, cursor: str | None
) -> tuple[dict[str, Any], str | None]:
    """At most `limit` rows for orjson, and the cursor of the next page; None behind the last.

    Parameters
    ----------
    filters : a value or None for each of FILTERS and `asset_class`

    Raises
    ------
    Problem : 422 for a cursor of another question; 503 while the database cannot be read.
    """
    asked = ["performance", dict(filters)]
    place = place_of(cursor, asked, _key) if cursor is not None else FIRST
    rows = await database.rows("gateway_performance", **filters, **_after(place), n_rows=limit + 1)
    following = cursor_of(asked, [rows[limit - 1][name] for name in KEY]) if len(rows) > limit else None
    page = performance_json(filters, rows, limit)
    return page, following


def performance_json(filters: Mapping[str, Any], rows: Sequence[Row], limit: int) -> dict[str, Any]:
    """The first `limit` rows with what has to be said about them."""
    told = rows[:limit]
    for row in told:
        row["as_of"], row["updated_at"] = iso(utc(row["as_of"])), iso(utc(row["updated_at"]))
    return {
        "filters": dict(filters),
        "n_rows": len(told),
        "truncated": len(rows) > limit,
        "note": NOTE,
        "notice": SYNTHETIC_STORE if any(row["record"] == "synthetic" for row in told) else None,
        "rows": told,
    }


def _after(place: Sequence[Any]) -> dict[str, Any]:
    """The key of the last row before a piece, as the query's parameters."""
    return {f"after_{name}": value for name, value in zip(KEY, place, strict=True)}


def _key(values: list[Any]) -> tuple[Any, ...]:
    """The key of a row in a cursor; raises ValueError."""
    kinds = [int if name == "step" else str for name in KEY]
    fits = [type(value) is kind for value, kind in zip(values, kinds, strict=True)]
    if not all(fits) or not 0 <= values[KEY.index("step")] < 2**31 or any("\0" in str(value) for value in values):
        raise ValueError("no key of a row")
    return tuple(values)
