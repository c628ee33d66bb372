"""The ledger of runs, and the lease that lets one process at a time do a job.

A lease is a row with a fencing token that only grows. Whoever takes over a lease gets a higher token,
and every write of a run checks its own, so a process that slept through its lease writes nothing.
Times are the database's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from candlecast.store.sql import load

Outcome = Literal["ok", "exists", "skipped", "refused", "failed"]
RunStatus = Literal["ok", "partial", "failed", "interrupted", "skipped"]


@dataclass(frozen=True, slots=True)
class Item:
    """What became of one instrument and model in a run; `ms` is the time until its row was written."""

    symbol: str
    model_name: str
    outcome: Outcome
    reason: str | None = None
    ms: float | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a job, with which token, until when by the database's clock."""

    owner: str
    token: int
    slot: datetime
    expires_at: datetime
    is_held: bool


def claim_lease(
    conn: Connection, job: str, *, owner: str, slot: datetime, ttl_s: float, dead_owner: str | None = None
) -> int | None:
    """The fencing token if the lease could be taken, else None."""
    parameters = {"job": job, "owner": owner, "slot": slot, "ttl_s": ttl_s, "dead_owner": dead_owner}
    return conn.execute(load("lease_claim"), parameters).scalar_one_or_none()


def renew_lease(conn: Connection, job: str, *, token: int, ttl_s: float, run_id: int) -> bool:
    """Whether the lease was still ours and now lasts `ttl_s` seconds more."""
    parameters = {"job": job, "token": token, "ttl_s": ttl_s, "run_id": run_id}
    return conn.execute(load("lease_renew"), parameters).scalar_one_or_none() is not None


def release_lease(conn: Connection, job: str, *, token: int) -> None:
    """Give the lease back; does nothing when somebody else has taken it over."""
    conn.execute(load("lease_release"), {"job": job, "token": token})


def read_lease(conn: Connection, job: str) -> Lease | None:
    """The job's lease, held or not; None when nobody ever took it."""
    row = conn.execute(load("lease_holder"), {"job": job}).one_or_none()
    return None if row is None else Lease(*row)


def start_run(
    conn: Connection,
    job: str,
    *,
    slot: datetime,
    owner: str,
    fence: int,
    deadline_s: float,
    details: Mapping[str, Any],
) -> int:
    """The run's number. The caller must hold the job's lease: older open runs are closed as interrupted."""
    parameters = {"job": job, "slot": slot, "owner": owner, "fence": fence, "deadline_s": deadline_s}
    return int(conn.execute(load("run_start"), {**parameters, "details": json.dumps(dict(details))}).scalar_one())


def finish_run(
    conn: Connection,
    run_id: int,
    status: RunStatus,
    *,
    items: Sequence[Item] = (),
    error: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Close the run and write what became of each item; a run that is already closed stays as it is."""
    record_items(conn, run_id, items)
    counts = {
        "n_expected": len(items),
        "n_ok": sum(item.outcome in ("ok", "exists") for item in items),
        "n_failed": sum(item.outcome in ("failed", "refused") for item in items),
        "n_skipped": sum(item.outcome == "skipped" for item in items),
    }
    parameters = {"run_id": run_id, "status": status, "error": error, "details": json.dumps(dict(details or {}))}
    conn.execute(load("run_finish"), {**parameters, **counts})


def record_items(conn: Connection, run_id: int, items: Sequence[Item]) -> None:
    """Write the outcomes of items, one statement for all of them; a later outcome of the same item replaces it."""
    if items:
        conn.execute(load("items_record"), {"run_id": run_id, "items": json.dumps([asdict(item) for item in items])})


def last_slot(conn: Connection, job: str, *, before: datetime) -> datetime | None:
    """The newest slot of the job before `before` that has a ledger row, whatever became of it."""
    return conn.execute(load("run_last"), {"job": job, "before": before}).scalar_one_or_none()


def record_missed(conn: Connection, job: str, slots: Sequence[datetime], *, owner: str) -> None:
    """Record slots that passed without a run."""
    if slots:
        conn.execute(load("run_missed"), {"job": job, "slots": list(slots), "owner": owner})
