"""Seal the ledger's days that are over: what cron calls after midnight."""

from pathlib import Path

from sqlalchemy import Engine

from candlecast.clock import utc_now
from candlecast.store.sealing import Sealed, seal_until_yesterday
from jobs.run import newest_slot, open_run, record_missed_slots


def run_seal(engine: Engine, job: str, folder: Path, *, deadline_s: float) -> list[Sealed]:
    """A run of the job under its lease: every day from the newest file of the folder to yesterday.

    Raises
    ------
    LeaseHeld : another process is sealing.
    CandlecastError : a day cannot be sealed; see candlecast.store.sealing.
    """
    with open_run(engine, job, newest_slot(job, utc_now()), deadline_s=deadline_s) as run:
        run.details["n_missed"] = record_missed_slots(engine, job, run.slot)
        done = seal_until_yesterday(engine, folder)
        run.details.update({str(one.seal.day): one.seal.root.hex() for one in done})
        run.verdict = "ok"
    return done
