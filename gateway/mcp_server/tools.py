"""The tools. Each reads what a route sends, keeps its members, and adds what has to be said beside them."""

import asyncio
from typing import Annotated, Final

import orjson
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, TextContent, ToolAnnotations
from pydantic import Field
from starlette.requests import Request

from gateway.access import Access
from gateway.content.performance import Record
from gateway.mcp_server import answers
from gateway.mcp_server.reading import Body, Reading, if_known
from gateway.mcp_server.results import (
    AssetClass,
    ExplanationResult,
    ForecastResult,
    HistoryResult,
    InstrumentsResult,
    PerformanceResult,
)
from gateway.parameters import Instant
from gateway.schemas.showcase import Interval

READS: Final = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False, open_world_hint=False)

MAX_PAST: Final = 50

Symbol = Annotated[str, Field(description="An instrument's symbol, e.g. BTCUSDT; list_instruments has them all.")]
IntervalOf = Annotated[Interval, Field(description="Length of a bar: hourly or daily.")]
Model = Annotated[str | None, Field(description="A model's name; without one the default of the instrument.")]


def register(server: MCPServer[None], reading: Reading, access: Access) -> None:
    """Add every tool, in the order in which they are listed."""

    @server.tool(title="List instruments", annotations=READS)
    async def list_instruments(
        asset_class: Annotated[AssetClass | None, Field(description="Only these.")] = None,
        search: Annotated[str | None, Field(description="Only those with this in their symbol or name.")] = None,
    ) -> Annotated[CallToolResult, InstrumentsResult]:
        """The instruments, and for each interval the age of the newest forecast and the models that made one."""
        body, verdicts = await asyncio.gather(reading.instruments(), if_known(reading.verdicts()))
        return given(answers.instruments(body, asset_class, search, verdicts))

    @server.tool(title="Get the newest forecast", annotations=READS)
    async def get_forecast(
        symbol: Symbol,
        interval: IntervalOf = "1h",
        model_name: Model = None,
        full: Annotated[bool, Field(description="Every step; without it six of them.")] = False,
    ) -> Annotated[CallToolResult, ForecastResult]:
        """The newest forecast of an instrument: for each step the median (p50) and the 80% band (p10 to p90) of the
        close, with its age and what is known of the model's skill."""
        body, verdicts = await asyncio.gather(
            reading.forecast(symbol, interval, model_name), if_known(reading.verdicts())
        )
        return given(answers.forecast(body, verdicts, full))

    @server.tool(title="Get past forecasts", annotations=READS)
    async def get_history(
        context: Context[None, Request],
        symbol: Symbol,
        interval: IntervalOf = "1h",
        model_name: Annotated[str | None, Field(description="One model; without it all.")] = None,
        limit: Annotated[int, Field(description="Forecasts in an answer.", ge=1, le=MAX_PAST)] = 5,
        as_of: Annotated[
            Instant | None, Field(description="Only forecasts recorded by then, e.g. 2026-01-05T10:00:00Z.")
        ] = None,
        cursor: Annotated[str | None, Field(description="`next_cursor` of the answer before.")] = None,
    ) -> Annotated[CallToolResult, HistoryResult]:
        """Forecasts on record of an instrument, newest first. Needs a key: the header X-API-Key of the HTTP request."""
        await show_key(access, context)
        (body, following), verdicts = await asyncio.gather(
            reading.history(symbol, interval, model_name, as_of, limit, cursor), if_known(reading.verdicts())
        )
        return given(answers.history(body, following, verdicts))

    @server.tool(title="Get the track record", annotations=READS)
    async def get_performance(
        symbol: Annotated[
            str | None, Field(description="One instrument, step by step; without it all together.")
        ] = None,
        interval: IntervalOf = "1h",
        model_name: Annotated[str | None, Field(description="One model; without it all.")] = None,
        record: Annotated[
            Record | None,
            Field(description="Without it the live record, or where that is empty the first that is not."),
        ] = None,
    ) -> Annotated[CallToolResult, PerformanceResult]:
        """How far to trust the forecasts: the verdict on each model against a random walk, with the 95% interval of its
        skill, and how often the 80% band held. Records are never mixed; undecided is the normal verdict."""
        if symbol is None:
            return given(await answers.performance_of_all(reading, interval, model_name, record))
        return given(await answers.performance_of_one(reading, symbol, interval, model_name, record))

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
        body, verdicts, chart = await asyncio.gather(
            reading.forecast(symbol, interval, model_name),
            if_known(reading.verdicts()),
            if_known(reading.chart(symbol, interval, model_name)),
        )
        return given(answers.explanation(body, verdicts, chart, above, step))


async def show_key(access: Access, context: Context[None, Request]) -> None:
    """Refuse a call whose HTTP request brings no key; raises as the keyed routes do."""
    request = context.request_context.request
    if request is None:
        raise ToolError("get_history needs a key, which only a request over HTTP can bring.")
    await access.check(request)


def given(body: Body) -> CallToolResult:
    """A result as structured content, and as the same JSON in text for clients without the former."""
    return CallToolResult(content=[TextContent(type="text", text=written(body))], structured_content=body)


def written(body: Body) -> str:
    """JSON as text."""
    return orjson.dumps(body).decode()
