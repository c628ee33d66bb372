"""Steps of one shape: the same ids as steps that grow, captured as a graph on a GPU, and never a reason to fail."""

import logging

import pytest
import torch

from inference_server.kronos import Kronos, KronosTokenizer, steps
from inference_server.kronos.errors import RolloutCancelled
from inference_server.kronos.paths import Paths
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import PathStreams, Sampling
from tests.unit.inference_server.kronos.random_models import random_predictor, random_series, random_tokenizer

Models = tuple[KronosTokenizer, Kronos]
SAMPLINGS = [Sampling(top_p=0.9), Sampling(0.8, top_k=3), Sampling(1.2)]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("lengths", [[20, 20, 20], [25, 3, 14], [1]])
@pytest.mark.parametrize("horizon", [1, 2, steps.TIER + 5])
def test_steps_of_one_shape_draw_what_growing_steps_draw(
    models: Models, sampling: Sampling, lengths: list[int], horizon: int
) -> None:
    series = random_series(lengths, horizon)
    options = {"horizon": horizon, "n_paths": 5, "max_context": 25 + horizon, "sampling": sampling, "seed": 3}

    growing = simulate(*models, *series, **options, fixed_steps=False)
    fixed = simulate(*models, *series, **options, fixed_steps=True, paths_at_once=4)

    assert torch.equal(fixed.s1, growing.s1)
    assert torch.equal(fixed.s2, growing.s2)
    torch.testing.assert_close(fixed.paths, growing.paths, rtol=0, atol=1e-5)


def test_a_step_leaves_every_shape_as_it_was(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[tuple[int, ...]]] = []

    class Shapes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if isinstance(result, torch.Tensor):
                seen[-1].add((str(func), *result.shape))
            assert "_local_scalar_dense" not in str(func), "a step that asks the device stops a graph's capture"
            assert "nonzero" not in str(func)
            return result

    step = steps.Steps.step

    def watched(self: steps.Steps) -> None:
        seen.append(set())
        with Shapes():
            step(self)

    monkeypatch.setattr(steps.Steps, "step", watched)

    simulate(
        *models,
        *random_series([9, 9], 12),
        horizon=12,
        n_paths=5,
        max_context=21,
        sampling=Sampling(top_p=0.7),
        seed=1,
        fixed_steps=True,
    )

    assert len(seen) == 11
    assert len(seen[0]) > 20
    assert all(each == seen[0] for each in seen)


def test_slots_not_filled_yet_do_not_count_whatever_they_hold(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    series = random_series([20], 6)
    options = {"horizon": 6, "n_paths": 4, "max_context": 26, "sampling": SAMPLINGS[0], "seed": 3}
    wanted = simulate(*models, *series, **options, fixed_steps=True)

    def other_numbers(paths: Paths) -> None:
        for room in (*paths._blocks, paths._cross):
            room.keys.fill_(50.0)
            room.values.fill_(-50.0)

    monkeypatch.setattr(Paths, "clear", other_numbers)

    assert torch.equal(simulate(*models, *series, **options, fixed_steps=True).paths, wanted.paths)


def test_a_sliding_window_takes_growing_steps(models: Models) -> None:
    series = random_series([20, 6], 9)
    options = {"horizon": 9, "n_paths": 3, "max_context": 24, "sampling": SAMPLINGS[0], "seed": 3}

    sliding = simulate(*models, *series, **options, fixed_steps=True)

    assert torch.equal(sliding.paths, simulate(*models, *series, **options, fixed_steps=False).paths)


def test_cancelling_stops_before_the_next_bar(models: Models) -> None:
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(RolloutCancelled, match="bar 4 of 50"):
        simulate(
            *models,
            *random_series([5], 50),
            horizon=50,
            n_paths=2,
            max_context=60,
            sampling=SAMPLINGS[0],
            seed=1,
            cancel=after_three,
            fixed_steps=True,
        )
    assert asked == 6  # at every bar, and before each of the two blocks that read the lookback


def test_a_draw_by_number_equals_a_draw_in_turn() -> None:
    logits = torch.randn(12, 64, generator=torch.Generator().manual_seed(0)) * 2
    by_number = PathStreams([1, 2, 3], range(4), 5)

    for sampling in SAMPLINGS:
        for number in range(3):
            wanted = PathStreams([1, 2, 3], range(4), 5)
            for _ in range(number):
                wanted.draw(logits, sampling)
            drawn = by_number.draw_at(torch.tensor([number]), logits, sampling)
            assert torch.equal(drawn, wanted.draw(logits, sampling))


class Uncapturable:
    """A CUDA device on which nothing can be captured."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __enter__(self) -> None:
        raise self._error

    def __exit__(self, *_: object) -> None: ...


def test_a_step_that_cannot_be_captured_runs_as_it_is_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[int] = []
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "device", lambda device: Uncapturable(RuntimeError("operation not permitted")))

    with caplog.at_level(logging.WARNING):
        again = steps.captured(lambda: ran.append(1), torch.device("cuda"))
    again()

    assert ran == [1]
    assert "kernel by kernel: operation not permitted" in caplog.text

    monkeypatch.setattr(torch.cuda, "device", lambda device: Uncapturable(torch.OutOfMemoryError("no room")))
    with pytest.raises(torch.OutOfMemoryError):
        steps.captured(lambda: None, torch.device("cuda"))


@pytest.mark.gpu
@needs_cuda
def test_a_graph_draws_what_single_kernels_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    models = random_tokenizer().to("cuda"), random_predictor().to("cuda")
    series = random_series([20, 20], steps.TIER + 20)
    options = {"horizon": steps.TIER + 20, "n_paths": 7, "max_context": 200, "sampling": SAMPLINGS[0], "seed": 3}
    replayed: list[int] = []
    captured = steps.captured

    def counted(step, device):
        replay = captured(step, device)
        assert replay != step, "the step was not captured"
        return lambda: (replayed.append(1), replay())

    monkeypatch.setattr(steps, "captured", counted)
    graph = simulate(*models, *series, **options)
    monkeypatch.setattr(steps, "captured", lambda step, device: step)
    kernels = simulate(*models, *series, **options)

    assert len(replayed) == steps.TIER + 17  # all bars but the first, and one a tier
    assert torch.equal(graph.s1, kernels.s1)
    assert torch.equal(graph.s2, kernels.s2)
    growing = simulate(*models, *series, **options, fixed_steps=False)
    assert (graph.s1 == growing.s1).float().mean() > 0.98
