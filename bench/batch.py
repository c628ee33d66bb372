"""What an hourly run costs beside the model: 23 instruments, a real Postgres, the baseline in the process.

`python -m bench.batch [--dry]`: each round is a process of its own, as cron starts one, because a run pays for
its imports and its calendars too. Reported are the parts of the median round.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from bench.results import machine, replace_section
from candlecast.clock import utc_now
from candlecast.instruments import load_instruments
from candlecast.store import migrate
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.instruments import upsert_instruments
from jobs.ingest import ingest_synthetic

ROUNDS = 5

# One slot, timed from inside: everything of `predict` but the arithmetic of the baseline itself.
ROUND = """
import json, sys, time
began = time.perf_counter()
from datetime import datetime
from candlecast.baselines import RandomWalk
from candlecast.store.engine import create_engine
from jobs.predict import BASELINE, Request, predict
imported = time.perf_counter()
spent = 0.0
original = RandomWalk.forecast
def timed(self, *args, **kwargs):
    global spent
    results = original(self, *args, **kwargs)
    while True:
        mark = time.perf_counter()
        try:
            one = next(results)
        except StopIteration:
            return
        finally:
            spent += time.perf_counter() - mark
        yield one
RandomWalk.forecast = timed
engine = create_engine(sys.argv[1], application_name="bench")
slot = datetime.fromisoformat(sys.argv[2])
begun = time.perf_counter()
request = Request("1h", slot, BASELINE, 120, 392, 100, replay=True)
report = predict(engine, request, forecaster=None, run=None, deadline_s=60)
ended = time.perf_counter()
print(json.dumps({"imports": imported - began, "run": ended - begun, "read": report.seconds["read"],
                  "model": spent, "rows": report.n_written}))
"""


def measure() -> dict[str, float]:
    """Medians over the rounds, in seconds; each round forecasts a slot of its own."""
    home = Path(tempfile.mkdtemp(prefix="candlecast-bench-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home)
    try:
        url = server.ensure().url()
        migrate.upgrade(url)
        engine = create_engine(url, application_name="bench")
        with engine.begin() as conn:
            upsert_instruments(conn, load_instruments())
        now = utc_now()
        ingest_synthetic(engine, now=now)
        engine.dispose()
        rounds = []
        for back in range(ROUNDS):
            slot = (now - timedelta(days=7 * back + 3)).replace(hour=15, minute=55, second=0)
            slot -= timedelta(days=max(0, slot.weekday() - 4))  # a weekday: every venue is open
            done = subprocess.run(
                [sys.executable, "-c", ROUND, url, slot.isoformat()], capture_output=True, text=True, check=True
            )
            rounds.append(json.loads(done.stdout))
    finally:
        server.stop()
        shutil.rmtree(home)
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def main() -> None:
    """Measure, print, and unless --dry put the section into RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry", action="store_true", help="print only, leave RESULTS.md alone")
    options = parser.parse_args()
    began = time.perf_counter()
    seconds = measure()
    beside = seconds["run"] - seconds["model"]
    body = f"""{machine()}. {seconds["rows"]:.0f} instruments, 392 hourly bars each, 120 steps, 100 paths,
median of {ROUNDS} processes.

| part of an hourly run | s |
|---|---:|
| reading bars, leaders and calendar, building 20 channels each | {seconds["read"]:.2f} |
| everything beside the model (bound 1 s): the same, and writing rows, paths and queue | **{beside:.2f}** |
| the baseline's own arithmetic | {seconds["model"]:.2f} |
| starting Python and importing, before the run | {seconds["imports"]:.2f} |
"""
    print(body, f"\nmeasured in {time.perf_counter() - began:.0f} s")
    if not options.dry:
        replace_section("An hourly run beside the model", body)


if __name__ == "__main__":
    main()
