"""How fast and how exact `baseline-rw` is: `python -m bench.baseline [--data ../shared/market-data]`.

Beside it runs the obvious other way, quantiles of simulated paths from the same law. Errors of both are measured
against the same convolution on a grid 32 times finer.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.results import machine, replace_section
from candlecast import baselines
from candlecast.baselines import RandomWalk, filtered, sample_sums, sum_quantiles
from candlecast.forecasts import CLOSE, Forecast, Series
from candlecast.quantiles import fan_from_paths

N_SERIES, N_BARS, HORIZON, N_PATHS = 23, 512, 120, 100
BOUND_S = 0.2


def main() -> None:
    """Measure, print, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/market-data"))
    series, source = load(parser.parse_args().data)
    walk = RandomWalk()

    def issue(some: Sequence[Series], n_paths: int) -> None:
        results = list(walk.forecast(some, horizon=len(some[0].target_opened_at), n_paths=n_paths))
        assert all(isinstance(one, Forecast) for one in results)

    with_paths = median_s(lambda: issue(series, N_PATHS))
    fans_only = median_s(lambda: issue(series, 0))
    short = [shorten(one, 24) for one in series]
    many = 5_000 * median_s(lambda: issue(short, 0)) / len(short)

    residuals = [filtered(one.ohlcv[:, CLOSE]).residuals for one in series]
    exact = [finer(z) for z in residuals]
    spread = [float(np.sqrt(np.mean(z * z))) * np.sqrt(np.arange(1, HORIZON + 1))[:, None] for z in residuals]

    def error(fans: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
        gaps = np.array([np.abs(fan - fine) / sd for fan, fine, sd in zip(fans, exact, spread, strict=True)])
        return float(gaps[:, 1:].max()), float(gaps[:, 1:].mean())

    rows = [("convolution (`baseline-rw`)", fans_only, error([sum_quantiles(z, HORIZON) for z in residuals]))]
    for n in (100, 1_000, 10_000):
        simulated = [fan_from_paths(sample_sums(z, HORIZON, n, seed)) for seed, z in enumerate(residuals)]
        seconds = median_s(lambda n=n: [fan_from_paths(sample_sums(z, HORIZON, n, 0)) for z in residuals], 3)  # type: ignore[misc]
        rows.append((f"{n:,} simulated paths", seconds, error(simulated)))

    lines = [
        f"{len(series)} series of {N_BARS} bars ({source}), {HORIZON} steps, one core of: {machine()}.",
        "",
        "| fans by | all series | largest error | mean error | time, ratio |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {1000 * seconds:.0f} ms | {worst:.1e} | {mean:.1e} | {seconds / fans_only:.1f} |"
            for name, seconds, (worst, mean) in rows
        ),
        "",
        "Errors are in standard deviations of the h-step sum, over all series, steps from 2 on and levels.",
        "",
        f"With {N_PATHS} stored paths beside the fans: **{1000 * with_paths:.0f} ms** for all series "
        f"(bound {1000 * BOUND_S:.0f} ms, {'kept' if with_paths < BOUND_S else 'MISSED'}). "
        f"5,000 series of 24 steps at this rate: {many:.0f} s.",
    ]
    body = "\n".join(lines)
    print(body)
    replace_section("The random walk", body)


def load(data: Path) -> tuple[list[Series], str]:
    """The newest bars of real series, or simulated ones where there are none."""
    files = sorted((data / "ohlcv_1h").glob("*.csv.gz"))[:N_SERIES]
    if len(files) == N_SERIES:
        closes = [pd.read_csv(file)["close"].to_numpy(np.float64)[-N_BARS:] for file in files]
        return [series_of(file.name.split(".")[0], one) for file, one in zip(files, closes, strict=True)], "real, 1h"
    rng = np.random.default_rng(0)
    walks = [100 * np.exp(np.cumsum(rng.standard_t(4, N_BARS) * 0.01)) for _ in range(N_SERIES)]
    return [series_of(f"SIM{k}", one) for k, one in enumerate(walks)], "simulated, Student t with 4 degrees"


def series_of(symbol: str, closes: NDArray[np.float64]) -> Series:
    """A series around `closes`; only they matter to the baseline."""
    hours = np.datetime64("2025-01-01T00:00:00") + np.arange(N_BARS + HORIZON) * np.timedelta64(3600, "s")
    bars = np.column_stack([closes] * 4 + [np.ones(N_BARS)] * 2)
    return Series(symbol, "1h", datetime(2025, 2, 1, tzinfo=UTC), bars, hours[:N_BARS], hours[N_BARS:])


def shorten(one: Series, horizon: int) -> Series:
    """The same series asked for fewer steps."""
    return Series(
        one.symbol, one.interval, one.issued_at, one.ohlcv, one.opened_at, one.target_opened_at[:horizon], one.events
    )


def finer(residuals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same quantiles on a grid 32 times finer."""
    kept = baselines.CELLS_PER_SCALE, baselines.MAX_CELLS
    try:
        baselines.CELLS_PER_SCALE, baselines.MAX_CELLS = 32 * kept[0], 1 << 20  # type: ignore[misc]
        return sum_quantiles(residuals, HORIZON)
    finally:
        baselines.CELLS_PER_SCALE, baselines.MAX_CELLS = kept  # type: ignore[misc]


def median_s(work: Callable[[], object], n: int = 7) -> float:
    """Median seconds of processor time of `work`, after one run that does not count; wall time on an idle core."""
    work()
    times = []
    for _ in range(n):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return statistics.median(times)


if __name__ == "__main__":
    main()
