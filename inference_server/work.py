"""One admitted request on its way through queue and device, apart from the connections that want its answer.

The last connection may vanish at any time; the work then stops at the model's next step and leaves its place by itself.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from candlecast.forecasts import Forecast, Forecaster
from candlecast.wire import PredictRequest, encode, item_fields
from inference_server.metrics import Metrics
from inference_server.runner import Runner, answers
from inference_server.scheduler import Place
from inference_server.transcript import Transcript


class Work:
    """A request, the transcript of its answer, and the flag that stops it."""

    def __init__(self, forecaster: Forecaster, request: PredictRequest, place: Place) -> None:
        self.request = request
        self.transcript = Transcript(request.model_name, self.stop)
        self._forecaster, self._place = forecaster, place
        self._stop = threading.Event()
        self._given_up = asyncio.Event()
        self._reason: str | None = None
        self._failed = True  # until it was done or stopped
        self._service_s: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def stop(self, reason: str) -> None:
        """Stop at the next step; the first reason counts."""
        if not self._stop.is_set():
            self._reason = reason
            self._stop.set()
            # Waited for only before the device's thread starts on this, so every waiter is on this loop.
            self._given_up.set()

    async def run(self, runner: Runner, metrics: Metrics) -> None:
        """Wait for the turn and forecast; whatever happens, `finish` has to follow."""
        arrived = time.monotonic()
        if await self._turn_came():
            begun = time.monotonic()
            metrics.queue_seconds.observe(begun - arrived)
            await runner.run(self._on_device(asyncio.get_running_loop(), metrics))
            took = time.monotonic() - begun
            metrics.inference_seconds.labels(self.request.model_name).observe(took)
            metrics.batch_items.observe(len(self.request.items))
            self._service_s = None if self.stopped else took
        self._failed = False

    def finish(self, metrics: Metrics) -> None:
        """Leave the place and end the transcript."""
        self._place.leave(self._service_s)
        metrics.requests.labels(self._outcome()).inc()
        self.transcript.finish(self._reason or ("error" if self._failed else None))

    async def _turn_came(self) -> bool:
        """True at the turn; False when the request was given up before it."""
        turn = asyncio.ensure_future(self._place.turn())
        given_up = asyncio.ensure_future(self._given_up.wait())
        either: set[asyncio.Future[Any]] = {turn, given_up}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            given_up.cancel()
            if not turn.done():
                turn.cancel()
                await asyncio.wait({turn})
        return not turn.cancelled() and not self.stopped

    def _on_device(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> Callable[[], None]:
        """What the device's thread does: forecast, encode, hand over to the loop."""

        def work() -> None:
            for index, answer in answers(
                self._forecaster, self.request, cancel=self._stop.is_set, on_oom=metrics.oom.inc
            ):
                line = encode(item_fields(index, answer, return_paths=self.request.return_paths))
                code = None if isinstance(answer, Forecast) else answer.code
                loop.call_soon_threadsafe(self.transcript.put, line, code)

        return work

    def _outcome(self) -> str:
        if self._failed:
            return "error"
        if self._reason == "deadline":
            return "expired"
        if self.stopped:
            return "cancelled"
        return "oom" if self.transcript.n_oom else "ok"
