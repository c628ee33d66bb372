"""Random weights in the published shapes, and made-up series to go with them."""

from pathlib import Path

import torch
from torch import Tensor

from bench import upstream
from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.config import PredictorConfig, TokenizerConfig
from inference_server.kronos.zoo import ZOO

Models = tuple[KronosTokenizer, Kronos]
Reference = tuple[upstream.Module, upstream.Module]
Inputs = tuple[Tensor, Tensor, Tensor]


def random_models(shape: str, device: torch.device | str = "cpu") -> Models:
    """A tokenizer, and a predictor of a published shape."""
    entry = next(entry for entry in ZOO if entry.name == shape)
    torch.manual_seed(0)
    tokenizer = KronosTokenizer(TokenizerConfig(6, 256, 4, 512, 4, 4, 0.0, 0.0, 0.0, 10, 10, 0.05, 1.0, 1.1, 0.05, 5))
    predictor = Kronos(PredictorConfig(10, 10, *entry.shape, 0.2, 0.2, 0.0, 0.0, True))
    return tokenizer.to(device), predictor.to(device)


def as_reference(models: Models, folder: Path) -> Reference:
    """The same weights as the reference reads them, by way of their files."""
    for part, module in zip(("tokenizer", "model"), models, strict=True):
        module.save_pretrained(folder / part)
    # Read whole into memory, as our side holds them, before the folder goes.
    theirs = [upstream.Module.load(folder / part) for part in ("tokenizer", "model")]
    held = [upstream.Module(m.config, {key: value.clone() for key, value in m.weights.items()}) for m in theirs]
    return held[0], held[1]


def inputs(n_series: int, lookback: int, steps: int, device: torch.device | str = "cpu") -> Inputs:
    """x, x_stamp, y_stamp of so many series."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n_series, lookback, 6, generator=generator)
    low, high = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([60, 24, 7, 29, 13])
    stamps = low + (torch.rand(n_series, lookback + steps, 5, generator=generator) * (high - low)).long()
    given = x, stamps[:, :lookback].float(), stamps[:, lookback:].float()
    return given[0].to(device), given[1].to(device), given[2].to(device)
