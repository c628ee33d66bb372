"""How many bytes a rollout takes, and how many series and paths therefore go at once.

Axes: L lookback bars, P horizon, d model width, H heads, f feed-forward width, V values of an id, n blocks; e is the
width of a number in keys and values (4 bytes, 2 in bfloat16).
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch

from inference_server.kronos.config import PredictorConfig, TokenizerConfig
from inference_server.kronos.folded import CHUNK_TOKENS

SHARE = 0.8
"""Of the free memory that a rollout plans with: the rest is for fragments and for neighbours that grow."""
UNKNOWN_FREE = 2 << 30
"""Taken to be free on a CPU whose system does not say."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a rollout beside the weights: `fixed`, and for every series and every path of one."""

    fixed: int
    per_series: int
    per_path: int

    @classmethod
    def of(
        cls, tokenizer: TokenizerConfig, model: PredictorConfig, dtype: torch.dtype, lookback: int, horizon: int
    ) -> Self:
        """What `rollout.simulate` holds at its peak.

        Kept for a token: a key and a value per block and for the cross layer, (2n + 2)·d·e bytes. For 102.3M
        parameters (n 12, d 832) in bfloat16 that is 26 · 832 · 2 = 43,264. A series keeps L tokens, a path P − 1: what
        it draws last is looked at by nobody. So 23 series × 100 paths of 392 + 120 bars keep
        23·392·43,264 = 0.39 GB and 2,300·119·43,264 = 11.84 GB, and eight gigabytes hold about half of them at once.

        Beside that a series holds its time rows, twice (L + P)·d·4, and a path the numbers of one step: ids, uniforms
        and bars, logits that become probabilities (about 50 bytes a value), scores over L + P keys per head in float32
        (parts, whole and softmax, the last again in e bytes), and its token on the way through a block.
        What is fixed passes through a stack in chunks of `CHUNK_TOKENS` tokens, the lookback through the predictor
        and the paths through the tokenizer's decoder, whose keys and values last for the chunk.
        """
        e, tokens = dtype.itemsize, lookback + horizon
        kept = (2 * model.n_layers + 2) * model.d_model * e
        step = 4 * (8 * model.d_model + 4 * model.ff_dim) + 50 * (1 << max(model.s1_bits, model.s2_bits))
        step += tokens * model.n_heads * (3 * 4 + (e if e < 4 else 0))
        held = horizon * (2 * 8 + 4 * 8 + 4 * 6) + horizon * 4 * 6
        return cls(
            max(_stack(model, lookback, lookback, 4 + e), _stack(tokenizer, horizon, tokens, 8)),
            lookback * kept + 2 * tokens * model.d_model * 4 + tokens * (4 * 6 + 8 * 12),
            (horizon - 1) * kept + step + held,
        )

    def bytes(self, n_series: int, n_paths: int) -> int:
        """Of a rollout of so many series with so many paths each."""
        return self.fixed + n_series * (self.per_series + n_paths * self.per_path)


def _stack(config: TokenizerConfig | PredictorConfig, n_queries: int, n_keys: int, score_bytes: int) -> int:
    """One chunk of tokens in a block: its widths in float32, and scores of its queries over `n_keys`."""
    widths = 10 * config.d_model + 4 * config.ff_dim
    rows = max(CHUNK_TOKENS, n_queries)
    return rows * (4 * widths + config.n_heads * n_keys * score_bytes)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """So many series at once, with so many of their paths at a time."""

    series: int
    paths: int

    @classmethod
    def fitting(cls, footprint: Footprint, budget: int, n_series: int, n_paths: int) -> Self:
        """The largest that `budget` bytes hold; paths are split only where a single series is too much."""
        room = budget - footprint.fixed
        series = room // (footprint.per_series + n_paths * footprint.per_path)
        if series > 0:
            return cls(min(series, n_series), n_paths)
        return cls(1, min(n_paths, max(1, (room - footprint.per_series) // footprint.per_path)))


def free_bytes(device: torch.device) -> int:
    """What a process may still take there: on a GPU what torch holds unused counts, on a CPU a container's limit."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    rooms = [room for room in (_available(), _container_room()) if room is not None]
    return min(rooms, default=UNKNOWN_FREE)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        kib = next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None
    return int(kib) * 1024


def _container_room(folder: Path = Path(os.sep, "sys", "fs", "cgroup")) -> int | None:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = (folder / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return max(0, int(limit) - int(used)) if limit.isdigit() else None
