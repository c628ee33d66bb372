"""Leases, fences and the ledger of runs on a real Postgres."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from candlecast.store import runs
from candlecast.store.runs import Item
from jobs import owner
from jobs.run import LeaseHeld, Terminated, open_run, record_missed_slots

JOB = "kronos-batch-1h"
SLOT = datetime(2025, 6, 2, 13, 55, tzinfo=UTC)
LONG = 3600.0


def ledger(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as conn:
        rows = conn.execute(text("SELECT status, n_ok, n_failed, n_skipped FROM candlecast.job_runs ORDER BY run_id"))
        return [tuple(row) for row in rows]


def test_a_run_counts_its_items_in_the_ledger(engine: Engine) -> None:
    with open_run(engine, JOB, SLOT, deadline_s=LONG) as run:
        run.add(Item("BTCUSDT", "m", "ok", ms=1.5), Item("SPY", "m", "exists"), Item("WTI", "m", "refused", "holes: …"))

    assert ledger(engine) == [("partial", 2, 1, 0)]
    assert run.exit_code == 1
    with engine.connect() as conn:
        items = conn.execute(text("SELECT symbol, outcome, reason FROM candlecast.job_items ORDER BY symbol")).all()
    assert [tuple(item) for item in items] == [
        ("BTCUSDT", "ok", None),
        ("SPY", "exists", None),
        ("WTI", "refused", "holes: …"),
    ]


@pytest.mark.parametrize(
    ("outcomes", "status", "code"),
    [
        ([], "skipped", 75),
        (["ok", "exists"], "ok", 0),
        (["ok", "failed"], "partial", 1),
        (["failed"], "failed", 1),
        (["ok", "skipped"], "partial", 75),  # the inference server could not be reached
        (["ok", "skipped", "refused"], "partial", 1),
        (["skipped"], "skipped", 75),
    ],
)
def test_the_exit_code_says_whether_everything_is_there(
    engine: Engine, outcomes: list[runs.Outcome], status: str, code: int
) -> None:
    with open_run(engine, JOB, SLOT, deadline_s=LONG) as run:
        run.add(*(Item(f"S{i}", "m", outcome) for i, outcome in enumerate(outcomes)))

    assert (run.status, run.exit_code) == (status, code)


def test_while_one_run_works_another_is_told_to_come_back(engine: Engine) -> None:
    with (
        open_run(engine, JOB, SLOT, deadline_s=LONG),
        pytest.raises(LeaseHeld) as refused,
        open_run(engine, JOB, SLOT, deadline_s=LONG),
    ):
        pass

    assert refused.value.exit_code == 75
    assert ledger(engine) == [("skipped", 0, 0, 0)]  # the second left no trace


def test_of_twenty_claims_at_once_one_is_granted(engine: Engine) -> None:
    granted: list[int] = []
    start = threading.Barrier(20)

    def claim(n: int) -> None:
        start.wait()
        with engine.begin() as conn:
            token = runs.claim_lease(conn, JOB, owner=f"elsewhere/{n}/0", slot=SLOT, ttl_s=60)
        if token is not None:
            granted.append(token)

    threads = [threading.Thread(target=claim, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert granted == [1]


def test_a_takeover_gets_a_higher_token_and_the_old_holder_cannot_renew(engine: Engine) -> None:
    with engine.begin() as conn:
        first = runs.claim_lease(conn, JOB, owner="elsewhere/1/0", slot=SLOT, ttl_s=-1)  # run out at once
        second = runs.claim_lease(conn, JOB, owner="elsewhere/2/0", slot=SLOT, ttl_s=60)
        assert first is not None
        assert second is not None
        run_id = runs.start_run(conn, JOB, slot=SLOT, owner="elsewhere/2/0", fence=second, deadline_s=9, details={})

        assert second == first + 1
        assert not runs.renew_lease(conn, JOB, token=first, ttl_s=60, run_id=run_id)
        assert runs.renew_lease(conn, JOB, token=second, ttl_s=60, run_id=run_id)


def test_a_holder_that_was_killed_is_taken_over_at_once_and_its_run_closed_as_interrupted(
    engine: Engine, database_url: str
) -> None:
    code = f"""
import sys, time
from datetime import UTC, datetime
from candlecast.store.engine import create_engine
from jobs.run import open_run
engine = create_engine(sys.argv[1], application_name="victim")
with open_run(engine, {JOB!r}, datetime.fromisoformat({SLOT.isoformat()!r}), deadline_s=3600):
    print("holding", flush=True)
    time.sleep(3600)
"""
    with subprocess.Popen([sys.executable, "-c", code, database_url], stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline().strip() == "holding"
        victim.kill()
        victim.wait()
        with engine.begin() as conn:  # so that waiting for the lease to run out would not help
            conn.execute(text("UPDATE candlecast.job_leases SET expires_at = now() + interval '1 day'"))

        with open_run(engine, JOB, SLOT, deadline_s=LONG) as run:
            run.add(Item("BTCUSDT", "m", "ok"))

    assert [row[0] for row in ledger(engine)] == ["interrupted", "ok"]
    assert run.fence.token == 2


def test_a_holder_whose_lease_was_taken_over_does_not_give_it_away(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("jobs.run.HEARTBEAT_S", 0.05)
    with open_run(engine, JOB, SLOT, deadline_s=LONG):
        with engine.begin() as conn:  # somebody else took over while we slept
            me = owner.this_process()
            assert runs.claim_lease(conn, JOB, owner="elsewhere/2/0", slot=SLOT, ttl_s=60, dead_owner=me) == 2
        while "the lease was taken over" not in caplog.text:
            time.sleep(0.01)

    with engine.connect() as conn:
        lease = runs.read_lease(conn, JOB)
    assert lease is not None
    assert lease.is_held  # neither our heartbeat nor our end touched the other's lease
    assert lease.owner == "elsewhere/2/0"


def test_sigterm_closes_the_run_as_interrupted_and_keeps_what_is_done(engine: Engine) -> None:
    with pytest.raises(Terminated) as ended, open_run(engine, JOB, SLOT, deadline_s=LONG) as run:  # noqa: PT012
        run.add(Item("BTCUSDT", "m", "ok"))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    assert ended.value.code == 143
    assert ledger(engine) == [("interrupted", 1, 0, 0)]
    with open_run(engine, JOB, SLOT, deadline_s=LONG):
        pass  # the lease was given back


def test_past_its_deadline_the_process_ends_whatever_it_waits_for(engine: Engine, database_url: str) -> None:
    code = f"""
import sys, threading
from datetime import UTC, datetime
from candlecast.store.engine import create_engine
from jobs.run import open_run
engine = create_engine(sys.argv[1], application_name="hangs")
with open_run(engine, {JOB!r}, datetime.fromisoformat({SLOT.isoformat()!r}), deadline_s=1):
    threading.Event().wait()
"""
    ended = subprocess.run([sys.executable, "-c", code, database_url], timeout=60, check=False)

    assert ended.returncode == 1
    assert [row[0] for row in ledger(engine)] == ["failed"]
    with engine.connect() as conn:
        error = conn.execute(text("SELECT error FROM candlecast.job_runs")).scalar_one()
        left = conn.execute(text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hangs'"))
    assert error == "stopped at its deadline of 1 s"
    assert left.scalar_one() == 0


def test_slots_that_passed_without_a_run_are_recorded_and_never_made_up(engine: Engine) -> None:
    with open_run(engine, JOB, SLOT, deadline_s=LONG) as run:
        run.add(Item("BTCUSDT", "m", "ok"))
    later = SLOT + timedelta(hours=4)

    with open_run(engine, JOB, later, deadline_s=LONG) as run:
        n_missed = record_missed_slots(engine, JOB, later)
        again = record_missed_slots(engine, JOB, later)
        run.add(Item("BTCUSDT", "m", "ok"))

    assert again == 0
    assert n_missed == 3
    with engine.connect() as conn:
        slots = conn.execute(text("SELECT slot FROM candlecast.job_runs WHERE status = 'missed' ORDER BY slot"))
        assert [row.slot for row in slots] == [SLOT + timedelta(hours=n) for n in (1, 2, 3)]
