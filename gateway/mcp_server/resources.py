"""The resources: the method in plain words, and the instruments."""

from importlib.resources import files
from typing import Final

import orjson
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from gateway import problems
from gateway.mcp_server.reading import Body, Reading
from gateway.parameters import symbol_of

METHOD: Final = "candlecast://method"
INSTRUMENTS: Final = "candlecast://instruments"
INSTRUMENT: Final = "candlecast://instruments/{symbol}"


def register(server: MCPServer[None], reading: Reading) -> None:
    """Add every resource."""
    text = files("gateway.mcp_server").joinpath("method.md").read_text(encoding="utf-8")

    @server.resource(METHOD, name="method", title="How the numbers are made", mime_type="text/markdown")
    async def method() -> str:
        """What a band is, how forecasts are scored, what a verdict means, and what none of it can say."""
        return text

    @server.resource(INSTRUMENTS, name="instruments", title="Instruments", mime_type="application/json")
    async def instruments() -> str:
        """All instruments with the outline of their newest forecasts."""
        return written(await read(reading))

    @server.resource(INSTRUMENT, name="instrument", title="One instrument", mime_type="application/json")
    async def instrument(symbol: str) -> str:
        """One instrument with the outline of its newest forecasts."""
        try:
            known = symbol_of(symbol)
        except problems.Problem:
            known = None
        for one in (await read(reading))["instruments"]:
            if one["symbol"] == known:
                return written(one)
        raise ResourceNotFoundError(
            f"There is no instrument {problems.shown(symbol)}; {INSTRUMENTS} lists those there are."
        )


async def read(reading: Reading) -> Body:
    """The body of /showcase/instruments; raises ResourceError with a sentence."""
    try:
        return await reading.instruments()
    except problems.Problem as problem:
        raise ResourceError(problem.detail) from None


def written(body: Body) -> str:
    """JSON as text."""
    return orjson.dumps(body).decode()
