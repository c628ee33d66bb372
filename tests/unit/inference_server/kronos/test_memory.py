"""What a rollout is said to take against what torch really allocates, and the sizes planned from it."""

from functools import partial
from pathlib import Path

import pytest
import torch

from bench.allocations import peak_bytes
from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.config import PredictorConfig, TokenizerConfig
from inference_server.kronos.memory import Footprint, MicroBatch, _container_room, free_bytes
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from tests.unit.inference_server.kronos.random_models import random_predictor, random_series, random_tokenizer

BASE = PredictorConfig(10, 10, 12, 832, 16, 2048, 0.0, 0.0, 0.0, 0.0, True)
TOKENIZER = TokenizerConfig(6, 256, 4, 512, 4, 4, 0.0, 0.0, 0.0, 10, 10, 0.05, 1.0, 1.1, 0.05, 5)


def measured(models: tuple[KronosTokenizer, Kronos], n_series: int, n_paths: int, lookback: int, horizon: int) -> int:
    series = random_series([lookback] * n_series, horizon)
    assert models[0].folded.d_in == 6  # weights are folded before, not in the rollout
    assert models[1].folded.blocks
    options = {"horizon": horizon, "n_paths": n_paths, "max_context": lookback + horizon, "seed": 1}
    work = partial(simulate, *models, *series, sampling=Sampling(top_p=0.9), **options)
    return peak_bytes(work, torch.device("cpu"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("n_series", "n_paths", "lookback", "horizon"), [(6, 40, 40, 24), (30, 1, 300, 4), (1, 100, 20, 24)]
)
def test_a_rollout_takes_what_was_said(
    dtype: torch.dtype, n_series: int, n_paths: int, lookback: int, horizon: int
) -> None:
    model = random_predictor(n_layers=3, d_model=64, n_heads=4, ff_dim=128).infer_in(dtype)
    models = random_tokenizer(), model
    assert model.folded.dtype == dtype
    footprint = Footprint.of(models[0].config, model.config, dtype, lookback, horizon)

    peak = measured(models, n_series, n_paths, lookback, horizon)

    assert peak <= footprint.bytes(n_series, n_paths)
    assert peak >= 0.6 * (footprint.bytes(n_series, n_paths) - footprint.fixed)


def test_one_more_path_and_one_more_series_cost_what_was_said() -> None:
    models = random_tokenizer(), random_predictor(n_layers=3, d_model=64, n_heads=4, ff_dim=128)
    footprint = Footprint.of(models[0].config, models[1].config, torch.float32, 40, 24)

    few = measured(models, 1, 30, 40, 24)
    paths = (measured(models, 1, 60, 40, 24) - few) / 30
    series = (measured(models, 4, 30, 40, 24) - few) / 3

    assert paths == pytest.approx(footprint.per_path, rel=0.25)
    assert series == pytest.approx(footprint.per_series + 30 * footprint.per_path, rel=0.25)


def test_eight_gigabytes_hold_the_largest_model_in_micro_batches() -> None:
    footprint = Footprint.of(TOKENIZER, BASE, torch.bfloat16, 392, 120)
    weights = 102_310_592 * (4 + 2) + 3_958_042 * 8  # the modules in float32, and both folded
    budget = 8_000_000_000 - weights

    size = MicroBatch.fitting(footprint, budget, 23, 100)

    # Keys and values alone, by hand: 26 · 832 · 2 bytes a token, 392 tokens a series, 119 a path.
    kept = 26 * 832 * 2 * (392 + 100 * 119)
    assert 23 * kept > 8e9
    assert size == MicroBatch(12, 100)
    assert 12 * kept < footprint.bytes(12, 100) < budget < footprint.bytes(14, 100)
    assert footprint.bytes(12, 100) < 1.1 * 12 * kept


def test_paths_are_split_only_where_one_series_is_too_much() -> None:
    footprint = Footprint(fixed=100, per_series=50, per_path=10)

    assert MicroBatch.fitting(footprint, 10_000, 7, 20) == MicroBatch(7, 20)
    assert MicroBatch.fitting(footprint, 100 + 3 * 250, 7, 20) == MicroBatch(3, 20)
    assert MicroBatch.fitting(footprint, 100 + 3 * 250 - 1, 7, 20) == MicroBatch(2, 20)
    assert MicroBatch.fitting(footprint, 100 + 50 + 70, 7, 20) == MicroBatch(1, 7)
    assert MicroBatch.fitting(footprint, 0, 7, 20) == MicroBatch(1, 1)


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert _container_room(tmp_path) is None
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert _container_room(tmp_path) is None
    (tmp_path / "memory.max").write_text("1000\n")
    assert _container_room(tmp_path) == 700


def test_this_machine_has_memory_free() -> None:
    assert 1e6 < free_bytes(torch.device("cpu")) < 1e14
