"""Stored scores once more: made anew from the sealed forecasts, their stored paths and the bars, and compared.

A score has to come out again as it was stored. Most do bit for bit. Two things may move the last digits: another
processor's logarithm, and another number of pairs in one call, which changes the order in which a library adds. So
what differs by less than 1e-12 of its size (or of 1) agrees.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from candlecast.scoring import PathScores, PathSets, Scores, score_path_sets
from candlecast.store.arrays import fetch_arrays
from candlecast.store.path_scores import served_paths
from candlecast.store.paths import Paths, read_paths
from candlecast.store.score_revisions import closes_at
from candlecast.store.scores import judge, paths_by_size, read_pairs
from candlecast.store.served_fans import served_fans
from candlecast.store.sql import load

TOLERANCE: Final = 1e-12
NAMED: Final = 1000  # disagreements that are kept by name; all are counted

# Scores that need the sample paths, where there were some: retention may have removed those.
OF_PATHS: Final = (
    "crps", "calibrated_crps", "pit", "calibrated_pit", "p_up", "calibrated_p_up", "brier", "calibrated_brier",
)  # fmt: skip
# What version 1 did not say.
SINCE_2: Final = ("z", *(name for name in OF_PATHS if name != "crps"))


@dataclass(frozen=True, slots=True)
class Difference:
    """One stored row that does not come out again: a pair's score, or with step 0 the score of a set of paths."""

    prediction_id: UUID
    step: int
    revision: int
    columns: tuple[str, ...]

    def __str__(self) -> str:
        what = f"step {self.step}, revision {self.revision}" if self.step else "its paths"
        return f"{self.prediction_id}, {what}: {', '.join(self.columns)}"


@dataclass(slots=True)
class CheckReport:
    """Counts of stored rows: n_identical agree bit for bit, n_agree agree at all (those included).

    n_without_paths : of the rows that agree, those whose paths are gone, so that only the rest could be made anew
    n_pairs : of the rows checked, scores of pairs; the rest are of sets of paths
    n_unknown : scores of forecasts that are not in the ledger;  n_lost : judged steps that are nowhere
    """

    n_checked: int = 0
    n_pairs: int = 0
    n_identical: int = 0
    n_agree: int = 0
    n_different: int = 0
    n_without_paths: int = 0
    n_unknown: int = 0
    n_lost: int = 0
    differences: list[Difference] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether everything that is stored came out again, and nothing is missing."""
        return self.n_different == self.n_unknown == self.n_lost == 0

    def facts(self) -> dict[str, Any]:
        """The counts and the names, as JSON can hold them."""
        counts = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "differences"}
        return counts | {"differences": [str(one) for one in self.differences]}

    def add(self, difference: Difference | None, *, identical: bool, without_paths: bool) -> None:
        """Count one stored row."""
        self.n_checked += 1
        self.n_identical += difference is None and identical
        self.n_agree += difference is None
        self.n_without_paths += difference is None and without_paths
        if difference is not None:
            self.n_different += 1
            if len(self.differences) < NAMED:
                self.differences.append(difference)


def check_scores(conn: Connection, interval: str, n: int = 200) -> Iterator[CheckReport]:
    """Make every stored score of the interval anew, `n` forecasts at a time; the same report after each of them.

    The caller's transaction has to see one state of the store throughout (REPEATABLE READ).
    """
    report = CheckReport()
    heads = text("SELECT model_name FROM candlecast.ledger_heads WHERE interval = :interval ORDER BY model_name")
    for model_name in conn.execute(heads, {"interval": interval}).scalars().all():
        after, n_read = 0, n
        while n_read == n:
            chain = {"model_name": model_name, "interval": interval, "after_seq": after, "n": n}
            found = fetch_arrays(conn, load("score_check"), chain)
            n_read, after = int(found["n_read"]), found["last_seq"]
            if found["prediction_id"] is not None:
                ids = list(dict.fromkeys(UUID(bytes=one.tobytes()) for one in found["prediction_id"]))
                paths = read_paths(conn, ids)
                _check_pairs(found, paths, report)
                _check_sets(conn, ids, paths, report)
            yield report
    counted = text("SELECT count(*) FROM candlecast.prediction_scores WHERE interval = :interval")
    n_stored = int(conn.execute(counted, {"interval": interval}).scalar_one())
    report.n_unknown = n_stored - report.n_pairs
    lost = conn.execute(load("score_lost"), {"interval": interval, "n": NAMED}).all()
    report.n_lost = len(lost)
    report.differences += [Difference(row.prediction_id, row.step, 0, ("gone",)) for row in lost]
    yield report


def _check_pairs(found: dict[str, Any], paths: dict[UUID, Paths], report: CheckReport) -> None:
    found["calibrated"] = served_fans(found["fan"], found["last_close"], found["step"], found["calibration"])
    joined, n_bytes = closes_at(paths, found["prediction_id"], found["step"])
    anew = judge(read_pairs(found), paths_by_size(joined, n_bytes))
    n_rows, first = len(found["step"]), found["score_version"] == 1
    gone = found["had_paths"].astype(bool) & (n_bytes == 0)
    same, close = np.ones(n_rows, dtype=bool), np.ones(n_rows, dtype=bool)
    wrong: list[list[str]] = [[] for _ in range(n_rows)]

    def compare(name: str, stored: NDArray[Any], made: NDArray[Any]) -> None:
        skipped = np.zeros(n_rows, dtype=bool)
        if name in OF_PATHS:
            skipped |= gone
        if name in SINCE_2:
            skipped |= first
        if name == "crps":  # pairs that waited while the queue learned to carry paths were judged without
            skipped |= first & np.isnan(stored)
        equal, near = equality(stored, made)
        same[:] &= equal | skipped
        close[:] &= near | skipped
        for row in np.flatnonzero(~near & ~skipped):
            wrong[row].append(name)

    for one in fields(Scores):
        compare(one.name, found[one.name], getattr(anew, one.name))
    compare("pinball", found["pinball"], anew.pinball)
    compare("calibrated_pinball", found["calibrated_pinball"], anew.calibrated_pinball)
    compare("outcome", np.ones(n_rows), found["outcome_known"])
    compare("key", np.ones(n_rows), found["same_key"])
    for row in range(n_rows):
        difference = None
        if wrong[row]:
            which = UUID(bytes=found["prediction_id"][row].tobytes())
            difference = Difference(which, int(found["step"][row]), int(found["revision"][row]), tuple(wrong[row]))
        report.add(difference, identical=bool(same[row]), without_paths=bool(gone[row]))
    report.n_pairs += n_rows


def _check_sets(conn: Connection, ids: list[UUID], paths: dict[UUID, Paths], report: CheckReport) -> None:
    for row in conn.execute(load("path_check"), {"prediction_ids": ids}):
        if row.prediction_id not in paths:
            report.add(None, identical=False, without_paths=True)
            continue
        steps = np.array(row.steps, dtype=np.int32)
        closes = np.ascontiguousarray(paths[row.prediction_id][:, steps - 1].T)[None]
        fan, last_close = np.array(row.fan), np.full(len(steps), row.last_close)
        served = served_fans(fan, last_close, steps, [row.calibration] * len(steps))
        anew = score_path_sets(
            PathSets(
                steps=steps.astype(np.int64),
                last_close=last_close[:1],
                scale=np.array([row.scale]),
                paths=closes,
                calibrated_paths=served_paths(closes, fan[None], served[None]),
                outcome=np.array(row.outcome)[None],
            )
        )
        results = {
            one.name: equality(np.array([getattr(row, one.name)]), getattr(anew, one.name))
            for one in fields(PathScores)
        } | {"n_steps": equality(np.array([row.n_steps]), np.array([len(steps)]))}
        wrong = tuple(name for name, (_, near) in results.items() if not near[0])
        report.add(
            Difference(row.prediction_id, 0, 0, wrong) if wrong else None,
            identical=all(bool(equal[0]) for equal, _ in results.values()),
            without_paths=False,
        )


def equality(stored: NDArray[Any], made: NDArray[Any]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """[N] whether rows are the same bit for bit, and whether they are within the tolerance; NaN equals NaN."""
    a, b = (np.asarray(values, dtype=np.float64).reshape(len(stored), -1) for values in (stored, made))
    nothing = np.isnan(a) & np.isnan(b)
    equal = (a == b) | nothing
    near = equal | (np.abs(a - b) <= TOLERANCE * np.maximum(1.0, np.abs(a)))
    return equal.all(axis=1), near.all(axis=1)
