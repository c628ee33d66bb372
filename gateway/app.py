"""The gateway as an ASGI application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from candlecast.store.engine import database_url
from gateway.admission import Admission
from gateway.answers import HTML
from gateway.clients import Clients
from gateway.database import Database
from gateway.envelope import Envelope
from gateway.front import Front
from gateway.limits import parse_rate
from gateway.mcp_server.endpoint import Endpoint
from gateway.pages.shell import draw
from gateway.parameters import TOO_MANY, errors
from gateway.problems import Problem, shown
from gateway.routes import chart, evaluation, instrument, keyed, operations, pages, showcase, status
from gateway.routes.site import Site
from gateway.service import Service
from gateway.settings import GatewaySettings


def create_app(settings: GatewaySettings, *, database: Database | None = None) -> Front:
    """The application; it opens nothing before its lifespan starts.

    `database` is where to read, when it is not to be made from the settings.
    """
    service = Service(settings, database or Database(address(settings)))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            async with endpoint.running():
                yield
        finally:
            await service.stop()

    app = FastAPI(
        title="Candlecast",
        version=version("candlecast"),
        description="Probabilistic candlestick forecasts: issued ahead of time, served with their true age, scored.",
        lifespan=lifespan,
        docs_url=None,  # its pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _broken)
    admission = Admission(
        Clients(settings.trusted_proxies),
        service.access,
        parse_rate("GATEWAY_RATE", settings.rate),
        parse_rate("GATEWAY_KEY_RATE", settings.key_rate),
    )
    front = Front(Envelope(app, settings.origins), service, admission)
    site = Site(service, lambda: front)
    endpoint = Endpoint(site, settings.hosts)
    for routes in (pages, instrument, showcase, chart, evaluation, status, keyed):
        app.include_router(routes.build(site), responses=errors(_429=TOO_MANY))
    app.include_router(operations.build(site))
    app.router.routes.append(Route(endpoint.door.path, endpoint.door))
    return front


def address(settings: GatewaySettings) -> str:
    """Where the database is: as set, else the embedded one below `settings.home`, started if need be."""
    env: Mapping[str, str] = {"DATABASE_URL": settings.database_url} if settings.database_url else {}
    return database_url(env, Path(settings.home), role="reader")


PROGRAMS: Final = ("/showcase/", "/v1/", "/mcp", "/assets/")  # below these nobody reads with a browser


def _told(request: Request, problem: Problem) -> Response:
    """A problem as its reader wants it: a page for a browser at one of the pages, else the JSON document."""
    if request.url.path.startswith(PROGRAMS) or "text/html" not in request.headers.get("accept", ""):
        return problem.response()
    refresh = problem.headers.get("retry-after")
    page = draw("problem.html", place=None, title=problem.title, detail=problem.detail, refresh=refresh)
    headers = {"cache-control": "no-store", "vary": "accept", **problem.headers}
    return Response(page, problem.status, headers | ({"refresh": refresh} if refresh else {}), HTML.decode())


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _told(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = [
        {
            "parameter": str(item["loc"][-1]),
            "problem": str(item["msg"]).removeprefix("Value error, "),
            "got": shown(str(item.get("input", "")))[1:-1],
        }
        for item in error.errors()
    ]
    sentences = "; ".join(f"{item['parameter']} is “{item['got']}”: {item['problem']}" for item in wrong)
    said = f"{sentences}. /openapi.json describes every parameter."
    return _told(request, Problem("bad_parameter", said, errors=wrong))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = "GET, HEAD, OPTIONS" if request.url.path.startswith("/showcase/") else "GET, HEAD"
        said = f"This address can only be read; use {allowed}."
        return _told(request, Problem("method_not_allowed", said, headers={"allow": allowed}))
    said = "There is nothing at this address; / shows what there is, and /openapi.json describes every route."
    return _told(request, Problem("unknown_path", said))


async def _broken(request: Request, error: Exception) -> Response:
    return _told(
        request,
        Problem(
            "internal",
            f"An unexpected {type(error).__name__} happened; the gateway's log has it under this answer's "
            "X-Request-Id. Try again later.",
        ),
    )
