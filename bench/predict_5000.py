"""What `candlecast predict` costs for 5,000 generated instruments: real Postgres, real server, the real command.

`python -m bench.predict_5000 [--dry] [--instruments N] [--profile FILE]`: an instruments file and a market of its own
are generated, `baseline-rw` is asked of an inference server for 24 bars ahead, and the command runs as cron runs it.
Reported are its seconds, the peak memory of job and server, and the statements that the database saw.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import psutil
from sqlalchemy import Engine

from bench.results import machine, replace_section
from candlecast.clock import utc_now
from candlecast.instruments import Instrument, load_instruments
from candlecast.sessions import Sessions
from candlecast.store import migrate
from candlecast.store.bars import copy_many
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.instruments import upsert_instruments
from jobs.ingest import ingest_synthetic
from jobs.servers import started

HORIZON: Final = 24
LOOKBACK: Final = 392
BARS: Final = LOOKBACK + 8
# (class, calendar, provider, share): as mixed as the shipped instruments are.
KINDS: Final = (
    ("crypto", "24/7", "binance", 0.4),
    ("equity", "XNYS", "files", 0.4),
    ("forex_commodity", "FX-UTC", "files", 0.2),
)


def generated_instruments(n: int) -> str:
    """A TOML of `n` instruments of every class, after the leaders, which are watched and not forecast."""
    entries = []
    for one in load_instruments():
        if one.leader:
            leads = f'leader = "{one.leader}"\nforecast = false\n'
            entries.append(_entry(one.symbol, one.asset_class, one.calendar, one.provider) + leads)
    for asset_class, calendar, provider, share in KINDS:
        for k in range(round(n * share)):
            entries.append(_entry(f"{asset_class[:2].upper()}{k:05d}", asset_class, calendar, provider))
    return "\n".join(entries)


def _entry(symbol: str, asset_class: str, calendar: str, provider: str) -> str:
    fields = {
        "symbol": symbol, "name": symbol, "asset_class": asset_class, "calendar": calendar, "provider": provider,
        "provider_symbol": symbol, "quote_asset": "USD",
    }  # fmt: skip
    return "[[instruments]]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())


def fill(engine: Engine, instruments: Sequence[Instrument], now: datetime) -> None:
    """Leaders and calendar by the built-in generator; for the rest random walks on their own schedules."""
    with engine.begin() as conn:
        upsert_instruments(conn, [one for one in instruments if one.leader])
    ingest_synthetic(engine, now=now)
    with engine.begin() as conn:
        upsert_instruments(conn, instruments)
    rng = np.random.default_rng(5)
    schedules = {}
    for one in instruments:
        if one.calendar not in schedules:
            opened, closed = Sessions.of(one.calendar).scheduled("1h", now - timedelta(days=150), now)
            done = closed <= np.datetime64(now.replace(tzinfo=None))
            schedules[one.calendar] = opened[done][-BARS:], closed[done][-BARS:]
    forecast = [one for one in instruments if one.forecast]
    for first in range(0, len(forecast), 500):
        some = forecast[first : first + 500]
        frames = {one.symbol: _bars(rng, *schedules[one.calendar]) for one in some}
        with engine.begin() as conn:
            copy_many(conn, "1h", frames, source="synthetic", first_seen="close")


def _bars(rng: np.random.Generator, opened: Any, closed: Any) -> pd.DataFrame:
    close = 100 * np.exp(np.cumsum(rng.standard_t(5, len(opened)) * 0.004))
    opening = np.concatenate([[100.0], close[:-1]])
    return pd.DataFrame(
        {
            "ts": pd.DatetimeIndex(opened.astype("datetime64[us]"), tz="UTC"),
            "open": opening,
            "high": np.maximum(opening, close) * 1.001,
            "low": np.minimum(opening, close) * 0.999,
            "close": close,
            "volume": rng.uniform(1, 100, len(close)).round(3),
            "closed_at": pd.DatetimeIndex(closed.astype("datetime64[us]"), tz="UTC"),
            "state": "final",
        }
    )


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the command."""

    seconds: float
    facts: dict[str, Any]
    cpu_s: float
    job_mb: float
    server_mb: float
    n_statements: int


def measure(n: int, profile: Path | None = None) -> Measured:
    """Set up, run once, take down."""
    home = Path(tempfile.mkdtemp(prefix="candlecast-bench-"))
    home.chmod(0o755)
    logged = {"log_statement": "all", "log_line_prefix": "%a ", "log_parameter_max_length": "0"}
    postgres = EmbeddedPostgres(home / "store", settings=logged)
    try:
        postgres.ensure()
        migrate.upgrade(postgres.url())
        engine = create_engine(postgres.url(), application_name="bench")
        file = home / "instruments.toml"
        file.write_text(generated_instruments(n))
        fill(engine, load_instruments(file), utc_now())
        engine.dispose()
        with started("inference server", "inference_server", [], home) as url:
            server = next(one for one in psutil.Process().children() if "inference_server" in " ".join(one.cmdline()))
            measured = _run(postgres.url(role="writer"), url, profile)
            server_mb = _peak_mb(server.pid)
        log = next(home.glob("store/**/postgres.log")).read_text(errors="replace")
    finally:
        postgres.stop()
        shutil.rmtree(home)
    n_statements = sum(
        line.startswith("candlecast-jobs LOG:  ") and ("statement:" in line or "execute" in line)
        for line in log.splitlines()
    )
    return Measured(*measured, server_mb, n_statements)


def _run(database: str, server: str, profile: Path | None) -> tuple[float, dict[str, Any], float, float]:
    """Seconds from start to end of the process, what it said, its seconds of CPU, and its peak memory."""
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    command = [sys.executable, *profiler, str(Path(sys.executable).with_name("candlecast"))]
    environment = {
        **os.environ,
        "DATABASE_URL": database,
        "INFERENCE_URL": server,
        "HORIZON": str(HORIZON),
        "LOOKBACK": str(LOOKBACK),
        "BASELINES": "rw",  # rivals are for tens of instruments, not for thousands
    }
    began = time.monotonic()
    with subprocess.Popen(
        [*command, "predict", "--model", "baseline-rw", "--json"], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    facts = json.loads(said.splitlines()[-1])
    if process.returncode != 0:
        raise SystemExit(f"the command ended with {process.returncode}: {facts.get('refusals', facts)[:3]}")
    return seconds, facts, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def _peak_mb(pid: int) -> float:
    line = next(one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Measure, print, and unless --dry put the section into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    parser.add_argument("--instruments", type=int, default=5_000)
    parser.add_argument("--profile", type=Path, help="write the job's profile here; it is slower then")
    options = parser.parse_args()
    measured = measure(options.instruments, options.profile)
    parts = measured.facts["seconds"]
    body = f"""{machine()}. `candlecast predict --model baseline-rw`: {measured.facts["n_written"]} generated
instruments, {LOOKBACK} hourly bars each, {HORIZON} steps, 100 paths, through the inference server on the same
machine, one run.

| | |
|---|---:|
| the whole command (bound 60 s) | **{measured.seconds:.1f} s** |
| of it reading bars, leaders and calendar, building 20 channels each | {parts["read"]:.1f} s |
| of it asking the server, and writing rows, paths and queue as answers come | {parts["model"]:.1f} s |
| the job's own CPU, without server and database | {measured.cpu_s:.1f} s |
| peak memory of the job (bound 2 GB) | {measured.job_mb:.0f} MB |
| peak memory of the server | {measured.server_mb:.0f} MB |
| statements that the database saw from the job | {measured.n_statements} |
"""
    print(body)
    if not options.dry:
        replace_section("5,000 instruments in one run", body)


if __name__ == "__main__":
    main()
