from pathlib import Path

import pytest
import torch
from torch import nn

from inference_server.pretraining.objectives import Objective
from inference_server.pretraining.training import Course, Progress, train


class _Killed(Exception):
    pass


class _Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.slope = nn.Linear(3, 1)


def _run(module: _Line, state: Path, *, course: Course, die_at: int | None = None) -> Progress:
    def shard(k: int, i: int) -> Objective:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(10 * k + i))
        loss = (module.slope(x) - x.sum(-1, keepdim=True)).square().mean()
        return Objective(loss, {"loss": loss.item()})

    def watch(progress: Progress, parts: dict[str, float]) -> None:
        if progress.step == die_at:
            raise _Killed

    def validate() -> dict[str, float]:
        return {"loss": float((module.slope.weight - 1.0).square().sum().detach())}

    return train(module, lambda k: [lambda i=i: shard(k, i) for i in range(3)], validate, course, state, watch)


def test_a_killed_training_ends_with_the_weights_of_one_that_was_not(tmp_path: Path) -> None:
    course = Course(steps=60, lr=0.05, warmup=5, check_every=10)
    whole, cut = _Line(), _Line()
    _run(whole, tmp_path / "whole.pt", course=course)
    for die_at in (3, 27, 44):
        with pytest.raises(_Killed):
            _run(cut, tmp_path / "cut.pt", course=course, die_at=die_at)
        cut = _Line()
    progress = _run(cut, tmp_path / "cut.pt", course=course)
    assert progress.step == 60
    assert [point["step"] for point in progress.curve] == [10, 20, 30, 40, 50, 60]
    assert torch.equal(whole.slope.weight, cut.slope.weight)


def test_the_gradient_is_the_mean_of_the_shards_on_any_number_of_cores(tmp_path: Path) -> None:
    course, ends = Course(steps=12, lr=0.05, check_every=12), []
    before = torch.get_num_threads()
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            module = _Line()
            _run(module, tmp_path / f"{n}.pt", course=course)
            ends.append(module.slope.weight.detach())
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*ends)


def test_training_stops_when_held_out_loss_has_long_not_improved_and_keeps_the_best(tmp_path: Path) -> None:
    module = _Line()
    seen: list[float] = []

    def objective() -> Objective:
        loss = 0.0 * module.slope.weight.sum() - module.slope.bias.sum()  # runs away for ever
        return Objective(loss, {"loss": loss.item()})

    def validate() -> dict[str, float]:
        seen.append(abs(module.slope.bias.item() - 1.0))
        return {"loss": seen[-1]}

    course = Course(steps=10_000, lr=0.05, warmup=1, weight_decay=0.0, check_every=4, patience=3)
    progress = train(module, lambda k: [objective], validate, course, tmp_path / "s.pt", lambda p, parts: None)
    assert progress.step == progress.best_step + 12
    assert abs(module.slope.bias.item() - 1.0) == pytest.approx(min(seen), abs=1e-7)
