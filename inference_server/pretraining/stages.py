"""The two trainings in order: a tokenizer on bars, then a predictor on the ids that the tokenizer gives."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from inference_server.kronos.model import Kronos
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.pretraining.histories import History
from inference_server.pretraining.objectives import Objective, predictor_objective, tokenizer_objective
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL, Recipe
from inference_server.pretraining.training import Course, Progress, Watch, train
from inference_server.pretraining.windows import Batch, Windows, cut, held_out

HELD_OUT_FUTURE, HELD_OUT_PER_HISTORY = 96, 3


class Material:
    """Training windows from before TRAIN_UNTIL, and fixed windows whose last 96 bars lie behind it."""

    def __init__(self, histories: Sequence[History], recipe: Recipe, device: torch.device) -> None:
        known = [one.before(TRAIN_UNTIL) for one in histories]
        self.windows = Windows(known, length=recipe.context, seed=recipe.seed)
        places = held_out(
            histories,
            first=TRAIN_UNTIL,
            last=HELD_OUT_UNTIL,
            length=recipe.context,
            future=HELD_OUT_FUTURE,
            per_history=HELD_OUT_PER_HISTORY,
        )
        size = 16
        self.held_out = [cut(places[i : i + size]).to(device) for i in range(0, len(places), size)]
        self.device, self._recipe = device, recipe

    def batch(self, index: int, course: Course) -> list[Batch]:
        """Batch `index` of a course in its shards."""
        whole = self.windows.batch(index, course.batch).to(self.device)
        return whole.shards(self._recipe.shards)


def train_tokenizer(material: Material, recipe: Recipe, folder: Path, watch: Watch) -> tuple[KronosTokenizer, Progress]:
    """A tokenizer on `material`; its weights go to `folder`/tokenizer, its state to `folder`/state."""
    torch.manual_seed(recipe.seed)
    tokenizer, course = KronosTokenizer(recipe.tokenizer).to(material.device), recipe.tokenizer_course

    def validate() -> dict[str, float]:
        with torch.no_grad():
            return _mean(
                [
                    tokenizer_objective(tokenizer, each, move_weight=recipe.move_weight).parts
                    for each in material.held_out
                ]
            )

    progress = train(
        tokenizer,
        lambda k: [
            partial(tokenizer_objective, tokenizer, shard, move_weight=recipe.move_weight)
            for shard in material.batch(k, course)
        ],
        validate,
        course,
        folder / "state" / "tokenizer.pt",
        watch,
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return tokenizer, progress


def train_predictor(
    material: Material, recipe: Recipe, tokenizer: KronosTokenizer, folder: Path, watch: Watch
) -> tuple[Kronos, Progress]:
    """A predictor of the ids of `tokenizer`; its weights go to `folder`/model."""
    torch.manual_seed(recipe.seed + 1)
    model = Kronos(recipe.predictor).to(material.device)
    course = recipe.predictor_course
    learn_everywhere_until = int(recipe.everywhere_until * course.steps)
    held_out_ids = [tokenizer.encode(each.x) for each in material.held_out]

    def validate() -> dict[str, float]:
        with torch.no_grad():
            pairs = zip(held_out_ids, material.held_out, strict=True)
            return _mean([predictor_objective(model, ids, each, everywhere=False).parts for ids, each in pairs])

    def objectives(k: int) -> list[Callable[[], Objective]]:
        everywhere = k < learn_everywhere_until
        return [partial(_on, model, tokenizer, shard, everywhere) for shard in material.batch(k, course)]

    progress = train(model, objectives, validate, course, folder / "state" / "predictor.pt", watch)
    model.save_pretrained(folder / "model")
    return model, progress


def _on(model: Kronos, tokenizer: KronosTokenizer, shard: Batch, everywhere: bool) -> Objective:
    return predictor_objective(model, tokenizer.encode(shard.x), shard, everywhere=everywhere)


def _mean(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.mean([each[key] for each in parts])) for key in parts[0]}
