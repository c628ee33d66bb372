"""`candlecast pretrain`: from a folder of bars to a checkpoint that may be used, with its card."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from candlecast.errors import CandlecastError
from inference_server.kronos.usage import Usage
from inference_server.pretraining.card import write_card
from inference_server.pretraining.curve import draw_curve
from inference_server.pretraining.evaluation import HORIZON, origins
from inference_server.pretraining.histories import load_histories
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL, Recipe
from inference_server.pretraining.report import BASELINE, EVERY_FOR_SPACES, SPACES, Cell, assess
from inference_server.pretraining.stages import Material, train_predictor, train_tokenizer
from inference_server.pretraining.training import Course, Progress, Watch


class AnotherRecipe(CandlecastError):
    """A folder holds the state of a training of another kind."""

    exit_code = 64


def pretrain(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    device: str,
    n_paths: int,
    n_origins: int,
    console: Console,
) -> dict[str, Any]:
    """Train, assess and write `out`/{tokenizer, model, usage.json, curve.png, card.md}; facts for the closing line.

    A run that was stopped is taken up where its last state stands, if `out` holds one of the same recipe.
    """
    _claim(recipe, out)
    histories = load_histories(data)
    material = Material(histories, recipe, torch.device(device))
    console.print(
        f"{len(histories)} histories, {sum(len(one.bars) for one in histories):,} bars; gradients see those before "
        f"{TRAIN_UNTIL.astype('datetime64[D]')}."
    )
    with _bars(console) as bars:
        tokenizer, first = train_tokenizer(
            material, recipe, out, _watch(console, bars, "tokenizer", recipe.tokenizer_course)
        )
        model, second = train_predictor(
            material, recipe, tokenizer, out, _watch(console, bars, "predictor", recipe.predictor_course)
        )
        tokenizer, model = tokenizer.to("cpu"), model.to("cpu")
        asked = origins(
            histories,
            first=TRAIN_UNTIL,
            last=HELD_OUT_UNTIL,
            lookback=recipe.context - HORIZON,
            per_history=n_origins,
        )
        n_some = math.ceil(len(asked) / EVERY_FOR_SPACES)
        tasks = {name: bars.add_task(f"assessing: {name}", total=n_some) for name in SPACES}
        tasks |= {name: bars.add_task(f"assessing: {name}", total=len(asked)) for name in ("all origins", BASELINE)}
        report = assess(
            tokenizer,
            model,
            recipe.context,
            asked,
            n_paths=n_paths,
            seen=lambda what, n: bars.update(tasks[what], completed=n),
        )
    Usage(recipe.context, report.space, report.spread).write(out)
    draw_curve(first, second, out / "curve.png")
    sizes = tuple(sum(p.numel() for p in module.parameters()) for module in (tokenizer, model))
    name = out.resolve().name
    card = write_card(name, recipe, histories, (sizes[0], sizes[1]), first, second, report)
    (out / "card.md").write_text(card, encoding="utf-8")
    return {
        "folder": str(out),
        "n_parameters": sum(sizes),
        "minutes": round((first.seconds + second.seconds) / 60, 1),
        "tokenizer_loss": round(first.best_loss, 4),
        "predictor_loss": round(second.best_loss, 4),
        "worst_coverage": round(max(report.cells, key=_off).coverage.value, 3),
    }


def _off(cell: Cell) -> float:
    return abs(cell.coverage.value - 0.8)


def _claim(recipe: Recipe, out: Path) -> None:
    """Note the recipe in `out`; a state that another recipe left there is never continued."""
    file = out / "state" / "recipe.json"
    mine = json.dumps(asdict(recipe), sort_keys=True)
    if file.is_file() and file.read_text(encoding="utf-8") != mine:
        raise AnotherRecipe(f"{out} holds a training of another recipe; name another --out, or remove {out}/state")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(mine, encoding="utf-8")


def _watch(console: Console, bars: Bars, name: str, course: Course) -> Watch:
    task = bars.add_task(name, total=course.steps)

    def show(progress: Progress, parts: dict[str, float]) -> None:
        told = ", ".join(f"{key} {value:.3f}" for key, value in parts.items())
        best = f"; held out {progress.best_loss:.4f} at {progress.best_step}" if progress.best_step else ""
        bars.update(task, completed=progress.step, description=f"{name}: {told}{best}")
        if not console.is_terminal and progress.step % course.check_every == 0:
            console.print(f"{name}: step {progress.step} of {course.steps}, {progress.seconds:.0f} s, {told}{best}")

    return show


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        refresh_per_second=1,
    )
