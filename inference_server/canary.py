"""Models are tried before they serve, and again while nobody asks: a small forecast of a built-in series.

A model that fails is not served until it passes again; the others go on.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import numpy as np

from candlecast.errors import CandlecastError
from candlecast.forecasts import N_EVENT_CHANNELS, Forecast, ModelInfo, Series, never
from candlecast.wire import PredictRequest
from inference_server.metrics import Metrics
from inference_server.registry import Registry
from inference_server.runner import Runner, answers

log = logging.getLogger(__name__)

N_BARS: Final = 96
HORIZON: Final = 2
N_PATHS: Final = 10
LIMIT_S: Final = 120.0  # of one trial; on a GPU the first one builds kernels


class ModelFailed(CandlecastError):
    """The model is loaded and does not work."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name} is not served, its trial forecast failed: {why}")
        self.name = name


class BrokenOff(Exception):
    """The device was wanted before the trial was over."""


class Canary:
    """Tries models, and remembers which may not serve.

    every_s : between trials of a server without work; 0 never tries any model
    """

    def __init__(self, registry: Registry, runner: Runner, metrics: Metrics, every_s: float) -> None:
        self._registry, self._runner, self._metrics = registry, runner, metrics
        self.every_s = every_s
        self.failed: dict[str, str] = {}

    def serving(self) -> list[ModelInfo]:
        """The models that may be asked."""
        return [one for one in self._registry if one.name not in self.failed]

    def check(self, name: str) -> None:
        """Raise `ModelFailed` for a model that may not serve."""
        if name in self.failed:
            raise ModelFailed(name, self.failed[name])

    async def try_all(self, wanted_elsewhere: Callable[[], bool] = never) -> None:
        """A trial of each model; one that is broken off, because the device is wanted, decides nothing.

        What means that the device is lost is raised.
        """
        if not self.every_s:
            return
        for info in self._registry:
            begun = time.monotonic()
            try:
                why = await self._fault(info, wanted_elsewhere)
            except BrokenOff:
                return
            self._metrics.model_ready.labels(info.name).set(why is None)
            if why is None:
                log.info("%s passed its trial in %.2f s", info.name, time.monotonic() - begun)
                self.failed.pop(info.name, None)
            else:
                log.error("%s is not served, its trial forecast failed: %s", info.name, why)
                self.failed[info.name] = why

    async def watch(self, busy: Callable[[], bool]) -> None:
        """Try all models every `every_s` seconds in which the server has no work; never returns."""
        while True:
            await asyncio.sleep(self.every_s)
            await self.try_all(busy)

    async def _fault(self, info: ModelInfo, wanted_elsewhere: Callable[[], bool]) -> str | None:
        """Why `info`'s model may not serve, None when it gave a forecast that may be issued; raises BrokenOff."""
        request = PredictRequest(info.name, "1h", HORIZON, N_PATHS, 0, [built_in_series(info)])
        ends = time.monotonic() + LIMIT_S
        broken_off = False
        faults: list[str | None] = []

        def cancel() -> bool:
            nonlocal broken_off  # remembered, for whoever wanted the device may be gone again
            broken_off = broken_off or wanted_elsewhere()
            return broken_off or time.monotonic() > ends

        def trial() -> None:
            forecaster = self._registry.get(info.name)
            for _, answer in answers(forecaster, request, cancel=cancel, on_oom=self._metrics.oom.inc):
                faults.append(None if isinstance(answer, Forecast) else answer.message)

        await self._runner.run(trial)
        if broken_off:
            raise BrokenOff
        return faults[0] if faults else f"it gave no answer in {LIMIT_S:g} s"


def built_in_series(info: ModelInfo) -> Series:
    """Hourly bars that move up and down, as many as `info`'s model takes, up to `N_BARS`."""
    n_bars = N_BARS if info.max_context is None else max(1, min(N_BARS, info.max_context - HORIZON))
    step = np.arange(n_bars)
    close = 100 * np.exp(np.cumsum(0.01 * np.sin(2.4 * step**1.5)))
    opening = np.concatenate([[100.0], close[:-1]])
    high, low = 1.002 * np.maximum(opening, close), 0.998 * np.minimum(opening, close)
    volume = 1000 + 10.0 * step
    hours = np.datetime64("2024-01-01T00:00:00") + np.arange(n_bars + HORIZON) * np.timedelta64(3600, "s")
    events = np.zeros((n_bars + HORIZON, N_EVENT_CHANNELS), np.float32) if info.takes_events else None
    bars = np.column_stack([opening, high, low, close, volume, volume * close])
    issued_at = datetime.fromisoformat(f"{hours[n_bars]}+00:00")
    return Series("CANARY", "1h", issued_at, bars, hours[:n_bars], hours[n_bars:], events)
