"""The original Kronos algorithm, straight from its specification: what our rollout is compared with.

No cache: every step sends the whole window of every row through the model. The history is repeated once per path
before the tokenizer, and both heads are evaluated at all positions. Shares no code with `inference_server`
beside reading the files, so that the two check each other. Kernels are the usual ones (fused attention).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Module:
    config: dict[str, Any]
    weights: Weights

    @classmethod
    def load(cls, folder: str | Path) -> "Module":
        folder = Path(folder)
        return cls(json.loads((folder / "config.json").read_text()), load_file(folder / "model.safetensors"))

    def to(self, device: str) -> "Module":
        return Module(self.config, {key: value.to(device) for key, value in self.weights.items()})


def rms_norm(x: Tensor, gain: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-5) * gain


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return functional.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def rotated(v: Tensor) -> Tensor:
    n, h = v.shape[-2:]
    positions = torch.arange(n, dtype=torch.float32, device=v.device)
    angles = positions[:, None] * 10000.0 ** (-torch.arange(0, h, 2, device=v.device) / h)
    cos, sin = torch.cat((angles, angles), 1).cos(), torch.cat((angles, angles), 1).sin()
    return v * cos + torch.cat((-v[..., h // 2 :], v[..., : h // 2]), -1) * sin


def attention(w: Weights, name: str, query: Tensor, context: Tensor, n_heads: int, *, own: bool) -> Tensor:
    q, k, v = (
        linear(w, f"{name}.{part}_proj", x).unflatten(-1, (n_heads, -1)).transpose(1, 2)
        for part, x in (("q", query), ("k", context), ("v", context))
    )
    if own:  # self-attention; the cross layer has one query, and then nothing turns
        q, k = rotated(q), rotated(k)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=own)
    return linear(w, f"{name}.out_proj", mixed.transpose(1, 2).flatten(2))


def block(w: Weights, name: str, x: Tensor, n_heads: int) -> Tensor:
    normed = rms_norm(x, w[f"{name}.norm1.weight"])
    x = x + attention(w, f"{name}.self_attn", normed, normed, n_heads, own=True)
    normed = rms_norm(x, w[f"{name}.norm2.weight"])
    hidden = functional.silu(linear(w, f"{name}.ffn.w1", normed)) * linear(w, f"{name}.ffn.w3", normed)
    return x + linear(w, f"{name}.ffn.w2", hidden)


def encode(tokenizer: Module, x: Tensor) -> tuple[Tensor, Tensor]:
    w, config = tokenizer.weights, tokenizer.config
    hidden = linear(w, "embed", x)
    for i in range(config["n_enc_layers"] - 1):
        hidden = block(w, f"encoder.{i}", hidden, config["n_heads"])
    unit = functional.normalize(linear(w, "quant_embed", hidden), dim=-1)
    bits, n1, n2 = (unit > 0).long(), config["s1_bits"], config["s2_bits"]
    powers = 2 ** torch.arange(max(n1, n2), device=x.device)
    return (bits[..., :n1] * powers[:n1]).sum(-1), (bits[..., n1:] * powers[:n2]).sum(-1)


def decode(tokenizer: Module, s1: Tensor, s2: Tensor) -> Tensor:
    w, config = tokenizer.weights, tokenizer.config
    n1, n2 = config["s1_bits"], config["s2_bits"]
    places = torch.arange(max(n1, n2), device=s1.device)
    bits = torch.cat((s1[..., None] >> places[:n1] & 1, s2[..., None] >> places[:n2] & 1), -1)
    hidden = linear(w, "post_quant_embed", (2.0 * bits - 1.0) / (n1 + n2) ** 0.5)
    for i in range(config["n_dec_layers"] - 1):
        hidden = block(w, f"decoder.{i}", hidden, config["n_heads"])
    return linear(w, "head", hidden)


def embed(model: Module, s1: Tensor, s2: Tensor, stamp: Tensor) -> Tensor:
    w, scale = model.weights, model.config["d_model"] ** 0.5
    pair = [
        functional.embedding(ids, w[f"embedding.emb_{name}.weight"]) * scale for ids, name in ((s1, "s1"), (s2, "s2"))
    ]
    fields, key = stamp.long(), "" if model.config["learn_te"] else ".emb"
    minute, hour, weekday, day, month = (
        functional.embedding(fields[..., i], w[f"time_emb.{name}_embed{key}.weight"])
        for i, name in enumerate(("minute", "hour", "weekday", "day", "month"))
    )
    return linear(w, "embedding.fusion_proj", torch.cat(pair, -1)) + (hour + weekday + day + month + minute)


def context_and_s1(model: Module, s1: Tensor, s2: Tensor, stamp: Tensor) -> tuple[Tensor, Tensor]:
    hidden = embed(model, s1, s2, stamp)
    for i in range(model.config["n_layers"]):
        hidden = block(model.weights, f"transformer.{i}", hidden, model.config["n_heads"])
    context = rms_norm(hidden, model.weights["norm.weight"])
    return context, linear(model.weights, "head.proj_s1", context)


def s2_logits(model: Module, context: Tensor, s1: Tensor) -> Tensor:
    w = model.weights
    query = functional.embedding(s1, w["embedding.emb_s1.weight"])
    found = attention(w, "dep_layer.cross_attn", query, context, 4, own=False)
    return linear(w, "head.proj_s2", rms_norm(context + found, w["dep_layer.norm.weight"]))


def draw(logits: Tensor, temperature: float, top_k: int, top_p: float) -> Tensor:
    logits = logits / temperature
    if top_k > 0:
        least = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    elif top_p < 1.0:
        ranked, order = logits.sort(descending=True)
        removed = ranked.softmax(-1).cumsum(-1) > top_p
        removed[..., 1:] = removed[..., :-1].clone()
        removed[..., 0] = False
        logits = logits.masked_fill(removed.scatter(-1, order, removed), float("-inf"))
    return torch.multinomial(logits.softmax(-1), 1)


@torch.inference_mode()
def rollout(
    tokenizer: Module,
    model: Module,
    x: Tensor,
    x_stamp: Tensor,
    y_stamp: Tensor,
    *,
    horizon: int,
    n_paths: int,
    temperature: float,
    top_k: int,
    top_p: float,
    max_context: int,
    progress: Callable[[int], None] = lambda step: None,
) -> Tensor:
    """[B, n_paths, horizon, 6], drawn from torch's default generator; seed it before for the same paths again."""
    B, L, _ = x.shape
    rows = x.clamp(-5.0, 5.0).repeat_interleave(n_paths, 0)
    stamp = torch.cat((x_stamp, y_stamp), 1).repeat_interleave(n_paths, 0)
    s1, s2 = encode(tokenizer, rows)
    for step in range(horizon):
        n = L + step
        start = n - min(n, max_context)
        context, logits = context_and_s1(model, s1[:, start:n], s2[:, start:n], stamp[:, start:n])
        coarse = draw(logits[:, -1], temperature, top_k, top_p)
        fine = draw(s2_logits(model, context, coarse)[:, -1], temperature, top_k, top_p)
        s1, s2 = torch.cat((s1, coarse), 1), torch.cat((s2, fine), 1)
        progress(step)
    start = L + horizon - min(L + horizon, max_context)
    bars = decode(tokenizer, s1[:, start:], s2[:, start:])
    return bars[:, -horizon:].unflatten(0, (B, n_paths))
