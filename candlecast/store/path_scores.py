"""Sets of paths: scored once all of their steps are judged, a chunk of the queue per transaction.

The queue `path_pending` holds the paths at the judged steps only, two kilobytes a forecast. A set of which a step is
void is never scored: a vector with a hole compares with no other.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from candlecast.calibration import corrected_paths
from candlecast.scoring import SCORE_VERSION, PathScores, PathSets, score_path_sets
from candlecast.store.arrays import Float8s, Int4s, Uuids, fetch_arrays
from candlecast.store.scores import NIL, lock_scores
from candlecast.store.sql import load

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PathCursor:
    """A place in the queue: everything up to here, by the last target, was looked at."""

    last_target_at: datetime | str = "-infinity"
    prediction_id: UUID = NIL


@dataclass(frozen=True, slots=True)
class PathChunk:
    """What one transaction did: sets scored, sets given up, and where to go on (None at the end of the queue)."""

    n_scored: int
    n_voided: int
    after: PathCursor | None


def score_path_chunk(conn: Connection, interval: str, as_of: datetime, after: PathCursor, n: int) -> PathChunk:
    """Score the next `n` sets of the queue, as far as their pairs are judged; the caller commits."""
    lock_scores(conn, interval)
    found = fetch_arrays(
        conn,
        load("path_due"),
        {
            "interval": interval,
            "as_of": as_of,
            "n": n,
            "after_at": after.last_target_at,
            "after_id": after.prediction_id,
        },
    )
    last = PathCursor(found["last_at"], found["last_id"]) if int(found["n_read"]) == n else None
    if found["prediction_id"] is None:
        return PathChunk(0, 0, last)
    n_steps, ready = found["n_steps"], found["ready"].astype(bool)
    scores = {one.name: np.full(len(ready), np.nan) for one in fields(PathScores)}
    for places, sets in alike(found):
        of_these = score_path_sets(sets)
        for name, values in scores.items():
            values[places] = getattr(of_these, name)
    written = fetch_arrays(
        conn,
        load("path_insert"),
        {
            "prediction_id": Uuids(found["prediction_id"][ready]),
            "n_steps": Int4s(n_steps[ready]),
            **{name: Float8s(values[ready]) for name, values in scores.items()},
            "done": Uuids(found["prediction_id"]),
            "score_version": SCORE_VERSION,
        },
    )
    return PathChunk(int(written["n"]), int((~ready).sum()), last)


def alike(found: dict[str, Any]) -> Iterator[tuple[NDArray[np.intp], PathSets]]:
    """Places of the sets that are ready and have the same steps and number of paths, and those sets.

    found : as `path_due` lays it out
    """
    joined = np.frombuffer(found["closes"] or b"", dtype="<f4")
    n_steps, sizes = found["n_steps"], found["n_bytes"] // 4
    starts, firsts = np.cumsum(sizes) - sizes, np.cumsum(n_steps) - n_steps
    steps_of = [tuple(found["steps"][first : first + n]) for first, n in zip(firsts, n_steps, strict=True)]
    groups: dict[tuple[tuple[int, ...], int], list[int]] = {}
    for place in np.flatnonzero(found["ready"]):
        groups.setdefault((steps_of[place], int(sizes[place])), []).append(int(place))
    for (steps, size), members in groups.items():
        places = np.array(members, dtype=np.intp)
        rows = firsts[places][:, None] + np.arange(len(steps))
        paths = joined[starts[places][:, None] + np.arange(size)].reshape(len(places), len(steps), -1)
        yield (
            places,
            PathSets(
                steps=np.array(steps, dtype=np.int64),
                last_close=found["last_close"][places],
                scale=found["scale"][places],
                paths=paths,
                calibrated_paths=served_paths(paths, found["fan"][rows], found["calibrated"][rows]),
                outcome=found["outcome"][rows],
            ),
        )


def served_paths(paths: NDArray[np.float32], fan: Floats, calibrated: Floats) -> NDArray[np.float32]:
    """[N, P, M] the paths moved as their fan was, from `fan` to `calibrated` [N, P, 11]."""
    n, p, m = paths.shape
    moved = corrected_paths(paths.reshape(n * p, m).T, fan.reshape(n * p, -1), calibrated.reshape(n * p, -1))
    return np.ascontiguousarray(moved.T, dtype=np.float32).reshape(n, p, m)
