"""Promise 4: a run may be killed at any point and repeated at any time; the rows end up the same.

Real processes, real kills, a real database. A trigger makes every row slow to write, so that kills land
before, between and inside the transactions.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, text

from candlecast.store.runs import claim_lease
from jobs.predict import BASELINE, Request, predict
from tests.small_market import SLOT, SYMBOLS, Market, fill

COMMAND = [sys.executable, "-c", "from candlecast.cli import main; main()", "predict", "--model", BASELINE]
AS_OF = ["--as-of", SLOT.isoformat()]
SMALL = {"HORIZON": "24", "LOOKBACK": "200", "N_PATHS": "20", "BASELINES": "rw"}
REQUEST = Request(interval="1h", slot=SLOT, model_name=BASELINE, horizon=24, lookback=200, n_paths=20, replay=True)

# Everything of a row but when it was written and what that entails (the run, the chain's hashes).
COLUMNS = """
    prediction_id, symbol, interval, model_name, model_version, issued_at, horizon, target_at, last_close, scale,
    p10, p50, p90, fan, seed, n_paths, lookback_start, lookback_end, data_hash, event_context, synthetic, status
"""

Start = Callable[..., "subprocess.Popen[str]"]


def rows(engine: Engine) -> dict[str, tuple[Any, ...]]:
    query = text(f"SELECT symbol, {COLUMNS} FROM candlecast.ml_predictions ORDER BY symbol")
    with engine.connect() as conn:
        return {row[0]: tuple(row[1:]) for row in conn.execute(query)}


def slow_rows(engine: Engine, seconds: float) -> None:
    with engine.begin() as conn:
        conn.execute(
            text(
                "CREATE FUNCTION candlecast.dawdle() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$"
            )
        )
        conn.execute(text("GRANT EXECUTE ON FUNCTION candlecast.dawdle() TO candlecast_writer"))
        conn.execute(
            text(
                "CREATE TRIGGER dawdle BEFORE INSERT ON candlecast.ml_predictions "
                "FOR EACH ROW EXECUTE FUNCTION candlecast.dawdle()"
            )
        )


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts a predict process on the test's database; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def begin(arguments: Sequence[str] = AS_OF, **environment: str) -> "subprocess.Popen[str]":
        env = {
            **os.environ,
            **SMALL,
            "DATABASE_URL": database_url,
            "INFERENCE_URL": "http://127.0.0.1:1",
            **environment,
        }
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def undisturbed(engine: Engine) -> dict[str, tuple[Any, ...]]:
    """The rows of the same slot made without any process, kill or rerun, then put away."""
    predict(engine, REQUEST, forecaster=None, run=None, deadline_s=60)
    made = rows(engine)
    with engine.begin() as conn:
        conn.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER USER"))
        for table in ("prediction_paths", "score_pending", "ml_predictions", "ledger_heads"):
            conn.execute(text(f"DELETE FROM candlecast.{table}"))
        conn.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE TRIGGER USER"))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_after_kills_at_random_moments_a_rerun_gives_the_rows_of_an_undisturbed_run(
    engine: Engine, start: Start, seed: int
) -> None:
    fill(engine)
    wanted = undisturbed(engine)
    assert set(wanted) == set(SYMBOLS)
    slow_rows(engine, 0.15)
    rng = random.Random(seed)

    for _ in range(4):
        victim = start()
        wait_until_started(engine, victim)
        time.sleep(rng.uniform(0, 1.2))
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    last = start()
    output, errors = last.communicate(timeout=120)

    assert last.returncode == 0, errors
    assert rows(engine) == wanted, output
    with engine.connect() as conn:
        counts = conn.execute(
            text(
                "SELECT (SELECT count(*) FROM candlecast.prediction_paths),"
                " (SELECT count(*) FROM candlecast.score_pending),"
                " (SELECT count(*) FROM candlecast.job_runs WHERE status = 'running')"
            )
        ).one()
    assert tuple(counts) == (5, 5 * 3, 0)  # steps 1, 4 and 24 of a horizon of 24


def wait_until_started(engine: Engine, process: "subprocess.Popen[str]") -> None:
    """Until the process has its row in the ledger of runs; most of a process's life is imports."""
    query = text("SELECT count(*) FROM candlecast.job_runs WHERE owner LIKE :pid AND status = 'running'")
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at and process.poll() is None:
        with engine.connect() as conn:
            if conn.execute(query, {"pid": f"%/{process.pid}/%"}).scalar_one():
                return
        time.sleep(0.01)
    if process.poll() not in (0, None):
        raise AssertionError(process.communicate()[1])


@pytest.mark.slow
def test_of_two_runs_at_once_one_works_and_the_other_exits_75(engine: Engine, start: Start) -> None:
    fill(engine)
    # Five rows: longer than the second process needs to start, and shorter than it waits for a lock (10 s).
    slow_rows(engine, 1.6)

    first = start()
    wait_until_started(engine, first)
    second = start()
    _, said = second.communicate(timeout=120)
    _, errors = first.communicate(timeout=120)

    assert (first.returncode, second.returncode) == (0, 75), errors
    assert "is being done by" in said
    assert set(rows(engine)) == set(SYMBOLS)


@pytest.mark.slow
def test_a_run_that_slept_through_its_lease_writes_nothing_more(engine: Engine, start: Start) -> None:
    fill(engine)
    slow_rows(engine, 0.4)
    sleeper = start()
    wait_until_started(engine, sleeper)
    sleeper.send_signal(signal.SIGSTOP)
    assert rows(engine) == {}  # its transaction, if there is one, is still open
    with engine.begin() as conn:
        # A server gives up a client that is silent for long, and the lease runs out; somebody else holds it now.
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'candlecast-jobs' AND datname = current_database()"
            )
        )
        conn.execute(text("UPDATE candlecast.job_leases SET expires_at = 'epoch'"))
        assert claim_lease(conn, "kronos-batch-1h", owner="elsewhere/1/0", slot=SLOT, ttl_s=3600) == 2

    sleeper.send_signal(signal.SIGCONT)
    _, said = sleeper.communicate(timeout=120)

    assert sleeper.returncode == 75, said
    assert rows(engine) == {}


@pytest.mark.slow
def test_a_database_that_drops_the_connection_mid_run_costs_no_row(engine: Engine, start: Start) -> None:
    fill(engine)
    wanted = undisturbed(engine)
    slow_rows(engine, 0.3)
    process = start()
    wait_until_started(engine, process)
    with engine.begin() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'candlecast-jobs' AND datname = current_database()"
            )
        )
    _, errors = process.communicate(timeout=120)

    if process.returncode != 0:  # cut while reading: nothing was lost, the next run does it all
        again = start()
        _, errors = again.communicate(timeout=120)
        assert again.returncode == 0, errors
    assert rows(engine) == wanted


@pytest.mark.slow
def test_without_an_inference_server_the_baseline_is_issued_and_the_exit_code_tells(
    market: Market, start: Start
) -> None:
    process = start(["--model", "kronos-base", *AS_OF])
    output, errors = process.communicate(timeout=180)

    assert process.returncode == 75, errors
    assert {(row[1], row[3]) for row in rows(market.engine).values()} == {(symbol, BASELINE) for symbol in SYMBOLS}
    assert "The model did not answer" in output
