"""Small models with random weights and series to go with them, so that a law can be tested without any file."""

import torch

from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.config import PredictorConfig, TokenizerConfig


def random_tokenizer(seed: int = 0, **changes: int) -> KronosTokenizer:
    values = {"d_in": 6, "d_model": 16, "n_heads": 2, "ff_dim": 24, "n_enc_layers": 3, "n_dec_layers": 3}
    values |= {"s1_bits": 4, "s2_bits": 3, "group_size": 7} | changes
    rest = {"ffn_dropout_p": 0.0, "attn_dropout_p": 0.0, "resid_dropout_p": 0.0}
    losses = {"beta": 0.05, "gamma0": 1.0, "gamma": 1.1, "zeta": 0.05}
    torch.manual_seed(seed)
    return KronosTokenizer(TokenizerConfig.of({**values, **rest, **losses}))


def random_predictor(seed: int = 1, **changes: int | float) -> Kronos:
    values = {"s1_bits": 4, "s2_bits": 3, "n_layers": 2, "d_model": 16, "n_heads": 2, "ff_dim": 24, "learn_te": True}
    dropouts = {"ffn_dropout_p": 0.2, "attn_dropout_p": 0.1, "resid_dropout_p": 0.2, "token_dropout_p": 0.1}
    torch.manual_seed(seed)
    model = Kronos(PredictorConfig.of({**values, **dropouts, **changes}))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.3)  # zero biases would hide a forgotten one
            elif "norm" in name:
                parameter.uniform_(0.5, 1.5)
        for head in (model.head.proj_s1, model.head.proj_s2):
            head.weight.mul_(3.0)  # peaked logits: rounding must not decide a draw
    return model


def random_series(lengths: list[int], horizon: int, seed: int = 3) -> tuple[list[torch.Tensor], ...]:
    """x, x_stamp, y_stamp: lists with one normalised random walk and one run of hours per series."""
    generator = torch.Generator().manual_seed(seed)
    bars = [torch.randn(n, 6, generator=generator).cumsum(0).div(n**0.5) for n in lengths]
    stamps = []
    for index, n in enumerate(lengths):
        hour = torch.arange(n + horizon) + 7 * index
        fields = (torch.zeros_like(hour), hour % 24, hour // 24 % 7, hour // 24 % 28 + 1, hour // 672 % 12 + 1)
        stamps.append(torch.stack(fields, -1).float())
    past = [stamp[:n] for stamp, n in zip(stamps, lengths, strict=True)]
    coming = [stamp[n:] for stamp, n in zip(stamps, lengths, strict=True)]
    return bars, past, coming
