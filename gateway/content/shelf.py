"""The newest forecasts of one instrument, one answer per model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from candlecast.freshness import expected_next_at
from gateway.answers import ForecastAnswer, iso
from gateway.database import Database, Row

Key = tuple[str, str]  # symbol, interval

# How long to trust that a known instrument has no forecast yet, and that an overdue one is still missing. The watch
# on the database tells of a new forecast sooner; these bound the damage of a missed change.
NOTHING_YET_S: Final = 30.0
OVERDUE_S: Final = 60.0

SYNTHETIC: Final = (
    "These data are synthetic: the bars behind this forecast were made by a random generator, not by a market."
)
SYNTHETIC_STORE: Final = (
    "These data are synthetic: the bars behind them were made by a random generator, and no score says anything about "
    "a market."
)
REPLAY: Final = (
    "This is a replay: the forecast was made after the fact as of its issue time, and is not part of the live record."
)
LATE: Final = "This forecast was recorded late: after the first bar it speaks about had closed."


def notice(synthetic: bool, status: str) -> str | None:
    """What a reader must know before using a forecast, in plain words; None when there is nothing to say."""
    remarks = [SYNTHETIC] if synthetic else []
    remarks += {"replay": [REPLAY], "late": [LATE]}.get(status, [])
    return " ".join(remarks) or None


@dataclass(frozen=True, slots=True)
class Shelf:
    """The newest forecast of each model for one (symbol, interval); the first is the default. Empty before any run."""

    answers: Mapping[str, ForecastAnswer]

    @property
    def n_bytes(self) -> int:
        """Memory held by all answers, about."""
        return 256 + sum(answer.n_bytes for answer in self.answers.values())

    def fresh_for_s(self) -> float:
        """Seconds until a newer forecast should be there: the first one due, and the grace that its run has."""
        if not self.answers:
            return NOTHING_YET_S
        return min(max(OVERDUE_S, answer.replaced_in_s(time.time())) for answer in self.answers.values())

    def pick(self, model_name: str | None) -> ForecastAnswer | None:
        """The answer of one model, or the default one."""
        if model_name is not None:
            return self.answers.get(model_name)
        return next(iter(self.answers.values()), None)


def answer_of(row: Row) -> ForecastAnswer:
    """A row of `gateway_newest` as an answer with the members that the API promises."""
    issued_at = utc(row["issued_at"])
    target_at = [utc(moment) for moment in row["target_at"]]
    interval = row["interval"]
    fields = {
        "symbol": row["symbol"],
        "interval": interval,
        "model_name": row["model_name"],
        "model_version": row["model_version"],
        "issued_at": iso(issued_at),
        "generated_at": iso(utc(row["recorded_at"])),
        "status": row["status"],
        "synthetic": row["synthetic"],
        "notice": notice(row["synthetic"], row["status"]),
        "horizon": row["horizon"],
        "last_close": row["last_close"],
        "scale": row["scale"],
        "target_at": [iso(moment) for moment in target_at],
        "p10": row["p10"],
        "p50": row["p50"],
        "p90": row["p90"],
        "n_paths": row["n_paths"],
        "seed": str(row["seed"]),  # 63 bits do not fit a JavaScript number
        "prediction_id": str(row["prediction_id"]),
        "event_context": row["event_context"],
    }
    return ForecastAnswer(
        fields,
        interval=interval,
        issued_at=issued_at,
        expected_next_at=expected_next_at(interval, issued_at, target_at, row["settle_s"]),
    )


def utc(moment: datetime) -> datetime:
    """The same instant in UTC; the driver returns instants in the session's time zone."""
    return moment.astimezone(UTC)


def shelves_of(rows: Sequence[Row]) -> dict[Key, Shelf]:
    """Rows of `gateway_newest`, in their order, as one shelf per (symbol, interval)."""
    answers: dict[Key, dict[str, ForecastAnswer]] = {}
    for row in rows:
        answers.setdefault((row["symbol"], row["interval"]), {})[row["model_name"]] = answer_of(row)
    return {key: Shelf(models) for key, models in answers.items()}


async def read_shelves(database: Database, keys: Sequence[Key]) -> dict[Key, Shelf]:
    """The shelves of these keys by one query; a key without any forecast gets an empty one."""
    rows = await database.rows(
        "gateway_newest",
        symbols=[symbol for symbol, _ in keys],
        intervals=[interval for _, interval in keys],
        max_rows=None,
    )
    return dict.fromkeys(keys, Shelf({})) | shelves_of(rows)


async def read_all_shelves(database: Database, max_rows: int) -> dict[Key, Shelf]:
    """Every shelf that there is, by one query; at most `max_rows` forecasts, in the order of symbols."""
    rows = await database.rows("gateway_newest", symbols=None, intervals=None, max_rows=max_rows)
    shelves = shelves_of(rows)
    if len(rows) == max_rows and shelves:
        shelves.popitem()  # the last one may have been cut
    return shelves
