"""One module, trained step by step: optimiser, schedule, validation, early stopping, and a state to resume from."""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inference_server.kronos import workers
from inference_server.pretraining.objectives import Objective


@dataclass(frozen=True, slots=True)
class Course:
    """steps : at most this many; batch : windows in each
    lr : peak of AdamW; warmup : steps to reach it, then a cosine to 5 % of it
    check_every : steps between validations (and saved states); patience : validations without a better one
    """

    steps: int
    batch: int = 8
    lr: float = 2e-3
    warmup: int = 150
    weight_decay: float = 0.05
    clip: float = 1.0
    check_every: int = 200
    patience: int = 12


@dataclass(slots=True)
class Progress:
    """Where a training stands: `curve` holds one entry per validation."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    seconds: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)

    def stale(self, course: Course) -> bool:
        """Whether validation has stopped improving."""
        return self.step - self.best_step >= course.patience * course.check_every


Watch = Callable[[Progress, dict[str, float]], None]


def train(
    module: nn.Module,
    objectives: Callable[[int], Sequence[Callable[[], Objective]]],
    validate: Callable[[], dict[str, float]],
    course: Course,
    state_file: Path,
    watch: Watch,
) -> Progress:
    """Train `module` in place and leave it with the weights of its best validation.

    `objectives(k)` are the losses on the shards of batch k, averaged in their order: shards run on one core each, so
    that no product waits for a busy neighbour, and the result does not depend on how many cores there are. A run that
    was killed goes on from the last state in `state_file` and ends with the same weights as one that was not.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(_groups(module, course.weight_decay), lr=course.lr, betas=(0.9, 0.95))
    progress, best = Progress(), _weights(module)
    if state_file.is_file():
        progress, best = _resume(state_file, module, optimiser)
    last = time.monotonic()
    while progress.step < course.steps and not progress.stale(course):
        for group in optimiser.param_groups:
            group["lr"] = course.lr * _shape(progress.step, course)
        module.train()
        parts = _backward(parameters, objectives(progress.step))
        nn.utils.clip_grad_norm_(parameters, course.clip)
        optimiser.step()
        progress.step += 1
        now = time.monotonic()
        progress.seconds, last = progress.seconds + now - last, now
        if progress.step % course.check_every == 0 or progress.step == course.steps:
            module.eval()
            checked = validate()
            progress.curve.append(
                {"step": progress.step, "train": parts["loss"]} | {f"held out {k}": v for k, v in checked.items()}
            )
            if checked["loss"] < progress.best_loss:
                progress.best_loss, progress.best_step, best = checked["loss"], progress.step, _weights(module)
            _save(state_file, progress, best, module, optimiser)
        watch(progress, parts)
    module.load_state_dict(best)
    module.eval()
    return progress


def _backward(parameters: list[nn.Parameter], shards: Sequence[Callable[[], Objective]]) -> dict[str, float]:
    """Mean gradient of the shards into `parameters`; returns the mean of their parts."""

    def one(shard: Callable[[], Objective]) -> tuple[tuple[Tensor, ...], dict[str, float]]:
        found = shard()
        return torch.autograd.grad(found.loss, parameters), found.parts

    if parameters[0].device.type == "cpu":
        results = workers.gather([partial(one, shard) for shard in shards])
    else:
        results = [one(shard) for shard in shards]
    for index, parameter in enumerate(parameters):
        parameter.grad = torch.stack([gradients[index] for gradients, _ in results]).mean(0)
    return {key: sum(parts[key] for _, parts in results) / len(results) for key in results[0][1]}


def _shape(step: int, course: Course) -> float:
    """Share of the peak learning rate at `step`."""
    if step < course.warmup:
        return (step + 1) / course.warmup
    through = (step - course.warmup) / max(1, course.steps - course.warmup)
    return 0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, through)))


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; gains, biases and embedding rows do not."""
    decays: list[Tensor] = []
    stays: list[Tensor] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (decays if parameter.ndim == 2 and "emb" not in name else stays).append(parameter)
    return [{"params": decays, "weight_decay": weight_decay}, {"params": stays, "weight_decay": 0.0}]


def _weights(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in module.state_dict().items()}


def _save(
    path: Path, progress: Progress, best: dict[str, Tensor], module: nn.Module, optimiser: torch.optim.Optimizer
) -> None:
    """Written beside and renamed, so that a kill leaves the old state or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    torch.save(
        {
            "progress": json.dumps(asdict(progress)),
            "best": best,
            "module": module.state_dict(),
            "optimiser": optimiser.state_dict(),
        },
        beside,
    )
    os.replace(beside, path)


def _resume(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer) -> tuple[Progress, dict[str, Tensor]]:
    state = torch.load(path, weights_only=True)
    module.load_state_dict(state["module"])
    optimiser.load_state_dict(state["optimiser"])
    return Progress(**json.loads(state["progress"])), state["best"]
