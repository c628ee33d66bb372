"""How old a forecast is, when the next one is due, and whether it is stale.

A forecast row carries the closes of its target bars, resolved against the venue's sessions at issue. So the
next bar that could feed a newer forecast is known from the row alone: over a weekend it closes on Sunday or
Monday, and a Friday's forecast is not stale before that. Age counts from `issued_at`, the moment up to which
the forecast knew the market: a forecast made today for a slot of last week is a week old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from candlecast.clock import INTERVALS, SCHEDULES, next_slot

# From the slot at which a run starts to the moment its row counts as overdue: the run itself, a start that the
# scheduler delays by minutes, and one retry. A daily run also waits for venues that publish late.
GRACE: Final[dict[str, timedelta]] = {"1h": timedelta(minutes=15), "1d": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Freshness:
    """What a reader is told about the age of a forecast; `stale_reason` is None exactly when it is not stale."""

    age_seconds: int
    expected_next_at: datetime
    stale: bool
    stale_reason: str | None


def expected_next_at(interval: str, issued_at: datetime, target_at: Sequence[datetime], settle_s: int = 0) -> datetime:
    """The slot of the run that should replace a forecast: the first one at which the bar after `issued_at` is final.

    Parameters
    ----------
    target_at : closes of the scheduled bars after `issued_at`, rising; only the first one decides. Empty (a row
        without targets) falls back to one interval after `issued_at`, which knows no sessions.
    settle_s : seconds after its close from which the venue's bar may be read
    """
    next_close_at = target_at[0] if target_at else issued_at + INTERVALS[interval]
    readable_at = next_close_at + timedelta(seconds=settle_s)
    # `next_slot` searches strictly after its start, and a bar that is readable at the slot itself is read.
    return next_slot(SCHEDULES[f"kronos-batch-{interval}"], readable_at - timedelta(seconds=1))


def stale_at(interval: str, expected_next_at: datetime) -> datetime:
    """The moment from which a forecast counts as stale: its successor is overdue by more than `GRACE`."""
    return expected_next_at + GRACE[interval]


def overdue_reason(expected_next_at: datetime) -> str:
    """Why an overdue forecast is stale, in words that stay true while it is."""
    return f"overdue: the next forecast was expected at {expected_next_at:%Y-%m-%dT%H:%MZ} and has not arrived"


def freshness(
    interval: str, issued_at: datetime, target_at: Sequence[datetime], now: datetime, settle_s: int = 0
) -> Freshness:
    """The freshness of the newest forecast of an instrument, seen at `now`.

    A clock that runs behind the issue time gives age 0, never a negative one.
    """
    due_at = expected_next_at(interval, issued_at, target_at, settle_s)
    stale = now >= stale_at(interval, due_at)
    age = max(0, int((now - issued_at).total_seconds()))
    return Freshness(age, due_at, stale, overdue_reason(due_at) if stale else None)
