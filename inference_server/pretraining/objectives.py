"""What the two modules of a Kronos learn.

Axes: B windows, n bars, V values of an id.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from candlecast.forecasts import CLOSE
from inference_server.kronos import quantizer
from inference_server.kronos.model import Kronos
from inference_server.kronos.scaling import N_PRICES
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.pretraining.windows import Batch

LAGS = (1, 4, 16)
"""Bars between two prices whose difference the tokenizer has to keep."""


@dataclass(frozen=True, slots=True)
class Objective:
    """`loss` is minimised; `parts` are shown: plain numbers of what it is made of."""

    loss: Tensor
    parts: dict[str, float]


def tokenizer_objective(tokenizer: KronosTokenizer, batch: Batch, *, move_weight: float) -> Objective:
    """The published objective, and `move_weight` times the error of price moves in units of their own sigma.

    A window's standard deviation is six to eight bars' sigma, so a level that is rebuilt well may still hide the
    next bar. A move over k bars is a price less the close k bars before it, both of the rebuilt bars; its
    unit is the bars' sigma times √k.
    """
    rebuilt = tokenizer(batch.x)
    coarse, full = functional.mse_loss(rebuilt.coarse, batch.x), functional.mse_loss(rebuilt.full, batch.x)
    bits = quantizer.quantiser_loss(rebuilt.quantised, tokenizer.config)
    error = (rebuilt.full - batch.x)[..., :N_PRICES] / batch.bar_sigma[:, None, None]
    by_lag = [(error[:, lag:] - error[:, :-lag, CLOSE:]) / lag**0.5 for lag in LAGS]
    # One window with a dead market would outweigh all others, so an error counts linearly beyond one sigma.
    moves = sum(functional.smooth_l1_loss(each, torch.zeros_like(each)) for each in by_lag) / len(LAGS)
    loss = (coarse + full + bits.total) / 2 + move_weight * moves
    parts = {"loss": loss.item(), "level": full.item() ** 0.5}
    for lag, each in zip(LAGS, by_lag, strict=True):
        parts[f"close over {lag}"] = each[..., CLOSE].detach().square().mean().sqrt().item()
    return Objective(loss, parts)


def predictor_objective(model: Kronos, ids: tuple[Tensor, Tensor], batch: Batch, *, everywhere: bool) -> Objective:
    """Mean cross-entropy of s1 and s2 in the rollout's form of the cross layer (no rotation, causal).

    Bars of the lookback were scaled with knowledge of the whole lookback: its mean is 0 and its spread 1, which
    a model can learn to use, and then expects prices to come back. So only bars after the lookback count, unless
    `everywhere`, which learns faster and is for the start.
    """
    s1, s2 = ids
    context = model.context(s1[:, :-1], s2[:, :-1], batch.stamps[:, :-1])
    places = torch.arange(1, s1.shape[1], device=s1.device)
    counts = (places >= batch.lookback[:, None]) if not everywhere else torch.ones_like(s1[:, 1:], dtype=torch.bool)
    coarse = functional.cross_entropy(model.s1_logits(context[counts]), s1[:, 1:][counts])
    conditioned = model.dep_layer(context, model.embedding.emb_s1(s1[:, 1:]), "rollout")
    fine = functional.cross_entropy(model.head.proj_s2(conditioned[counts]), s2[:, 1:][counts])
    loss = (coarse + fine) / 2
    return Objective(loss, {"loss": loss.item(), "s1": coarse.item(), "s2": fine.item()})
