"""Slots: the instants that scheduled work belongs to, computed and never read off the clock.

A run that starts four minutes late belongs to the same slot, and so sees the same bars, as one that
started on time. All times are UTC.
"""

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from cronsim import CronSim

Interval = Literal["1h", "1d"]

INTERVALS: Final[dict[str, timedelta]] = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}

# The one table of schedules. The scheduler runs it, the deployment files are tested against it.
SCHEDULES: Final[dict[str, str]] = {
    "ingest-1h": "50 * * * *",
    "ingest-1d": "40 5 * * *",
    "kronos-batch-1h": "55 * * * *",
    "kronos-batch-1d": "45 5 * * *",
    "chronos2-batch-1h": "55 * * * *",
    "chronos2-batch-1d": "45 5 * * *",
    "score-signals-1h": "5 * * * *",
    "score-signals-1d": "30 6 * * *",
    "kronos-rolling-finetune": "0 6 1 * *",
    "seal-ledger": "15 0 * * *",
    "evaluate-daily": "45 6 * * *",
    "report-weekly": "0 7 * * 1",
}


def utc_now() -> datetime:
    """The wall clock, aware of UTC, cut to whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def slot_at(cron: str, now: datetime) -> datetime:
    """The latest instant of `cron` that is not after `now`."""
    # CronSim searches strictly before its start, so an exact hit needs a start just behind it.
    return next(CronSim(cron, now.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True))


def next_slot(cron: str, now: datetime) -> datetime:
    """The first instant of `cron` after `now`."""
    return next(CronSim(cron, now))


def missed_slots(cron: str, last: datetime, now: datetime) -> list[datetime]:
    """The slots after `last` and before the newest one: too late to be issued, kept as a record of the gap."""
    newest = slot_at(cron, now)
    slots: list[datetime] = []
    for slot in CronSim(cron, last):
        if slot >= newest:
            break
        slots.append(slot)
    return slots
