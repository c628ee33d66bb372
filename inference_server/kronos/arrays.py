"""Arguments as tensors: numpy or torch in, checked, float32 or int64 out."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from inference_server.kronos.errors import RolloutError

STAMP_RANGES = (("minute", 0, 59), ("hour", 0, 23), ("weekday", 0, 6), ("day", 1, 31), ("month", 1, 12))


def _tensor(value: ArrayLike | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    if not isinstance(value, Tensor):
        value = torch.from_numpy(np.array(value))  # a copy: the caller's array may be read-only
    return value.detach().to(device=device, dtype=dtype)


def bars_tensor(x: ArrayLike | Tensor, d_in: int, device: torch.device, name: str = "x") -> Tensor:
    """Normalised bars [..., n, d_in] in float32.

    Raises
    ------
    RolloutError : another shape, no bar at all, or values that are not finite.
    """
    bars = _tensor(x, torch.float32, device)
    if bars.ndim < 2 or bars.shape[-1] != d_in or bars.shape[-2] < 1:
        raise RolloutError(f"{name} has shape {tuple(bars.shape)}, needed is [series, bars ≥ 1, {d_in}]")
    if not bool(torch.isfinite(bars).all()):
        raise RolloutError(f"{name} holds {int((~torch.isfinite(bars)).sum())} values that are not finite")
    return bars


def ids_tensor(
    ids: ArrayLike | Tensor, bits: int, name: str, device: torch.device, like: Tensor | None = None
) -> Tensor:
    """Ids [..., n] in int64, each in 0 to 2^bits − 1.

    Raises
    ------
    RolloutError : another shape than `like`, or an id that does not exist.
    """
    tensor = _tensor(ids, torch.int64, device)
    if tensor.ndim < 1 or tensor.numel() == 0 or (like is not None and tensor.shape != like.shape):
        wanted = "[series, bars ≥ 1]" if like is None else str(tuple(like.shape))
        raise RolloutError(f"{name} has shape {tuple(tensor.shape)}, needed is {wanted}")
    low, high = int(tensor.min()), int(tensor.max())
    if low < 0 or high >= 1 << bits:
        raise RolloutError(f"{name} holds ids from {low} to {high}; {bits} bits allow 0 to {(1 << bits) - 1}")
    return tensor


def stamps_tensor(stamp: ArrayLike | Tensor, n: int, name: str, device: torch.device) -> Tensor:
    """Calendar fields [n, 5] cut to int64.

    Raises
    ------
    RolloutError : another shape, or a field outside its range.
    """
    raw = _tensor(stamp, torch.float64, device)
    if raw.ndim != 2 or tuple(raw.shape) != (n, len(STAMP_RANGES)):
        raise RolloutError(f"{name} has shape {tuple(raw.shape)}, needed is ({n}, {len(STAMP_RANGES)})")
    if not bool(torch.isfinite(raw).all()):
        raise RolloutError(f"{name} holds values that are not finite")
    fields = raw.long()
    if n == 0:
        return fields
    lows, highs = fields.amin(0).tolist(), fields.amax(0).tolist()
    for (field, low, high), found_low, found_high in zip(STAMP_RANGES, lows, highs, strict=True):
        if found_low < low or found_high > high:
            raise RolloutError(f"{name}: {field} runs from {found_low} to {found_high}, allowed is {low} to {high}")
    return fields


def series_list(value: ArrayLike | Tensor | Sequence[ArrayLike | Tensor], name: str) -> list[ArrayLike | Tensor]:
    """One entry per series, from a stacked array or from a sequence of arrays of unequal lengths."""
    if isinstance(value, Tensor | np.ndarray):
        if value.ndim != 3:
            raise RolloutError(f"{name} has shape {tuple(value.shape)}, needed are three axes, or a list of series")
        return list(value)
    if isinstance(value, Sequence):
        return list(value)
    raise RolloutError(f"{name} is a {type(value).__name__}, needed is an array or a list of arrays")
