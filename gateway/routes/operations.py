"""For whoever runs it: whether the process lives, whether readers get answers, and the metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from gateway.routes.site import Site, plain
from gateway.schemas import operations as schemas


def build(site: Site) -> APIRouter:
    """/healthz, /readyz and /metrics."""
    router = APIRouter()
    service = site.service

    @router.get("/healthz", tags=["operations"], summary="The process runs", response_model=schemas.HealthAnswer)
    async def healthz() -> Response:
        return plain({"status": "ok"})

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
        return plain(body, 200 if service.ready else 503)

    @router.get("/metrics", tags=["operations"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE_LATEST})

    return router
