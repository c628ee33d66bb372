"""Which series of a request go through a rollout together: as many as memory holds and speed asks for.

Only series of one lookback share a rollout: nothing is padded then, and on a CPU every number comes out as if the
series were alone (decision 12).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from inference_server.kronos import workers
from inference_server.kronos.config import CROSS_HEADS, PredictorConfig, TokenizerConfig
from inference_server.kronos.folded import FoldedPredictor, even_parts
from inference_server.kronos.memory import SHARE, Footprint, MicroBatch, free_bytes
from inference_server.kronos.products import LEAST_ROWS

log = logging.getLogger(__name__)

CPU_ROWS: Final = 96
"""Rows of a product from which one core gains nothing more (96 rows reach 95 % of the speed of 2,048)."""
SMALL_PRODUCT: Final = 400
"""Multiplications below which torch's batched product leaves the library for a loop of its own."""
QUIET_CALLS: Final = 16
"""Calls without a shortage after which the memory that was short is taken to be free again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Positions of the series in the request, and how many of their paths go at a time."""

    members: tuple[int, ...]
    paths: int


class MicroBatches:
    """Sizes of micro-batches for one model on one device, smaller after a shortage of memory."""

    def __init__(self, tokenizer: TokenizerConfig, model: PredictorConfig, folded: FoldedPredictor) -> None:
        self._configs, self._device, self._dtype = (tokenizer, model), folded.device, folded.dtype
        self._on_cpu = folded.device.type == "cpu"
        self._head_width = min(folded.head_width, folded.d_model // CROSS_HEADS)
        block = folded.blocks[0]
        products = (block.qkv, block.out, block.gate_up, block.down, folded.s1_head, folded.cross_kv)
        self.shared = not self._on_cpu or all(each.rows_are_alone() for each in products)
        """Whether several series may share a rollout."""
        if not self.shared:
            log.warning("products depend on their number of rows on this machine: series are forecast one at a time")
        self._most: MicroBatch | None = None
        self._last: tuple[MicroBatch, int, int] | None = None
        self._quiet = 0

    def plan(self, lookbacks: Sequence[tuple[int, int]], horizon: int, n_paths: int) -> list[Batch]:
        """Batches of the series given as (position, bars of lookback), those with the first positions first."""
        by_lookback: dict[int, list[int]] = {}
        for position, lookback in lookbacks:
            by_lookback.setdefault(lookback, []).append(position)
        budget = int(SHARE * free_bytes(self._device)) // (workers.n_workers() if self._on_cpu else 1)
        batches, largest = list[Batch](), None
        for lookback, positions in by_lookback.items():
            footprint = Footprint.of(*self._configs, self._dtype, lookback, horizon)
            size = MicroBatch.fitting(footprint, budget, self._useful(len(positions), n_paths), n_paths)
            if self._most is not None:
                size = MicroBatch(min(size.series, self._most.series), min(size.paths, self._most.paths))
            least = self._least_paths(lookback)
            size = MicroBatch(size.series, _piece(n_paths, size.paths, least))
            batches += [
                Batch(tuple(positions[first:last]), size.paths)
                for first, last in even_parts(len(positions), size.series)
            ]
            if largest is None or (size.series, size.paths) > (largest[0].series, largest[0].paths):
                largest = size, n_paths, least
        self._last = largest
        return sorted(batches, key=lambda batch: batch.members[0])

    def halve(self) -> bool:
        """Plan half of the last plan's largest micro-batch from now on; False when it cannot be smaller."""
        if self._last is None:
            return False
        size, n_paths, least = self._last
        self._quiet = 0
        if size.series > 1:
            self._most = MicroBatch(size.series // 2, size.paths)
        else:
            paths = _piece(n_paths, size.paths // 2, least)
            if paths >= size.paths:
                return False
            self._most = MicroBatch(1, paths)
        self._last = self._most, n_paths, least
        log.warning("memory ran out: %d series × %d paths at a time from now on", self._most.series, self._most.paths)
        return True

    def went_well(self) -> None:
        """A whole request was answered; after some of them in a row memory counts as free again."""
        self._quiet += 1
        if self._quiet == QUIET_CALLS:
            self._most = None

    def _useful(self, n_series: int, n_paths: int) -> int:
        if not self._on_cpu:
            return n_series
        if not self.shared:
            return 1
        each_core = -(-n_series // workers.n_workers())
        return max(1, min(each_core, CPU_ROWS // n_paths))

    def _least_paths(self, lookback: int) -> int:
        """Fewer paths would be multiplied by other routines on a CPU, in another order of summation."""
        return max(LEAST_ROWS, -(-SMALL_PRODUCT // (self._head_width * lookback))) if self._on_cpu else 1


def _piece(n_paths: int, most: int, least: int) -> int:
    """The size of even pieces of `n_paths` that hold at most `most` where `least` in each allows that."""
    n_pieces = max(1, min(-(-n_paths // max(1, most)), n_paths // least))
    return -(-n_paths // n_pieces)
