"""The server's moving parts, one of each, and what the routes ask of them."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator

from starlette.requests import Request

from candlecast.forecasts import Forecaster
from candlecast.wire import PredictRequest
from inference_server.canary import Canary
from inference_server.device_errors import DeviceLost, lost_device
from inference_server.idempotency import Results
from inference_server.inbox import Inbox
from inference_server.metrics import Metrics
from inference_server.problems import BadRequest
from inference_server.registry import Registry
from inference_server.runner import Runner
from inference_server.scheduler import Draining, Scheduler
from inference_server.settings import ServerSettings
from inference_server.terms import Terms
from inference_server.transcript import Transcript
from inference_server.work import Work

log = logging.getLogger(__name__)

MIN_PATHS = 10  # fewer make no quantiles


class Service:
    """Takes requests from admission to the transcript of their answer.

    lost : set once the device is lost; whoever started the server has to end the process
    """

    def __init__(self, settings: ServerSettings, registry: Registry) -> None:
        self.settings, self.registry = settings, registry
        self.scheduler = Scheduler(settings.queue_depth)
        self.results = Results(settings.results_bytes)
        self.metrics = Metrics(self.scheduler, self.results)
        self.runner = Runner()
        self.inbox = Inbox(settings.body_limit, settings.client_s)
        self.canary = Canary(registry, self.runner, self.metrics, settings.canary_s)
        self.lost = asyncio.Event()
        self.at_work: set[Work] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Every model is tried first; while this is open they are tried again whenever there is time."""
        await self._try_models(again=False)
        watch = asyncio.create_task(self._try_models(again=True))
        yield
        watch.cancel()
        await asyncio.wait({watch})

    async def answer_to(self, request: Request, terms: Terms) -> tuple[Transcript, bool]:
        """The transcript of the request's answer, which has just begun or, where True comes with it, began before.

        Raises
        ------
        Closed, QueueFull, InboxFull, ModelFailed, UnknownModel, KeyReused, MessageError, BadRequest : there is none.
        """
        self.scheduler.check_open()
        if terms.key not in self.results:
            self.scheduler.check()  # a full queue is told so before anything is read
        async with self.inbox.body(request) as body:
            digest = await asyncio.to_thread(_digest, body) if terms.key else b""
            if (found := self.results.find(terms.key, digest)) is not None:
                return self._again(found), True
            self.scheduler.check()
            asked = await self.inbox.parse(body)
        forecaster = self._forecaster(asked)
        if terms.expired():
            self.metrics.requests.labels("expired").inc()
            raise BadRequest(504, "the deadline had passed before the request was read; allow more time")
        # Once more: the same may have come in while this was parsed. From here on nothing waits.
        if (found := self.results.find(terms.key, digest)) is not None:
            return self._again(found), True
        return self._begin(forecaster, asked, terms.key, digest), False

    def _forecaster(self, asked: PredictRequest) -> Forecaster:
        forecaster = self.registry.get(asked.model_name)
        self.canary.check(asked.model_name)
        if asked.n_paths < MIN_PATHS and not forecaster.info.gives_quantiles:
            raise BadRequest(
                422, f"{asked.n_paths} paths make no quantiles; {asked.model_name} needs n_paths of {MIN_PATHS} or more"
            )
        return forecaster

    def _again(self, transcript: Transcript) -> Transcript:
        self.metrics.requests.labels("replayed").inc()
        return transcript

    def _begin(self, forecaster: Forecaster, asked: PredictRequest, key: str | None, digest: bytes) -> Transcript:
        """Let a request run on its own, whatever becomes of its connection."""
        work = Work(forecaster, asked, self.scheduler.admit())
        if key is not None:
            self.results.begin(key, digest, work.transcript)
        self.at_work.add(work)
        task = asyncio.create_task(self._run(work, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return work.transcript

    async def _run(self, work: Work, key: str | None) -> None:
        try:
            await work.run(self.runner, self.metrics)
        except Exception as error:
            log.error("a request to %s failed", work.request.model_name, exc_info=error)
            self._lose_if_lost(error)
        finally:
            # Before the reader learns of the end, so that what it asks next meets the state it was told of.
            work.finish(self.metrics)
            self.at_work.discard(work)
            if key is not None:
                self.results.settle(key, work.transcript)

    async def _try_models(self, *, again: bool) -> None:
        if not self.settings.canary_s:
            return
        try:
            if again:
                await self.canary.watch(lambda: self.scheduler.busy)
            else:
                await self.canary.try_all(lambda: self.scheduler.closed is not None)
        except Exception as error:
            log.error("the trial of a model failed", exc_info=error)
            self._lose_if_lost(error)

    def _lose_if_lost(self, error: Exception) -> None:
        if words := lost_device(error):
            self.scheduler.closed = DeviceLost(words)
            self._stop_all("device")
            self.lost.set()

    async def drain(self) -> None:
        """Take nothing new, finish what was admitted, and give up what is not done after `drain_s`."""
        self.scheduler.closed = self.scheduler.closed or Draining()
        try:
            await asyncio.wait_for(self.scheduler.idle(), self.settings.drain_s)
        except TimeoutError:
            log.warning("%d requests not done after %g s; stopping them", len(self.at_work), self.settings.drain_s)
            self.give_up()

    def give_up(self) -> None:
        """Stop all work at the next step."""
        self.scheduler.closed = self.scheduler.closed or Draining()
        self._stop_all("draining")

    def _stop_all(self, reason: str) -> None:
        for work in self.at_work:
            work.stop(reason)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
