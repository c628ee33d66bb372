"""The same weights arranged for inference; every rearrangement is exact up to float rounding.

- a norm's gain goes into the matrix that follows it, 1/√h into the query's rows;
- q, k, v are one matrix, and so are the two that feed the SwiGLU;
- the rows of q and k are reordered so that a rotary pair lies side by side: the rotation is then one complex
  product, and since both are reordered alike their inner products do not change;
- embeddings followed by a matrix become tables (ARCHITECTURE §4.1, §10).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.kronos.attention import KeysValues, causal_attention, shared_attention
from inference_server.kronos.config import CROSS_HEADS
from inference_server.kronos.layers import NORM_EPS, Block
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
    qkv_weight: Tensor
    qkv_bias: Tensor
    out_weight: Tensor
    out_bias: Tensor
    gate_up: Tensor
    down: Tensor

    @classmethod
    def of(cls, block: Block) -> "FoldedBlock":
        attention = block.self_attn
        d, n_heads = attention.q_proj.weight.shape[0], attention.n_heads
        h = d // n_heads
        pairs = torch.arange(d).view(n_heads, 2, h // 2).transpose(1, 2).flatten().to(attention.q_proj.weight.device)
        gain1, gain2 = block.norm1.weight, block.norm2.weight
        q, k, v = attention.q_proj, attention.k_proj, attention.v_proj
        return cls(
            n_heads,
            torch.cat((q.weight[pairs] * h**-0.5, k.weight[pairs], v.weight)) * gain1,
            torch.cat((q.bias[pairs] * h**-0.5, k.bias[pairs], v.bias)),
            attention.out_proj.weight.detach().clone(),
            attention.out_proj.bias.detach().clone(),
            torch.cat((block.ffn.w1.weight, block.ffn.w3.weight)) * gain2,
            block.ffn.w2.weight.detach().t().contiguous(),
        )

    def run(
        self,
        x: Tensor,
        places: Places,
        own: KeysValues,
        at: int = 0,
        prefix: KeysValues | None = None,
        padding: Tensor | None = None,
    ) -> None:
        """Send the tokens `x` [B·S·n, d] through the block, in place; their keys and values go to `own` from `at`."""
        B, S, n, turn = places.B, places.S, places.n, places.turn
        h = x.shape[1] // self.n_heads
        qkv = functional.linear(rms(x), self.qkv_weight, self.qkv_bias).view(B, S, n, 3, self.n_heads, h)
        q = x.new_empty(B, self.n_heads, S, n, h)
        torch.mul(_pairs(qkv[:, :, :, 0]).permute(0, 3, 1, 2, 4), turn, out=_pairs(q))
        self._keep(qkv[:, :, :, 1:], turn, own, at)
        mixed = causal_attention(q, own) if prefix is None else shared_attention(q, own, at + n, prefix, padding)
        self._finish(x, mixed)

    def keep_only(self, x: Tensor, places: Places, own: KeysValues) -> None:
        """Keys and values of `x` for others to look at; the tokens themselves go no further."""
        d, h = x.shape[1], x.shape[1] // self.n_heads
        kv = functional.linear(rms(x), self.qkv_weight[d:], self.qkv_bias[d:])
        self._keep(kv.view(places.B, places.S, places.n, 2, self.n_heads, h), places.turn, own, 0)

    def look_back(self, x: Tensor, turn: Tensor, kept: KeysValues, padding: Tensor | None) -> None:
        """One token per series, `x` [B, d], whose own key is among the `kept` ones already; in place."""
        d, h = x.shape[1], x.shape[1] // self.n_heads
        q = functional.linear(rms(x), self.qkv_weight[:d], self.qkv_bias[:d]).view(-1, 1, 1, self.n_heads, h)
        turned = x.new_empty(len(x), self.n_heads, 1, 1, h)
        torch.mul(_pairs(q).permute(0, 3, 1, 2, 4), turn, out=_pairs(turned))
        self._finish(x, shared_attention(turned, kept, 0, kept, padding))

    def _keep(self, kv: Tensor, turn: Tensor, own: KeysValues, at: int) -> None:
        n = kv.shape[2]
        torch.mul(_pairs(kv[:, :, :, 0]).permute(0, 3, 1, 2, 4), turn, out=_pairs(own.keys)[:, :, :, at : at + n])
        own.values[:, :, :, at : at + n] = kv[:, :, :, 1].permute(0, 3, 1, 2, 4)

    def _finish(self, x: Tensor, mixed: Tensor) -> None:
        x += functional.linear(mixed.permute(0, 2, 3, 1, 4).reshape(x.shape), self.out_weight, self.out_bias)
        gate_up = functional.linear(rms(x), self.gate_up)
        gate, up = gate_up.chunk(2, 1)
        x.addmm_(functional.silu(gate, inplace=True).mul_(up), self.down)


def _pairs(heads: Tensor) -> Tensor:
    """[..., h] as complex numbers [..., h/2]."""
    return torch.view_as_complex(heads.view(*heads.shape[:-1], -1, 2))


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
    s1_bits: int
    head_width: int
    embed: tuple[Tensor, Tensor]
    encoder: tuple[FoldedBlock, ...]
    quant_embed: tuple[Tensor, Tensor]
    coarse_table: Tensor
    fine_table: Tensor
    decoder: tuple[FoldedBlock, ...]
    head: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, module: "KronosTokenizer") -> "FoldedTokenizer":
        config = module.config
        weight, bias = _both(module.post_quant_embed)
        s1, s2 = (torch.arange(1 << bits, device=weight.device) for bits in (config.s1_bits, config.s2_bits))
        coarse = code_of(s1, torch.zeros_like(s1), config.s1_bits, config.s2_bits)[:, : config.s1_bits]
        fine = code_of(torch.zeros_like(s2), s2, config.s1_bits, config.s2_bits)[:, config.s1_bits :]
        return cls(
            config.s1_bits,
            config.d_model // config.n_heads,
            _both(module.embed),
            tuple(FoldedBlock.of(block) for block in module.encoder),  # type: ignore[arg-type]
            _both(module.quant_embed),
            coarse @ weight[:, : config.s1_bits].t() + bias,
            fine @ weight[:, config.s1_bits :].t(),
            tuple(FoldedBlock.of(block) for block in module.decoder),  # type: ignore[arg-type]
            _both(module.head),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(s1, s2) [B, n] of bars [B, n, 6]."""
        B, n, _ = x.shape
        ids = x.new_empty(2, B, n, dtype=torch.int64)
        for start, stop in chunks(B, n):
            hidden = functional.linear(x[start:stop].reshape(-1, x.shape[2]), *self.embed)
            places = Places(stop - start, 1, n, unit_circle(n, self.head_width, x.device))
            for block in self.encoder:
                block.run(hidden, places, self._room(places, block, hidden))
            s1, s2 = ids_of(functional.linear(hidden, *self.quant_embed), self.s1_bits)
            ids[0, start:stop], ids[1, start:stop] = s1.view(-1, n), s2.view(-1, n)
        return ids[0], ids[1]

    def decode(self, s1: Tensor, s2: Tensor) -> Tensor:
        """Bars [B, n, 6] of ids [B, n]."""
        B, n = s1.shape
        bars = self.head[0].new_empty(B, n, len(self.head[1]))
        for start, stop in chunks(B, n):
            hidden = self._embed(s1[start:stop], s2[start:stop])
            places = Places(stop - start, 1, n, unit_circle(n, self.head_width, s1.device))
            for block in self.decoder:
                block.run(hidden, places, self._room(places, block, hidden))
            bars[start:stop] = functional.linear(hidden, *self.head).view(-1, n, bars.shape[2])
        return bars

    def decode_paths(
        self, past: tuple[Tensor, Tensor], lengths: list[int], drawn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Bars [B, S, P, 6] of the ids drawn [B, S, P] after a past [B, n], and [B, 6] the past's last bar.

        The past is decoded once per series; its last block only as far as others need it. `past` is padded on
        the right where `lengths` differ, and must not be empty.
        """
        (B, S, P), d_in = drawn[0].shape, len(self.head[1])
        bars, last = self.head[0].new_empty(B, S, P, d_in), self.head[0].new_empty(B, d_in)
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
                bars[some, first:end] = functional.linear(hidden, *self.head).view(places.B, places.S, P, d_in)
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
        return kept, functional.linear(last, *self.head)

    def _embed(self, s1: Tensor, s2: Tensor) -> Tensor:
        return self.coarse_table[s1.flatten()] + self.fine_table[s2.flatten()]

    def _room(self, places: Places, block: FoldedBlock, like: Tensor) -> KeysValues:
        return KeysValues.empty((places.B, block.n_heads, places.S, places.n, self.head_width), like)


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
    s1_head: tuple[Tensor, Tensor]
    query_table: Tensor
    cross_kv: tuple[Tensor, Tensor]
    cross_out: tuple[Tensor, Tensor]
    s2_head: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, module: "Kronos") -> "FoldedPredictor":
        config, embedding, cross = module.config, module.embedding, module.dep_layer.cross_attn
        d, scale = config.d_model, config.d_model**0.5
        fusion, fusion_bias = _both(embedding.fusion_proj)
        query_weight, query_bias = _both(cross.q_proj)
        (k_weight, k_bias), (v_weight, v_bias) = _both(cross.k_proj), _both(cross.v_proj)
        s2_weight, s2_bias = _both(module.head.proj_s2)
        return cls(
            d,
            config.n_heads,
            scale * embedding.emb_s1.weight @ fusion[:, :d].t(),
            scale * embedding.emb_s2.weight @ fusion[:, d:].t() + fusion_bias,
            tuple(table.detach().clone() for table in module.time_emb.parameters()),
            tuple(FoldedBlock.of(block) for block in module.transformer),  # type: ignore[arg-type]
            module.norm.weight.detach().clone(),
            _both(module.head.proj_s1),
            (embedding.emb_s1.weight @ query_weight.t() + query_bias) * (d // CROSS_HEADS) ** -0.5,
            (torch.cat((k_weight, v_weight)), torch.cat((k_bias, v_bias))),
            _both(cross.out_proj),
            (s2_weight * module.dep_layer.norm.weight, s2_bias),
        )

    @property
    def device(self) -> torch.device:
        return self.norm.device

    @property
    def head_width(self) -> int:
        return self.d_model // self.n_heads

    def time(self, fields: Tensor) -> Tensor:
        """[..., d] of calendar fields [..., 5] int64, in the order in which upstream adds them."""
        minute, hour, weekday, day, month = (
            table[fields[..., column]] for column, table in enumerate(self.time_tables)
        )
        return hour.add_(weekday).add_(day).add_(month).add_(minute)

    def embed(self, s1: Tensor, s2: Tensor, time: Tensor) -> Tensor:
        """[tokens, d]."""
        return (self.s1_table[s1.flatten()] + self.s2_table[s2.flatten()]).add_(time.reshape(-1, self.d_model))


def _both(linear: nn.Linear) -> tuple[Tensor, Tensor]:
    return linear.weight.detach().clone(), linear.bias.detach().clone()


def chunks(n_items: int, tokens_each: int) -> list[tuple[int, int]]:
    """Ranges of items that hold about `CHUNK_TOKENS` tokens, one item at least."""
    size = max(1, CHUNK_TOKENS // max(1, tokens_each))
    return [(start, min(start + size, n_items)) for start in range(0, n_items, size)]
