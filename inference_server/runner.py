"""The one thread that forecasts run on, and what happens there when one of them fails.

Whatever a model does, the event loop keeps answering: health, metrics, and the heartbeats of the request at work.
"""

import asyncio
import gc
import logging
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from candlecast.forecasts import Forecast, Forecaster, Result, Series, forecast_fault, refuse
from candlecast.wire import BadItem, PredictRequest
from inference_server.device_errors import is_out_of_memory, lost_device

log = logging.getLogger(__name__)

Answer = tuple[int, Result | BadItem]


class Runner:
    """A dedicated thread; a daemon, so that a model that never returns cannot keep the process alive."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._loop, name="device", daemon=True).start()

    async def run(self, work: Callable[[], None]) -> None:
        """Returns when `work` has run on the device's thread; its exception is raised here."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.cancelled():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def job() -> None:
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:
                error = raised
            loop.call_soon_threadsafe(settle, error)

        self._work.put(job)
        await done

    def _loop(self) -> None:
        while True:
            job = self._work.get()
            try:
                job()
            except RuntimeError:
                log.debug("an answer came after its event loop had closed")


def answers(
    forecaster: Forecaster, request: PredictRequest, *, cancel: Callable[[], bool], on_oom: Callable[[], None]
) -> Iterator[Answer]:
    """Index and answer of each item, items that are no series first; ends early once `cancel()` is true.

    One series that the model fails on, or that gives a fan nobody may issue, becomes a refusal. When memory
    runs out the rest is asked for in pieces of half the size, first inside the model where it can do that
    (`halve`), then by fewer series at a time; results do not depend on either. An error that means that the
    device is lost is raised: no other series will fare better.
    """
    good: list[tuple[int, Series]] = []
    for index, item in enumerate(request.items):
        if isinstance(item, BadItem):
            yield index, item
        else:
            good.append((index, item))
    n_at_once = max(1, len(good))
    while good and not cancel():
        batch, n_done, failure = good[:n_at_once], 0, None
        try:
            for answer in _batch(forecaster, batch, request, cancel):
                yield answer
                n_done += 1
        except Exception as error:
            if lost_device(error):
                raise
            failure = error
        good = good[n_done:]
        if n_done == len(batch) or cancel():
            continue
        index, series = good[0]
        if failure is not None and is_out_of_memory(failure):
            on_oom()
            failure.__traceback__ = None  # its frames still hold what did not fit
            _free()
            if _halve(forecaster):
                continue
            if len(batch) - n_done > 1:
                n_at_once = max(1, (len(batch) - n_done) // 2)
                continue
            log.error("out of memory on %s alone", series.symbol)
            yield index, refuse(series, "out_of_memory", "too large for the device's memory, even alone; ask for less")
        else:
            log.error("%s failed on %s", request.model_name, series.symbol, exc_info=failure)
            kind = "it gave no answer" if failure is None else type(failure).__name__
            yield index, refuse(series, "model_error", f"the model failed ({kind}); the server's log has the details")
        good = good[1:]


def _batch(
    forecaster: Forecaster, batch: Sequence[tuple[int, Series]], request: PredictRequest, cancel: Callable[[], bool]
) -> Iterator[Answer]:
    results = forecaster.forecast(
        [series for _, series in batch],
        horizon=request.horizon,
        n_paths=request.n_paths,
        base_seed=request.base_seed,
        cancel=cancel,
    )
    # Results first, so that the model runs to its own end after the last one.
    for result, (index, series) in zip(results, batch, strict=False):
        yield index, _checked(series, result, request.horizon)


def _checked(series: Series, result: Result, horizon: int) -> Result:
    """`result`, or a refusal where it is about something else or may not be issued."""
    if (result.symbol, result.interval, result.issued_at) != (series.symbol, series.interval, series.issued_at):
        return refuse(series, "bad_forecast", f"the model answered for {result.symbol} instead")
    if isinstance(result, Forecast) and (fault := forecast_fault(result, horizon)) is not None:
        return refuse(series, "bad_forecast", f"the model's forecast cannot be issued, {fault}")
    return result


def _halve(forecaster: Forecaster) -> bool:
    """Ask the model to work in smaller pieces; False where it cannot, or not any more."""
    halve = getattr(forecaster, "halve", None)
    return bool(halve()) if callable(halve) else False


def _free() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
