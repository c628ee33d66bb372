"""What a rollout keeps between two bars: one prefix per series, and what each of its paths has drawn since.

Axes: B series, S paths per series, R = B·S rows ordered series-major, n prefix length, d model width.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from candlecast.forecasts import never
from inference_server.kronos.attention import KeysValues, Slot, shared_attention
from inference_server.kronos.config import CROSS_HEADS
from inference_server.kronos.errors import RolloutCancelled
from inference_server.kronos.folded import FoldedPredictor, Places, chunks, padding_of, rms, turns_from
from inference_server.kronos.rotary import unit_circle


@dataclass(frozen=True, slots=True)
class Prefix:
    """Everything that the paths of a series share: keys and values per block and of the cross layer.

    `last` [B, d] is the context of each series' last bar, `padding` as in `shared_attention`.
    """

    lengths: list[int]
    blocks: tuple[KeysValues, ...]
    cross: KeysValues
    last: Tensor | None
    padding: Tensor | None


def prefill(
    model: FoldedPredictor,
    s1: Tensor,
    s2: Tensor,
    time: Tensor,
    lengths: list[int],
    cancel: Callable[[], bool] = never,
) -> Prefix:
    """The prefix of ids [B, n] with time rows [B, n, d], padded on the right where `lengths` differ.

    Causality keeps the padding out of every earlier position. n may be 0: windows can lie behind the lookback.

    Raises
    ------
    RolloutCancelled : `cancel()` said so, before a block: many series take as long as many bars.
    """
    B, n = s1.shape
    d, like = model.d_model, model.norm
    kept, cross = _rooms(model, B, 1, n)
    if n == 0:
        return Prefix(lengths, kept, cross, None, None)
    last = like.new_empty(B, d)
    ends = torch.tensor(lengths, device=like.device) - 1
    circle = unit_circle(n, model.head_width, like.device)
    for start, stop in chunks(B, n):
        some = slice(start, stop)
        x = model.embed(s1[some], s2[some], time[some])
        for block, keys_values in zip(model.blocks, kept, strict=True):
            if cancel():
                raise RolloutCancelled(f"cancelled while {B} lookbacks were read")
            block.run(x, Places(stop - start, 1, n, circle), keys_values.series(start, stop))
        context = rms(x, model.norm)
        _keep_cross(model, context, (stop - start, 1, n), cross.series(start, stop), 0)
        last[some] = context.view(stop - start, n, d)[torch.arange(stop - start, device=like.device), ends[some]]
    return Prefix(lengths, kept, cross, last, padding_of(lengths, n, like))


class Paths:
    """S paths over a prefix, all at the same number of drawn bars."""

    def __init__(self, model: FoldedPredictor, prefix: Prefix, n_paths: int, capacity: int) -> None:
        self._model, self._prefix, self._S = model, prefix, n_paths
        self._B = len(prefix.lengths)
        self._blocks, self._cross = _rooms(model, self._B, n_paths, capacity)
        self._turns = turns_from(prefix.lengths, capacity, model.head_width, model.device) if capacity else None
        self._n = 0
        self._slot: Slot | None = None
        self._context: Tensor | None = None

    def clear(self) -> None:
        """Zeros in every slot: one that is looked at and masked must not hold what is no number."""
        for room in (*self._blocks, self._cross):
            room.keys.zero_()
            room.values.zero_()

    def extend(self, s1: Tensor, s2: Tensor, time: Tensor, slot: Slot | None = None) -> None:
        """Append n bars to every path: ids [B, S, n], time rows [B, n, d] or [B, S, n, d].

        Either one bar at a time, or all of them at once as the first call; with a `slot` one bar, always there.
        """
        assert self._turns is not None
        model, prefix, (B, S, n) = self._model, self._prefix, s1.shape
        if time.ndim == 3:
            time = time[:, None].expand(B, S, n, -1)
        x = model.embed(s1, s2, time)
        at: int | Slot = self._n if slot is None else slot
        turn = self._turns[..., at : at + n, :] if isinstance(at, int) else self._turns.index_select(-2, at.at)
        places = Places(B, S, n, turn)
        has_prefix = prefix.cross.keys.shape[3] > 0
        for block, own, shared in zip(model.blocks, self._blocks, prefix.blocks, strict=True):
            block.run(x, places, own, at, shared if has_prefix else None, prefix.padding)
        context = rms(x, model.norm)
        _keep_cross(model, context, (B, S, n), self._cross, at)
        self._slot = slot
        self._n = self._n + n if slot is None else len(slot.unseen)
        self._context = context.view(B * S, n, -1)[:, -1]

    def s1_logits(self) -> Tensor:
        """[R, V1] for the next bar of every path; equal for the paths of a series that have drawn nothing."""
        if self._context is None:
            assert self._prefix.last is not None
            return self._model.s1_head(self._prefix.last).repeat_interleave(self._S, 0)
        return self._model.s1_head(self._context)

    def s2_logits(self, s1: Tensor) -> Tensor:
        """[R, V2] for the next bar, given its s1 [R]: unrotated, over every bar of the window."""
        model, prefix = self._model, self._prefix
        context = self._context
        if context is None:
            assert prefix.last is not None
            context = prefix.last.repeat_interleave(self._S, 0)
        query = model.query_table[s1].view(self._B, self._S, CROSS_HEADS, 1, -1).transpose(1, 2).contiguous()
        unseen = None if self._slot is None else self._slot.unseen
        found = shared_attention(query, self._cross, self._n, prefix.cross, prefix.padding, unseen)
        found = model.cross_out(found.transpose(1, 2).reshape(context.shape))
        return model.s2_head(rms(found + context))


def _rooms(model: FoldedPredictor, B: int, S: int, n: int) -> tuple[tuple[KeysValues, ...], KeysValues]:
    """Room for n bars of S paths in every block and in the cross layer."""
    of_block, of_cross = ((B, n_heads, S, n, model.d_model // n_heads) for n_heads in (model.n_heads, CROSS_HEADS))
    blocks = tuple(KeysValues.empty(of_block, model.device, model.dtype) for _ in model.blocks)
    return blocks, KeysValues.empty(of_cross, model.device, model.dtype)


def _keep_cross(
    model: FoldedPredictor, context: Tensor, shape: tuple[int, int, int], room: KeysValues, at: int | Slot
) -> None:
    B, S, n = shape
    kv = model.cross_kv(context).view(B, S, n, 2, CROSS_HEADS, -1).permute(3, 0, 4, 1, 2, 5)
    for slots, new in zip((room.keys, room.values), kv, strict=True):
        if isinstance(at, Slot):
            slots.index_copy_(3, at.at, new.to(slots.dtype))
        else:
            slots[:, :, :, at : at + n] = new
