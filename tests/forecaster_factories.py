"""Forecasters that another process can make too: a Ray actor imports this module to call one of its functions."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecaster, Result, Series, never

TINY = Path(__file__).resolve().parents[2] / "shared" / "kronos" / "golden" / "tiny-a"
KRONOS = ("--kronos-weights", str(TINY), "--max-context", "48", "--threads", "1", "--device", "cpu")
KRONOS_NAME = "kronos-tiny-a"


def kronos() -> Forecaster:
    """The golden weights, as the server loads them."""
    from inference_server.registry import load_registry
    from inference_server.settings import ServerSettings

    settings = ServerSettings(kronos_weights=str(TINY), max_context=48, threads=1, device="cpu")
    return load_registry(settings).get(KRONOS_NAME)


class Sickly(RandomWalk):
    """The baseline, slow, and at a loss for words about POISON."""

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        asked: dict[str, Any] = {"horizon": horizon, "n_paths": n_paths, "base_seed": base_seed, "cancel": cancel}
        for one in series:
            if one.symbol == "POISON":
                raise RuntimeError("a layer of this model cannot bear it")
            time.sleep(0.02)
            yield from super().forecast([one], **asked)


def broken() -> Forecaster:
    """Nothing."""
    raise RuntimeError("these weights are from another world")
