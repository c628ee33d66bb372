"""Golden arrays from the original program, where they are at hand, and small random models made on the spot."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from inference_server.kronos import Kronos, KronosTokenizer
from tests.unit.inference_server.kronos.random_models import random_predictor, random_tokenizer

GOLDEN = Path(__file__).resolve().parents[5] / "shared" / "kronos" / "golden"

Arrays = dict[str, NDArray[np.generic]]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of arrays computed by the original Kronos."""
    if not GOLDEN.is_dir():
        pytest.skip(f"golden arrays of the original Kronos are not at {GOLDEN}")
    return GOLDEN


@pytest.fixture(scope="session")
def arrays(golden: Path) -> Callable[[str], Arrays]:
    """All arrays of one golden file."""
    return lambda name: dict(np.load(golden / name))


@pytest.fixture(params=["tiny-a", "tiny-b"])
def tiny(request: pytest.FixtureRequest) -> str:
    """The name of a golden model."""
    return str(request.param)


@pytest.fixture
def golden_models(golden: Path, tiny: str) -> tuple[KronosTokenizer, Kronos]:
    return (
        KronosTokenizer.from_pretrained(golden / tiny / "tokenizer"),
        Kronos.from_pretrained(golden / tiny / "model"),
    )


@pytest.fixture(scope="session")
def models() -> tuple[KronosTokenizer, Kronos]:
    """A small random pair, with dropout in its configuration."""
    return random_tokenizer(), random_predictor()
