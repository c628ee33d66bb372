"""Make the report of a moment: everything is read as it was known then, so the same moment gives the same report."""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
from sqlalchemy import Connection, Engine, text

from candlecast.clock import utc_now
from candlecast.store.calendar import read_calendar
from candlecast.store.instruments import read_instruments
from candlecast.store.reports import read_judged_days, read_pits, read_shifts, read_signals, read_voids
from jobs.report import five
from jobs.report.cells import BASELINE, alarms, cells_of, with_all_classes
from jobs.report.distribution import pit_cells, reliability_cells, with_all_pits
from jobs.report.markdown import markdown
from jobs.report.pictures import draw_all
from jobs.report.portfolios import KEYS, daily, narrow_only, read_bars, sharpe_cells
from jobs.run import newest_slot, open_run, record_missed_slots
from jobs.verdicts import ALL, groups, judged

VERSION: Final = 2  # 2: reliability at every level, PIT by class, n_eff of every cell
SHIFT_STEPS: Final = (4, 5, 24)  # a few bars and about a day or a week: 1h has 4 and 24, 1d has 5
NO_LIMIT: Final = "SET LOCAL statement_timeout = 0"  # a page's limit; a report may take minutes


@dataclass(frozen=True, slots=True)
class Written:
    """Where a report lies, and what it is about."""

    folder: Path
    n_cells: int
    n_forecast_models: int
    alarms: int


def run_report(engine: Engine, job: str, folder: Path, *, deadline_s: float) -> Written:
    """The weekly run, under its lease: the report as of its slot.

    Raises
    ------
    LeaseHeld : another process is writing it.
    """
    slot = newest_slot(job, utc_now())
    with open_run(engine, job, slot, deadline_s=deadline_s) as run:
        run.details["n_missed"] = record_missed_slots(engine, job, run.slot)
        written = write_report(engine, folder, slot)
        run.details.update(folder=str(written.folder), n_cells=written.n_cells, alarms=written.alarms)
        run.verdict = "ok"
    return written


def write_report(engine: Engine, folder: Path, as_of: datetime) -> Written:
    """Write `folder`/YYYY-MM-DD/{report.json, report.md, *.png} as of that moment."""
    with engine.connect() as conn:
        conn.execute(text(NO_LIMIT))
        report = build(conn, as_of)
    place = folder / f"{as_of:%Y-%m-%d}"
    place.mkdir(parents=True, exist_ok=True)
    pictures = {
        record: draw_all(
            record,
            [cell for cell in report["cells"] if cell["record"] == record],
            [cell for cell in report["pit"] if cell["record"] == record],
            [cell for cell in report["sharpe"] if cell["record"] == record],
            place,
        )
        for record in report["records"]
    }
    (place / "report.json").write_text(json.dumps(report, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    (place / "report.md").write_text(markdown(report, pictures), encoding="utf-8")
    models = {cell["model_name"] for cell in report["cells"] if not cell["model_name"].startswith("baseline-")}
    return Written(place, len(report["cells"]), len(models), len(report["leak_alarms"]))


def build(conn: Connection, as_of: datetime) -> dict[str, Any]:
    """The report as JSON; numbers that are not known are null."""
    days = with_all_classes(read_judged_days(conn, as_of, BASELINE))
    signals = read_signals(conn, as_of)
    calendar = read_calendar(conn, as_of=as_of, since=_first_day(days, as_of))
    events = five.event_days(calendar)
    pits = with_all_pits(read_pits(conn, as_of))
    bars = read_bars(conn, signals, as_of)
    class_of = {one.symbol: one.asset_class for one in read_instruments(conn)}
    large = five.surprises(calendar)
    shifts = read_shifts(conn, pd.to_datetime(large["released_at"], unit="s").to_numpy(), SHIFT_STEPS, as_of)
    narrow = narrow_only(signals)
    portfolios = {key: daily(group, bars) for key, group in groups(narrow, KEYS)}
    beside = {
        name: days if name == BASELINE else with_all_classes(read_judged_days(conn, as_of, name))
        for name in sorted({str(name) for name in days["model_name"] if str(name).startswith("baseline-")})
    }
    singles = sorted({str(name) for name in days["model_name"]} - {five.ENSEMBLE})
    has_base = five.BASE_MODEL in set(days["model_name"]) and five.EVENT_MODEL in set(days["model_name"])
    beside_base = with_all_classes(read_judged_days(conn, as_of, five.BASE_MODEL)) if has_base else days.iloc[:0]
    return {
        "version": VERSION,
        "as_of": as_of.isoformat(),
        "records": sorted({str(record) for record in days["record"]}),
        "cells": list(cells_of(days)),
        "verdicts": _verdicts(days, as_of),
        "reliability": reliability_cells(pits),
        "pit": pit_cells(pits),
        "sharpe": sharpe_cells(signals, bars, class_of),
        "leak_alarms": alarms(beside),
        "voids": read_voids(conn, as_of),
        "five_tests": {
            "1 envelope": five.envelope(days, events),
            "2 direction after a surprise": five.direction(shifts, large),
            "3 quiet days": five.quiet_days(beside_base, events),
            "4 narrow bands": {
                "sharpe": sharpe_cells(narrow, bars, class_of),
                "event_against_base": five.against(portfolios, five.EVENT_MODEL, [five.BASE_MODEL], 0.0),
            },
            "5 ensemble": five.against(portfolios, five.ENSEMBLE, singles, five.ENSEMBLE_GAIN),
        },
    }


def _verdicts(days: pd.DataFrame, as_of: datetime) -> list[dict[str, Any]]:
    """What the page would say at that moment: the scorer's own rule on the same days."""
    plain = days[(days["asset_class"] != ALL) & (days["model_name"] != BASELINE)]
    sums = plain.rename(columns={"n_common_crps": "n_pairs", "common_crps": "loss", "base_crps": "base"})
    rows = judged(sums, {}, as_of)
    hidden = ("n_forecasts", "n_symbols", "as_of")
    return [
        {
            name: str(value) if name.endswith("_day") and value else value
            for name, value in row.items()
            if name not in hidden
        }
        for row in rows
    ]


def _first_day(days: pd.DataFrame, as_of: datetime) -> datetime:
    if days.empty:
        return as_of
    return pd.Timestamp(days["day"].iloc[0]).tz_localize("UTC").to_pydatetime()
