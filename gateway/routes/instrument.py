"""The page of one instrument: drawn here is its frame, which a script fills from the chart route."""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway import problems
from gateway.answers import HTML
from gateway.content.overview import Overview
from gateway.pages.assets import modules
from gateway.pages.shell import draw
from gateway.parameters import symbol_of
from gateway.routes.site import Site
from gateway.service import OVERVIEW

MODULES: Final = modules("instrument/instrument.js")
LONGEST: Final = 40  # signs of an unknown symbol that its page repeats


def build(site: Site) -> APIRouter:
    """/instrument/{symbol}; which interval, model and forecast it shows is the script's, and stands in its address."""
    router = APIRouter(include_in_schema=False)

    @router.get("/instrument/{symbol}")
    async def instrument(request: Request, symbol: str) -> Response:  # noqa: ARG001  (the address is the script's)
        try:
            symbol = symbol_of(symbol)
            if site.service.symbols is not None:  # before the list was read, the page itself says what is wrong
                site.service.known_symbol(symbol)
        except problems.Problem:
            missing = draw("instrument_missing.html", place="/", symbol=problems.shown(symbol)[:LONGEST])
            return Response(missing, 404, {"cache-control": "no-store"}, HTML.decode())
        page = draw("instrument.html", place="/", symbol=symbol, name=_name(site, symbol), modules=MODULES)
        return Response(page, 200, {"cache-control": "public, max-age=60"}, HTML.decode())

    return router


def _name(site: Site, symbol: str) -> str | None:
    """The instrument's name, where the list is at hand: nobody waits for it."""
    entry = site.service.cache.peek(OVERVIEW)
    listed = entry.value.listed if entry is not None and isinstance(entry.value, Overview) else ()
    return next((item.name for item in listed if item.symbol == symbol), None)
