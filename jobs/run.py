"""One run of a job: its slot, its lease, its ledger row, its deadline.

A run may be killed at any point and repeated at any time. Whoever holds the lease works; a second
process exits with 75. A holder that is gone (its process does not exist any more, or it stopped
renewing) is taken over with a higher token, and its late writes are refused by the store.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NoReturn

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from candlecast.clock import SCHEDULES, missed_slots, slot_at
from candlecast.errors import CandlecastError
from candlecast.store import runs
from candlecast.store.engine import DatabaseUnavailable
from candlecast.store.predictions import Fence
from candlecast.store.runs import Item, RunStatus
from jobs import owner

log = logging.getLogger(__name__)

EXIT_OK: Final = 0
EXIT_INCOMPLETE: Final = 1
EXIT_NOTHING_TO_DO: Final = 75  # EX_TEMPFAIL of sysexits: nothing is wrong, try at the next slot
EXIT_TERMINATED: Final = 143

LEASE_TTL_S: Final = 20.0
HEARTBEAT_S: Final = LEASE_TTL_S / 5
MAX_MISSED: Final = 1000  # a laptop that was closed for a month does not need a row for every hour


class LeaseHeld(CandlecastError):
    """Another process is doing this job."""

    exit_code = EXIT_NOTHING_TO_DO

    def __init__(self, job: str, holder: str) -> None:
        super().__init__(
            f"{job} is being done by {holder}; nothing was changed. Wait for it, or stop that process and start again"
        )
        self.job, self.holder = job, holder


class Terminated(SystemExit):
    """SIGTERM arrived: what is written stays, the run is closed as interrupted."""

    def __init__(self) -> None:
        super().__init__(EXIT_TERMINATED)


@dataclass(slots=True)
class Run:
    """The run in progress. Items are added as they end; the ledger row is written when the run ends.

    aside : items that are recorded like the others, but say nothing about how the run went
    """

    job: str
    slot: datetime
    run_id: int
    fence: Fence
    items: list[Item] = field(default_factory=list)
    aside: list[Item] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    verdict: RunStatus | None = None  # set by a job that has no items to judge it by

    def add(self, *items: Item) -> None:
        """Note what became of one or more instruments."""
        self.items.extend(items)

    @property
    def status(self) -> RunStatus:
        """`ok` when all is there, `partial` when something is; `skipped` when nothing was tried, else `failed`."""
        if self.verdict is not None:
            return self.verdict
        outcomes = {item.outcome for item in self.items}
        if outcomes <= {"skipped"}:
            return "skipped"
        if outcomes <= {"ok", "exists"}:
            return "ok"
        return "partial" if outcomes & {"ok", "exists", "skipped"} else "failed"

    @property
    def exit_code(self) -> int:
        """0 all there, 1 something went wrong, 75 nothing to do, or something was skipped and nothing went wrong."""
        if self.verdict is None and {item.outcome for item in self.items} - {"ok", "exists"} == {"skipped"}:
            return EXIT_NOTHING_TO_DO
        return {"ok": EXIT_OK, "skipped": EXIT_NOTHING_TO_DO}.get(self.status, EXIT_INCOMPLETE)


@contextmanager
def open_run(
    engine: Engine,
    job: str,
    slot: datetime,
    *,
    deadline_s: float,
    details: Mapping[str, Any] | None = None,
) -> Iterator[Run]:
    """Hold the job's lease and keep its ledger row while the body works.

    Past `deadline_s` seconds the process is ended with exit code 1, whatever it is waiting for: a platform's
    cron skips every later run while one hangs.

    Raises
    ------
    LeaseHeld : another live process holds the job.
    Terminated : SIGTERM arrived (only seen in the main thread).
    """
    me = owner.this_process()
    token = _claim(engine, job, slot, me)
    with engine.begin() as conn:
        run_id = runs.start_run(
            conn, job, slot=slot, owner=me, fence=token, deadline_s=deadline_s, details=details or {}
        )
    run = Run(job, slot, run_id, Fence(job, token))
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(engine, run, deadline_s, ended), name=f"{job}-lease", daemon=True)
    keeper.start()
    try:
        with _terminable():
            yield run
    except BaseException as error:
        status: RunStatus = "interrupted" if isinstance(error, Terminated | KeyboardInterrupt) else "failed"
        _close(engine, run, status, error=f"{type(error).__name__}: {error}")
        raise
    else:
        _close(engine, run, run.status)
    finally:
        ended.set()
        keeper.join(timeout=1)


def record_missed_slots(engine: Engine, job: str, slot: datetime) -> int:
    """How many scheduled slots passed without a run since the last one; each gets a row `missed`."""
    with engine.begin() as conn:
        last = runs.last_slot(conn, job, before=slot)
        if last is None:
            return 0
        missed = missed_slots(SCHEDULES[job], last, slot)[-MAX_MISSED:]
        runs.record_missed(conn, job, missed, owner=owner.this_process())
    return len(missed)


def newest_slot(job: str, now: datetime) -> datetime:
    """The slot that a run of a scheduled job belongs to when it starts at `now`."""
    return slot_at(SCHEDULES[job], now)


def _claim(engine: Engine, job: str, slot: datetime, me: str) -> int:
    """The fencing token; waits as long as it cannot tell whether the holder still lives."""
    give_up_at = time.monotonic() + LEASE_TTL_S + 1
    seen_expiry: datetime | None = None
    while True:
        with engine.begin() as conn:
            token = runs.claim_lease(conn, job, owner=me, slot=slot, ttl_s=LEASE_TTL_S)
            if token is not None:
                return token
            lease = runs.read_lease(conn, job)
        if lease is None or not lease.is_held:
            continue
        gone = owner.is_gone(lease.owner)
        if gone:
            with engine.begin() as conn:
                token = runs.claim_lease(conn, job, owner=me, slot=slot, ttl_s=LEASE_TTL_S, dead_owner=lease.owner)
            if token is not None:
                log.warning("%s: took over from %s, which is gone", job, lease.owner)
                return token
            continue
        renewed = seen_expiry is not None and lease.expires_at > seen_expiry
        if gone is False or renewed or time.monotonic() > give_up_at:
            raise LeaseHeld(job, lease.owner)
        seen_expiry = lease.expires_at
        time.sleep(0.5)


def _keep(engine: Engine, run: Run, deadline_s: float, ended: threading.Event) -> None:
    """Renew the lease until the run ends; end the process when the deadline has passed."""
    deadline = time.monotonic() + deadline_s
    while not ended.wait(min(HEARTBEAT_S, max(deadline - time.monotonic(), 0.0))):
        if time.monotonic() >= deadline:
            _end_process(engine, run, deadline_s)
        try:
            with engine.begin() as conn:
                ours = runs.renew_lease(conn, run.job, token=run.fence.token, ttl_s=LEASE_TTL_S, run_id=run.run_id)
        except (SQLAlchemyError, DatabaseUnavailable) as error:
            # The store may be back for the next beat; if not, the lease runs out and the writes are refused.
            log.warning("%s: could not renew the lease (%s)", run.job, type(error).__name__)
            continue
        if not ours:
            log.warning("%s: the lease was taken over; what is still to be written will be refused", run.job)
            return


def _end_process(engine: Engine, run: Run, deadline_s: float) -> NoReturn:
    """Close the ledger row if the store answers within two seconds, then end, without any cleaning up."""
    sentence = f"stopped at its deadline of {deadline_s:.0f} s"
    log.error("%s: %s; what was written stays, the next run goes on from there", run.job, sentence)
    last_words = threading.Thread(target=_close, args=(engine, run, "failed", sentence), daemon=True)
    last_words.start()
    last_words.join(timeout=2)
    os._exit(EXIT_INCOMPLETE)


def _close(engine: Engine, run: Run, status: RunStatus, error: str | None = None) -> None:
    try:
        with engine.begin() as conn:
            runs.finish_run(conn, run.run_id, status, items=tuple(run.items), error=error, details=run.details)
            runs.record_items(conn, run.run_id, tuple(run.aside))
            runs.release_lease(conn, run.job, token=run.fence.token)
    except (SQLAlchemyError, DatabaseUnavailable) as failure:
        # Nothing is lost: the next run closes this row as interrupted, and the lease runs out by itself.
        log.warning("%s: could not close run %d (%s)", run.job, run.run_id, type(failure).__name__)


@contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into `Terminated` while the body runs; outside the main thread signals are not ours to take."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def terminate(*_: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
