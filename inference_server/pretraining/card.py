"""The model card: what the checkpoint is, what it learned from, and how good it is, in Markdown."""

from collections.abc import Iterable

from inference_server.pretraining.histories import History
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL, Recipe
from inference_server.pretraining.report import BASELINE, CARD_STEPS, SPACES, Cell, Report
from inference_server.pretraining.training import Progress


def write_card(
    name: str,
    recipe: Recipe,
    histories: Iterable[History],
    n_parameters: tuple[int, int],
    tokenizer: Progress,
    predictor: Progress,
    report: Report,
) -> str:
    """The whole card; every number in it was measured in the run that made the checkpoint."""
    known = [one.before(TRAIN_UNTIL) for one in histories]
    n_bars = sum(len(one.bars) for one in known)
    worse = [cell for cell in report.cells if cell.skill.high < 0]
    better = [cell for cell in report.cells if cell.skill.low > 0]
    held = [cell for cell in report.cells if 0.76 <= cell.coverage.value <= 0.84]
    lines = [
        f"# {name}",
        "",
        f"A small Kronos of our own: tokenizer {n_parameters[0]:,} and predictor {n_parameters[1]:,} parameters, "
        f"{recipe.tokenizer.s1_bits} + {recipe.tokenizer.s2_bits} bits per bar, context {recipe.context} bars. It is "
        "there so that a clone without GPU, network or published weights shows a real learned model at work.",
        "",
        "## In one paragraph",
        "",
        f"Against `baseline-rw` (EWMA volatility times past residuals) its CRPS is better beyond doubt in "
        f"{len(better)} of {len(report.cells)} cells below, worse beyond doubt in {len(worse)}, undecided in the rest. "
        f"Its 80 % band covers 76–84 % in {len(held)} of {len(report.cells)} cells.",
        "",
        "## Data",
        "",
        f"{n_bars:,} hourly and daily bars of {len({one.symbol for one in known})} instruments (crypto, shares and "
        f"indices, currencies and commodities), all opened before {TRAIN_UNTIL.astype('datetime64[D]')}. Early "
        f"stopping, the choices below and the spread looked at {TRAIN_UNTIL.astype('datetime64[D]')} to "
        f"{HELD_OUT_UNTIL.astype('datetime64[D]')} (end excluded), the evaluation too. Windows are scaled by their "
        "lookback alone, and the predictor's loss counts bars after the lookback only (see objectives.py for why).",
        "",
        "## Training",
        "",
        f"Tokenizer: {tokenizer.step} steps in {tokenizer.seconds / 60:.0f} min, kept step {tokenizer.best_step}. "
        f"Predictor: {predictor.step} steps in {predictor.seconds / 60:.0f} min, kept step {predictor.best_step}. "
        f"{recipe.tokenizer_course.batch} and {recipe.predictor_course.batch} windows of {recipe.context} bars a step, "
        f"seed {recipe.seed}, float32.",
        "",
        "![loss curves](kronos-nano-curve.png)",
        "",
        "## Where paths start",
        "",
        f"Mean fair CRPS in σ√h over every eighth origin, {report.n_paths} paths, before the spread. Used: "
        f"anchored, {report.space}.",
        "",
        "| step | " + " | ".join((*SPACES, BASELINE)) + " |",
        "|---|" + "---|" * (len(SPACES) + 1),
        *(
            f"| {step} | "
            + " | ".join(f"{report.crps_by_space[name, step]:.3f}" for name in (*SPACES, BASELINE))
            + " |"
            for step in CARD_STEPS
        ),
        "",
        "## Results",
        "",
        f"{report.n_origins:,} origins, {report.n_paths} paths. Coverage of the 80 % band with 95 % intervals (weeks "
        "resampled in blocks as long as the step); the spread of each four weeks was fitted on all other weeks. Daily "
        "origins begin 120 bars before 2025, when training still saw bars; their outcomes lie in 2025. "
        "Skill = 1 − CRPS / CRPS of baseline-rw on the same rows; above 0 is better.",
        "",
        "| bars | class | step | n | coverage | as drawn | baseline | CRPS | baseline | skill |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *(_row(cell) for cell in report.cells),
        "",
        "## What it is not good for",
        "",
        "Trading. Cells above whose skill is below 0: there the random walk is the better forecast. Direction: that "
        "the median of its paths knows any has not been shown. Instruments and intervals unlike those above; "
        "symbols that the instruments file does not name get the spread of all classes together.",
        "",
    ]
    return "\n".join(lines)


def _row(cell: Cell) -> str:
    coverage, skill = cell.coverage, cell.skill
    return (
        f"| {cell.interval} | {cell.asset_class} | {cell.step} | {cell.n} "
        f"| {coverage.value:.1%} ({coverage.low:.0%}–{coverage.high:.0%}) "
        f"| {cell.coverage_as_drawn:.1%} | {cell.baseline_coverage:.1%} | {cell.crps:.3f} | {cell.baseline_crps:.3f} "
        f"| {skill.value:+.1%} ({skill.low:+.1%} to {skill.high:+.1%}) |"
    )
