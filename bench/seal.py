"""Measure what an outsider waits for: the export of the ledger and its check against a published root.

    python -m bench.seal [--rows 1000000] [--wide-rows 100000]

Needs the embedded PostgreSQL; makes one of its own in the temporary folder and removes it. Writes its section of
bench/RESULTS.md. The check runs in a process of its own, so that its memory is its own.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Engine, text

from bench.ledger import HORIZON, add_instruments, fill
from bench.results import machine, replace_section
from candlecast.audit import Published, audit
from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.export import export_ledger
from candlecast.store.sealing import read_seal


def publish(engine: Engine, folder: Path) -> tuple[list[Path], float]:
    """Seals of the days on which rows were recorded, over or not, and the seconds that they took."""
    started, paths, previous = time.perf_counter(), [], None
    with engine.connect() as conn:
        query = text("SELECT DISTINCT CAST(recorded_at AT TIME ZONE 'UTC' AS date) FROM candlecast.ml_predictions")
        for day in sorted(conn.execute(query).scalars()):  # two, where midnight passes meanwhile
            data = read_seal(conn, day, previous=previous).to_bytes()
            previous = sha256(data).digest()
            paths.append(folder / f"{day}.json")
            paths[-1].write_bytes(data)
    return paths, time.perf_counter() - started


def check(ledger: Path, roots: list[Path]) -> None:
    """In a process of its own: seconds, rows, seconds of processor, peak memory in MB."""
    report = audit(ledger, [Published.read(root) for root in roots])
    assert report.ok, report.wrong
    assert report.n_sealed == report.n_rows
    # Not ru_maxrss, which a process inherits from the one that started it.
    peak = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
    print(report.seconds, report.n_rows, time.process_time(), int(peak[1]) / 1024 if peak else float("nan"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="forecasts of 4 steps")
    parser.add_argument("--wide-rows", type=int, default=100_000, help="forecasts of 120 steps, 14 kB each")
    parser.add_argument("--check", nargs="+", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.check[0], arguments.check[1:])
        return

    home = Path(tempfile.mkdtemp(prefix="candlecast-bench-"))
    home.chmod(0o755)
    out = Path(tempfile.mkdtemp(prefix="candlecast-bench-seal-"))
    server = EmbeddedPostgres(home, settings={"max_wal_size": "4GB", "checkpoint_timeout": "30min"}).ensure()
    lines = ["| what | measured |", "|---|---|"]
    try:
        for n_rows, horizon in ((arguments.rows, 4), (arguments.wide_rows, HORIZON)):
            migrate.upgrade(server.url())
            engine = create_engine(server.url(), application_name="bench")
            add_instruments(engine)
            fill(engine, n_rows, horizon)
            what = f"{n_rows:,} rows × {horizon} steps"
            roots, seconds = publish(engine, out)
            lines.append(f"| seal of {what} | {seconds:.1f} s |")
            started = time.perf_counter()
            with engine.connect() as conn:
                export = export_ledger(conn, out / "ledger.parquet")
            seconds = time.perf_counter() - started
            lines.append(f"| export of {what} | {seconds:.1f} s, {export.n_bytes / 1e6:,.0f} MB of Parquet |")
            done = subprocess.run(
                [sys.executable, "-m", "bench.seal", "--check", export.path, *roots],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            seconds, n_checked, busy, peak = (float(one) for one in done.stdout.split())
            lines.append(
                f"| verify the export of {what} against its published root, no database | {seconds:.1f} s "
                f"({1e6 * seconds / n_checked:.0f} s per million), {busy:.1f} s of processor time, "
                f"peak memory {peak:,.0f} MB |"
            )
            print("\n".join(lines[-3:]))
            engine.dispose()
            migrate.downgrade(server.url(), "base")
    finally:
        server.stop()
        shutil.rmtree(home)
        shutil.rmtree(out)
    load = os.getloadavg()[0]
    lines += ["", f"{machine()}; load average at the end {load:.1f}. `python -m bench.seal`"]
    replace_section("Sealed ledger", "\n".join(lines))


if __name__ == "__main__":
    main()
