"""Which of several checkpoints is best? `python -m bench.checkpoints FOLDER… [--data ../shared/market-data]`.

All are asked the same origins of 2025-01..06 (or --first to --last), as a server would use them but with the spread
taken out, so that none gains from factors that were fitted on these months. Losses are fair CRPS in σ√h; intervals of
the difference to the first folder resample weeks in blocks.
"""

import argparse
from itertools import product
from pathlib import Path

import numpy as np

from inference_server.kronos.forecaster import KronosForecaster
from inference_server.kronos.model import Kronos
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.kronos.usage import Usage
from inference_server.pretraining.evaluation import HORIZON, Table, by_weeks, forecast_all, origins
from inference_server.pretraining.histories import load_histories
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL
from inference_server.pretraining.report import ASSET_CLASSES, CARD_STEPS


def main() -> None:
    """Draw, compare, print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/market-data"))
    parser.add_argument("--first", type=np.datetime64, default=TRAIN_UNTIL)
    parser.add_argument("--last", type=np.datetime64, default=HELD_OUT_UNTIL)
    parser.add_argument("--origins", type=int, default=24, help="per instrument and interval")
    parser.add_argument("--paths", type=int, default=50)
    asked = parser.parse_args()

    histories = load_histories(asked.data)
    tables: list[Table] = []
    for folder in asked.folders:
        usage = Usage.read(folder)
        assert usage.max_context is not None, f"{folder} has no usage.json"
        forecaster = KronosForecaster(
            KronosTokenizer.from_pretrained(folder / "tokenizer"),
            Kronos.from_pretrained(folder / "model"),
            name="candidate",
            version="0" * 64,  # the same for all, so that all draw the same random numbers
            max_context=usage.max_context,
            usage=Usage(usage.max_context, usage.space),
        )
        some = origins(
            histories,
            first=asked.first.astype("datetime64[s]"),
            last=asked.last.astype("datetime64[s]"),
            lookback=usage.max_context - HORIZON,
            per_history=asked.origins,
        )
        tables.append(forecast_all(forecaster, some, n_paths=asked.paths))
    losses = [table.crps() for table in tables]
    print("| step | n | " + " | ".join(folder.name for folder in asked.folders) + " |")
    print("|---" * (2 + len(tables)) + "|")
    for step, asset_class in product(CARD_STEPS, (*ASSET_CLASSES, "all")):
        rows = tables[0].step == step
        if asset_class != "all":
            rows &= tables[0].asset_class == asset_class
        told = [f"{losses[0][rows].mean():.4f}"]
        for table, loss in zip(tables[1:], losses[1:], strict=True):
            if not np.array_equal(table.actual, tables[0].actual):
                raise SystemExit("the folders have different contexts, so they were asked different origins")
            gap, base = loss[rows] - losses[0][rows], losses[0][rows]
            share = by_weeks(
                table.week[rows], lambda pick, gap=gap, base=base: float(gap[pick].mean() / base[pick].mean()), block=4
            )
            told.append(f"{loss[rows].mean():.4f} ({share.value:+.1%}, {share.low:+.1%} to {share.high:+.1%})")
        print(f"| {step} {asset_class} | {rows.sum()} | " + " | ".join(told) + " |")


if __name__ == "__main__":
    main()
