"""The routes of the inference server: /predict, /models, /healthz, /readyz, /metrics."""

import asyncio
import hmac
import logging
import time
from dataclasses import dataclass

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from candlecast.errors import CandlecastError
from candlecast.fields import MessageError
from candlecast.wire import JSON, NDJSON, encode, models_fields, parse_request
from inference_server.answer import Answer
from inference_server.metrics import Metrics
from inference_server.problems import problem
from inference_server.registry import Registry, UnknownModel
from inference_server.runner import Runner
from inference_server.scheduler import Draining, QueueFull, Scheduler
from inference_server.settings import ServerSettings
from inference_server.work import Work

log = logging.getLogger(__name__)

MIN_PATHS = 10  # fewer make no quantiles
_OPEN = frozenset({"/healthz", "/readyz"})


class BadRequest(CandlecastError):
    """A header or body that cannot be used, with the status that says which way."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(eq=False)
class Service:
    """The server's moving parts, one of each."""

    settings: ServerSettings
    registry: Registry
    scheduler: Scheduler
    runner: Runner
    metrics: Metrics
    at_work: set[Work]
    tasks: set["asyncio.Task[None]"]

    @classmethod
    def of(cls, settings: ServerSettings, registry: Registry) -> "Service":
        """A service that is ready to take requests."""
        scheduler = Scheduler(settings.queue_depth)
        return cls(settings, registry, scheduler, Runner(), Metrics(scheduler), set(), set())

    def begin(self, work: Work) -> None:
        """Let `work` run on its own, whatever becomes of its connection."""

        def forget(task: "asyncio.Task[None]") -> None:
            self.tasks.discard(task)
            self.at_work.discard(work)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("a request to %s failed", work.request.model_name, exc_info=error)

        task = asyncio.create_task(work.run(self.runner, self.metrics))
        self.tasks.add(task)
        self.at_work.add(work)
        task.add_done_callback(forget)

    async def drain(self) -> None:
        """Take nothing new, finish what was admitted, and give up what is not done after `drain_s`."""
        self.scheduler.draining = True
        try:
            await asyncio.wait_for(self.scheduler.idle(), self.settings.drain_s)
        except TimeoutError:
            log.warning("%d requests not done after %g s; stopping them", len(self.at_work), self.settings.drain_s)
            self.give_up()

    def give_up(self) -> None:
        """Stop all work at the next step."""
        self.scheduler.draining = True
        for work in self.at_work:
            work.stop("draining")


def create_app(settings: ServerSettings, registry: Registry) -> FastAPI:
    """The application; `app.state.service` holds its moving parts."""
    service = Service.of(settings, registry)
    app = FastAPI(title="Candlecast inference server", docs_url=None, redoc_url=None)
    app.state.service = service
    app.add_middleware(KeyCheck, token=settings.token)

    @app.exception_handler(HTTPException)
    async def http_problem(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @app.exception_handler(BadRequest)
    async def bad_request(_: Request, error: BadRequest) -> Response:
        return problem(error.status, str(error))

    @app.exception_handler(MessageError)
    async def bad_message(_: Request, error: MessageError) -> Response:
        return problem(400 if error.kind == "syntax" else 422, str(error))

    @app.exception_handler(UnknownModel)
    async def unknown_model(_: Request, error: UnknownModel) -> Response:
        return problem(404, str(error))

    @app.exception_handler(QueueFull)
    async def queue_full(_: Request, error: QueueFull) -> Response:
        service.metrics.requests.labels("rejected").inc()
        return problem(429, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(Draining)
    async def draining(_: Request, error: Draining) -> Response:
        service.metrics.requests.labels("rejected").inc()
        return problem(503, str(error), {"retry-after": str(error.retry_after_s)})

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return problem(500, f"the server failed ({type(error).__name__}); its log has the details")

    @app.post("/predict", summary="Forecast every item; one line each with Accept: application/x-ndjson")
    async def predict(request: Request) -> Response:
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
            raise BadRequest(415, f"send the request as {JSON}")
        expires = _expires(request.headers.get("x-deadline-ms"))
        body = await _body(request, settings.body_limit)
        service.scheduler.check()  # a full queue is told so before anything is parsed
        asked = await asyncio.to_thread(parse_request, body)
        del body
        forecaster = registry.get(asked.model_name)
        if asked.n_paths < MIN_PATHS and not forecaster.info.gives_quantiles:
            raise BadRequest(
                422, f"{asked.n_paths} paths make no quantiles; {asked.model_name} needs n_paths of {MIN_PATHS} or more"
            )
        if expires is not None and time.monotonic() >= expires:
            service.metrics.requests.labels("expired").inc()
            return problem(504, "the deadline had passed before the request was read; allow more time")
        work = Work(forecaster, asked, service.scheduler.admit(), expires)
        service.begin(work)
        wants_lines = NDJSON in request.headers.get("accept", "").lower()
        return Answer(work, lines=wants_lines, heartbeat_s=settings.heartbeat_s)

    @app.get("/models", summary="What is served, with the hash of its weights")
    async def models() -> Response:
        return Response(encode(models_fields(list(registry))), media_type=JSON)

    @app.get("/healthz", summary="The process is alive")
    async def healthz() -> Response:
        return Response(encode({"status": "ok"}), media_type=JSON)

    @app.get("/readyz", summary="New requests are taken")
    async def readyz() -> Response:
        scheduler = service.scheduler
        if scheduler.draining:
            return problem(503, str(Draining()), {"retry-after": str(Draining.retry_after_s)})
        state = {
            "status": "ready",
            "models": [f"{one.name}@{one.version[:12]}" for one in registry],
            "device": settings.device,
            "busy": scheduler.busy,
            "waiting": scheduler.n_waiting,
            "queue_depth": scheduler.depth,
        }
        return Response(encode(state), media_type=JSON)

    @app.get("/metrics", summary="For Prometheus")
    async def metrics() -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE_LATEST)

    return app


async def _body(request: Request, limit: int) -> bytes:
    """The request's body, refused as soon as it is known to be too large."""
    too_large = BadRequest(413, f"the body is larger than {limit} bytes; send the items in several requests")
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise too_large
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise too_large
            chunks.append(chunk)
    except ClientDisconnect:
        raise BadRequest(400, "the connection closed before the whole body had come") from None
    return b"".join(chunks)


def _expires(header: str | None) -> float | None:
    """The monotonic time at which `X-Deadline-Ms`, milliseconds from now, has passed."""
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal() and len(header) <= 12):
        raise BadRequest(422, f"X-Deadline-Ms is {header[:40]!r}, needed is a whole number of milliseconds from now")
    return time.monotonic() + int(header) / 1000


class KeyCheck:
    """Asks for the key on every route but health, whether the route exists or not."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self._key = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._key is None or scope["path"] in _OPEN or self._has_key(scope):
            await self.app(scope, receive, send)
            return
        refused = problem(401, "a key is needed, as X-API-Key or Authorization: Bearer", {"www-authenticate": "Bearer"})
        await refused(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        given = b""
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                given = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        # Bytes, because comparing text raises on the first letter that is not ASCII.
        return hmac.compare_digest(given, self._key or b"")
