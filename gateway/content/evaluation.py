"""How far the forecasts may be trusted: the numbers that the daily evaluation stored, sent as they are."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import orjson

from gateway.answers import Document, iso
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.content.verdicts import verdict_of
from gateway.database import Database, Row

NOTICES: Final = {
    "late": (
        "These forecasts were recorded after the first bar they speak about had closed; they are judged on the later "
        "ones, and are not part of the live record."
    ),
    "replay": (
        "This record is a replay: the forecasts were made after the fact as of their issue times, and are not part of "
        "the live record."
    ),
    "synthetic": SYNTHETIC_STORE,
}
NOTHING_YET: Final = (
    "Nothing has been evaluated yet. The job evaluate-daily does so once a day and `candlecast evaluate` at once; both "
    "tell of days that are over."
)
# What the page is drawn from when there is nothing to draw.
EMPTY: Final[dict[str, Any]] = {
    "as_of": None,
    "models": [],
    "classes": [],
    "steps": [],
    "cells": [],
    "reliability": [],
    "pit": [],
    "sharpe": [],
    "five_tests": {},
    "voids": [],
    "leak_alarms": [],
}


def evaluation_key(record: str | None, interval: str) -> tuple[str, ...]:
    """The cache key of an evaluation; "" stands for the record that is shown when none is named."""
    return ("evaluation", record or "", interval)


async def read_evaluation(database: Database, key: tuple[str, ...]) -> Document:
    """The body of /showcase/evaluation for a key of `evaluation_key`."""
    _, record, interval = key
    rows = await database.rows("gateway_evaluation", record=record or None, interval=interval)
    verdicts = await database.rows("gateway_verdicts")
    return Document(evaluation_json(rows, verdicts, record or None, interval), max_age_s=60, fresh_s=60.0)


def evaluation_json(rows: Sequence[Row], verdicts: Sequence[Row], record: str | None, interval: str) -> bytes:
    """The stored body with what else there is to choose from, and with the scorer's verdicts of that record.

    The verdicts are those of /showcase/performance/verdicts, which are made anew with every score, so that no page
    says another thing of a model than the others do.
    """
    chosen = next((row for row in rows if row["body"] is not None), None)
    shown = chosen["record"] if chosen is not None else record
    front = {
        "available": [
            {
                "record": row["record"],
                "interval": row["interval"],
                "as_of": iso(utc(row["as_of"])),
                "n_models": row["n_models"],
            }
            for row in rows
        ],
        "notice": NOTICES.get(chosen["record"]) if chosen is not None else _nothing(rows, record, interval),
        "made_at": iso(utc(chosen["made_at"])) if chosen is not None else None,
        "verdicts": [
            asdict(verdict_of(row)) for row in verdicts if (row["record"], row["interval"]) == (shown, interval)
        ],
    }
    if chosen is None:
        return orjson.dumps(front | {"record": record, "interval": interval} | EMPTY)
    body: bytes = chosen["body"].encode()
    return orjson.dumps(front)[:-1] + b"," + body[1:]


def _nothing(rows: Sequence[Row], record: str | None, interval: str) -> str:
    if not rows:
        return NOTHING_YET
    asked = f"{record} record" if record is not None else "record"
    there = ", ".join(f"{row['record']} {row['interval']}" for row in rows)
    return f"There is no evaluation of a {asked} of {interval} forecasts yet; there is one of: {there}."
