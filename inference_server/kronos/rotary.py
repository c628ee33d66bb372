"""Rotary position tables: immutable, shared by every thread, and a function of their arguments alone.

Upstream keeps one mutable table per layer and rebuilds it when a length changes, so two requests in two
threads can read each other's (ARCHITECTURE §11.1). Here nothing is ever rebuilt: a table of the next power of
two is computed once and sliced.
"""

from functools import lru_cache

import torch
from torch import Tensor

Device = torch.device | str


def inverse_frequencies(head_width: int, device: Device = "cpu") -> Tensor:
    """[h/2] 10000^(−2j/h) in float32."""
    return 1.0 / 10000.0 ** (torch.arange(0, head_width, 2, dtype=torch.float32, device=device) / head_width)


@lru_cache(maxsize=64)
def _tables(rows: int, head_width: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    # An inference tensor could not be used by a later training step.
    with torch.inference_mode(False), torch.no_grad():
        positions = torch.arange(rows, dtype=torch.float32, device=device)
        angles = positions[:, None] * inverse_frequencies(head_width, device)
        cos, sin = angles.cos(), angles.sin()
        return torch.cat((cos, cos), 1), torch.cat((sin, sin), 1), torch.complex(cos, sin)


def _rows(n: int) -> int:
    return 1 << max(6, (n - 1).bit_length())


def cos_sin(n: int, head_width: int, device: Device = "cpu") -> tuple[Tensor, Tensor]:
    """cos and sin, each [n, h], for positions 0 to n − 1; both halves of the width hold the same angles."""
    cos, sin, _ = _tables(_rows(n), head_width, str(device))
    return cos[:n], sin[:n]


def unit_circle(n: int, head_width: int, device: Device = "cpu") -> Tensor:
    """[n, h/2] complex64 e^{ia}: the rotation as one product, for heads whose pairs lie side by side."""
    return _tables(_rows(n), head_width, str(device))[2][:n]


def rotate(v: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """`v` [..., n, h] turned by its position's angles, rotate-half convention."""
    low, high = v.chunk(2, dim=-1)
    return v * cos + torch.cat((-high, low), dim=-1) * sin


def rotate_pair(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys under the length rule: equal lengths turn both, one query turns neither.

    Raises
    ------
    ValueError : any other mix of lengths.
    """
    n_queries, n_keys = q.shape[-2], k.shape[-2]
    if n_queries == n_keys:
        cos, sin = cos_sin(n_queries, q.shape[-1], q.device)
        cos, sin = cos.to(q.dtype), sin.to(q.dtype)
        return rotate(q, cos, sin), rotate(k, cos, sin)
    if n_queries == 1:
        return q, k  # a one-row table is position 0, and position 0 turns nothing
    raise ValueError(f"{n_queries} queries against {n_keys} keys: rotary needs equal lengths or one query")
