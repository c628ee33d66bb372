"""One admitted request on its way through queue and device, apart from the connection that wants it.

The connection may vanish at any time; the work then stops at the model's next step and leaves its place by itself.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from candlecast.forecasts import Forecast, Forecaster
from candlecast.wire import End, PredictRequest, encode, item_fields
from inference_server.metrics import Metrics
from inference_server.runner import Runner, answers
from inference_server.scheduler import Place


@dataclass(eq=False)
class Work:
    """A request, its answers as they come, and the flag that stops it.

    answers : encoded items, then one `End`, then nothing more
    expires : the monotonic clock's time after which nobody wants the answer, None for never
    """

    forecaster: Forecaster
    request: PredictRequest
    place: Place
    expires: float | None
    answers: "asyncio.Queue[bytes | End]" = field(default_factory=asyncio.Queue)
    started: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)
    _given_up: asyncio.Event = field(default_factory=asyncio.Event)
    _reason: str | None = None
    _n_ok: int = 0
    _n_failed: int = 0
    _n_oom: int = 0

    def stop(self, reason: str) -> None:
        """Stop at the next step; the first reason counts."""
        if not self._stop.is_set():
            self._reason = reason
            self._stop.set()
            # Waited for only before the device's thread starts on this, so every waiter is on this loop.
            self._given_up.set()

    def expired(self) -> bool:
        """Whether its deadline has passed."""
        return self.expires is not None and time.monotonic() >= self.expires

    async def run(self, runner: Runner, metrics: Metrics) -> None:
        """Wait for the turn, forecast, leave the place whatever happens, and end the answers."""
        arrived = time.monotonic()
        outcome, service_s = "error", None
        try:
            if await self._turn_came():
                begun = time.monotonic()
                metrics.queue_seconds.observe(begun - arrived)
                self.started = True
                await runner.run(self._on_device(asyncio.get_running_loop(), metrics))
                took = time.monotonic() - begun
                metrics.inference_seconds.labels(self.request.model_name).observe(took)
                metrics.batch_items.observe(len(self.request.items))
                service_s = None if self._stop.is_set() else took
            outcome = self._outcome()
        finally:
            self.place.leave(service_s)
            metrics.requests.labels(outcome).inc()
            reason = self._reason if outcome != "error" else "error"
            self.answers.put_nowait(End(self._n_ok, self._n_failed, reason))

    async def _turn_came(self) -> bool:
        """True at the turn; False when the request expired or was given up before it."""
        left = None if self.expires is None else self.expires - time.monotonic()
        turn = asyncio.ensure_future(self.place.turn())
        given_up = asyncio.ensure_future(self._given_up.wait())
        either: set[asyncio.Future[Any]] = {turn, given_up}
        try:
            done, _ = await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                self.stop("deadline")
        finally:
            given_up.cancel()
            if not turn.done():
                turn.cancel()
                await asyncio.wait({turn})
        return not turn.cancelled() and self._wanted()

    def _wanted(self) -> bool:
        if self.expired():
            self.stop("deadline")
        return not self._stop.is_set()

    def _on_device(self, loop: asyncio.AbstractEventLoop, metrics: Metrics) -> Callable[[], None]:
        """What the device's thread does: forecast, encode, hand over to the loop."""

        def work() -> None:
            for index, answer in answers(
                self.forecaster,
                self.request,
                cancel=lambda: not self._wanted(),
                on_oom=metrics.oom.inc,
            ):
                if isinstance(answer, Forecast):
                    self._n_ok += 1
                else:
                    self._n_failed += 1
                    self._n_oom += answer.code == "out_of_memory"
                line = encode(item_fields(index, answer, return_paths=self.request.return_paths))
                loop.call_soon_threadsafe(self.answers.put_nowait, line)

        return work

    def _outcome(self) -> str:
        if self._reason == "deadline":
            return "expired"
        if self._stop.is_set():
            return "cancelled"
        return "oom" if self._n_oom else "ok"
