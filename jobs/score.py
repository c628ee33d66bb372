"""Judge what the market has answered: a chunk of the queue per transaction, then the view.

A run may be killed at any point and repeated at any time: each chunk takes its pairs out of the queue, appends their
scores and adds them to the sums, or does nothing. A pair whose bar is missing stays in the queue and is asked for
again, for seven days.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Engine

from candlecast.clock import Interval, utc_now
from candlecast.store.path_scores import PathCursor, score_path_chunk
from candlecast.store.score_revisions import finish_revising, revise_chunk
from candlecast.store.score_sums import add_sums, day_sums, mark_updated, outdated_series
from candlecast.store.scores import (
    Cursor,
    count_pending,
    ensure_partitions,
    lock_scores,
    refresh_performance,
    score_chunk,
    void_pairs,
)
from jobs.run import newest_slot, open_run, record_missed_slots
from jobs.verdicts import refresh_verdicts

PAIRS_PER_CHUNK: Final = 20_000  # one transaction, under a second
SETS_PER_CHUNK: Final = 2_000  # of paths: 10 MB at 100 paths and 4 steps


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What a scoring run did, in pairs of (forecast, step).

    n_scored, n_revised, n_voided : judged; judged anew after a correction; given up, in `voids` by reason
    n_pending : still in the queue; n_overdue of them have a target that has closed, but no bar
    n_path_sets : sets of paths scored, once all steps of a forecast were judged
    """

    n_scored: int
    n_revised: int
    n_voided: int
    n_pending: int
    n_overdue: int
    seconds: float
    voids: dict[str, int] = field(default_factory=dict)
    n_path_sets: int = 0
    alarms: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """The counts by name."""
        return asdict(self)


def run_score(
    engine: Engine, job: str, interval: Interval, *, as_of: datetime | None = None, deadline_s: float
) -> ScoreReport:
    """A run of the job under its lease, with its row in the ledger: score, then make the view new.

    Raises
    ------
    LeaseHeld : another process is scoring.
    """
    now = utc_now()
    with open_run(engine, job, newest_slot(job, now), deadline_s=deadline_s) as run:
        run.details["n_missed"] = record_missed_slots(engine, job, run.slot)
        report = score(engine, interval, as_of=as_of or now)
        run.details.update(report.facts())
        run.verdict = "ok"
    return report


def score(
    engine: Engine,
    interval: Interval,
    *,
    as_of: datetime | None = None,
    progress: Callable[[int], None] = lambda n_scored: None,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> ScoreReport:
    """Score every pair that the market has answered by `as_of` (now), void what will never be, make the view new.

    `progress` is told the number of pairs scored so far after each chunk.
    """
    started = time.monotonic()
    moment = as_of or utc_now()
    with engine.begin() as conn:
        ensure_partitions(conn, interval, moment)
    n_scored, after = 0, Cursor()
    while True:
        with engine.begin() as conn:
            chunk = score_chunk(conn, interval, moment, after, pairs_per_chunk)
        n_scored += chunk.n_scored
        progress(n_scored)
        if chunk.after is None:
            break
        after = chunk.after
    with engine.begin() as conn:
        voids = void_pairs(conn, interval, moment)
    n_revised = _revise(engine, interval, moment, pairs_per_chunk)
    n_path_sets = _score_paths(engine, interval, moment)
    _update_sums(engine, interval)
    with engine.begin() as conn:
        refresh_performance(conn)
    with engine.begin() as conn:
        alarms = refresh_verdicts(conn, moment)
    with engine.connect() as conn:
        n_pending, n_overdue = count_pending(conn, interval, moment)
    return ScoreReport(
        n_scored,
        n_revised,
        sum(voids.values()),
        n_pending,
        n_overdue,
        time.monotonic() - started,
        voids,
        n_path_sets,
        alarms,
    )


def _score_paths(engine: Engine, interval: Interval, as_of: datetime) -> int:
    n_scored, after = 0, PathCursor()
    while True:
        with engine.begin() as conn:
            chunk = score_path_chunk(conn, interval, as_of, after, SETS_PER_CHUNK)
        n_scored += chunk.n_scored
        if chunk.after is None:
            return n_scored
        after = chunk.after


def _update_sums(engine: Engine, interval: Interval) -> None:
    """Once after the program has learned new sums of whole days: make them for the days before, series by series."""
    with engine.begin() as conn:
        outdated = outdated_series(conn, interval)
    for place in range(len(outdated)):
        with engine.begin() as conn:
            lock_scores(conn, interval)
            add_sums(conn, interval, day_sums(conn, interval, outdated.iloc[[place]]))
    with engine.begin() as conn:
        mark_updated(conn, interval)


def _revise(engine: Engine, interval: Interval, as_of: datetime, pairs_per_chunk: int) -> int:
    n_revised = 0
    while True:
        with engine.begin() as conn:
            n = revise_chunk(conn, interval, as_of, pairs_per_chunk)
        n_revised += n
        if n < pairs_per_chunk:
            break
    with engine.begin() as conn:
        finish_revising(conn, interval, as_of)
    return n_revised
