"""The predictor: a decoder-only transformer over (s1, s2, calendar) that names the next bar's s1, then its s2.

Axes: B series, n bars, d model width, V1 = 2^s1_bits, V2 = 2^s2_bits.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.kronos import checkpoint
from inference_server.kronos.config import CROSS_HEADS, PredictorConfig
from inference_server.kronos.folded import FoldedPredictor, Remembered
from inference_server.kronos.layers import Block, CrossAttention, RMSNorm
from inference_server.kronos.rotary import inverse_frequencies

CrossForm = Literal["rollout", "training", "evaluation"]
"""How the cross layer looks at the context (ARCHITECTURE §4.5). The released weights are used in the rollout
form, were trained in the training form, and upstream validates in the evaluation form, which sees the future."""

TIME_FIELDS: dict[str, int] = {"minute": 60, "hour": 24, "weekday": 7, "day": 32, "month": 13}
"""Rows per table, in the order of a stamp's last axis."""


def _embedding(rows: int, width: int) -> nn.Embedding:
    """A table whose numbers come later where it has none yet: torch draws even those, and loads its compiler for it."""
    weight = torch.empty(rows, width)
    return nn.Embedding(rows, width, _weight=weight) if weight.is_meta else nn.Embedding(rows, width)


class TokenEmbedding(nn.Module):
    """The fused embedding of a pair of ids."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.emb_s1 = _embedding(1 << config.s1_bits, config.d_model)
        self.emb_s2 = _embedding(1 << config.s2_bits, config.d_model)
        self.fusion_proj = nn.Linear(2 * config.d_model, config.d_model)

    def forward(self, s1: Tensor, s2: Tensor) -> Tensor:
        scale = self.emb_s1.embedding_dim**0.5
        fused: Tensor = self.fusion_proj(torch.cat((self.emb_s1(s1) * scale, self.emb_s2(s2) * scale), -1))
        return fused


class FixedTable(nn.Module):
    """A time table that does not train; sin/cos in a new model, whatever the file holds in a loaded one."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__()
        self.emb = _embedding(rows, width)
        self.emb.weight.requires_grad_(False)

    def forward(self, index: Tensor) -> Tensor:
        row: Tensor = self.emb(index)
        return row


def sinusoids(rows: int, width: int) -> Tensor:
    """[rows, width]: entry [p, 2i] is sin(p · 10000^(−2i/d)), [p, 2i+1] the cosine."""
    angles = torch.arange(rows)[:, None] * inverse_frequencies(width)
    return torch.stack((angles.sin(), angles.cos()), -1).flatten(1)[:, :width]


class TimeEmbedding(nn.Module):
    """Sum of five table rows; stamps are [..., 5]: minute, hour, weekday, day, month, cut to integers."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        table = _embedding if config.learn_te else FixedTable
        for field, rows in TIME_FIELDS.items():
            self.add_module(f"{field}_embed", table(rows, config.d_model))

    def forward(self, stamp: Tensor) -> Tensor:
        index = stamp.long()
        rows = {
            field: self.get_submodule(f"{field}_embed")(index[..., column]) for column, field in enumerate(TIME_FIELDS)
        }
        total: Tensor = rows["hour"] + rows["weekday"] + rows["day"] + rows["month"] + rows["minute"]
        return total


class DependencyLayer(nn.Module):
    """Attends from the chosen s1 to the context and adds what it finds to the context."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.cross_attn = CrossAttention(config.d_model, CROSS_HEADS, 0.0, 0.0)
        self.norm = RMSNorm(config.d_model)

    def forward(self, context: Tensor, query: Tensor, form: CrossForm) -> Tensor:
        causal = form == "training" or (form == "rollout" and query.shape[-2] > 1)
        found = self.cross_attn(query, context, rotated=form != "rollout", causal=causal)
        y: Tensor = self.norm(context + found)
        return y


class Heads(nn.Module):
    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.proj_s1 = nn.Linear(config.d_model, 1 << config.s1_bits)
        self.proj_s2 = nn.Linear(config.d_model, 1 << config.s2_bits)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Logits [B, n, V1] and [B, n, V2], and the s1 ids [B, n] that the second were conditioned on."""

    s1_logits: Tensor
    s2_logits: Tensor
    s1_query: Tensor


@dataclass(frozen=True, slots=True)
class PredictorLoss:
    """`total` = (s1 + s2) / 2, mean cross-entropies over the positions that count."""

    total: Tensor
    s1: Tensor
    s2: Tensor


class Kronos(nn.Module):
    """In evaluation mode from birth; nothing that forecasts reads the training flag."""

    def __init__(self, config: PredictorConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        self.time_emb = TimeEmbedding(config)
        self.token_dropout = nn.Dropout(config.token_dropout_p)
        self.transformer = nn.ModuleList(
            Block(
                config.d_model,
                config.n_heads,
                config.ff_dim,
                ffn_dropout=config.ffn_dropout_p,
                attn_dropout=config.attn_dropout_p,
                resid_dropout=config.resid_dropout_p,
            )
            for _ in range(config.n_layers)
        )
        self.norm = RMSNorm(config.d_model)
        self.dep_layer = DependencyLayer(config)
        self.head = Heads(config)
        self._folded: Remembered[FoldedPredictor] = Remembered(FoldedPredictor.of)
        if not self.norm.weight.is_meta:
            self._initialise()
        self.eval()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=self.config.d_model**-0.5)
        for module in self.modules():
            # Upstream means to do this and then overwrites it with random numbers.
            if isinstance(module, FixedTable):
                module.emb.weight.copy_(sinusoids(*module.emb.weight.shape))

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, revision: str | None = None, device: str = "cpu") -> Self:
        """The predictor stored in `folder` (config.json + model.safetensors), or under a hub id.

        Raises
        ------
        WeightsError : the files are missing, unreadable, or do not fit each other.
        """
        found = checkpoint.find(folder, revision)
        config = PredictorConfig.of(found.config, str(found.config_path))
        with torch.device("meta"):
            module = cls(config)
        checkpoint.load_into(module, found.weights_path, _derived(config))
        return module.to(device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write both files; they load here and upstream."""
        checkpoint.save(self, self.config.to_dict(), folder)

    @property
    def folded(self) -> FoldedPredictor:
        """The weights arranged for inference, rebuilt when a parameter has changed."""
        return self._folded.get(self)

    def infer_in(self, dtype: torch.dtype) -> Self:
        """Forecast with weights, keys and values in `dtype` from now on; the module itself stays as it is."""
        self._folded = Remembered(partial(FoldedPredictor.of, dtype=dtype))
        return self

    def context(self, s1: Tensor, s2: Tensor, stamp: Tensor | None = None) -> Tensor:
        """[B, n, d] the trunk's output after its final norm."""
        hidden: Tensor = self.embedding(s1, s2)
        if stamp is not None:
            hidden = hidden + self.time_emb(stamp)
        hidden = self.token_dropout(hidden)
        for block in self.transformer:
            hidden = block(hidden)
        y: Tensor = self.norm(hidden)
        return y

    def s1_logits(self, context: Tensor) -> Tensor:
        """[B, n, V1] for the bar after each position."""
        logits: Tensor = self.head.proj_s1(context)
        return logits

    def s2_logits(self, context: Tensor, s1: Tensor, form: CrossForm = "rollout") -> Tensor:
        """[B, n, V2] given the s1 of the bar after each position.

        `s1` is [B, n], or [B, 1] for one query over the whole context, of which only the last position means
        anything.
        """
        logits: Tensor = self.head.proj_s2(self.dep_layer(context, self.embedding.emb_s1(s1), form))
        return logits

    def forward(
        self,
        s1: Tensor,
        s2: Tensor,
        stamp: Tensor | None = None,
        *,
        s1_targets: Tensor | None = None,
        form: CrossForm = "training",
    ) -> Prediction:
        """Logits at all positions; without `s1_targets` (teacher forcing) the s1 ids are drawn from the model."""
        context = self.context(s1, s2, stamp)
        s1_logits = self.s1_logits(context)
        query = s1_targets
        if query is None:
            probabilities = s1_logits.detach().softmax(-1)
            query = torch.multinomial(probabilities.flatten(0, -2), 1).reshape(s1.shape)
        return Prediction(s1_logits, self.s2_logits(context, query, form), query)


def predictor_loss(
    prediction: Prediction, s1_targets: Tensor, s2_targets: Tensor, *, ignored: Tensor | None = None
) -> PredictorLoss:
    """Mean cross-entropy of both heads; positions where `ignored` [B, n] is not zero do not count."""
    counts = slice(None) if ignored is None else ignored == 0
    s1 = functional.cross_entropy(prediction.s1_logits[counts].flatten(0, -2), s1_targets[counts].flatten())
    s2 = functional.cross_entropy(prediction.s2_logits[counts].flatten(0, -2), s2_targets[counts].flatten())
    return PredictorLoss((s1 + s2) / 2, s1, s2)


def _derived(config: PredictorConfig) -> dict[str, Tensor]:
    frequencies = inverse_frequencies(config.d_model // config.n_heads)
    buffers = {f"transformer.{i}.self_attn.rotary.inv_freq": frequencies.clone() for i in range(config.n_layers)}
    buffers["dep_layer.cross_attn.rotary.inv_freq"] = inverse_frequencies(config.d_model // CROSS_HEADS)
    return buffers
