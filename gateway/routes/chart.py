"""The open route behind the charts of the pages; nobody needs a key for it."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gateway import problems
from gateway.content.chart import chart_key
from gateway.parameters import BAD, UNAVAILABLE, errors, one_model, only, symbol_of
from gateway.routes.site import Site
from gateway.schemas import chart as schemas
from gateway.schemas.showcase import Interval
from gateway.service import Target

ROUTE: Final = "/showcase/chart/{symbol}"


def build(site: Site) -> APIRouter:
    """/showcase/chart/{symbol}."""
    router = APIRouter()
    service = site.service

    @router.get(
        ROUTE,
        tags=["showcase"],
        summary="A forecast with the bars around it, the forecasts before it, and the releases that it met",
        response_model=schemas.ChartAnswer,
        responses=errors(
            _404="unknown_symbol, unknown_model, unknown_prediction, or nothing_predicted yet.",
            _422=BAD,
            _503=UNAVAILABLE,
        ),
        dependencies=[Depends(only("interval", "model_name", "model", "prediction_id"))],
    )
    async def chart(
        request: Request,
        symbol: Annotated[str, Path(description="An instrument's symbol, e.g. `BTCUSDT`; upper or lower case.")],
        model_name: Annotated[str | None, Depends(one_model)],
        interval: Interval = "1h",
        prediction_id: Annotated[
            UUID | None, Query(description="One forecast, as it was seen then; without it the newest one.")
        ] = None,
    ) -> Response:
        """The newest forecast of the default model, of `model_name`, or the one named by `prediction_id`, which has to
        be one of this instrument, interval and, where given, model."""
        symbol = symbol_of(symbol)
        service.known_symbol(symbol)
        if model_name is not None:
            service.known_model(model_name)
        asked = str(prediction_id) if prediction_id is not None else None

        def missing() -> problems.Problem:
            if asked is None:
                return problems.nothing_predicted(symbol, interval, model_name)
            by = f" by {model_name}" if model_name else ""
            return problems.unknown_prediction(asked, f" of {symbol} {interval}{by}")

        target = Target(ROUTE, chart_key(symbol, interval, model_name, asked))
        return await site.respond(request, target, lambda target: service.chart(target, missing))

    return router
