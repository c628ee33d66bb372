"""What the ledger of runs says of each job: its newest slots, what it missed, when it last succeeded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Final

from candlecast.clock import SCHEDULES, missed_slots, next_slot, slot_at
from gateway.answers import iso
from gateway.content.shelf import utc
from gateway.database import Row

N_SLOTS: Final = 48
WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The newest attempt at one slot; of a missed one there was none.

    status : as in the ledger, or `due`: the newest slot, which has not begun yet
    """

    slot: datetime
    status: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    n_ok: int = 0
    n_failed: int = 0
    n_skipped: int = 0

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()

    @property
    def ran(self) -> bool:
        """Whether a process was at it."""
        return self.status not in ("missed", "due")


@dataclass(frozen=True, slots=True)
class Job:
    """A scheduled job.

    attempts : by slot, the newest first
    n_missed : slots that the ledger has as missed, which it learns from the run after them; so it only grows
    n_missed_7d : of the last week, those included that passed since the last run
    """

    name: str
    attempts: tuple[Attempt, ...]
    last_success_at: datetime | None
    n_missed: int
    n_missed_7d: int

    @property
    def schedule(self) -> str:
        """Its cron expression, UTC."""
        return SCHEDULES[self.name]

    @property
    def last(self) -> Attempt | None:
        """The newest slot that a process was at."""
        return next((one for one in self.attempts if one.ran), None)

    def fields(self, now: datetime) -> dict[str, Any]:
        """The JSON members."""
        last = self.last
        return {
            "job": self.name,
            "schedule": self.schedule,
            "next_at": iso(next_slot(self.schedule, now)),
            "last": None
            if last is None
            else {
                "slot": iso(last.slot),
                "status": last.status,
                "started_at": _told(last.started_at),
                "finished_at": _told(last.finished_at),
                "seconds": last.seconds,
                "n_ok": last.n_ok,
                "n_failed": last.n_failed,
                "n_skipped": last.n_skipped,
            },
            "last_success_at": _told(self.last_success_at),
            "n_missed_7d": self.n_missed_7d,
            "slots": [{"slot": iso(one.slot), "status": one.status} for one in self.attempts],
        }


def jobs_of(rows: Sequence[Row], now: datetime) -> list[Job]:
    """Rows of `gateway_jobs`, read at `now`, as jobs; slots that passed since without a run count as missed."""
    return [
        _job(name, list(of_job), now) for name, of_job in groupby(rows, lambda row: row["job"]) if name in SCHEDULES
    ]


def _job(name: str, rows: list[Row], now: datetime) -> Job:
    attempts = tuple(attempts_of(rows))
    since = _since_the_last(name, attempts, now)
    n_new = sum(one.status == "missed" for one in since)
    return Job(
        name=name,
        attempts=(*since, *attempts)[:N_SLOTS],
        last_success_at=_utc(rows[0]["last_success_at"]),
        n_missed=rows[0]["n_missed"],
        n_missed_7d=rows[0]["n_missed_7d"] + n_new,
    )


def attempts_of(rows: Iterable[Row]) -> Iterator[Attempt]:
    """The attempts that rows of one job tell of."""
    for row in rows:
        if row["slot"] is not None:
            began = None if row["status"] == "missed" else _utc(row["started_at"])
            ended = None if row["status"] == "missed" else _utc(row["finished_at"])
            counts = (row["n_ok"], row["n_failed"], row["n_skipped"])
            yield Attempt(utc(row["slot"]), row["status"], began, ended, *counts)


def _since_the_last(name: str, attempts: Sequence[Attempt], now: datetime) -> list[Attempt]:
    """The slots after the newest that is on record, newest first; none for a job that no schedule ever started.

    A run for a past slot is a replay by hand: it tells of no schedule.
    """
    if not attempts:
        return []
    cron, newest = SCHEDULES[name], attempts[0]
    by_hand = newest.started_at is not None and newest.started_at >= next_slot(cron, newest.slot)
    if by_hand:
        return []
    last_due = slot_at(cron, now)
    due = [Attempt(last_due, "due")] if last_due > newest.slot else []
    passed = missed_slots(cron, max(newest.slot, now - WEEK), now)
    return [*due, *(Attempt(slot, "missed") for slot in reversed(passed))]


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)
