"""Binary spherical quantisation: each bar becomes D signs, read as two integers.

Bit i of an id is entry i of the code: the first entry is the least significant bit. s1 takes the first
s1_bits entries, s2 the rest. Codes are ±1/√D, so they lie on the unit sphere as the encoder's output does.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from inference_server.kronos.config import TokenizerConfig


def _weights(n_bits: int, device: torch.device) -> Tensor:
    return torch.bitwise_left_shift(
        torch.ones((), dtype=torch.int64, device=device), torch.arange(n_bits, device=device)
    )


def ids_of(z: Tensor, s1_bits: int) -> tuple[Tensor, Tensor]:
    """(s1, s2) int64 [...] of `z` [..., D]; exactly zero, of either sign, counts as a cleared bit.

    The L2 norm is positive, so the sign of `z` is the sign of its unit vector and no division is needed.
    """
    bits = (z > 0).long()
    weights = _weights(z.shape[-1], z.device)
    s1 = (bits[..., :s1_bits] * weights[:s1_bits]).sum(-1)
    s2 = (bits[..., s1_bits:] * weights[: z.shape[-1] - s1_bits]).sum(-1)
    return s1, s2


def code_of(s1: Tensor, s2: Tensor, s1_bits: int, s2_bits: int) -> Tensor:
    """[..., D] of ±1/√D, the code that the ids were read from."""
    coarse = s1[..., None].bitwise_and(_weights(s1_bits, s1.device)) != 0
    fine = s2[..., None].bitwise_and(_weights(s2_bits, s2.device)) != 0
    unit: float = (s1_bits + s2_bits) ** -0.5
    return torch.where(torch.cat((coarse, fine), -1), unit, -unit)


def composite_id(s1: Tensor, s2: Tensor, s1_bits: int) -> Tensor:
    """One id per bar, s1 in the low bits (the predictor's composite has it in the high bits; never mix them)."""
    return s1 + s2 * (1 << s1_bits)


def split_id(composite: Tensor, s1_bits: int) -> tuple[Tensor, Tensor]:
    """(s1, s2) of a tokenizer's composite id."""
    return composite & ((1 << s1_bits) - 1), composite >> s1_bits


@dataclass(frozen=True, slots=True)
class Quantised:
    """Both [..., D]: the unit vectors, and the code with a straight-through gradient."""

    unit: Tensor
    code: Tensor


def quantise(z: Tensor) -> Quantised:
    """`z` [..., D] put on the unit sphere and snapped to signs; the gradient passes the snapping unchanged."""
    unit = functional.normalize(z, dim=-1, eps=1e-12)
    hard = torch.where(unit > 0, 1.0, -1.0).to(unit.dtype)
    return Quantised(unit, (unit + (hard - unit).detach()) / z.shape[-1] ** 0.5)


@dataclass(frozen=True, slots=True)
class QuantiserLoss:
    """`total` = commitment + zeta · (gamma0 · sample entropy − gamma · codebook entropy); normally negative."""

    total: Tensor
    commitment: Tensor
    sample_entropy: Tensor
    codebook_entropy: Tensor
    mean_probability: Tensor
    """[D, 2]: mean of (p, 1 − p) per bit, p = sigmoid(−4 u / √D)."""


def _entropy(p: Tensor) -> Tensor:
    return -(p * (p + 1e-8).log()).sum(-1)


def quantiser_loss(quantised: Quantised, config: TokenizerConfig) -> QuantiserLoss:
    """ARCHITECTURE §3.4; means run over all leading positions, logarithms are natural."""
    unit, n_bits = quantised.unit, config.n_bits
    commitment = config.beta * (quantised.code.detach() - unit).square().sum(-1).mean()
    cleared = torch.sigmoid(-4.0 * unit / n_bits**0.5)
    pairs = torch.stack((cleared, 1.0 - cleared), -1)
    sample_entropy = _entropy(pairs).sum(-1).mean()
    mean_probability = pairs.flatten(0, -3).mean(0)
    codebook_entropy = _entropy(mean_probability).sum()
    total = commitment + config.zeta * (config.gamma0 * sample_entropy - config.gamma * codebook_entropy)
    return QuantiserLoss(total, commitment, sample_entropy, codebook_entropy, mean_probability)
