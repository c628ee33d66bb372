"""Sampled paths come from the original algorithm's distribution, and the test would see it if they did not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench import upstream
from inference_server.kronos import Kronos, KronosTokenizer, paths
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from tests.unit.inference_server.kronos.random_models import random_series
from tests.unit.inference_server.kronos.samples import smallest_p

LOOKBACK, HORIZON, N_PATHS, SEEDS = 24, 6, 250, range(20)
COLUMNS = [0, 3, 4]  # open, close, volume
Paths = list[NDArray[np.floating]]


@pytest.fixture(scope="module")
def series() -> tuple[list[torch.Tensor], ...]:
    return random_series([LOOKBACK], HORIZON)


@pytest.fixture(scope="module")
def reference(golden: Path, series: tuple[list[torch.Tensor], ...]) -> Paths:
    """The uncached algorithm's paths, one entry per seed of torch's generator."""
    torch.set_num_threads(1)
    modules = [upstream.Module.load(golden / "tiny-a" / part) for part in ("tokenizer", "model")]
    options = {"horizon": HORIZON, "n_paths": N_PATHS, "max_context": LOOKBACK + HORIZON}
    drawn = []
    for seed in SEEDS:
        torch.manual_seed(1000 + seed)
        stacked = (torch.stack(each) for each in series)
        one = upstream.rollout(*modules, *stacked, **options, temperature=1.0, top_k=0, top_p=0.9)
        drawn.append(one[0].numpy()[:, :, COLUMNS])
    return drawn


@pytest.fixture
def ours(golden: Path, series: tuple[list[torch.Tensor], ...]) -> Callable[[Sampling], Paths]:
    models = (
        KronosTokenizer.from_pretrained(golden / "tiny-a" / "tokenizer"),
        Kronos.from_pretrained(golden / "tiny-a" / "model"),
    )
    options = {"horizon": HORIZON, "n_paths": N_PATHS, "max_context": LOOKBACK + HORIZON, "paths_at_once": 90}

    def draw(sampling: Sampling) -> Paths:
        runs = (simulate(*models, *series, sampling=sampling, **options, seed=seed) for seed in SEEDS)
        return [run.paths[0].numpy()[:, :, COLUMNS] for run in runs]

    return draw


def pooled(each: Paths) -> Paths:
    return [np.concatenate(each)]


def test_every_step_of_twenty_seeds_comes_from_the_originals_distribution(
    reference: Paths, ours: Callable[[Sampling], Paths]
) -> None:
    drawn = ours(Sampling(1.0, 0, 0.9))

    assert smallest_p(drawn, reference) > 0.01
    assert smallest_p(pooled(drawn), pooled(reference)) > 0.01


@pytest.mark.parametrize("sampling", [Sampling(0.9, 0, 0.9), Sampling(1.0, 0, 0.8), Sampling(1.25, 0, 0.9)])
def test_another_temperature_or_filter_is_seen(
    reference: Paths, ours: Callable[[Sampling], Paths], sampling: Sampling
) -> None:
    assert smallest_p(pooled(ours(sampling)), pooled(reference)) < 1e-4


def test_drawn_bars_at_wrong_positions_are_seen(
    reference: Paths, ours: Callable[[Sampling], Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns_from = paths.turns_from
    monkeypatch.setattr(paths, "turns_from", lambda lengths, *rest: turns_from([0] * len(lengths), *rest))

    assert smallest_p(pooled(ours(Sampling(1.0, 0, 0.9))), pooled(reference)) < 1e-4
