"""The report's pictures: reliability, PIT histograms, skill and Sharpe ratios, each with its error bars."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

Cell = dict[str, Any]
RAW, SERVED, INK = "#b0b7c3", "#1f6feb", "#24292f"
# Without the version of matplotlib or a date, so that the same numbers give the same bytes.
METADATA = {"Software": None}


def draw_all(
    record: str, cells: Sequence[Cell], pits: Sequence[Cell], sharpes: Sequence[Cell], folder: Path
) -> list[str]:
    """The names of the pictures of one record that were written into `folder`."""
    pooled = [cell for cell in cells if cell["asset_class"] == "all"]
    drawn = {
        f"{record}-coverage.png": _coverage(cells),
        f"{record}-pit.png": _pit(pits),
        f"{record}-skill.png": _skill(pooled),
        f"{record}-sharpe.png": _sharpe([cell for cell in sharpes if cell["asset_class"] == "all"]),
    }
    names = []
    for name, figure in drawn.items():
        if figure is not None:
            figure.savefig(folder / name, dpi=110, bbox_inches="tight", metadata=METADATA)
            plt.close(figure)
            names.append(name)
    return names


def _label(cell: Cell) -> str:
    return f"{cell['model_name']} {cell['interval']} step {cell['step']}"


def _coverage(cells: Sequence[Cell]) -> Figure | None:
    """Observed coverage of the 80 % band per class and step, served and raw."""
    shown = [cell for cell in cells if not cell["model_name"].startswith("baseline-") and cell["asset_class"] != "all"]
    if not shown:
        return None
    figure, axis = plt.subplots(figsize=(8, 0.28 * len(shown) + 1.2))
    at = np.arange(len(shown))[::-1]
    for place, (name, colour) in enumerate((("raw_coverage", RAW), ("coverage", SERVED))):
        _bars(axis, at + 0.12 - 0.24 * place, [cell[name]["inside"] for cell in shown], colour, 100.0)
    axis.axvspan(78, 82, color="#dafbe1", zorder=0)
    axis.axvline(80, color=INK, lw=0.8)
    axis.set_yticks(at, [f"{_label(cell)}, {cell['asset_class']}" for cell in shown], fontsize=7)
    axis.set_xlabel("outcomes inside the 80 % band, % (blue: served, grey: as the model gave it; bars: 95 %)")
    axis.set_xlim(40, 100)
    return figure


def _pit(pits: Sequence[Cell]) -> Figure | None:
    """Histograms of the PIT, even when calibrated, with the band that chance alone would stay in."""
    shown = [cell for cell in pits if cell["asset_class"] == "all" and cell["served"]["n"]]
    if not shown:
        return None
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.0 * columns, 2.1 * rows), squeeze=False, sharex=True)
    for axis, cell in zip(axes.flat, shown, strict=False):
        served = cell["served"]
        k = len(served["shares"])
        edges = (np.arange(k) + 0.5) / k
        axis.bar(edges, np.array(served["shares"]) * k, width=0.9 / k, color=SERVED)
        axis.step(edges, np.array(cell["raw"]["shares"]) * k, where="mid", color=INK, lw=0.7)
        if served["low"][0] is not None:
            axis.fill_between(
                edges, np.array(served["low"]) * k, np.array(served["high"]) * k, color="#24292f", alpha=0.15, lw=0
            )
        axis.axhline(1.0, color=INK, lw=0.6)
        axis.set_title(f"{_label(cell)}\nKS p = {served['ks_p']:.2f}", fontsize=7)
        axis.tick_params(labelsize=6)
    for axis in list(axes.flat)[len(shown) :]:
        axis.set_visible(False)
    figure.tight_layout()
    return figure


def _skill(cells: Sequence[Cell]) -> Figure | None:
    shown = [cell for cell in cells if cell["model_name"] != "baseline-rw" and cell["crps_skill"]["value"] is not None]
    if not shown:
        return None
    figure, axis = plt.subplots(figsize=(8, 0.28 * len(shown) + 1.2))
    at = np.arange(len(shown))[::-1]
    _bars(axis, at + 0.12, [cell["crps_skill"] for cell in shown], RAW, 100.0)
    _bars(axis, at - 0.12, [cell["calibrated_crps_skill"] for cell in shown], SERVED, 100.0)
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(at, [_label(cell) for cell in shown], fontsize=7)
    axis.set_xlabel("CRPS skill beside baseline-rw, % (blue: served, grey: as the model gave it; bars: 95 %)")
    return figure


def _sharpe(cells: Sequence[Cell]) -> Figure | None:
    shown = [cell for cell in cells if cell["sharpe"]["0"]["value"] is not None]
    if not shown:
        return None
    figure, axis = plt.subplots(figsize=(8, 0.34 * len(shown) + 1.2))
    at = np.arange(len(shown))[::-1]
    costs = list(shown[0]["sharpe"])
    for place, cost in enumerate(costs):
        shade = plt.colormaps["Blues"](0.9 - 0.3 * place)
        _bars(axis, at + 0.2 - 0.2 * place, [cell["sharpe"][cost] for cell in shown], shade, 1.0)
    axis.axvline(0, color=INK, lw=0.8)
    axis.set_yticks(at, [_label(cell) for cell in shown], fontsize=7)
    axis.set_xlabel(f"annual Sharpe ratio at costs of {', '.join(costs)} per position changed (bars: 95 %)")
    return figure


def _bars(axis: Any, at: Any, estimates: Sequence[Cell], colour: Any, unit: float) -> None:
    for y, estimate in zip(at, estimates, strict=True):
        if estimate["value"] is None:
            continue
        if estimate["low"] is not None and estimate["high"] is not None:
            axis.plot([unit * estimate["low"], unit * estimate["high"]], [y, y], color=colour, lw=1.6)
        axis.plot([unit * estimate["value"]], [y], "o", color=colour, ms=3.5)
