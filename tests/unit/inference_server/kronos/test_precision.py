"""Half precision beside float32: how far logits move, and that the paths' distribution does not.

Weights, keys and values are in bfloat16 (8 bits of mantissa); norms, softmax and sums of parts in float32.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from inference_server.kronos import Kronos
from inference_server.kronos.errors import WeightsError
from inference_server.kronos.forecaster import KronosForecaster
from inference_server.kronos.paths import Paths, prefill
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from tests.unit.inference_server.kronos.random_models import random_predictor, random_series, random_tokenizer
from tests.unit.inference_server.kronos.samples import smallest_p
from tests.unit.inference_server.kronos.walks import walk

CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")],
)
SHAPE = {"n_layers": 6, "d_model": 128, "n_heads": 4, "ff_dim": 256, "s1_bits": 6, "s2_bits": 6}


def logits(model: Kronos, device: str) -> torch.Tensor:
    """Of both heads after a lookback of 60 bars and a drawn bar, teacher's ids throughout."""
    generator = torch.Generator().manual_seed(0)
    s1, s2 = (torch.randint(64, (8, 61), generator=generator).to(device) for _ in range(2))
    fields = torch.tensor([0, 5, 2, 7, 3]).expand(8, 61, 5).to(device)
    folded = model.folded
    with torch.no_grad():
        time = folded.time(fields)
        prefix = prefill(folded, s1[:, :60], s2[:, :60], time[:, :60], [60] * 8)
        paths = Paths(folded, prefix, 1, 1)
        paths.extend(s1[:, None, 60:], s2[:, None, 60:], time[:, 60:])
        return torch.stack((paths.s1_logits(), paths.s2_logits(s1[:, 0]))).cpu()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_logits_move_by_the_rounding_of_bfloat16_and_no_more(device: str) -> None:
    exact = logits(random_predictor(**SHAPE).to(device), device)
    half = logits(random_predictor(**SHAPE).to(device).infer_in(torch.bfloat16), device)

    error = (half - exact).square().mean().sqrt() / exact.std()
    # A product rounds both factors and its result, 2^-9 / √3 of each (uniform error), and about three products a
    # block lead one after another to the logits: √(3 · 3 · 6) · 2^-9 / √3, so 0.8 %.
    assert 0.001 < error < 0.02
    assert (half - exact).abs().max() < 0.1 * exact.std()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_paths_in_half_precision_come_from_the_same_distribution(device: str) -> None:
    tokenizer = random_tokenizer(s1_bits=6, s2_bits=6, group_size=6).to(device)
    series = random_series([40], 6)
    options = {"horizon": 6, "n_paths": 250, "max_context": 46, "sampling": Sampling(top_p=0.9)}

    def draw(model: Kronos, seeds: range) -> list[np.ndarray]:
        runs = (simulate(tokenizer, model.to(device), *series, **options, seed=seed) for seed in seeds)
        return [run.paths[0].cpu().numpy()[:, :, [0, 3, 4]] for run in runs]

    exact = draw(random_predictor(**SHAPE), range(20))
    half = draw(random_predictor(**SHAPE).infer_in(torch.bfloat16), range(20, 40))
    other_weights = draw(random_predictor(seed=2, **SHAPE), range(20, 40))

    assert smallest_p(half, exact) > 0.01
    assert smallest_p([np.concatenate(half)], [np.concatenate(exact)]) > 0.01
    assert smallest_p([np.concatenate(other_weights)], [np.concatenate(exact)]) < 1e-9


def test_the_tokenizer_and_the_module_stay_in_float32() -> None:
    tokenizer, model = random_tokenizer(), random_predictor().infer_in(torch.bfloat16)

    assert model.folded.dtype == model.folded.blocks[0].qkv.dtype == model.folded.query_table.dtype == torch.bfloat16
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert tokenizer.folded.head.dtype == tokenizer.folded.decoder[0].down.dtype == torch.float32


def test_a_forecaster_takes_the_dtype_it_is_told(tmp_path: Path) -> None:
    random_tokenizer().save_pretrained(tmp_path / "tokenizer")
    random_predictor().save_pretrained(tmp_path / "model")
    auto, exact, half = (
        KronosForecaster.load(tmp_path, name="k", max_context=40, dtype=dtype)
        for dtype in ("auto", "float32", "bfloat16")
    )

    assert auto.info == exact.info
    assert exact.info.determinism == "bitwise"
    assert half.info.determinism == "tolerance"
    assert "bfloat16" in half.info.description
    assert half.info.version != exact.info.version
    (result,) = half.forecast([walk("BTCUSDT", 30, 8)], horizon=8, n_paths=20)
    (wanted,) = exact.forecast([walk("BTCUSDT", 30, 8)], horizon=8, n_paths=20)
    assert not np.array_equal(result.fan, wanted.fan)
    assert result.fan[:, 5] == pytest.approx(wanted.fan[:, 5], rel=0.05)


def test_a_dtype_that_nobody_means_is_refused(tmp_path: Path) -> None:
    random_tokenizer().save_pretrained(tmp_path / "tokenizer")
    random_predictor().save_pretrained(tmp_path / "model")

    with pytest.raises(WeightsError, match="dtype is 'int8'"):
        KronosForecaster.load(tmp_path, dtype="int8")  # type: ignore[arg-type]
