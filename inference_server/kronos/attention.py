"""Softmax attention over cached keys, in the two forms that a rollout needs.

Axes: B series, H heads, S paths of one series, n queries, h head width. Queries come scaled by 1/√h, in the dtype of
the keys; scores, softmax and sums of parts are float32, and so is the result. Plain batched products are two to three
times as fast as the fused CPU kernel at these sizes, and equal up to rounding.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

_QUERY_BLOCK = 128  # rows of a causal score matrix made at once, so that most of its masked half is never computed


@dataclass(frozen=True, slots=True)
class KeysValues:
    """Keys and values, each [B, H, S, capacity, h], contiguous and filled from the left."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(cls, shape: tuple[int, int, int, int, int], device: torch.device, dtype: torch.dtype) -> "KeysValues":
        return cls(*(torch.empty(shape, device=device, dtype=dtype) for _ in range(2)))

    def series(self, start: int, stop: int) -> "KeysValues":
        """A view of some of the series."""
        return KeysValues(self.keys[start:stop], self.values[start:stop])


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot of one bar as a number on the device, so that the same kernels serve every bar.

    at : [1] its number
    unseen : [n] −∞ at the slots behind it, 0 elsewhere; the n first slots are looked at
    """

    at: Tensor
    unseen: Tensor


@lru_cache(maxsize=64)
def _future(n: int, device: str) -> Tensor:
    with torch.inference_mode(False), torch.no_grad():
        return torch.full((n, n), float("-inf"), device=device).triu_(1)


def causal_attention(q: Tensor, own: KeysValues) -> Tensor:
    """[B, H, S, n, h]: query t sees keys 0 to t; as many keys as queries."""
    B, H, S, n, h = q.shape
    rows = q.view(B * H * S, n, h)
    keys, values = own.keys[..., :n, :].reshape(-1, n, h), own.values[..., :n, :].reshape(-1, n, h)
    mixed = torch.empty(rows.shape, device=q.device)
    for start in range(0, n, _QUERY_BLOCK):
        stop = min(start + _QUERY_BLOCK, n)
        scores = torch.bmm(rows[:, start:stop], keys[:, :stop].transpose(1, 2)).float()
        scores[:, :, start:].add_(_future(stop - start, str(q.device)))
        mixed[:, start:stop] = torch.bmm(scores.softmax(-1).to(q.dtype), values[:, :stop])
    return mixed.view(q.shape)


def shared_attention(
    q: Tensor,
    own: KeysValues,
    n_own: int,
    prefix: KeysValues,
    padding: Tensor | None = None,
    unseen: Tensor | None = None,
) -> Tensor:
    """[B, H, S, n, h]: the S paths of a series look at one copy of its prefix and at what each has drawn.

    All queries of a series meet the prefix in one matrix product, whatever S is. With one query a path sees
    its first `n_own` own keys; with n it has n own keys and looks at them causally. `padding` [B, 1, Lp] is −∞
    at prefix slots that a shorter series does not have, and 0 elsewhere; `unseen` [n_own] likewise for own slots.
    """
    B, H, S, n, h = q.shape
    n_prefix = prefix.keys.shape[3]
    grouped, single = q.view(B * H, S * n, h), q.view(B * H * S, n, h)
    scores = torch.bmm(grouped, prefix.keys.view(B * H, n_prefix, h).transpose(1, 2)).float()
    if padding is not None:
        scores.view(B, H * S * n, n_prefix).add_(padding)
    if not n_own:
        weights = scores.softmax(-1).to(q.dtype)
        return torch.bmm(weights, prefix.values.view(B * H, n_prefix, h)).float().view(q.shape)
    own_scores = torch.bmm(single, own.keys.view(B * H * S, -1, h)[:, :n_own].transpose(1, 2)).float()
    if unseen is not None:
        own_scores.add_(unseen)
    elif n > 1:
        own_scores.add_(_future(n, str(q.device)))
    weights = torch.cat((scores, own_scores.view(B * H, S * n, n_own)), -1).softmax(-1).to(q.dtype)
    # The outputs of `bmm` stay whole: into a strided slice it would work one matrix at a time.
    mixed = torch.bmm(weights[:, :, :n_prefix], prefix.values.view(B * H, n_prefix, h)).float()
    own_weights = weights.view(B * H * S, n, n_prefix + n_own)[:, :, n_prefix:]
    own_values = own.values.view(B * H * S, -1, h)[:, :n_own]
    if q.dtype == torch.float32:
        mixed.view(B * H * S, n, h).baddbmm_(own_weights, own_values)
    else:
        mixed.view(B * H * S, n, h).add_(torch.bmm(own_weights, own_values))
    return mixed.view(q.shape)
