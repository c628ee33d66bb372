"""A picture of the two trainings: loss against step, on training batches and on held-out bars."""

from pathlib import Path

from inference_server.pretraining.training import Progress


def draw_curve(tokenizer: Progress, predictor: Progress, path: Path) -> None:
    """Write the picture (PNG or SVG by its suffix), one panel for each training, the kept step marked."""
    from matplotlib.figure import Figure  # a reader of the other commands should not wait for it

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = (("tokenizer", tokenizer), ("predictor", predictor))
    for axes, (name, progress) in zip(figure.subplots(1, 2), panels, strict=True):
        steps = [point["step"] for point in progress.curve]
        for key, color, label in (("train", "0.65", "one training batch"), ("held out loss", "C0", "held-out bars")):
            axes.plot(steps, [point[key] for point in progress.curve], color=color, label=label)
        axes.axvline(progress.best_step, color="C3", linewidth=0.8, linestyle="--", label=f"kept: {progress.best_step}")
        axes.set(title=name, xlabel="step", ylabel="loss")
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
