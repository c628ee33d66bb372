"""The routes behind the early return: they check what was asked, and answer from the same service."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway import problems, schemas
from gateway.answers import Rendered
from gateway.front import Front, send_rendered
from gateway.page import ASSETS
from gateway.performance import Record, Window, performance_key
from gateway.schemas import Interval
from gateway.service import MODELS, OVERVIEW, VERDICTS, Service, Target

SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,14}")
MODEL: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


def errors(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Error answers for the OpenAPI document: `errors(_404="…")`."""
    content = {problems.PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
    return {int(code[1:]): {"description": text, "content": content} for code, text in descriptions.items()}


UNAVAILABLE: Final = "Nothing is cached and the database cannot be read; Retry-After says when to ask again."
BAD: Final = "A parameter is wrong or unknown."


class Sent(Response):
    """A rendered answer as a response of the framework: 304 and content coding are decided when it is sent."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__()
        self._rendered = rendered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (an ASGI app)
        """Send it."""
        await send_rendered(scope, send, self._rendered, [], head=False)


def only(*names: str) -> Callable[[Request], None]:
    """Refuse parameters that the route does not know: a misspelt one would silently select something else."""

    def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        for name in given:
            if name not in names:
                known = ", ".join(names) or "none"
                raise problems.Problem(
                    "bad_parameter",
                    f"The parameter {problems.shown(name)} is not known here; known: {known}.",
                    errors=[{"parameter": problems.shown(name)[1:-1], "problem": "unknown"}],
                )
            if given.count(name) > 1:
                raise problems.Problem(
                    "bad_parameter",
                    f"The parameter {name} is given {given.count(name)} times; give it once.",
                    errors=[{"parameter": name, "problem": "repeated"}],
                )

    return check


ModelName = Annotated[str | None, Query(pattern=MODEL, description="A model's name, e.g. `baseline-rw`.")]


def one_model(
    model_name: ModelName = None,
    model: Annotated[str | None, Query(pattern=MODEL, description="The same as `model_name`.")] = None,
) -> str | None:
    """The model asked for under either name."""
    if model_name is not None and model is not None and model_name != model:
        raise problems.Problem(
            "bad_parameter",
            f"model_name is {model_name} and model is {model}; they mean the same, so give one of them.",
            errors=[{"parameter": "model", "problem": "differs from model_name"}],
        )
    return model_name or model


def symbol_of(text: str) -> str:
    """A symbol in its written form; anything that cannot be one is an unknown symbol."""
    symbol = text.upper() if text.isascii() else text
    if not SYMBOL.fullmatch(symbol):
        raise problems.unknown_symbol(text)
    return symbol


def build_router(service: Service, front: Callable[[], Front]) -> APIRouter:
    """All routes. `front` is asked late: it is wrapped around the application that holds these routes."""
    router = APIRouter()
    Model = Annotated[str | None, Depends(one_model)]

    async def respond(request: Request, target: Target, answer: Callable[[Target], Awaitable[Rendered]]) -> Response:
        rendered = await answer(target)
        front().remember(request.scope, target)  # the next request for the same address returns early
        return Sent(rendered)

    @router.get("/", include_in_schema=False, dependencies=[Depends(only())])
    async def page(request: Request) -> Response:
        return await respond(request, Target("/", OVERVIEW, "page"), service.answer)

    @router.get("/assets/{name}", include_in_schema=False)
    async def asset(name: str) -> Response:
        if name not in ASSETS:
            raise problems.Problem("unknown_path", "There is no such file.")
        media_type, body = ASSETS[name]
        return Response(body, media_type=media_type.decode(), headers={"cache-control": "public, max-age=3600"})

    @router.get(
        "/showcase/ml-prediction/{symbol}",
        tags=["showcase"],
        summary="The newest forecast of an instrument",
        response_model=schemas.PredictionAnswer,
        responses=errors(_404="unknown_symbol, unknown_model, or nothing_predicted yet.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("model_name", "model", "interval"))],
    )
    async def prediction(
        request: Request,
        symbol: Annotated[str, Path(description="An instrument's symbol, e.g. `BTCUSDT`; upper or lower case.")],
        model_name: Model,
        interval: Interval = "1h",
    ) -> Response:
        """The newest forecast by `model_name`; without one, the newest by anyone. Among models with the same newest
        issue time the registry's champion is served first, and a baseline only where no model spoke."""
        key = ("forecasts", symbol_of(symbol), interval)
        target = Target("/showcase/ml-prediction/{symbol}", key, model_name)
        return await respond(request, target, service.forecast)

    @router.get(
        "/showcase/instruments",
        tags=["showcase"],
        summary="All instruments with the outline of their newest forecasts",
        response_model=schemas.InstrumentsAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def instruments(request: Request) -> Response:
        return await respond(request, Target("/showcase/instruments", OVERVIEW), service.answer)

    @router.get(
        "/showcase/models",
        tags=["showcase"],
        summary="All models, with the number of forecasts they issued",
        response_model=schemas.ModelsAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def models(request: Request) -> Response:
        return await respond(request, Target("/showcase/models", MODELS), service.answer)

    @router.get(
        "/showcase/performance",
        tags=["showcase"],
        summary="The track record",
        response_model=schemas.PerformanceAnswer,
        responses=errors(_404="unknown_symbol or unknown_model.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("symbol", "interval", "model_name", "model", "step", "window", "record"))],
    )
    async def performance(
        request: Request,
        model_name: Model,
        symbol: Annotated[str | None, Query()] = None,
        interval: Interval | None = None,
        step: Annotated[int | None, Query(ge=1, le=1024)] = None,
        window: Window | None = None,
        record: Record | None = None,
    ) -> Response:
        """Rows of `signal_performance`, at most 2,000; filter to get the rest."""
        if symbol is not None:
            symbol = symbol_of(symbol)
            service.known_symbol(symbol)
        if model_name is not None:
            service.known_model(model_name)
        key = performance_key(
            symbol=symbol, interval=interval, model_name=model_name, step=step, window=window, record=record
        )
        return await respond(request, Target("/showcase/performance", key), service.answer)

    @router.get(
        "/showcase/performance/verdicts",
        tags=["showcase"],
        summary="Whether each model beats the baseline in CRPS",
        response_model=schemas.VerdictsAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def verdicts(request: Request) -> Response:
        """One verdict per model, interval and record that was scored, as a sentence and as numbers. A model that is
        not listed is not scored yet."""
        return await respond(request, Target("/showcase/performance/verdicts", VERDICTS), service.answer)

    @router.get("/healthz", tags=["operations"], summary="The process runs", response_model=schemas.HealthAnswer)
    async def healthz() -> Response:
        return _plain({"status": "ok"})

    @router.get(
        "/readyz",
        tags=["operations"],
        summary="Readers get answers: from the cache, whatever the database does, or from the database",
        response_model=schemas.ReadyAnswer,
        responses={503: {"model": schemas.ReadyAnswer, "description": "Nothing cached and no database."}},
    )
    async def readyz() -> Response:
        database = service.database
        known = {None: "not yet known", True: "reachable", False: "unreachable"}
        body = {
            "ready": service.ready,
            "database": known[database.reachable],
            "unreachable_since": database.lost_at,
            "n_cached": len(service.cache),
            "cached_bytes": service.cache.n_bytes,
        }
        return _plain(body, 200 if service.ready else 503)

    @router.get("/metrics", tags=["operations"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router


def _plain(body: dict[str, Any], status: int = 200) -> Response:
    data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(data, status, {"cache-control": "no-store"}, "application/json")
