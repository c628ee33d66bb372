"""The same weights arranged for inference; every rearrangement is exact up to float rounding.

- a norm's gain goes into the matrix that follows it, 1/√h into the query's rows;
- q, k, v are one matrix, and so are the two that feed the SwiGLU;
- the rows of q and k are reordered so that a rotary pair lies side by side: the rotation is then one complex
  product, and since both are reordered alike their inner products do not change;
- embeddings followed by a matrix become tables (ARCHITECTURE §4.1, §10).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.kronos.attention import KeysValues, Slot, causal_attention, shared_attention
from inference_server.kronos.config import CROSS_HEADS
from inference_server.kronos.layers import NORM_EPS, Block
from inference_server.kronos.products import Linear
from inference_server.kronos.quantizer import code_of, ids_of
from inference_server.kronos.rotary import unit_circle

if TYPE_CHECKING:
    from inference_server.kronos.model import Kronos
    from inference_server.kronos.tokenizer import KronosTokenizer

CHUNK_TOKENS = 2048
"""Tokens that pass through a stack at once: more only pushes the activations out of the processor's cache."""

Folded = TypeVar("Folded")


class Remembered(Generic[Folded]):
    """What was last made from a module's parameters, made again when one of them has changed."""

    def __init__(self, make: Callable[..., Folded]) -> None:
        self._make = make
        self._held: tuple[tuple[tuple[int, int], ...], Folded] | None = None

    def get(self, module: nn.Module) -> Folded:
        # An inference tensor cannot change in place behind our back, and keeps no version.
        key = tuple((p.data_ptr(), 0 if p.is_inference() else p._version) for p in module.parameters())
        held = self._held
        if held is None or held[0] != key:
            with torch.inference_mode(False), torch.no_grad():
                held = (key, self._make(module))
            self._held = held  # one assignment: another thread sees the old pair or the new one
        return held[1]

    def __reduce__(self) -> tuple[type["Remembered[Folded]"], tuple[Callable[..., Folded]]]:
        # A copy makes its own: packed weights have no storage that could be copied.
        return Remembered, (self._make,)


def rms(x: Tensor, gain: Tensor | None = None) -> Tensor:
    return functional.rms_norm(x, x.shape[-1:], gain, NORM_EPS)


@dataclass(frozen=True, slots=True)
class Places:
    """How a flat batch of tokens is laid out, B series × S paths × n positions, and the angles of each.

    `turn` is complex: [n, h/2], or [B, 1, 1, n, h/2] where the series stand at different positions.
    """

    B: int
    S: int
    n: int
    turn: Tensor


@dataclass(frozen=True, slots=True)
class FoldedBlock:
    n_heads: int
    qkv: Linear
    out: Linear
    gate_up: Linear
    down: Linear

    @classmethod
    def of(cls, block: Block, dtype: torch.dtype = torch.float32) -> "FoldedBlock":
        attention = block.self_attn
        d, n_heads = attention.q_proj.weight.shape[0], attention.n_heads
        h = d // n_heads
        pairs = torch.arange(d).view(n_heads, 2, h // 2).transpose(1, 2).flatten().to(attention.q_proj.weight.device)
        gain1, gain2 = block.norm1.weight, block.norm2.weight
        q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
        qkv_bias = torch.cat((q.bias[pairs] * h**-0.5, k.bias[pairs], v.bias))
        return cls(
            n_heads,
            Linear(torch.cat((q.weight[pairs] * h**-0.5, k.weight[pairs], v.weight)) * gain1, qkv_bias, dtype),
            Linear(attention.out_proj.weight, attention.out_proj.bias, dtype),
            Linear(torch.cat((block.ffn.w1.weight, block.ffn.w3.weight)) * gain2, None, dtype),
            Linear(block.ffn.w2.weight, None, dtype),
        )

    def run(
        self,
        x: Tensor,
        places: Places,
        own: KeysValues,
        at: int | Slot = 0,
        prefix: KeysValues | None = None,
        padding: Tensor | None = None,
    ) -> None:
        """Send the tokens `x` [B·S·n, d] through the block, in place; their keys and values go to `own` from `at`."""
        queries = self._keep_and_ask(x, places, own, at)
        if prefix is None:
            mixed = causal_attention(queries, own)
        else:
            n_own, unseen = (len(at.unseen), at.unseen) if isinstance(at, Slot) else (at + places.n, None)
            mixed = shared_attention(queries, own, n_own, prefix, padding, unseen)
        self._finish(x, mixed)

    def keep_only(self, x: Tensor, places: Places, own: KeysValues) -> None:
        """Keys and values of `x` for others to look at; the tokens themselves go no further."""
        self._keep_and_ask(x, places, own, 0)

    def look_back(self, x: Tensor, turn: Tensor, kept: KeysValues, padding: Tensor | None) -> None:
        """One token per series, `x` [B, d], whose own key is among the `kept` ones already; in place."""
        q = self.qkv(rms(x)).view(len(x), 1, 1, 3, self.n_heads, -1)[:, :, :, 0]
        self._finish(x, shared_attention(_turned(q, turn, kept.keys.dtype), kept, 0, kept, padding))

    def _keep_and_ask(self, x: Tensor, places: Places, own: KeysValues, at: int | Slot) -> Tensor:
        """Store the keys and values of `x`; its queries [B, H, S, n, h]."""
        qkv = self.qkv(rms(x)).view(places.B, places.S, places.n, 3, self.n_heads, -1)
        q, k, v = qkv.unbind(3)
        values = v.permute(0, 3, 1, 2, 4)
        if isinstance(at, Slot):
            own.keys.index_copy_(3, at.at, _turned(k, places.turn, own.keys.dtype))
            own.values.index_copy_(3, at.at, values.to(own.values.dtype))
        else:
            slots = slice(at, at + places.n)
            if own.keys.dtype == torch.float32:
                torch.mul(_pairs(k).permute(0, 3, 1, 2, 4), places.turn, out=_pairs(own.keys)[:, :, :, slots])
            else:
                own.keys[:, :, :, slots] = _turned(k, places.turn, own.keys.dtype)
            own.values[:, :, :, slots] = values
        return _turned(q, places.turn, own.keys.dtype)

    def _finish(self, x: Tensor, mixed: Tensor) -> None:
        x += self.out(mixed.permute(0, 2, 3, 1, 4).reshape(x.shape))
        gate, up = self.gate_up(rms(x)).chunk(2, 1)
        x += self.down(functional.silu(gate, inplace=True) * up)


def _pairs(heads: Tensor) -> Tensor:
    """[..., h] as complex numbers [..., h/2]."""
    return torch.view_as_complex(heads.view(*heads.shape[:-1], -1, 2))


def _turned(heads: Tensor, turn: Tensor, dtype: torch.dtype) -> Tensor:
    """[B, H, S, n, h] in `dtype` of float32 heads [B, S, n, H, h], each turned by its position's angles."""
    B, S, n, H, h = heads.shape
    turned = heads.new_empty(B, H, S, n, h)
    torch.mul(_pairs(heads).permute(0, 3, 1, 2, 4), turn, out=_pairs(turned))
    return turned.to(dtype)


def padding_of(lengths: list[int], n: int, like: Tensor) -> Tensor | None:
    """[B, 1, n] −∞ behind each series' last bar; None when all are n long."""
    if all(length == n for length in lengths):
        return None
    behind = torch.arange(n) >= torch.tensor(lengths)[:, None]
    return torch.zeros(len(lengths), 1, n).masked_fill_(behind[:, None], float("-inf")).to(like)


def turns_from(lengths: list[int], n: int, head_width: int, device: torch.device) -> Tensor:
    """Angles of the n positions that follow each series' last bar, as `Places.turn` wants them."""
    circle = unit_circle(max(lengths) + n, head_width, device)
    if min(lengths) == max(lengths):
        return circle[lengths[0] :]
    rows = torch.tensor(lengths, device=device)[:, None] + torch.arange(n, device=device)
    return circle[rows][:, None, None]


@dataclass(frozen=True, slots=True)
class FoldedTokenizer:
    d_in: int
    s1_bits: int
    head_width: int
    embed: Linear
    encoder: tuple[FoldedBlock, ...]
    quant_embed: Linear
    coarse_table: Tensor
    fine_table: Tensor
    decoder: tuple[FoldedBlock, ...]
    head: Linear

    @classmethod
    def of(cls, module: "KronosTokenizer") -> "FoldedTokenizer":
        config = module.config
        weight, bias = module.post_quant_embed.weight, module.post_quant_embed.bias
        s1, s2 = (torch.arange(1 << bits, device=weight.device) for bits in (config.s1_bits, config.s2_bits))
        coarse = code_of(s1, torch.zeros_like(s1), config.s1_bits, config.s2_bits)[:, : config.s1_bits]
        fine = code_of(torch.zeros_like(s2), s2, config.s1_bits, config.s2_bits)[:, config.s1_bits :]
        return cls(
            config.d_in,
            config.s1_bits,
            config.d_model // config.n_heads,
            _linear(module.embed),
            tuple(FoldedBlock.of(block) for block in module.encoder),  # type: ignore[arg-type]
            _linear(module.quant_embed),
            coarse @ weight[:, : config.s1_bits].t() + bias,
            fine @ weight[:, config.s1_bits :].t(),
            tuple(FoldedBlock.of(block) for block in module.decoder),  # type: ignore[arg-type]
            _linear(module.head),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(s1, s2) [B, n] of bars [B, n, 6]."""
        B, n, _ = x.shape
        ids = x.new_empty(2, B, n, dtype=torch.int64)
        for start, stop in chunks(B, n):
            hidden = self.embed(x[start:stop].reshape(-1, x.shape[2]))
            places = Places(stop - start, 1, n, unit_circle(n, self.head_width, x.device))
            for block in self.encoder:
                block.run(hidden, places, self._room(places, block, hidden))
            s1, s2 = ids_of(self.quant_embed(hidden), self.s1_bits)
            ids[0, start:stop], ids[1, start:stop] = s1.view(-1, n), s2.view(-1, n)
        return ids[0], ids[1]

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Bars [B, n, 6] of ids [B, n]."""
        B, n = s1.shape
        bars = self.coarse_table.new_empty(B, n, self.d_in)
        for start, stop in chunks(B, n):
            hidden = self._embed(s1[start:stop], s2[start:stop])
            places = Places(stop - start, 1, n, unit_circle(n, self.head_width, s1.device))
            for block in self.decoder:
                block.run(hidden, places, self._room(places, block, hidden))
            bars[start:stop] = self.head(hidden).view(-1, n, bars.shape[2])
        return bars

    def decode_paths(
        self, past: tuple[Tensor, Tensor], lengths: list[int], drawn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Bars [B, S, P, 6] of the ids drawn [B, S, P] after a past [B, n], and [B, 6] the past's last bar.

        The past is decoded once per series; its last block only as far as others need it. `past` is padded on
        the right where `lengths` differ, and must not be empty.
        """
        (B, S, P), d_in = drawn[0].shape, self.d_in
        bars, last = self.coarse_table.new_empty(B, S, P, d_in), self.coarse_table.new_empty(B, d_in)
        for start, stop in chunks(B, max(past[0].shape[1], S * P)):
            some = slice(start, stop)
            kept, last[some] = self._decode_past(past[0][some], past[1][some], lengths[some])
            n, padding = past[0].shape[1], padding_of(lengths[some], past[0].shape[1], bars)
            for first, end in chunks(S, (stop - start) * P):
                hidden = self._embed(drawn[0][some, first:end], drawn[1][some, first:end])
                turn = turns_from(lengths[some], P, self.head_width, bars.device)
                places = Places(stop - start, end - first, P, turn[..., :P, :])
                for block, prefix in zip(self.decoder, kept, strict=True):
                    block.run(hidden, places, self._room(places, block, hidden), 0, prefix if n else None, padding)
                bars[some, first:end] = self.head(hidden).view(places.B, places.S, P, d_in)
        return bars, last

    def _decode_past(self, s1: Tensor, s2: Tensor, lengths: list[int]) -> tuple[list[KeysValues], Tensor]:
        B, n = s1.shape
        hidden = self._embed(s1, s2)
        circle = unit_circle(n, self.head_width, s1.device)
        places, kept = Places(B, 1, n, circle), list[KeysValues]()
        ends = torch.tensor(lengths, device=s1.device) - 1
        for block in self.decoder[:-1]:
            kept.append(self._room(places, block, hidden))
            block.run(hidden, places, kept[-1])
        last = hidden.view(B, n, -1)[torch.arange(B, device=s1.device), ends]
        for block in self.decoder[-1:]:
            kept.append(self._room(places, block, hidden))
            block.keep_only(hidden, places, kept[-1])
            block.look_back(last, circle[ends][:, None, None, None], kept[-1], padding_of(lengths, n, hidden))
        return kept, self.head(last)

    def _embed(self, s1: Tensor, s2: Tensor) -> Tensor:
        return self.coarse_table[s1.flatten()] + self.fine_table[s2.flatten()]

    def _room(self, places: Places, block: FoldedBlock, like: Tensor) -> KeysValues:
        shape = (places.B, block.n_heads, places.S, places.n, self.head_width)
        return KeysValues.empty(shape, like.device, like.dtype)


@dataclass(frozen=True, slots=True)
class FoldedPredictor:
    """`s1_table` + `s2_table` + time rows is the input; `query_table` holds every possible cross query."""

    d_model: int
    n_heads: int
    s1_table: Tensor
    s2_table: Tensor
    time_tables: tuple[Tensor, ...]
    blocks: tuple[FoldedBlock, ...]
    norm: Tensor
    s1_head: Linear
    query_table: Tensor
    cross_kv: Linear
    cross_out: Linear
    s2_head: Linear
    dtype: torch.dtype
    """Of the weights in products, and of keys and values; tables, norms and the stream between blocks are float32."""

    @classmethod
    def of(cls, module: "Kronos", dtype: torch.dtype = torch.float32) -> "FoldedPredictor":
        config, embedding, cross = module.config, module.embedding, module.dep_layer.cross_attn
        d, scale = config.d_model, config.d_model**0.5
        fusion, query, k, v = embedding.fusion_proj, cross.q_proj, cross.k_proj, cross.v_proj
        s2 = module.head.proj_s2
        return cls(
            d,
            config.n_heads,
            scale * embedding.emb_s1.weight @ fusion.weight[:, :d].t(),
            scale * embedding.emb_s2.weight @ fusion.weight[:, d:].t() + fusion.bias,
            tuple(table.detach().clone() for table in module.time_emb.parameters()),
            tuple(FoldedBlock.of(block, dtype) for block in module.transformer),  # type: ignore[arg-type]
            module.norm.weight.detach().clone(),
            _linear(module.head.proj_s1, dtype),
            ((embedding.emb_s1.weight @ query.weight.t() + query.bias) * (d // CROSS_HEADS) ** -0.5).to(dtype),
            Linear(torch.cat((k.weight, v.weight)), torch.cat((k.bias, v.bias)), dtype),
            _linear(cross.out_proj, dtype),
            Linear(s2.weight * module.dep_layer.norm.weight, s2.bias, dtype),
            dtype,
        )

    @property
    def device(self) -> torch.device:
        return self.norm.device

    @property
    def head_width(self) -> int:
        return self.d_model // self.n_heads

    def time(self, fields: Tensor) -> Tensor:
        """[..., d] of calendar fields [..., 5] int64, in the order in which upstream adds them."""
        hour, rest = 1, (2, 3, 4, 0)
        rows = self.time_tables[hour][fields[..., hour]]
        for column in rest:
            rows += self.time_tables[column][fields[..., column]]
        return rows

    def embed(self, s1: Tensor, s2: Tensor, time: Tensor) -> Tensor:
        """[tokens, d]."""
        return (self.s1_table[s1.flatten()] + self.s2_table[s2.flatten()]).add_(time.reshape(-1, self.d_model))


def _linear(layer: nn.Linear, dtype: torch.dtype = torch.float32) -> Linear:
    return Linear(layer.weight, layer.bias, dtype)


def chunks(n_items: int, tokens_each: int) -> list[tuple[int, int]]:
    """Even ranges of items that hold at most `CHUNK_TOKENS` tokens, one item at least."""
    return even_parts(n_items, max(1, CHUNK_TOKENS // max(1, tokens_each)))


def even_parts(n_items: int, most: int) -> list[tuple[int, int]]:
    """As few ranges of at most `most` items as there have to be, none more than one item longer than another."""
    n_parts = -(-n_items // most)
    return list(pairwise(n_items * i // n_parts for i in range(n_parts + 1))) if n_parts else []
