"""The forecasts on record of one instrument, page by page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import orjson

from gateway.answers import iso
from gateway.content.shelf import notice, utc
from gateway.cursors import cursor_of, place_of
from gateway.database import Row
from gateway.parameters import MODEL
from gateway.patience import Patient

MAX_CHAINS: Final = 1000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NOTE: Final = (
    "Newest issue time first. p10, p50 and p90 are what was served. With as_of only forecasts recorded by then, so the "
    "answer about a past moment stays the same; without it the pages that follow one another tell what was on record "
    "when the first one was read. Follow `next` for more."
)


@dataclass(frozen=True, slots=True)
class HistoryQuestion:
    """Which forecasts: those issued from `since` on and before `until`, recorded by `as_of`; None is no filter."""

    symbol: str
    interval: str
    model_name: str | None
    as_of: datetime | None
    since: datetime | None
    until: datetime | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which forecast a page begins, and how long the chains were when the first page was read.

    issued_at, recorded_at, prediction_id : of the last forecast told, None on the first page
    """

    lengths: Mapping[str, int]
    issued_at: datetime | None = None
    recorded_at: datetime | None = None
    prediction_id: UUID | None = None

    @classmethod
    def read(cls, values: list[Any]) -> "Place":
        """The place in a cursor; raises ValueError, TypeError or OverflowError."""
        lengths, issued_us, recorded_us, prediction_id = values
        if not all(re.fullmatch(MODEL, name) and type(length) is int for name, length in lengths.items()):
            raise ValueError("no lengths of chains")
        if len(lengths) > MAX_CHAINS or not all(0 <= length < 2**63 for length in lengths.values()):
            raise ValueError("no lengths of chains that there can be")
        return cls(lengths, instant(issued_us), instant(recorded_us), UUID(prediction_id))

    def values(self) -> list[object]:
        """What `read` reads."""
        assert self.issued_at is not None
        assert self.recorded_at is not None
        return [dict(self.lengths), micros(self.issued_at), micros(self.recorded_at), str(self.prediction_id)]


async def read_history(
    database: Patient, question: HistoryQuestion, limit: int, cursor: str | None
) -> tuple[dict[str, Any], str | None]:
    """A page of at most `limit` forecasts, for orjson, and the cursor of the next page; None behind the last.

    Raises
    ------
    Problem : 422 for a cursor of another question; 503 while the database cannot be read.
    """
    asked = ["history", *(value.isoformat() if isinstance(value, datetime) else value for value in plain(question))]
    if cursor is not None:
        place = place_of(cursor, asked, Place.read)
    else:
        chains = await database.rows("gateway_lengths", interval=question.interval, model_name=question.model_name)
        place = Place({chain["model_name"]: chain["chain_seq"] for chain in chains})
    rows = await database.rows(
        "gateway_history",
        **asdict(question),
        model_names=list(place.lengths),
        lengths=list(place.lengths.values()),
        place_issued_at=place.issued_at,
        place_recorded_at=place.recorded_at,
        place_id=place.prediction_id,
        n_rows=limit + 1,
    )
    told = rows[:limit]
    following = None
    if len(rows) > limit:
        last = told[-1]
        behind = Place(place.lengths, utc(last["issued_at"]), utc(last["recorded_at"]), last["prediction_id"])
        following = cursor_of(asked, behind.values())
    filters = {name: iso(value) if isinstance(value, datetime) else value for name, value in asdict(question).items()}
    page = {
        "symbol": question.symbol,
        "interval": question.interval,
        "filters": {name: filters[name] for name in ("model_name", "as_of", "since", "until", "status")},
        "note": NOTE,
        "n_forecasts": len(told),
        "forecasts": [item_json(question.symbol, question.interval, row) for row in told],
    }
    return page, following


def item_json(symbol: str, interval: str, row: Row) -> dict[str, Any]:
    """A row of `gateway_history` as it is told."""
    return {
        "prediction_id": str(row["prediction_id"]),
        "symbol": symbol,
        "interval": interval,
        "model_name": row["model_name"],
        "model_version": row["model_version"],
        "issued_at": iso(utc(row["issued_at"])),
        "generated_at": iso(utc(row["recorded_at"])),
        "status": row["status"],
        "synthetic": row["synthetic"],
        "notice": notice(row["synthetic"], row["status"]),
        "horizon": row["horizon"],
        "last_close": row["last_close"],
        "scale": row["scale"],
        "n_paths": row["n_paths"],
        "corrected": row["corrected"],
        **{name: orjson.Fragment(row[name]) for name in ("target_at", "p10", "p50", "p90")},
        "href": f"/v1/predictions/by-id/{row['prediction_id']}",
    }


def plain(question: HistoryQuestion) -> Sequence[object]:
    """The values of a question, in order, instants in UTC."""
    values = (getattr(question, name) for name in HistoryQuestion.__slots__)
    return [value.astimezone(UTC) if isinstance(value, datetime) else value for value in values]


def micros(moment: datetime) -> int:
    """Microseconds since 1970: every instant that the database holds, exactly."""
    since = moment - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def instant(microseconds: int) -> datetime:
    """The instant of `micros`; raises TypeError, OverflowError or ValueError."""
    if not isinstance(microseconds, int):
        raise TypeError("no instant")
    return EPOCH + timedelta(microseconds=microseconds)
