"""The open routes: newest forecasts, instruments, models, the track record. Nobody needs a key for these."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gateway.content.performance import Record, Window, performance_key
from gateway.parameters import BAD, UNAVAILABLE, errors, one_model, only, symbol_of
from gateway.routes.site import Site
from gateway.schemas import showcase as schemas
from gateway.schemas.showcase import Interval
from gateway.service import MODELS, OVERVIEW, VERDICTS, Target

Model = Annotated[str | None, Depends(one_model)]


def build(site: Site) -> APIRouter:
    """The routes below /showcase/."""
    router = APIRouter()
    service = site.service

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
        return await site.respond(request, target, service.forecast)

    @router.get(
        "/showcase/instruments",
        tags=["showcase"],
        summary="All instruments with the outline of their newest forecasts",
        response_model=schemas.InstrumentsAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def instruments(request: Request) -> Response:
        return await site.respond(request, Target("/showcase/instruments", OVERVIEW))

    @router.get(
        "/showcase/models",
        tags=["showcase"],
        summary="All models, with the number of forecasts they issued",
        response_model=schemas.ModelsAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def models(request: Request) -> Response:
        return await site.respond(request, Target("/showcase/models", MODELS))

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
        return await site.respond(request, Target("/showcase/performance", key))

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
        return await site.respond(request, Target("/showcase/performance/verdicts", VERDICTS))

    return router
