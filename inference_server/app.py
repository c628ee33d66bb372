"""The routes of the inference server: /predict, /models, /healthz, /readyz, /metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response

from candlecast.fields import MessageError
from candlecast.wire import JSON, PROBLEM, encode, models_fields
from inference_server.answer import Answer
from inference_server.canary import ModelFailed
from inference_server.idempotency import KeyReused
from inference_server.inbox import InboxFull
from inference_server.key_check import KeyCheck
from inference_server.problems import BadRequest, problem
from inference_server.registry import Registry, UnknownModel
from inference_server.scheduler import Closed, QueueFull
from inference_server.service import Service
from inference_server.settings import ServerSettings
from inference_server.terms import Terms

_REFUSALS: Final[dict[int | str, str]] = {
    400: "The body is not JSON",
    401: "A key is needed",
    404: "No model has this name",
    408: "The body came too slowly",
    413: "The body, or the answer that it asks for, is too large",
    415: "The body is of another type, or compressed",
    422: "A field, a header or an Idempotency-Key cannot be used",
    429: "The queue is full; Retry-After says when to come back",
    503: "The server shuts down, its device is lost, or the model does not work",
    504: "The deadline passed",
}


def create_app(settings: ServerSettings, registry: Registry) -> FastAPI:
    """The application; `app.state.service` holds its moving parts."""
    service = Service(settings, registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="Candlecast inference server", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan
    )
    app.state.service = service
    app.add_middleware(KeyCheck, token=settings.token)
    _add_errors(app, service)

    @app.post(
        "/predict",
        summary="Forecast every item; one line each with Accept: application/x-ndjson",
        responses={status: {"description": why, "content": {PROBLEM: {}}} for status, why in _REFUSALS.items()},
    )
    async def predict(request: Request) -> Response:
        terms = Terms.of(request.headers)
        transcript, replayed = await service.answer_to(request, terms)
        return Answer(transcript, terms, settings, replayed=replayed)

    @app.get("/models", summary="What is served, with the hash of its weights")
    async def models() -> Response:
        return Response(encode(models_fields(service.canary.serving())), media_type=JSON)

    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> Response:
        return Response(encode({"status": "ok"}), media_type=JSON)

    @app.get("/readyz", summary="New requests are taken, by which models, and which do not work and why")
    async def readyz() -> Response:
        scheduler, serving = service.scheduler, service.canary.serving()
        scheduler.check_open()
        state = {
            "status": "ready" if serving else "no model works",
            "models": [f"{one.name}@{one.version[:12]}" for one in serving],
            "failed": service.canary.failed,
            "device": settings.device,
            "busy": scheduler.busy,
            "waiting": scheduler.n_waiting,
            "queue_depth": scheduler.depth,
        }
        return Response(encode(state), 200 if serving else 503, media_type=JSON)

    @app.get("/metrics", summary="For Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return app


def _add_errors(app: FastAPI, service: Service) -> None:
    """Each error as a problem with its status."""

    @app.exception_handler(HTTPException)
    async def http_problem(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(BadRequest)
    async def bad_request(_: Request, error: BadRequest) -> Response:
        return problem(error.status, str(error), error.headers)

    @app.exception_handler(MessageError)
    async def bad_message(_: Request, error: MessageError) -> Response:
        return problem(400 if error.kind == "syntax" else 422, str(error))

    @app.exception_handler(KeyReused)
    async def key_reused(_: Request, error: KeyReused) -> Response:
        return problem(422, str(error))

    @app.exception_handler(UnknownModel)
    async def unknown_model(_: Request, error: UnknownModel) -> Response:
        return problem(404, str(error))

    @app.exception_handler(QueueFull)
    @app.exception_handler(InboxFull)
    async def full(_: Request, error: QueueFull | InboxFull) -> Response:
        service.metrics.requests.labels("rejected").inc()
        return problem(429, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(Closed)
    async def closed(request: Request, error: Closed) -> Response:
        if request.url.path == "/predict":
            service.metrics.requests.labels("rejected").inc()
        return problem(503, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(ModelFailed)
    async def model_failed(_: Request, error: ModelFailed) -> Response:
        # Without a Retry-After: nobody knows when it works again, and a job has other things to do than to wait.
        service.metrics.requests.labels("rejected").inc()
        return problem(503, str(error))

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return problem(500, f"the server failed ({type(error).__name__}); its log has the details")
