"""Is the bundled model calibrated, and how fast does it load? `python -m bench.nano [--data ../shared/market-data]`.

The checkpoint is used as the inference server uses it, spread included, on 2025-01..06 of real bars or on the time
that --first and --last name. A pair is one (origin, step); intervals resample weeks in blocks.
"""

import argparse
import subprocess
import sys
import time
from itertools import product
from pathlib import Path

import numpy as np

from bench.results import machine, replace_section
from candlecast.baselines import RandomWalk
from inference_server.kronos.forecaster import KronosForecaster
from inference_server.pretraining.evaluation import HORIZON, common, forecast_all, origins
from inference_server.pretraining.histories import load_histories
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL
from inference_server.pretraining.report import ASSET_CLASSES, CARD_STEPS, cell_of
from inference_server.registry import BUNDLED

LOAD = """
import time, torch
from inference_server.kronos.forecaster import KronosForecaster
began = time.perf_counter()
KronosForecaster.load({folder!r}, name="kronos-nano")
print(time.perf_counter() - began)
"""


def main() -> None:
    """Measure, print, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/market-data"))
    parser.add_argument("--weights", type=Path, default=BUNDLED["nano"])
    parser.add_argument("--first", type=np.datetime64, default=TRAIN_UNTIL, help="outcomes open from here on")
    parser.add_argument("--last", type=np.datetime64, default=HELD_OUT_UNTIL, help="outcomes open before this")
    parser.add_argument("--origins", type=int, default=60, help="per instrument and interval")
    parser.add_argument("--paths", type=int, default=50)
    parser.add_argument("--dry", action="store_true", help="print only")
    asked = parser.parse_args()

    loaded = [float(_in_a_new_process(LOAD.format(folder=str(asked.weights)))) for _ in range(3)]
    forecaster = KronosForecaster.load(asked.weights, name="kronos-nano")
    context = forecaster.info.max_context
    assert context is not None
    some = origins(
        load_histories(asked.data),
        first=asked.first.astype("datetime64[s]"),
        last=asked.last.astype("datetime64[s]"),
        lookback=context - HORIZON,
        per_history=asked.origins,
    )
    began = time.monotonic()
    mine = forecast_all(forecaster, some, n_paths=asked.paths)
    seconds = time.monotonic() - began
    mine, theirs = common(mine, forecast_all(RandomWalk(), some, n_paths=asked.paths))

    lines = [
        f"`{asked.weights.name}`, version {forecaster.info.version[:12]}, loads in {min(loaded):.2f} s (torch "
        f"imported, three new processes; bound 1 s). {len(some):,} origins, {asked.paths} paths, outcomes from "
        f"{asked.first} to {asked.last}: {seconds:.0f} s, {1000 * seconds / len(some):.0f} ms each, on {machine()}.",
        "",
        "| bars | class | step | n | 80 % band covers | baseline | CRPS | baseline | skill |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for interval, asset_class, step in product(("1h", "1d"), ASSET_CLASSES, CARD_STEPS):
        cell = cell_of(mine, mine, theirs, interval, asset_class, step)
        if cell is not None:
            lines.append(
                f"| {interval} | {asset_class} | {step} | {cell.n} | {cell.coverage.value:.1%} "
                f"({cell.coverage.low:.0%}–{cell.coverage.high:.0%}) | {cell.baseline_coverage:.1%} | {cell.crps:.3f} "
                f"| {cell.baseline_crps:.3f} | {cell.skill.value:+.1%} "
                f"({cell.skill.low:+.1%} to {cell.skill.high:+.1%}) |"
            )
    text = "\n".join(lines)
    print(text)
    if not asked.dry:
        replace_section("kronos-nano", text)


def _in_a_new_process(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
