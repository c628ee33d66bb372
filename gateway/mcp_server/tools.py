"""The tools. Each reads what a route sends, keeps its members, and adds what has to be said beside them."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

import orjson
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field

from gateway.content.performance import Record
from gateway.mcp_server.caveats import DISCLAIMER, caveats_of, caveats_of_list, record_of, skill_of
from gateway.mcp_server.explanation import explained, probability_above
from gateway.mcp_server.reading import Body, Reading
from gateway.mcp_server.results import (
    AssetClass,
    CoverageRow,
    ExplanationResult,
    ForecastResult,
    InstrumentsResult,
    ListedForecast,
    PerformanceResult,
)
from gateway.schemas.showcase import Interval

READS: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)
MAX_LISTED: Final = 200
RECORDS: Final = ("live", "late", "replay", "synthetic")
# Steps that the short form tells: they stand for hours and days, not for fractions of a horizon.
TOLD: Final = {"1h": (1, 4, 12, 24, 72, 120), "1d": (1, 5, 10, 20, 60, 120)}
N_TOLD: Final = 6
FORECAST: Final = (
    *("symbol", "interval", "model_name", "model_version", "issued_at", "generated_at", "age_seconds"),
    *("expected_next_at", "stale", "stale_reason", "status", "synthetic", "notice", "horizon", "last_close", "scale"),
    *("n_paths", "prediction_id"),
)
EXPLAINED: Final = tuple(name for name in FORECAST if name in ExplanationResult.model_fields)
LISTS: Final = ("target_at", "p10", "p50", "p90")

Symbol = Annotated[str, Field(description="An instrument's symbol, e.g. BTCUSDT; list_instruments has them all.")]
IntervalOf = Annotated[Interval, Field(description="Length of a bar: hourly or daily.")]
Model = Annotated[str | None, Field(description="A model's name; without one the default of the instrument.")]


def register(server: MCPServer[None], reading: Reading) -> None:
    """Add every tool, in the order in which they are listed."""

    @server.tool(title="List instruments", annotations=READS)
    async def list_instruments(
        asset_class: Annotated[AssetClass | None, Field(description="Only these.")] = None,
    ) -> Annotated[CallToolResult, InstrumentsResult]:
        """The instruments, and for each interval the age of the newest forecast and the models that made one."""
        body, verdicts = await asyncio.gather(reading.instruments(), reading.verdicts_if_known())
        return given(instruments_result(body["instruments"], asset_class, verdicts))

    @server.tool(title="Get the newest forecast", annotations=READS)
    async def get_forecast(
        symbol: Symbol,
        interval: IntervalOf = "1h",
        model_name: Model = None,
        full: Annotated[bool, Field(description="Every step; without it six of them.")] = False,
    ) -> Annotated[CallToolResult, ForecastResult]:
        """The newest forecast of an instrument: for each step the median (p50) and the 80% band (p10 to p90) of the
        close, with its age and what is known of the model's skill."""
        body, verdicts = await reading.forecast_and_verdicts(symbol, interval, model_name)
        return given(forecast_result(body, verdicts, full))

    @server.tool(title="Get the track record", annotations=READS)
    async def get_performance(
        symbol: Annotated[str | None, Field(description="One instrument; adds coverage and skill per step.")] = None,
        interval: IntervalOf = "1h",
        model_name: Annotated[str | None, Field(description="One model; without it all.")] = None,
        record: Annotated[
            Record | None,
            Field(description="Without it the live record, or where that is empty the first that is not."),
        ] = None,
    ) -> Annotated[CallToolResult, PerformanceResult]:
        """How far to trust the forecasts: the verdict on each model against a random walk, with the 95% interval of its
        skill, and how often the 80% band held. Records are never mixed; undecided is the normal verdict."""
        return given(await performance_result(reading, symbol, interval, model_name, record))

    @server.tool(title="Explain a forecast", annotations=READS)
    async def explain_forecast(
        symbol: Symbol,
        interval: IntervalOf = "1h",
        model_name: Model = None,
        above: Annotated[
            float | None, Field(description="A price; adds the probability of a close above it.", allow_inf_nan=False)
        ] = None,
        step: Annotated[
            int | None, Field(description="Bars ahead for `above` and the band; without it the last.", ge=1, le=1024)
        ] = None,
    ) -> Annotated[CallToolResult, ExplanationResult]:
        """The newest forecast in plain words: band, median, age, what became of earlier ones, releases ahead, skill."""
        (body, verdicts), chart = await asyncio.gather(
            reading.forecast_and_verdicts(symbol, interval, model_name),
            reading.chart_if_known(symbol, interval, model_name),
        )
        return given(explanation_result(body, verdicts, chart, above, step))


def given(body: Body) -> CallToolResult:
    """A result as structured content, and as the same JSON in text for clients without the former."""
    return CallToolResult(content=[TextContent(type="text", text=orjson.dumps(body).decode())], structured_content=body)


def instruments_result(instruments: Sequence[Body], asset_class: str | None, verdicts: Sequence[Body] | None) -> Body:
    """Members of `InstrumentsResult` from the body of /showcase/instruments."""
    chosen = [one for one in instruments if asset_class in (None, one["asset_class"])]
    listed = [
        {name: one[name] for name in ("symbol", "name", "asset_class", "quote_asset")}
        | {"forecasts": [{name: outline[name] for name in ListedForecast.model_fields} for outline in one["forecasts"]]}
        for one in chosen[:MAX_LISTED]
    ]
    outlines = [outline for one in listed for outline in one["forecasts"]]
    models = {
        (outline["model_name"], outline["interval"], record_of(outline["status"], outline["synthetic"]))
        for outline in outlines
    }
    caveats = caveats_of_list(outlines)
    if len(chosen) > MAX_LISTED:
        caveats.append(f"{len(chosen) - MAX_LISTED} more are not listed; ask for one asset_class.")
    return {
        "n_instruments": len(chosen),
        "instruments": listed,
        "skill": [skill_of(verdicts, *model) for model in sorted(models)],
        "caveats": caveats,
        "disclaimer": DISCLAIMER,
    }


def forecast_result(body: Body, verdicts: Sequence[Body] | None, full: bool) -> Body:
    """Members of `ForecastResult` from the body of /showcase/ml-prediction/{symbol}."""
    steps = range(1, body["horizon"] + 1) if full else told_steps(body["interval"], body["horizon"])
    return {
        **{name: body[name] for name in FORECAST},
        "step": list(steps),
        **{name: [body[name][step - 1] for step in steps] for name in LISTS},
        **({name: body[name] for name in ("seed", "event_context")} if full else {}),
        "skill": _skill(body, verdicts),
        "caveats": caveats_of(body),
        "disclaimer": DISCLAIMER,
    }


def told_steps(interval: str, horizon: int) -> list[int]:
    """Six steps of a forecast or, of a shorter one, all: the usual ones as far as it goes, and the last."""
    chosen = {step for step in TOLD[interval] if step <= horizon} | {horizon}
    for step in range(1, horizon + 1):
        if len(chosen) >= N_TOLD:
            break
        chosen.add(step)
    rising = sorted(chosen)
    return rising if len(rising) <= N_TOLD else [*rising[: N_TOLD - 1], horizon]


async def performance_result(
    reading: Reading, symbol: str | None, interval: str, model_name: str | None, record: str | None
) -> Body:
    """Members of `PerformanceResult` from the bodies of /showcase/performance and its verdicts."""
    filters = {"symbol": symbol, "interval": interval, "model_name": model_name, "window": "all"}
    body, verdicts = await asyncio.gather(reading.performance(**filters), reading.verdicts())
    rows = body["rows"]
    there = {row["record"] for row in rows}
    records = [one for one in RECORDS if one in there]
    chosen = record or next(iter(records), "live")
    rows = [row for row in rows if row["record"] == chosen]
    classes = {"all"} | ({row["asset_class"] for row in rows} if symbol or model_name else set())
    caveats = [body["notice"]] if chosen == "synthetic" and body["notice"] else []
    if chosen not in there:
        caveats.append(f"The {chosen} record has no scores of this yet, so nothing is known of the skill there.")
    elif chosen != "live":
        caveats.append(f"This is the {chosen} record; only the live one was issued before the outcome was known.")
    return {
        "record": chosen,
        "records": records,
        "interval": interval,
        "symbol": body["filters"]["symbol"],
        "model_name": model_name,
        "verdicts": [
            verdict
            for verdict in verdicts
            if (verdict["interval"], verdict["record"], verdict["step"]) == (interval, chosen, 0)
            and verdict["asset_class"] in classes
            and model_name in (None, verdict["model_name"])
        ],
        "rows": [{name: row[name] for name in CoverageRow.model_fields} for row in rows] if symbol else [],
        "note": body["note"],
        "caveats": caveats,
        "disclaimer": DISCLAIMER,
    }


def explanation_result(
    body: Body, verdicts: Sequence[Body] | None, chart: Body | None, above: float | None, step: int | None
) -> Body:
    """Members of `ExplanationResult` from a forecast and, where it could be read, the chart of the same forecast."""
    horizon = body["horizon"]
    if step is not None and step > horizon:
        raise ToolError(f"step is {step}, but this forecast has {horizon} steps; ask for one of them.")
    if chart is not None and chart["forecast"]["prediction_id"] != body["prediction_id"]:
        chart = None  # a newer forecast came between the two; its own chart is there a moment later
    asked = step or horizon
    steps = [_told(body, one) for one in sorted({1, asked})]
    chance = _chance(body, chart, above, asked) if above is not None else None
    earlier = (
        [{name: one[name] for name in ("issued_at", "n_judged", "n_inside")} for one in chart["previous"]]
        if chart is not None
        else None
    )
    events = (
        [
            {name: one[name] for name in ("at", "family", "event", "currency", "impact", "forecast")}
            for one in chart["events"]
            if one["scheduled"]
        ]
        if chart is not None
        else None
    )
    skill, caveats = _skill(body, verdicts), caveats_of(body)
    return {
        **{name: body[name] for name in EXPLAINED},
        "explanation": [*explained(body, steps, chance, earlier, events), skill["sentence"], *caveats],
        "steps": steps,
        "probability": chance,
        "earlier": earlier or [],
        "events_ahead": events or [],
        "skill": skill,
        "caveats": caveats,
        "disclaimer": DISCLAIMER,
    }


def _told(body: Body, step: int) -> Body:
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


def _skill(body: Body, verdicts: Sequence[Body] | None) -> Body:
    record = record_of(body["status"], body["synthetic"])
    return skill_of(verdicts, body["model_name"], body["interval"], record)
