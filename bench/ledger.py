"""Measure the ledger: how fast forecasts are put on record, and how fast the whole record is recomputed.

    python bench/ledger.py [--rows 1000000] [--wide-rows 100000]

Needs the embedded PostgreSQL; makes one of its own in the temporary folder and removes it. Writes its section of
bench/RESULTS.md. Figures are wall-clock on whatever else the machine was doing; its load is written beside them.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Engine, insert, text

from bench.results import machine, replace_section
from candlecast.store import migrate, tables
from candlecast.store.arrays import Float8s, Timestamps
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.ledger import VerifyReport, verify
from candlecast.store.predictions import PredictionRow, insert_predictions

FILL = text(Path(__file__).with_name("ledger_fill.sql").read_text(encoding="utf-8"))
N_SYMBOLS = 23
HORIZON = 120
N_PATHS = 100
GROUP = 10_000


def add_instruments(engine: Engine) -> None:
    common = {"asset_class": "crypto", "calendar": "24/7", "provider": "files", "quote_asset": "USDT", "forecast": True}
    names = [f"S{number}" for number in range(N_SYMBOLS)]
    with engine.begin() as conn:
        conn.execute(
            insert(tables.instruments),
            [{"symbol": name, "name": name, "provider_symbol": name, **common} for name in names],
        )


def fill(engine: Engine, n_rows: int, horizon: int) -> float:
    """Append `n_rows` forecasts of `horizon` steps in one chain through the sealing trigger; rows per second."""
    spread = np.sqrt(np.arange(1, horizon + 1))[:, None] * np.linspace(-2, 2, 11)
    hours = np.arange(1, horizon + 1).astype("timedelta64[h]")
    parameters = {
        "horizon": horizon,
        "n_symbols": N_SYMBOLS,
        "target_at": Timestamps(np.datetime64("2200-01-01T00:00:00", "us") + hours),
        "p10": Float8s(100 + spread[:, 1]),
        "p50": Float8s(100 + spread[:, 5]),
        "p90": Float8s(100 + spread[:, 9]),
        "fan": Float8s((100 + spread).reshape(-1)),
    }
    started = time.perf_counter()
    for first in range(0, n_rows, GROUP):
        with engine.begin() as conn:
            conn.execute(FILL, {**parameters, "first": first, "last": min(first + GROUP, n_rows) - 1})
        print(f"\r  {min(first + GROUP, n_rows):,} of {n_rows:,} rows", end="", file=sys.stderr)
    print(file=sys.stderr)
    return n_rows / (time.perf_counter() - started)


def batch(number: int) -> list[PredictionRow]:
    """What an hourly run writes for one model: 23 instruments, 100 paths of 120 steps each."""
    rng = np.random.default_rng(number)
    issued_at = datetime(2100, 1, 1, tzinfo=UTC) + timedelta(hours=number)
    rows = []
    for symbol in range(N_SYMBOLS):
        paths = (100 * np.exp(np.cumsum(rng.normal(0, 0.01, (N_PATHS, HORIZON)), axis=1))).astype(np.float32)
        fan = np.quantile(paths.astype(np.float64), [0.05, *np.arange(1, 10) / 10, 0.95], axis=0).T
        rows.append(
            PredictionRow(
                symbol=f"S{symbol}",
                interval="1h",
                model_name="bench",
                model_version="ab" * 32,
                issued_at=issued_at,
                horizon=HORIZON,
                target_at=[issued_at + timedelta(hours=step) for step in range(1, HORIZON + 1)],
                last_close=100.0,
                scale=0.01,
                p10=fan[:, 1],
                p50=fan[:, 5],
                p90=fan[:, 9],
                fan=fan,
                seed=number,
                n_paths=N_PATHS,
                lookback_start=issued_at - timedelta(hours=392),
                lookback_end=issued_at,
                data_hash="cd" * 32,
                event_context={},
                synthetic=True,
                replay=False,
                paths=paths,
            )
        )
    return rows


def insert_times(engine: Engine, n_batches: int = 20) -> list[float]:
    """Seconds of each batch, the commit included."""
    times = []
    for number in range(n_batches):
        rows = batch(number)
        started = time.perf_counter()
        with engine.begin() as conn:
            insert_predictions(conn, rows, scored_steps=(1, 4, 24, 120), fence=None)
        times.append(time.perf_counter() - started)
    return times


def walk(engine: Engine, model_name: str) -> VerifyReport:
    with engine.connect() as conn:
        report = verify(conn, model_name=model_name)
    assert report.ok, report.first_broken
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="forecasts of 4 steps")
    parser.add_argument("--wide-rows", type=int, default=100_000, help="forecasts of 120 steps, 14 kB each")
    arguments = parser.parse_args()

    home = Path(tempfile.mkdtemp(prefix="candlecast-bench-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home, settings={"max_wal_size": "4GB", "checkpoint_timeout": "30min"}).ensure()
    lines = ["| what | measured |", "|---|---|"]
    try:
        for n_rows, horizon in ((arguments.rows, 4), (arguments.wide_rows, HORIZON)):
            migrate.upgrade(server.url())
            engine = create_engine(server.url(), application_name="bench")
            add_instruments(engine)
            if horizon == 4:
                times = insert_times(engine)
                each = statistics.median(times)
                lines.append(
                    f"| one batch on record: {N_SYMBOLS} forecasts, {N_PATHS} paths × {HORIZON} steps each | "
                    f"median {1000 * each:.0f} ms, worst {1000 * max(times):.0f} ms ({N_SYMBOLS / each:,.0f} rows/s) |"
                )
            rate = fill(engine, n_rows, horizon)
            lines.append(f"| {n_rows:,} rows × {horizon} steps through the sealing trigger | {rate:,.0f} rows/s |")
            report = walk(engine, "baseline-rw")
            per_million = 1e6 * report.seconds / report.n_rows
            lines.append(
                f"| verify {report.n_rows:,} rows × {horizon} steps | {report.seconds:.1f} s "
                f"({report.n_rows / report.seconds:,.0f} rows/s, {per_million:.0f} s per million) |"
            )
            print("\n".join(lines[-3:]))
            engine.dispose()
            migrate.downgrade(server.url(), "base")
    finally:
        server.stop()
        shutil.rmtree(home)
    load = os.getloadavg()[0]
    lines += ["", f"{machine()}; load average at the end {load:.1f}. `python -m bench.ledger`"]
    replace_section("Ledger", "\n".join(lines))


if __name__ == "__main__":
    main()
