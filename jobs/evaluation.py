"""Evaluate every record for the page: the report's numbers, one document per record and interval, stored to be served.

The numbers are those of `jobs.report.build`, so that page and report cannot differ; here they are only put in order.
"""

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine, text

from candlecast.clock import utc_now
from candlecast.store.evaluations import Evaluation, replace_evaluations
from jobs.report.build import NO_LIMIT, build
from jobs.run import newest_slot, open_run, record_missed_slots
from jobs.verdicts import ALL, ASSET_CLASSES

JOB: Final = "evaluate-daily"
DIGITS: Final = 6  # significant ones of every number: more than any sample here can tell

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an evaluation is about: each (record, interval), the number of cells, and how long it took."""

    as_of: datetime
    records: list[tuple[str, str]]
    n_cells: int
    n_alarms: int
    seconds: float

    def facts(self) -> Json:
        """The same by name."""
        return asdict(self)


def run_evaluation(engine: Engine, *, as_of: datetime | None = None, deadline_s: float) -> Evaluated:
    """A run of the job under its lease: evaluate as of a moment (now), and put that in place of what was there.

    Raises
    ------
    LeaseHeld : another process is evaluating.
    LeaseLost : another process has taken over; it will write.
    """
    now = utc_now()
    moment = as_of or now
    with open_run(engine, JOB, newest_slot(JOB, now), deadline_s=deadline_s) as run:
        run.details["n_missed"] = record_missed_slots(engine, JOB, run.slot)
        started = time.monotonic()
        with engine.connect() as conn:
            conn.execute(text(NO_LIMIT))
            report = build(conn, moment)
        evaluations = list(evaluations_of(report, moment))
        with engine.begin() as conn:
            replace_evaluations(conn, evaluations, run.fence)
        found = Evaluated(
            as_of=moment,
            records=[(one.record, one.interval) for one in evaluations],
            n_cells=len(report["cells"]),
            n_alarms=len(report["leak_alarms"]),
            seconds=round(time.monotonic() - started, 3),
        )
        run.details.update(found.facts() | {"as_of": moment.isoformat()})
        run.verdict = "ok"
    return found


def evaluations_of(report: Json, as_of: datetime) -> Iterator[Evaluation]:
    """One for each record and interval that has cells."""
    for record, interval in sorted({(cell["record"], cell["interval"]) for cell in report["cells"]}):
        document = document_of(report, record, interval)
        body = json.dumps(_rounded(document), separators=(",", ":"), allow_nan=False)
        yield Evaluation(record, interval, as_of, len(document["models"]), body)


def document_of(report: Json, record: str, interval: str) -> Json:
    """What the report tells of one record and interval: the body of /showcase/evaluation, without what is served
    beside it (what else there is, and the verdicts)."""

    def mine(rows: Sequence[Json]) -> list[Json]:
        return [row for row in rows if (row["record"], row["interval"]) == (record, interval)]

    cells = mine(report["cells"])
    five = report["five_tests"]
    narrow = five["4 narrow bands"]
    return {
        "as_of": report["as_of"].replace("+00:00", "Z"),
        "record": record,
        "interval": interval,
        "models": sorted({cell["model_name"] for cell in cells}, key=lambda name: (name.startswith("baseline-"), name)),
        "classes": [name for name in (ALL, *ASSET_CLASSES) if any(cell["asset_class"] == name for cell in cells)],
        "steps": sorted({cell["step"] for cell in cells}),
        "cells": cells,
        "reliability": [
            _place(cell) | {"points": cell["served"], "raw_points": cell["raw"]} for cell in mine(report["reliability"])
        ],
        "pit": [_pit(cell) for cell in mine(report["pit"])],
        "sharpe": mine(report["sharpe"]),
        "five_tests": {
            name: {part: mine(rows) for part, rows in narrow.items()} if rows is narrow else mine(rows)
            for name, rows in five.items()
        },
        "voids": mine(report["voids"]),
        "leak_alarms": mine(report["leak_alarms"]),
    }


def _place(cell: Json) -> Json:
    return {name: cell[name] for name in ("model_name", "asset_class", "step", "n", "n_days", "n_eff")}


def _pit(cell: Json) -> Json:
    """The histogram of what was served, beside it the shares of what the model gave; p_value is that of KS."""
    served, raw = cell["served"], cell["raw"]
    return _place(cell) | {
        "shares": served["shares"],
        "low": served["low"],
        "high": served["high"],
        "p_value": served["ks_p"],
        "ks": served["ks"],
        "cvm": served["cvm"],
        "cvm_p": served["cvm_p"],
        "raw_shares": raw["shares"],
        "raw_p_value": raw["ks_p"],
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
