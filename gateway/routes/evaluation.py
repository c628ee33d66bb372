"""The open route behind the evaluation page."""

from typing import Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from gateway.content.evaluation import evaluation_key
from gateway.content.performance import Record
from gateway.parameters import BAD, UNAVAILABLE, errors, only
from gateway.routes.site import Site
from gateway.schemas import evaluation as schemas
from gateway.schemas.showcase import Interval
from gateway.service import Target

ROUTE: Final = "/showcase/evaluation"


def build(site: Site) -> APIRouter:
    """/showcase/evaluation."""
    router = APIRouter()

    @router.get(
        ROUTE,
        tags=["showcase"],
        summary="How far the forecasts may be trusted: calibration, skill and direction, each with its error",
        response_model=schemas.EvaluationAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("record", "interval"))],
    )
    async def evaluation(request: Request, record: Record | None = None, interval: Interval = "1h") -> Response:
        """One record and interval; without `record` the first that there is of live, late, replay and synthetic.
        Records are never mixed: only `live` was issued before the outcome."""
        return await site.respond(request, Target(ROUTE, evaluation_key(record, interval)))

    return router
