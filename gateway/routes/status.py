"""How the whole thing is: the open status, and the one with all details for whoever operates it."""

import os
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from candlecast.clock import utc_now
from gateway.answers import Rendered
from gateway.content.status import OnRecord, Runs, Status
from gateway.parameters import BAD, KEY_NEEDED, errors, only
from gateway.problems import Problem
from gateway.routes.site import Site
from gateway.schemas import status as schemas
from gateway.service import RUNS, STATUS, Service, Target

ROUTE: Final = "/showcase/status"
STARTED_AT: Final = utc_now()


def build(site: Site) -> APIRouter:
    """/showcase/status and /statusz."""
    router = APIRouter()
    service = site.service

    @router.get(
        ROUTE,
        tags=["showcase"],
        summary="Jobs, missed runs, freshness, the inference server and the ledger",
        response_model=schemas.StatusAnswer,
        responses=errors(_422=BAD),
        dependencies=[Depends(only())],
    )
    async def status(request: Request) -> Response:
        """Also while the database is away: then as it was last read, or, if it never was, without jobs and ledger."""
        return await site.respond(request, Target(ROUTE, STATUS), answer)

    async def answer(_: Target) -> Rendered:
        return (await newest(service)).at(service.moment())

    @router.get(
        "/statusz",
        tags=["operations"],
        summary="The same with what operators need: the newest runs with their errors, and the gateway's insides",
        response_model=schemas.OperatorsAnswer,
        responses=errors(_401=KEY_NEEDED, _422=BAD),
        dependencies=[Depends(site.access.check), Depends(only())],
    )
    async def statusz() -> Response:
        """Sentences of errors may name hosts and databases, which is why this needs a key."""
        told = (await newest(service)).fields(service.moment())
        body = orjson.dumps(told | {"runs": await runs(service), "gateway": insides(service)}, option=orjson.OPT_UTC_Z)
        return Response(body, headers={"cache-control": "private, no-store"}, media_type="application/json")

    return router


async def newest(service: Service) -> Status:
    """What was last read; where nothing ever was, what the gateway knows by itself."""
    try:
        value = (await service.entry(STATUS)).value
    except Problem:
        return service.status(OnRecord(utc_now()))
    assert isinstance(value, Status)
    return value


async def runs(service: Service) -> orjson.Fragment:
    """The newest runs as JSON; an empty list while they cannot be read."""
    try:
        value = (await service.entry(RUNS)).value
    except Problem:
        return orjson.Fragment(b"[]")
    assert isinstance(value, Runs)
    return orjson.Fragment(value.body)


def insides(service: Service) -> dict[str, Any]:
    """The gateway's own state."""
    return {
        "pid": os.getpid(),
        "started_at": STARTED_AT,
        "clock": datetime.fromtimestamp(time.time(), UTC),
        "connections": service.database.pool_stats(),
        "n_queries": service.database.n_queries,
        "n_loading": service.cache.n_loading,
        "cached": dict(Counter(key[0] for key in service.cache.all_keys())),
        "cache_requests": dict(service.metrics.cache_requests),
        "refreshes": dict(service.metrics.refreshes),
        "chains": [
            {"model_name": model_name, "interval": interval, "n_rows": n}
            for (model_name, interval), n in sorted(service.watch.chains.items())
        ],
    }
