"""The tokenizer: a causal transformer auto-encoder whose bottleneck is D signs per bar.

Token t depends on bars 0 to t only, and decoded bar t on tokens 0 to t only.
Axes: B series, n bars, 6 columns (open, high, low, close, volume, amount), D bits.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from inference_server.kronos import checkpoint, quantizer
from inference_server.kronos.arrays import bars_tensor, ids_tensor
from inference_server.kronos.config import TokenizerConfig
from inference_server.kronos.folded import FoldedTokenizer, Remembered
from inference_server.kronos.layers import Block
from inference_server.kronos.quantizer import Quantised, QuantiserLoss
from inference_server.kronos.rotary import inverse_frequencies


class _SignBuffers(nn.Module):
    """Two stored buffers without information; kept so that files load strictly on both sides."""

    def __init__(self, n_bits: int, group_size: int) -> None:
        super().__init__()
        self.register_buffer("basis", _powers(n_bits))
        self.register_buffer("group_basis", _powers(group_size))


class _Quantiser(nn.Module):
    def __init__(self, n_bits: int, group_size: int) -> None:
        super().__init__()
        self.bsq = _SignBuffers(n_bits, group_size)


def _powers(n: int) -> Tensor:
    return torch.tensor([1 << power for power in reversed(range(n))], dtype=torch.int64)


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """The training forward: bars rebuilt from the coarse bits and from all of them, each [B, n, 6]."""

    coarse: Tensor
    full: Tensor
    quantised: Quantised


@dataclass(frozen=True, slots=True)
class TokenizerLoss:
    """`total` = (coarse_error + full_error + quantiser.total) / 2; the errors are mean squares."""

    total: Tensor
    coarse_error: Tensor
    full_error: Tensor
    quantiser: QuantiserLoss


class KronosTokenizer(nn.Module):
    """In evaluation mode from birth; only a training loop has a reason to call `train()`."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        block = partial(
            Block,
            config.d_model,
            config.n_heads,
            config.ff_dim,
            ffn_dropout=config.ffn_dropout_p,
            attn_dropout=config.attn_dropout_p,
            resid_dropout=config.resid_dropout_p,
        )
        self.embed = nn.Linear(config.d_in, config.d_model)
        self.encoder = nn.ModuleList(block() for _ in range(config.n_enc_layers - 1))
        self.quant_embed = nn.Linear(config.d_model, config.n_bits)
        self.tokenizer = _Quantiser(config.n_bits, config.group_size)
        self.post_quant_embed_pre = nn.Linear(config.s1_bits, config.d_model)
        self.post_quant_embed = nn.Linear(config.n_bits, config.d_model)
        self.decoder = nn.ModuleList(block() for _ in range(config.n_dec_layers - 1))
        self.head = nn.Linear(config.d_model, config.d_in)
        self._folded: Remembered[FoldedTokenizer] = Remembered(FoldedTokenizer.of)
        self.eval()

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, revision: str | None = None, device: str = "cpu") -> Self:
        """The tokenizer stored in `folder` (config.json + model.safetensors), or under a hub id.

        Raises
        ------
        WeightsError : the files are missing, unreadable, or do not fit each other.
        """
        found = checkpoint.find(folder, revision)
        config = TokenizerConfig.of(found.config, str(found.config_path))
        with torch.device("meta"):
            module = cls(config)
        checkpoint.load_into(module, found.weights_path, _derived(config))
        return module.to(device)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write both files; they load here and upstream."""
        checkpoint.save(self, self.config.to_dict(), folder)

    @property
    def folded(self) -> FoldedTokenizer:
        """The weights arranged for inference, rebuilt when a parameter has changed."""
        return self._folded.get(self)

    def encode(self, x: ArrayLike | Tensor) -> tuple[Tensor, Tensor]:
        """(s1, s2) int64 [B, n] of normalised bars `x` [B, n, 6]; any number of leading axes, also none.

        Raises
        ------
        RolloutError : wrong shape, or values that are not finite.
        """
        bars = bars_tensor(x, self.config.d_in, self.head.weight.device)
        flat = bars.reshape(-1, *bars.shape[-2:])
        with torch.no_grad():
            s1, s2 = self.folded.encode(flat)
        return s1.reshape(bars.shape[:-1]), s2.reshape(bars.shape[:-1])

    def decode(self, s1: ArrayLike | Tensor, s2: ArrayLike | Tensor) -> Tensor:
        """Normalised bars [B, n, 6] of ids [B, n]; any number of leading axes, also none.

        Raises
        ------
        RolloutError : shapes differ, or ids outside their 2^bits values.
        """
        device = self.head.weight.device
        coarse = ids_tensor(s1, self.config.s1_bits, "s1", device)
        fine = ids_tensor(s2, self.config.s2_bits, "s2", device, like=coarse)
        shape = coarse.shape
        with torch.no_grad():
            bars = self.folded.decode(coarse.reshape(-1, shape[-1]), fine.reshape(-1, shape[-1]))
        return bars.reshape(*shape, self.config.d_in)

    def encoded(self, x: Tensor) -> Tensor:
        """[B, n, D] what the quantiser sees, with gradients."""
        hidden: Tensor = self.embed(x)
        for block in self.encoder:
            hidden = block(hidden)
        z: Tensor = self.quant_embed(hidden)
        return z

    def decoded(self, code: Tensor) -> Tensor:
        """[B, n, 6] bars of a code with all D entries, or of its first s1_bits alone, with gradients."""
        whole = code.shape[-1] == self.config.n_bits
        hidden: Tensor = self.post_quant_embed(code) if whole else self.post_quant_embed_pre(code)
        for block in self.decoder:
            hidden = block(hidden)
        bars: Tensor = self.head(hidden)
        return bars

    def forward(self, x: Tensor) -> Reconstruction:
        quantised = quantizer.quantise(self.encoded(x))
        coarse = self.decoded(quantised.code[..., : self.config.s1_bits])
        return Reconstruction(coarse, self.decoded(quantised.code), quantised)

    def loss(self, x: Tensor) -> TokenizerLoss:
        """The training objective on normalised bars [B, n, 6]."""
        rebuilt: Reconstruction = self(x)
        coarse_error, full_error = functional.mse_loss(rebuilt.coarse, x), functional.mse_loss(rebuilt.full, x)
        bits = quantizer.quantiser_loss(rebuilt.quantised, self.config)
        return TokenizerLoss((coarse_error + full_error + bits.total) / 2, coarse_error, full_error, bits)


def _derived(config: TokenizerConfig) -> dict[str, Tensor]:
    frequencies = inverse_frequencies(config.d_model // config.n_heads)
    stacks = {"encoder": config.n_enc_layers - 1, "decoder": config.n_dec_layers - 1}
    buffers = {
        f"{stack}.{i}.self_attn.rotary.inv_freq": frequencies.clone() for stack, n in stacks.items() for i in range(n)
    }
    buffers["tokenizer.bsq.basis"] = _powers(config.n_bits)
    buffers["tokenizer.bsq.group_basis"] = _powers(config.group_size)
    return buffers
