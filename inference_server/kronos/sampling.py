"""Drawing ids from logits: temperature, then top-k or top-p, then one draw per row.

Axes: R rows (series-major: row = series · S + path), V values of an id.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from inference_server.kronos.errors import RolloutError


@dataclass(frozen=True, slots=True)
class Sampling:
    """temperature > 0; top_k = 0 keeps all; top_p = 1 keeps all, and is ignored where top_k is given (as upstream)."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise RolloutError(f"temperature is {self.temperature}, needed is a number above 0; greedy is top_k=1")
        if self.top_k < 0:
            raise RolloutError(f"top_k is {self.top_k}, needed is 0 (keep all) or more")
        if not 0 < self.top_p <= 1:
            raise RolloutError(f"top_p is {self.top_p}, needed is a number above 0 and up to 1")


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """−∞ at every logit strictly below the k-th largest of its row, so ties with the k-th all stay."""
    if top_k >= logits.shape[-1]:
        return logits
    least = logits.amax(-1, keepdim=True) if top_k == 1 else logits.topk(top_k, -1).values[..., -1:]
    return logits.masked_fill(logits < least, float("-inf"))


def keep_top_p(logits: Tensor, top_p: float, min_keep: int = 1) -> Tensor:
    """−∞ at every logit whose more probable ones together already exceed `top_p`.

    `min_keep` above 1 keeps one more than it says: upstream clears its flags before shifting them.
    """
    ranked, order = logits.sort(-1, descending=True)
    exceeded = ranked.softmax(-1).cumsum(-1) > top_p
    if min_keep > 1:
        exceeded[..., :min_keep] = False
    removed = torch.zeros_like(exceeded)
    removed[..., 1:] = exceeded[..., :-1]
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), float("-inf"))


def filter_logits(logits: Tensor, top_k: int = 0, top_p: float = 1.0, min_keep: int = 1) -> Tensor:
    """The filter of ARCHITECTURE §5; with nothing to filter the logits themselves."""
    if top_k > 0:
        return keep_top_k(logits, max(top_k, min_keep))
    return keep_top_p(logits, top_p, min_keep) if top_p < 1.0 else logits


class Stream(Protocol):
    """A source of randomness that is asked once per id of a bar, s1 before s2."""

    def draw(self, logits: Tensor, sampling: Sampling) -> Tensor:
        """[R] ids from logits [R, V]."""
        ...


def _tempered(logits: Tensor, sampling: Sampling) -> tuple[Tensor, bool]:
    """Logits after temperature and top-k, and whether top-p is still to do."""
    if sampling.temperature != 1.0:
        logits = logits / sampling.temperature
    if sampling.top_k > 0:
        return keep_top_k(logits, sampling.top_k), False
    return logits, sampling.top_p < 1.0


def _outside(probabilities: Tensor, ids: Tensor, top_p: float) -> Tensor:
    """[R] whether the top-p filter would have removed the row's id.

    Most rows are inside, so looking at the one id that was drawn replaces sorting every row at every step.
    """
    chosen = probabilities.gather(-1, ids[:, None])
    before = torch.where(probabilities > chosen, probabilities, 0.0).sum(-1)
    return before > top_p


class SharedStream:
    """Upstream's randomness: torch's default CPU generator, one exponential per (row, value) in row order.

    A draw is the argmax of p / e, as torch's own multinomial does it; a seeded upstream run is reproduced.
    """

    def draw(self, logits: Tensor, sampling: Sampling) -> Tensor:
        logits, nucleus = _tempered(logits, sampling)
        races = torch.empty(logits.shape, dtype=torch.float32).exponential_(1.0).to(logits.device)
        probabilities = logits.softmax(-1)
        ids = (probabilities / races).argmax(-1)
        if nucleus:
            # A removed winner hands over to the best runner that stays: the same race without the removed ones.
            rows = _outside(probabilities, ids, sampling.top_p).nonzero()[:, 0]
            if len(rows):
                inside = keep_top_p(logits[rows], sampling.top_p).softmax(-1)
                ids[rows] = (inside / races[rows]).argmax(-1)
        return ids


class PathStreams:
    """A stream of its own for every (series seed, path): neither batch nor number of paths changes a path.

    Philox (Salmon et al. 2011, Random123) keyed by the pair; four 32-bit uniforms per bar, two for each id. An id is
    the inverse of the cumulative distribution at the first uniform; the second serves only the rows whose id
    the top-p filter removes, which then draw from what it keeps: p + (1 − Z) p / Z = p / Z for a kept mass Z.
    """

    def __init__(
        self, seeds: Sequence[int], paths: Sequence[int], horizon: int, device: torch.device | str = "cpu"
    ) -> None:
        uniforms = np.empty((len(seeds), len(paths), horizon * 2, 2))
        for row, seed in enumerate(seeds):
            for column, path in enumerate(paths):
                key = np.array([seed & (1 << 64) - 1, path], dtype=np.uint64)
                bits = np.random.Generator(np.random.Philox(key=key)).integers(
                    1 << 32, size=uniforms.shape[2:], dtype=np.uint32
                )
                uniforms[row, column] = bits / 2.0**32
        by_draw = np.ascontiguousarray(uniforms.reshape(-1, *uniforms.shape[2:]).transpose(1, 2, 0))
        self._uniforms = torch.from_numpy(by_draw).to(device)
        self._next = 0

    def draw(self, logits: Tensor, sampling: Sampling) -> Tensor:
        logits, nucleus = _tempered(logits, sampling)
        first, second = self._uniforms[self._next]
        self._next += 1
        probabilities = logits.softmax(-1)
        ids = _inverse(probabilities, first)
        if nucleus:
            rows = _outside(probabilities, ids, sampling.top_p).nonzero()[:, 0]
            if len(rows):
                ids[rows] = _inverse(keep_top_p(logits[rows], sampling.top_p).softmax(-1), second[rows])
        return ids

    def draw_at(self, index: Tensor, logits: Tensor, sampling: Sampling) -> Tensor:
        """The same ids for draw number `index` [1], by operations whose shapes depend on nothing that was drawn."""
        logits, nucleus = _tempered(logits, sampling)
        first, second = self._uniforms.index_select(0, index)[0]
        probabilities = logits.softmax(-1)
        ids = _inverse(probabilities, first)
        if not nucleus:
            return ids
        inside = _inverse(keep_top_p(logits, sampling.top_p).softmax(-1), second)
        return torch.where(_outside(probabilities, ids, sampling.top_p), inside, ids)


def _inverse(probabilities: Tensor, uniform: Tensor) -> Tensor:
    # In float64 a 32-bit uniform below 1 stays strictly below the total, so an id without mass is never met.
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(cumulative, (uniform * cumulative[:, -1])[:, None], right=True)[:, 0]


def series_seeds(seed: int | Sequence[int], n_series: int) -> list[int]:
    """One seed per series: as given, or for one integer the first 63 bits of sha256 over "seed/index".

    Raises
    ------
    RolloutError : a sequence of another length.
    """
    if isinstance(seed, int | np.integer):
        digests = (hashlib.sha256(f"{int(seed)}/{index}".encode()).digest() for index in range(n_series))
        return [int.from_bytes(digest[:8], "big") >> 1 for digest in digests]
    if len(seed) != n_series:
        raise RolloutError(f"{len(seed)} seeds for {n_series} series; give one each, one integer, or None")
    return [int(each) for each in seed]
