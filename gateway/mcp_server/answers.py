"""What the tools answer, made from the bodies that the routes send: fewer members, the same names and values."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from mcp.server.mcpserver.exceptions import ToolError

from gateway.mcp_server.caveats import DISCLAIMER, caveats_of, caveats_of_list, caveats_of_record, record_of, skill_of
from gateway.mcp_server.explanation import Surroundings, explained, probability_above, surroundings_of
from gateway.mcp_server.reading import Body, Reading, if_known
from gateway.mcp_server.results import (
    CellRow,
    CoverageRow,
    ExplanationResult,
    ListedForecast,
    RecordedForecast,
    ToldVerdict,
)

Verdicts = Sequence[Body] | None

MAX_LISTED: Final = 100
RECORDS: Final = ("live", "late", "replay", "synthetic")
# Steps that the short form tells: they stand for hours and days, not for fractions of a horizon.
TOLD: Final = {"1h": (1, 4, 12, 24, 72, 120), "1d": (1, 5, 10, 20, 60, 120)}
N_TOLD: Final = 6
SHORT: Final = 2000  # bytes of a forecast in its short form
FORECAST: Final = (
    *("symbol", "interval", "model_name", "model_version", "issued_at", "generated_at", "age_seconds"),
    *("expected_next_at", "stale", "stale_reason", "status", "synthetic", "horizon", "last_close", "prediction_id"),
)
REST: Final = ("notice", "scale", "n_paths", "seed", "event_context")
HISTORY: Final = (
    "Newest issue time first. p10, p50 and p90 are what was served. With as_of only forecasts recorded by then, so the "
    "answer about a past moment stays the same. What became of each stands below /v1/predictions/by-id/."
)
LISTS: Final = ("target_at", "p10", "p50", "p90")
EXPLAINED: Final = tuple(name for name in FORECAST if name in ExplanationResult.model_fields)


def instruments(body: Body, asset_class: str | None, search: str | None, verdicts: Verdicts) -> Body:
    """Members of `InstrumentsResult` from the body of /showcase/instruments."""
    wanted = (search or "").casefold()
    chosen = [
        one
        for one in body["instruments"]
        if asset_class in (None, one["asset_class"])
        and (wanted in one["symbol"].casefold() or wanted in one["name"].casefold())
    ]
    listed = [
        {name: one[name] for name in ("symbol", "name", "asset_class", "quote_asset")}
        | {"forecasts": [_only(outline, ListedForecast.model_fields) for outline in one["forecasts"]]}
        for one in chosen[:MAX_LISTED]
    ]
    outlines = [outline for one in listed for outline in one["forecasts"]]
    models = {
        (outline["model_name"], outline["interval"], record_of(outline["status"], outline["synthetic"]))
        for outline in outlines
    }
    caveats = caveats_of_list(outlines)
    if len(chosen) > MAX_LISTED:
        caveats.append(f"{len(chosen) - MAX_LISTED} more are not listed; ask for an asset_class, or search.")
    return {
        "n_instruments": len(chosen),
        "instruments": listed,
        "skill": [skill_of(verdicts, *model) for model in sorted(models)],
        "caveats": caveats,
        "disclaimer": DISCLAIMER,
    }


def forecast(body: Body, verdicts: Verdicts, full: bool) -> Body:
    """Members of `ForecastResult` from the body of /showcase/ml-prediction/{symbol}."""
    if full:
        return _forecast(body, range(1, body["horizon"] + 1), verdicts) | _only(body, REST)
    for n_steps in range(N_TOLD, 1, -1):
        short = _forecast(body, told_steps(body["interval"], body["horizon"], n_steps), verdicts)
        if len(orjson.dumps(short)) <= SHORT:
            break
    return short


def _forecast(body: Body, steps: Sequence[int], verdicts: Verdicts) -> Body:
    return {
        **_only(body, FORECAST),
        "step": list(steps),
        **{name: [body[name][step - 1] for step in steps] for name in LISTS},
        "skill": _skill(body, verdicts),
        "caveats": caveats_of(body),
        "disclaimer": DISCLAIMER,
    }


def told_steps(interval: str, horizon: int, n_steps: int = N_TOLD) -> list[int]:
    """`n_steps` steps of a forecast, or all of a shorter one: the usual ones as far as it goes, and the last."""
    usual = [step for step in TOLD[interval] if step < horizon]
    rest = [step for step in range(1, horizon) if step not in usual]
    return [*sorted([*usual, *rest][: n_steps - 1]), horizon]


def history(body: Body, following: str | None, verdicts: Verdicts) -> Body:
    """Members of `HistoryResult` from a page of /v1/predictions/{symbol} and the cursor of the next."""
    forecasts = [_recorded(one) for one in body["forecasts"]]
    models = {(one["model_name"], body["interval"], record_of(one["status"], one["synthetic"])) for one in forecasts}
    return {
        **_only(body, ("symbol", "interval")),
        **_only(body["filters"], ("model_name", "as_of")),
        "n_forecasts": body["n_forecasts"],
        "forecasts": forecasts,
        "next_cursor": following,
        "note": HISTORY,
        "skill": [skill_of(verdicts, *model) for model in sorted(models)],
        "caveats": caveats_of_record(forecasts),
        "disclaimer": DISCLAIMER,
    }


def _recorded(one: Body) -> Body:
    steps = told_steps(one["interval"], one["horizon"])
    return {
        **_only(one, [name for name in RecordedForecast.model_fields if name not in ("step", *LISTS)]),
        "step": steps,
        **{name: [one[name][step - 1] for step in steps] for name in LISTS},
    }


async def performance_of_one(
    reading: Reading, symbol: str, interval: str, model_name: str | None, record: str | None
) -> Body:
    """Members of `PerformanceResult` for an instrument, from /showcase/performance and its verdicts."""
    body, verdicts = await asyncio.gather(
        reading.performance(symbol=symbol, interval=interval, model_name=model_name, window="all"), reading.verdicts()
    )
    there = {row["record"] for row in body["rows"]}
    chosen = record or _first(there)
    rows = [row for row in body["rows"] if row["record"] == chosen]
    classes = {"all", *(row["asset_class"] for row in rows)}
    return {
        **_told_record(chosen, there, interval),
        "symbol": body["filters"]["symbol"],
        "model_name": model_name,
        "verdicts": _told_verdicts(verdicts, interval, chosen, model_name, classes),
        "cells": [],
        "rows": [_only(row, CoverageRow.model_fields) for row in rows],
        "note": body["note"],
        "disclaimer": DISCLAIMER,
    }


async def performance_of_all(reading: Reading, interval: str, model_name: str | None, record: str | None) -> Body:
    """Members of `PerformanceResult` for all instruments, from the verdicts and /showcase/evaluation."""
    if model_name is not None:
        reading.refuse_unknown(None, model_name)
    verdicts = await reading.verdicts()
    there = {
        verdict["record"]
        for verdict in verdicts
        if verdict["interval"] == interval and model_name in (None, verdict["model_name"])
    }
    chosen = record or _first(there)
    evaluation = await if_known(reading.evaluation(chosen, interval))
    classes = {"all"} if model_name is None else {verdict["asset_class"] for verdict in verdicts}
    told = _told_record(chosen, there, interval)
    cells = evaluation["cells"] if evaluation is not None else []
    if not cells and chosen in there:
        told["caveats"].append("Coverage per step cannot be read at the moment, or was not evaluated yet.")
    return {
        **told,
        "symbol": None,
        "model_name": model_name,
        "verdicts": _told_verdicts(verdicts, interval, chosen, model_name, classes),
        "cells": [
            _told_cell(cell)
            for cell in cells
            if cell["asset_class"] in classes and model_name in (None, cell["model_name"])
        ],
        "rows": [],
        "note": NOTE,
        "disclaimer": DISCLAIMER,
    }


NOTE: Final = (
    "crps_skill is 1 - CRPS / CRPS of baseline-rw on common rows, above 0 is better; coverage is the share of outcomes "
    "inside the 80 % band. Forecasts of overlapping horizons are not independent: n of them are worth n_eff."
)


def _first(there: set[str]) -> str:
    return next((one for one in RECORDS if one in there), "live")


def _told_record(chosen: str, there: set[str], interval: str) -> Body:
    caveats = []
    if chosen not in there:
        caveats.append(f"The {chosen} record has no scores of this yet, so nothing is known of the skill there.")
    elif chosen == "synthetic":
        caveats.append("These bars were made by a random generator; no score here says anything about a market.")
    elif chosen != "live":
        caveats.append(f"This is the {chosen} record; only the live one was issued before the outcome was known.")
    records = [one for one in RECORDS if one in there]
    return {"record": chosen, "records": records, "interval": interval, "caveats": caveats}


def _told_verdicts(
    verdicts: Sequence[Body], interval: str, record: str, model_name: str | None, classes: set[str]
) -> list[Body]:
    """Steps pooled: the ones that are judged first."""
    return [
        _only(verdict, ToldVerdict.model_fields)
        for verdict in verdicts
        if (verdict["interval"], verdict["record"], verdict["step"]) == (interval, record, 0)
        and verdict["asset_class"] in classes
        and model_name in (None, verdict["model_name"])
    ]


def _told_cell(cell: Body) -> Body:
    interval95 = ("value", "low", "high")
    return _only(cell, CellRow.model_fields) | {
        "coverage": _only(cell["coverage"]["inside"], interval95),
        "crps_skill": _only(cell["crps_skill"], interval95),
        "hit_rate": _only(cell["hit_rate"], interval95),
    }


def explanation(body: Body, verdicts: Verdicts, chart: Body | None, above: float | None, step: int | None) -> Body:
    """Members of `ExplanationResult` from a forecast and, where it could be read, the chart of the same forecast.

    Raises
    ------
    ToolError : there is no such step.
    """
    horizon = body["horizon"]
    if step is not None and step > horizon:
        raise ToolError(f"step is {step}, but this forecast has {horizon} steps; ask for one of them.")
    if chart is not None and chart["forecast"]["prediction_id"] != body["prediction_id"]:
        chart = None  # a newer forecast came between the two; its own chart is there a moment later
    asked = step or horizon
    steps = [_told_step(body, one) for one in sorted({1, asked})]
    chance = _chance(body, chart, above, asked) if above is not None else None
    around: Surroundings | None = surroundings_of(chart, body) if chart is not None else None
    skill = _skill(body, verdicts)
    notice = [body["notice"]] if body["notice"] else []
    return {
        **_only(body, EXPLAINED),
        "explanation": [*explained(body, steps, chance, around), skill["sentence"], *notice],
        "steps": steps,
        "n_judged": around.n_judged if around else None,
        "n_inside": around.n_inside if around else None,
        "probability": chance,
        "earlier": around.earlier if around else [],
        "events_ahead": around.events if around else [],
        "skill": skill,
        "caveats": caveats_of(body),
        "disclaimer": DISCLAIMER,
    }


def _told_step(body: Body, step: int) -> Body:
    return {"step": step, **{name: body[name][step - 1] for name in LISTS}}


def _chance(body: Body, chart: Body | None, above: float, step: int) -> Body:
    if chart is not None:
        levels, values = chart["forecast"]["levels"], chart["forecast"]["fan"][step - 1]
    else:
        levels, values = [0.1, 0.5, 0.9], [body[name][step - 1] for name in ("p10", "p50", "p90")]
    at_least, at_most = probability_above(above, levels, values)
    known = round(at_least, 3) if at_least == at_most else None
    return {
        "above": above,
        "step": step,
        "target_at": body["target_at"][step - 1],
        "probability": known,
        "at_least": round(at_least, 3),
        "at_most": round(at_most, 3),
    }


def _skill(body: Body, verdicts: Verdicts) -> Body:
    record = record_of(body["status"], body["synthetic"])
    return skill_of(verdicts, body["model_name"], body["interval"], record)


def _only(body: Mapping[str, Any], names: Mapping[str, Any] | Sequence[str]) -> Body:
    return {name: body[name] for name in names}
