"""A decode step whose shapes stay the same from bar to bar, so that a GPU replays it as one graph.

A step of Kronos is some hundreds of small kernels; started one by one, a fast GPU waits for the next. What differs
between two bars, the number of bars drawn, is therefore a number on the device. Slots that are still empty are looked
at and masked; so that this stays cheap, the step looks at `TIER` more of them at a time.

Axes: B series, S paths, P horizon, d model width.
"""

import logging
from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from inference_server.kronos.attention import Slot
from inference_server.kronos.errors import RolloutCancelled
from inference_server.kronos.folded import FoldedPredictor
from inference_server.kronos.paths import Paths, Prefix
from inference_server.kronos.sampling import PathStreams, Sampling

log = logging.getLogger(__name__)

TIER: Final = 32
"""Slots by which the view grows: a graph is captured anew for each, and half of them are masked on average."""


class Steps:
    """The ids of S paths over one prefix, drawn bar by bar with `stream`."""

    def __init__(
        self,
        model: FoldedPredictor,
        prefix: Prefix,
        n_paths: int,
        time: Tensor,
        sampling: Sampling,
        stream: PathStreams,
    ) -> None:
        B, P = time.shape[:2]
        self._time, self._sampling, self._stream, self._shape = time, sampling, stream, (B, n_paths, P)
        self._paths = Paths(model, prefix, n_paths, P - 1)
        self._paths.clear()
        self.s1, self.s2 = (torch.zeros(self._shape, dtype=torch.int64, device=model.device) for _ in range(2))
        self._newest = torch.zeros(1, dtype=torch.int64, device=model.device)
        self._slots = torch.arange(P - 1, device=model.device)
        self._n_seen = 0

    def draw(self, cancel: Callable[[], bool]) -> tuple[Tensor, Tensor]:
        """s1 and s2, each [B, S, P].

        Raises
        ------
        RolloutCancelled : `cancel()` said so, before a bar.
        """
        P = self._shape[2]
        again: Callable[[], None] | None = None
        for bar in range(P):
            if cancel():
                raise RolloutCancelled(f"cancelled before bar {bar + 1} of {P}")
            if bar == 0:
                self._name()
            elif bar <= self._n_seen and again is not None:
                again()
            else:
                # The first step of a tier runs as it is, which also warms up what the graph will use.
                self._n_seen = min(P - 1, bar - 1 + TIER)
                self.step()
                again = captured(self.step, self._newest.device)
        return self.s1, self.s2

    def step(self) -> None:
        """Append the newest bar to the caches and draw the next: the same kernels on the same memory every time."""
        newest = self._newest
        slots = self._slots[: self._n_seen]
        unseen = torch.zeros(len(slots), device=slots.device).masked_fill_(slots > newest, float("-inf"))
        s1, s2 = self.s1.index_select(2, newest), self.s2.index_select(2, newest)
        self._paths.extend(s1, s2, self._time.index_select(1, newest), Slot(newest, unseen))
        newest.add_(1)
        self._name()

    def _name(self) -> None:
        """Draw the ids of bar number `newest`."""
        newest, (B, S, _) = self._newest, self._shape
        s1 = self._stream.draw_at(2 * newest, self._paths.s1_logits(), self._sampling)
        s2 = self._stream.draw_at(2 * newest + 1, self._paths.s2_logits(s1), self._sampling)
        self.s1.index_copy_(2, newest, s1.view(B, S, 1))
        self.s2.index_copy_(2, newest, s2.view(B, S, 1))


def captured(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`step` as a CUDA graph; `step` itself on a CPU, and, with a line in the log, where it cannot be captured.

    Raises
    ------
    torch.OutOfMemoryError : there is no room for what the graph keeps.
    """
    if device.type != "cuda":
        return step
    graph = torch.cuda.CUDAGraph()
    try:
        torch.cuda.synchronize(device)
        with torch.cuda.device(device), torch.cuda.graph(graph):
            step()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        log.warning("the decode step is not captured as a CUDA graph, it runs kernel by kernel: %s", error)
        return step
    return graph.replay
