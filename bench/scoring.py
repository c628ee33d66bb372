"""How fast the scorer is: a million pairs from the queue, and what a refresh costs after one and after three years.

    python -m bench.scoring [--pairs 1000000]

The queue is filled by COPY with pairs as `insert_predictions` leaves them (11 levels, 100 sample paths each; three of
the four models corrected), the bars are there, and the job runs as the writer's role on the embedded PostgreSQL with
its usual settings.
"""

import argparse
import os
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import psutil
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Engine, text

from bench.results import machine, replace_section
from candlecast.forecasts import LEVELS
from candlecast.instruments import load_instruments
from candlecast.scoring import SCORED_STEPS
from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.instruments import upsert_instruments
from jobs.score import score

START = datetime(2025, 1, 1, tzinfo=UTC)
MODELS = ("baseline-rw", "kronos-base", "chronos-2", "kronos-nano")
N_PATHS = 100
STEPS = SCORED_STEPS["1h"]


def field(value: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if value is None else len(value).to_bytes(4, "big") + value


def array_of(values: NDArray[np.float64]) -> bytes:
    """A float8[] as PostgreSQL reads it."""
    elements = np.empty(len(values), dtype=[("size", ">i4"), ("value", ">f8")])
    elements["size"], elements["value"] = 8, values
    return np.array([1, 0, 701, len(values), 1], dtype=">i4").tobytes() + elements.tobytes()


def fill_queue(engine: Engine, n_pairs: int) -> None:
    """`n_pairs` queued pairs of 23 symbols and 4 models, one forecast an hour, and the bars that answer them."""
    symbols = [one.symbol for one in load_instruments() if one.forecast]
    n_hours = -(-n_pairs // (len(symbols) * len(MODELS) * len(STEPS)))
    rng = np.random.default_rng(0)
    closes = {symbol: 100.0 * np.exp(np.cumsum(rng.normal(0, 0.005, n_hours + 130))) for symbol in symbols}
    with engine.begin() as conn:
        upsert_instruments(conn, load_instruments())
    connection = engine.raw_connection()
    driver = connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    columns = "symbol, ts, closed_at, open, high, low, close, volume, source, first_seen"
    bars = f"COPY candlecast.ohlcv_1h ({columns}) FROM STDIN"
    with driver.cursor().copy(bars) as copy:
        for symbol in symbols:
            for hour, close in enumerate(closes[symbol]):
                closed = START + timedelta(hours=hour)
                opened = closed - timedelta(hours=1)
                copy.write_row((symbol, opened, closed, close, close, close, close, 1.0, "bench", closed))

    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    spread = np.array(LEVELS) - 0.5
    left = n_pairs
    queue = (
        "COPY candlecast.score_pending (prediction_id, step, target_at, symbol, interval, model_name, record, "
        "too_late, issued_at, last_close, scale, p10, p50, p90, fan, closes, feed, calibrated) "
        "FROM STDIN (FORMAT binary)"
    )
    with driver.cursor().copy(queue) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
        for hour in range(n_hours):
            noise = rng.normal(0, 0.005, (len(symbols) * len(MODELS), len(STEPS), N_PATHS))
            for place, (symbol, model) in enumerate((symbol, model) for symbol in symbols for model in MODELS):
                prediction = uuid.uuid5(uuid.NAMESPACE_URL, f"{symbol}{model}{hour}").bytes
                last = closes[symbol][hour]
                for at, step in enumerate(STEPS):
                    if left == 0:
                        break
                    left -= 1
                    drift = 0.001 * np.sin(place + hour / 10) * step**0.5
                    fan = last * np.exp(drift + 0.005 * step**0.5 * 3.2 * spread)
                    calibrated = fan if model == MODELS[0] else fan[5] * (fan / fan[5]) ** 1.4
                    paths = (last * np.exp(drift + noise[place, at] * step**0.5)).astype("<f4")
                    seconds = (START - epoch).total_seconds() + hour * 3600
                    numbers = np.array(
                        [last, 0.005, calibrated[1], calibrated[5], calibrated[9]], dtype=">f8"
                    ).tobytes()
                    copy.write(
                        b"\x00\x12"
                        + field(prediction)
                        + field(step.to_bytes(4, "big"))
                        + field(int((seconds + step * 3600) * 1e6).to_bytes(8, "big"))
                        + field(symbol.encode())
                        + field(b"1h")
                        + field(model.encode())
                        + field(b"live")
                        + field(b"\x00")
                        + field(int(seconds * 1e6).to_bytes(8, "big"))
                        + b"".join(field(numbers[start : start + 8]) for start in range(0, 40, 8))
                        + field(array_of(fan))
                        + field(paths.tobytes())
                        + field(b"bench")
                        + field(None if model == MODELS[0] else array_of(calibrated))
                    )
        copy.write(b"\xff\xff")
    connection.commit()
    connection.close()


def fill_days(engine: Engine, n_days: int) -> None:
    """Sums of `n_days` days for 23 symbols, 4 models and 4 steps, and their totals."""
    with engine.begin() as conn:
        conn.execute(text("TRUNCATE candlecast.score_days, candlecast.score_totals"))
        conn.execute(
            text(
                "INSERT INTO candlecast.score_days (symbol, interval, model_name, record, step, day, n, n_moves, "
                "n_hits, n_inside, pinball, n_bars, bar_return, bar_square) "
                "SELECT symbol, '1h', model, 'live', step, day, 24, 24, 12, 19, 8.0, 24, random() - 0.5, random() "
                "FROM generate_series(DATE '2026-01-01' - CAST(:n AS integer), '2025-12-31', interval '1 day') AS day, "
                "candlecast.instruments, unnest(CAST(:models AS text[])) AS model, "
                "unnest(CAST(:steps AS integer[])) AS step WHERE forecast"
            ),
            {"n": n_days, "models": list(MODELS), "steps": list(STEPS)},
        )
        conn.execute(
            text(
                "INSERT INTO candlecast.score_totals (symbol, interval, model_name, record, step, last_target_at, n) "
                "SELECT symbol, interval, model_name, record, step, '2025-12-31 12:00+00', sum(n) "
                "FROM candlecast.score_days GROUP BY 1, 2, 3, 4, 5"
            )
        )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE candlecast.score_days"))


def refresh_seconds(engine: Engine) -> float:
    """Best of five."""
    best = np.inf
    for _ in range(5):
        started = time.perf_counter()
        with engine.begin() as conn:
            conn.execute(text("SELECT candlecast.refresh_signal_performance()"))
        best = min(best, time.perf_counter() - started)
    return best


def processor_seconds(server: EmbeddedPostgres) -> float:
    """Processor time so far of this process and of the server's, which says more than the clock on a busy machine."""
    spent = sum(psutil.Process().cpu_times()[:2])
    for process in psutil.process_iter(["name", "cmdline"]):
        if process.info["name"] == "postgres" and str(server.home) in " ".join(process.info["cmdline"] or ()):
            for one in (process, *process.children()):
                spent += sum(one.cpu_times()[:2])
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="candlecast-bench-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder)).ensure()
        try:
            migrate.upgrade(server.url())
            owner = create_engine(server.url(), application_name="bench")
            fill_queue(owner, options.pairs)
            writer = create_engine(server.url(role="writer"), application_name="bench-writer")
            before = processor_seconds(server)
            report = score(writer, "1h", as_of=START + timedelta(days=400), progress=lambda n: print(f"{n} scored"))
            processor = processor_seconds(server) - before
            load = os.getloadavg()[0]
            assert report.n_scored == options.pairs, report
            seconds = {}
            for years in (1, 3):
                fill_days(owner, 365 * years)
                seconds[years] = refresh_seconds(writer)
            owner.dispose()
            writer.dispose()
        finally:
            server.stop()
    print(report, processor, load, seconds)
    if not options.dry:
        replace_section(
            "Scoring",
            f"{machine()}\n\n"
            f"| what | measured |\n|---|---|\n"
            f"| {report.n_scored:,} pairs with {N_PATHS} sample paths each (23 symbols, {len(MODELS)} models, "
            f"{len(STEPS)} steps): judged, written, summed | {report.seconds:.1f} s "
            f"({report.n_scored / report.seconds:,.0f} pairs/s), {processor:.1f} s of processor time; "
            f"load average at the end {load:.1f} |\n"
            f"| refresh of `signal_performance`, 1 year of days | {seconds[1]:.3f} s |\n"
            f"| the same, 3 years of days | {seconds[3]:.3f} s ({seconds[3] / seconds[1]:.2f} times) |\n",
        )


if __name__ == "__main__":
    main()
