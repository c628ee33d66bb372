"""The building blocks, in the form that trains: every parameter under its published name.

Forecasts do not run through these; `folded.py` holds the same numbers arranged for inference.
Axes: B series, n positions, d model width, H heads, h = d / H, f feed-forward width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference_server.kronos.rotary import inverse_frequencies, rotate_pair

NORM_EPS = 1e-5


class RMSNorm(nn.Module):
    """x / rms(x) · weight, the division in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + NORM_EPS)
        return scaled.to(x.dtype) * self.weight


class FeedForward(nn.Module):
    """SwiGLU without biases: W2 (silu(W1 x) ⊙ W3 x)."""

    def __init__(self, d_model: int, ff_dim: int, dropout: float) -> None:
        super().__init__()
        self.w1 = nn.Linear(d_model, ff_dim, bias=False)
        self.w3 = nn.Linear(d_model, ff_dim, bias=False)
        self.w2 = nn.Linear(ff_dim, d_model, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(self.w2(functional.silu(self.w1(x)) * self.w3(x)))
        return y


class Rotary(nn.Module):
    """Only the stored buffer; the tables that are used live in `rotary.py`."""

    inv_freq: Tensor

    def __init__(self, head_width: int) -> None:
        super().__init__()
        self.register_buffer("inv_freq", inverse_frequencies(head_width))


class _Attention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, attn_dropout: float, resid_dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attn_dropout = attn_dropout
        self.q_proj = nn.Linear(d_model, d_model)
        self.k_proj = nn.Linear(d_model, d_model)
        self.v_proj = nn.Linear(d_model, d_model)
        self.out_proj = nn.Linear(d_model, d_model)
        self.rotary = Rotary(d_model // n_heads)
        self.dropout = nn.Dropout(resid_dropout)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.n_heads, -1).transpose(-3, -2)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, *, causal: bool) -> Tensor:
        dropout = self.attn_dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=causal)
        y: Tensor = self.dropout(self.out_proj(mixed.transpose(-3, -2).flatten(-2)))
        return y


class SelfAttention(_Attention):
    """Causal in training and evaluation alike."""

    def forward(self, x: Tensor) -> Tensor:
        q, k = rotate_pair(self._heads(self.q_proj(x)), self._heads(self.k_proj(x)))
        return self._attend(q, k, self._heads(self.v_proj(x)), causal=True)


class CrossAttention(_Attention):
    """Queries [B, m, d] over a context [B, n, d]."""

    def forward(self, query: Tensor, context: Tensor, *, rotated: bool, causal: bool) -> Tensor:
        q, k = self._heads(self.q_proj(query)), self._heads(self.k_proj(context))
        if rotated:
            q, k = rotate_pair(q, k)
        return self._attend(q, k, self._heads(self.v_proj(context)), causal=causal)


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(
        self, d_model: int, n_heads: int, ff_dim: int, *, ffn_dropout: float, attn_dropout: float, resid_dropout: float
    ) -> None:
        super().__init__()
        self.norm1 = RMSNorm(d_model)
        self.self_attn = SelfAttention(d_model, n_heads, attn_dropout, resid_dropout)
        self.norm2 = RMSNorm(d_model)
        self.ffn = FeedForward(d_model, ff_dim, ffn_dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.norm1(x))
        y: Tensor = x + self.ffn(self.norm2(x))
        return y
