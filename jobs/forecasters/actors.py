"""Forecasters on the machines of a Ray cluster, each in an actor of its own.

Needs `candlecast[ray]`. Ray listens on every interface of its machine without asking for a key: run it where a
firewall keeps others out.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

from candlecast.errors import CandlecastError
from candlecast.forecasts import Forecaster, ModelInfo, Result, Series, never
from jobs.forecasters.errors import InferenceUnavailable
from jobs.forecasters.in_process import InProcess

SERIES_PER_TASK: Final = 8
RESTARTS: Final = 3  # of one actor, and of one task on an actor that died
LOOK_S: Final = 0.25  # how often a wait looks whether anybody still wants the answer


class RayMissing(CandlecastError):
    """Ray is not installed."""

    def __init__(self) -> None:
        super().__init__("forecasting on Ray needs candlecast[ray]; run `pip install 'candlecast[ray]'`")


class RayForecaster:
    """The forecaster that `factory` makes, `n_actors` times: series are dealt to whoever is free, order is kept.

    An actor that dies is started again and its task repeated; seeds make the second answer equal the first. A
    cluster that runs is joined (as `ray.init` finds it), else one is started on this machine.

    Parameters
    ----------
    factory : makes the forecaster in the actor's process; sent there by pickle, so weights are best read inside
    per_task : series of one task; an actor that dies loses at most that much work
    actor_options : for Ray, such as {"num_gpus": 1}
    """

    def __init__(
        self,
        factory: Callable[[], Forecaster],
        n_actors: int,
        *,
        per_task: int = SERIES_PER_TASK,
        **actor_options: Any,
    ) -> None:
        # Telling a third party about every start is nobody's wish, and the dashboard is one open port more.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ModuleNotFoundError:
            raise RayMissing from None
        self._ray: Any = ray
        self._starts_it = not ray.is_initialized()
        if self._starts_it:
            ray.init(include_dashboard=False, log_to_driver=False, configure_logging=False)
        actor = ray.remote(max_restarts=RESTARTS, max_task_retries=RESTARTS, **actor_options)(_Actor)
        self.actors: list[Any] = [actor.remote(factory) for _ in range(n_actors)]
        self._per_task = per_task
        self._info: ModelInfo | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, and what was started for them; a cluster that was there before stays."""
        if self._ray.is_initialized():
            for actor in self.actors:
                self._ray.kill(actor)
            if self._starts_it:
                self._ray.shutdown()
        self.actors = []

    @property
    def info(self) -> ModelInfo:
        """What the actors' forecaster is."""
        if self._info is None:
            info: ModelInfo = self._ray.get(self.actors[0].info.remote())
            self._info = info
        return self._info

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series, in order; ends early once `cancel()` is true, and no new task is sent then.

        Raises
        ------
        InferenceUnavailable : an actor died more often than it is started again, or its factory fails.
        """
        from ray.exceptions import RayError
        from ray.util import ActorPool

        def send(actor: Any, chunk: Sequence[Series]) -> Any:
            return actor.forecast.remote(chunk, horizon, n_paths, base_seed)

        pool = ActorPool(self.actors)
        chunks = (series[first : first + self._per_task] for first in range(0, len(series), self._per_task))
        for chunk in islice(chunks, 2 * len(self.actors)):
            pool.submit(send, chunk)
        while pool.has_next() and not cancel():
            try:
                results: list[Result] = pool.get_next(timeout=LOOK_S)
            except TimeoutError:
                continue
            except RayError as error:
                first, *rest = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
                raise InferenceUnavailable(f"Ray: {' … '.join([first, *rest[-1:]])}") from None
            for chunk in islice(chunks, 1):
                pool.submit(send, chunk)
            for result in results:
                if cancel():
                    return
                yield result


class _Actor:
    """What runs in an actor's process."""

    def __init__(self, factory: Callable[[], Forecaster]) -> None:
        self._forecaster = InProcess(factory())

    def info(self) -> ModelInfo:
        return self._forecaster.info

    def forecast(self, series: Sequence[Series], horizon: int, n_paths: int, base_seed: int) -> list[Result]:
        return list(self._forecaster.forecast(series, horizon=horizon, n_paths=n_paths, base_seed=base_seed))
