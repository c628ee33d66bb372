"""`python -m tests.odd_server`: the inference server with models that misbehave as their names say.

Everything else is `python -m inference_server`: options, environment, signals, exit codes.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from candlecast.baselines import RandomWalk
from candlecast.forecasts import ModelInfo, Result, Series, never
from inference_server.__main__ import leave, main
from inference_server.registry import Registry
from inference_server.settings import ServerSettings

PAUSE_S = "ODD_PAUSE_S"  # how long `slow` takes for each series
HOLD = "ODD_HOLD"  # a file; `deaf` works for as long as it is there


def _info(name: str) -> ModelInfo:
    return ModelInfo(name, name[0] * 64, None, False, "bitwise", "for a test", gives_quantiles=True)


class Slow(RandomWalk):
    """The numbers of the baseline under another name, after a pause each."""

    info = _info("slow")

    def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, **how: Any) -> Iterator[Result]:
        for one in series:
            time.sleep(float(os.environ.get(PAUSE_S, "0")))
            yield from super().forecast([one], cancel=cancel, **how)


class Deaf(RandomWalk):
    """Does not ask whether anybody still wants the answer."""

    info = _info("deaf")

    def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, **how: Any) -> Iterator[Result]:
        for one in series:
            while one.symbol != "CANARY" and Path(os.environ[HOLD]).exists():
                time.sleep(0.005)
            yield from super().forecast([one], **how)


class Lost(RandomWalk):
    """Loses its device at the series called LOST, or at the trial where it is asked to."""

    info = _info("lost")

    def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, **how: Any) -> Iterator[Result]:
        import torch  # two seconds that the others need not wait

        for one in series:
            if one.symbol in ("LOST", os.environ.get("ODD_LOST")):
                raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\ns3cret detail")
            yield from super().forecast([one], cancel=cancel, **how)


class Broken(RandomWalk):
    """Never works."""

    info = _info("broken")

    def forecast(self, series: Sequence[Series], **_: Any) -> Iterator[Result]:
        raise ValueError("s3cret detail")


def load(_: ServerSettings) -> Registry:
    return Registry([RandomWalk(), Slow(), Deaf(), Lost(), Broken()])


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ, load))
