"""The scorer's queue, the scores, and the view: the functions of one transaction each.

The queue `score_pending` holds what is not judged yet. A transaction takes some pairs out of it, appends their scores
and adds them to the sums; so a kill loses nothing and counts nothing twice. Every transaction that writes scores of an
interval first takes that interval's lock: what it reads of the other pairs then holds until it commits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from candlecast.calibration import corrected_paths
from candlecast.scoring import SCORE_VERSION, VOID_AFTER, VOID_REASONS, Pairs, Scores, score_pairs, uniforms
from candlecast.store.arrays import Bools, Float8s, Int2s, Int4s, Tids, Uuids, fetch_arrays
from candlecast.store.score_sums import NEXT_BAR, SERIES, add_sums, day_sums, pair_sums
from candlecast.store.sql import load

Paths = NDArray[np.float32]

NIL: Final = UUID(int=0)

# Scores that are one float a pair and stored under their own name.
LOSSES: Final = (
    "interval_score", "raw_interval_score", "width", "raw_width", "abs_error", "crps", "calibrated_crps", "pit",
    "calibrated_pit", "p_up", "calibrated_p_up", "brier", "calibrated_brier",
)  # fmt: skip

# Everything a chunk needs is behind an index, in the order wanted. Right after a large replay the queue has no
# statistics yet, and the planner would read or sort all of it for every chunk. Until the transaction ends.
BY_INDEX: Final = "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL work_mem = '64MB'"


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the queue: everything up to here, by symbol and target, was looked at."""

    symbol: str = ""
    target_at: datetime | str = "-infinity"
    prediction_id: UUID = NIL
    step: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one transaction did: pairs looked at and scored, and where to go on (None at the end of the queue)."""

    n_read: int
    n_scored: int
    after: Cursor | None


def lock_scores(conn: Connection, interval: str) -> None:
    """Wait until no other transaction writes scores of this interval, and keep others out until this one ends."""
    conn.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"scores {interval}"})


def ensure_partitions(conn: Connection, interval: str, as_of: datetime) -> None:
    """Make the months that the due pairs belong to."""
    conn.execute(load("score_partitions"), {"interval": interval, "as_of": as_of})


def score_chunk(conn: Connection, interval: str, as_of: datetime, after: Cursor, n: int) -> Chunk:
    """Score the next `n` pairs of the queue, as far as the market has answered them; the caller commits."""
    lock_scores(conn, interval)
    conn.execute(text(BY_INDEX))
    found = fetch_arrays(
        conn,
        load("score_due"),
        {
            "interval": interval,
            "as_of": as_of,
            "n": n,
            "after_symbol": after.symbol,
            "after_target_at": after.target_at,
            "after_id": after.prediction_id,
            "after_step": after.step,
        },
    )
    n_read = int(found["n_read"])
    last = None
    if n_read == n:
        last = Cursor(found["last_symbol"], found["last_target_at"], found["last_id"], found["last_step"])
    if found["prediction_id"] is None:
        return Chunk(n_read, 0, last)

    scores = judge(read_pairs(found), paths_by_size(found["closes"], found["n_bytes"]))
    kept = _write(conn, found, scores)
    keys = pd.DataFrame({name: found[name] for name in ("symbol", "model_name", "record", "step", "target_at")})
    keys["issued_at"] = found["issued_at"]
    if len(kept) < len(keys):
        keys, scores = keys.iloc[kept], pick(scores, kept)
    if len(keys):
        touched = _touched(conn, interval, keys)
        add_sums(conn, interval, pair_sums(keys, scores), day_sums(conn, interval, touched))
    return Chunk(n_read, len(keys), last)


def void_pairs(conn: Connection, interval: str, as_of: datetime) -> dict[str, int]:
    """Take out of the queue what will never be scored; how many pairs, by reason. The rules are in the query."""
    lock_scores(conn, interval)
    found = fetch_arrays(
        conn, load("score_void"), {"interval": interval, "as_of": as_of, "expired_at": as_of - VOID_AFTER}
    )
    if found["symbol"] is None:
        return {}
    voided = pd.DataFrame(found)
    voided["day"] = voided["day"].astype("datetime64[s]")
    for reason, column in VOID_REASONS.items():
        voided[column] = np.where(voided["reason"] == reason, voided["n_voids"], 0)
    add_sums(conn, interval, voided.drop(columns="reason"))
    return {str(reason): int(n) for reason, n in voided.groupby("reason")["n_voids"].sum().items()}


def count_pending(conn: Connection, interval: str, as_of: datetime) -> tuple[int, int]:
    """How many pairs are in the queue, and for how many of them the market has answered but the bar is missing."""
    row = conn.execute(load("score_count"), {"interval": interval, "as_of": as_of}).one()
    return int(row.n_pending), int(row.n_overdue)


def refresh_performance(conn: Connection) -> None:
    """Make `signal_performance` new; readers see its old rows until then."""
    conn.execute(text("SELECT candlecast.refresh_signal_performance()"))


def judge(pairs: Pairs, by_size: Iterator[tuple[NDArray[np.intp], Paths]]) -> Scores:
    """Scores of pairs whose numbers of sample paths differ; `by_size` gives places and their paths [n, M]."""
    whole: dict[str, NDArray[Any]] = {}
    for places, paths in by_size:
        if len(places) == len(pairs.outcome):
            return _judge_alike(pairs, paths)
        of_size = _judge_alike(Pairs(*(getattr(pairs, one.name)[places] for one in fields(Pairs))), paths)
        for one in fields(Scores):
            values = getattr(of_size, one.name)
            if one.name not in whole:
                whole[one.name] = np.empty((len(pairs.outcome), *values.shape[1:]), dtype=values.dtype)
            whole[one.name][places] = values
    return Scores(**whole)


def _judge_alike(pairs: Pairs, paths: Paths) -> Scores:
    """Scores of pairs with the same number of paths [n, M]; those of corrected pairs move as their fan did."""
    places = np.flatnonzero(pairs.corrected)
    if not len(places) or paths.shape[1] < 2:
        return score_pairs(pairs, paths)
    moved = corrected_paths(paths[places].T, pairs.fan[places], pairs.calibrated[places]).T
    return score_pairs(pairs, paths, np.ascontiguousarray(moved, dtype=np.float32))


def pick(scores: Scores, places: NDArray[np.intp]) -> Scores:
    """The scores at some places."""
    return Scores(*(getattr(scores, one.name)[places] for one in fields(Scores)))


def paths_by_size(closes: bytes | None, n_bytes: NDArray[np.int32]) -> Iterator[tuple[NDArray[np.intp], Paths]]:
    """Places of the pairs with the same number of paths, and those paths [n, M]; `closes` joins all of them."""
    joined = np.frombuffer(closes or b"", dtype="<f4")
    sizes = n_bytes // 4
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    for size in np.unique(sizes):
        places = np.flatnonzero(sizes == size)
        if len(places) == len(sizes):
            yield places, joined.reshape(len(sizes), size)
        else:
            yield places, joined[starts[places][:, None] + np.arange(size)]


def score_columns(scores: Scores) -> dict[str, object]:
    """The scores as parameters of the statements that write them."""
    return {
        "log_return": Float8s(scores.log_return),
        "z": Float8s(scores.z),
        "signal": Int2s(scores.signal),
        "move": Int2s(scores.move),
        "hit": Int2s(scores.hit),
        "inside": Bools(scores.inside),
        "below": Bools(scores.below),
        "above": Bools(scores.above),
        "pinball": Float8s(scores.pinball),
        "calibrated_pinball": Float8s(scores.calibrated_pinball),
        **{f"q{level}": Float8s(scores.pinballs[:, level]) for level in range(scores.pinballs.shape[1])},
        **{f"c{level}": Float8s(scores.calibrated_pinballs[:, level]) for level in range(scores.pinballs.shape[1])},
        "raw_inside": Bools(scores.raw_inside),
        "raw_below": Bools(scores.raw_below),
        "raw_above": Bools(scores.raw_above),
        **{name: Float8s(getattr(scores, name)) for name in LOSSES},
        "score_version": SCORE_VERSION,
    }


def _touched(conn: Connection, interval: str, keys: pd.DataFrame) -> pd.DataFrame:
    """The series and the time whose whole-day sums these pairs change, as `day_sums` wants it.

    A pair changes its own series for as long as it was live. Its target's bar may have come late, after pairs of other
    steps had been held over the hole; so every series of the symbol is looked at again around the targets.
    """
    by_series = keys.groupby(SERIES, sort=False).agg(first_at=("issued_at", "min"), last_at=("target_at", "max"))
    by_symbol = keys.groupby("symbol", sort=False).agg(first_at=("target_at", "min"), last_at=("target_at", "max"))
    known = conn.execute(load("score_series"), {"interval": interval, "symbols": list(by_symbol.index)}).all()
    others = pd.DataFrame([tuple(row) for row in known], columns=SERIES)
    around = others.merge(by_symbol.reset_index(), on="symbol")
    touched = pd.concat([by_series.reset_index(), around]).groupby(SERIES, sort=False)
    whole: pd.DataFrame = touched.agg(first_at=("first_at", "min"), last_at=("last_at", "max")).reset_index()
    whole["last_at"] += NEXT_BAR
    return whole


def read_pairs(found: dict[str, Any]) -> Pairs:
    """The pairs among the columns of a query, which names them as `Pairs` does; `v` is made from their key."""
    v = uniforms(found["prediction_id"], found["step"])
    return Pairs(**{one.name: v if one.name == "v" else found[one.name] for one in fields(Pairs)})


def _write(conn: Connection, found: dict[str, Any], scores: Scores) -> NDArray[np.intp]:
    """Places of the pairs that were written, rising; a pair that somebody else took or wrote is left out."""
    parameters = {
        "row_at": Tids(found["row_at"]),
        "prediction_id": Uuids(found["prediction_id"]),
        "step": Int4s(found["step"]),
        "outcome": Float8s(found["outcome"]),
    }
    written = fetch_arrays(conn, load("score_insert"), parameters | score_columns(scores))
    if written["n_strange"]:
        # Only a queue that others empty and fill by hand this very moment can do that; the transaction is undone.
        raise RuntimeError(f"{written['n_strange']} rows of score_pending moved while they were scored; score again")
    if written["n"] == len(found["step"]):
        return np.arange(len(found["step"]))
    return np.sort(written["places"].astype(np.intp)) - 1 if written["n"] else np.empty(0, dtype=np.intp)
