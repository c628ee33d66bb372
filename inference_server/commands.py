"""The inference server's commands of the `candlecast` command line."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from candlecast.cli import Json, NotInstalled, finish
from candlecast.errors import CandlecastError


def register(app: typer.Typer) -> None:
    """Add the commands that need torch."""
    app.command("pretrain")(pretrain)


class CannotTrain(CandlecastError):
    """An option names something that is not there."""

    exit_code = 64


def pretrain(
    data: Annotated[Path, typer.Option(help="A folder with ohlcv_1h/ and ohlcv_1d/.")],
    out: Annotated[Path, typer.Option(help="Where the checkpoint and the state to resume from go.")] = Path(
        ".candlecast/kronos-nano"
    ),
    bits: Annotated[int, typer.Option(help="Bits of each of s1 and s2: 8, 9 or 10.")] = 10,
    seed: Annotated[int, typer.Option(help="Weights and windows are drawn from it.")] = 20250101,
    tokenizer_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    predictor_steps: Annotated[int | None, typer.Option(help="Default: the recipe's.")] = None,
    origins: Annotated[int, typer.Option(help="Moments per instrument and interval that it is assessed at.")] = 60,
    paths: Annotated[int, typer.Option(help="Sample paths per forecast of the assessment.")] = 50,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    as_json: Json = False,
) -> None:
    """Train a small Kronos from bars, assess it against the baseline, and write its card.

    Gradients see bars before 2025 only. Stopped, it goes on from its last state when called again.
    """
    try:
        import matplotlib  # noqa: F401  # the curve is drawn last; better told before the training than after it
        import torch

        from inference_server.pretraining.pretrain import pretrain as run
        from inference_server.pretraining.recipe import WIDTHS, nano
    except ModuleNotFoundError as error:
        raise NotInstalled("pretrain", "pretrain") from error

    if bits not in WIDTHS:
        raise CannotTrain(f"--bits {bits}: there are shapes for {', '.join(map(str, WIDTHS))}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    recipe = replace(nano(bits), seed=seed)
    if tokenizer_steps is not None:
        recipe = replace(recipe, tokenizer_course=replace(recipe.tokenizer_course, steps=tokenizer_steps))
    if predictor_steps is not None:
        recipe = replace(recipe, predictor_course=replace(recipe.predictor_course, steps=predictor_steps))
    console = Console(stderr=as_json, highlight=False)
    facts = run(recipe, data, out, device=device, n_paths=paths, n_origins=origins, console=console)
    finish(
        f"{facts['n_parameters']:,} parameters in {out} after {facts['minutes']} min of training; "
        f"the card is {out / 'card.md'}.",
        as_json,
        **facts,
    )
