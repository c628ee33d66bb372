"""A corrected bar scores anew the pairs it answers: the old row stays, a revision is appended, the sums follow.

Only the outcome changes. What was forecast, the last close and the scale among it, is sealed as it was known then.
"""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from candlecast.scoring import SCORED_STEPS, Scores
from candlecast.store.arrays import Float8s, Int4s, Timestamps, Uuids, fetch_arrays
from candlecast.store.paths import Paths, read_paths
from candlecast.store.score_sums import NEXT_BAR, add_sums, day_sums, pair_sums
from candlecast.store.scores import judge, lock_scores, paths_by_size, read_pairs, score_columns
from candlecast.store.served_fans import served_fans
from candlecast.store.sql import load

# A correction carries the time at which its import began, and may be seen only when that import ends.
LONGEST_IMPORT: Final = timedelta(days=1)


def followed_until(conn: Connection, interval: str) -> datetime | None:
    """The moment up to which corrections have been followed; None before the first time."""
    query = text("SELECT revised_until FROM candlecast.score_marks WHERE interval = :interval")
    return conn.execute(query, {"interval": interval}).scalar_one_or_none()


def revise_chunk(conn: Connection, interval: str, as_of: datetime, n: int) -> int:
    """Score anew up to `n` pairs whose bar was corrected, in the caller's transaction; how many they were."""
    lock_scores(conn, interval)
    parameters = {**_corrections(conn, interval, as_of), "steps": list(SCORED_STEPS[interval]), "n": n}
    found = fetch_arrays(conn, load("score_revised"), parameters)
    if found["prediction_id"] is None:
        return 0
    found["calibrated"] = served_fans(found["fan"], found["last_close"], found["step"], found["calibration"])
    paths = read_paths(conn, dict.fromkeys(UUID(bytes=one.tobytes()) for one in found["prediction_id"]))
    scores = judge(read_pairs(found), paths_by_size(*closes_at(paths, found["prediction_id"], found["step"])))
    before = Scores(**{one.name: found[one.name] for one in fields(Scores)})
    keys = pd.DataFrame({name: found[name] for name in ("symbol", "model_name", "record", "step", "target_at")})
    keys["issued_at"] = found["issued_at"]
    fetch_arrays(
        conn,
        load("score_revise"),
        {
            "interval": interval,
            "prediction_id": Uuids(found["prediction_id"]),
            "step": Int4s(found["step"]),
            "revision": Int4s(found["revision"] + 1),
            "symbol": found["symbol"],
            "model_name": found["model_name"],
            "record": found["record"],
            "issued_at": Timestamps(found["issued_at"]),
            "target_at": Timestamps(found["target_at"]),
            "outcome": Float8s(found["outcome"]),
            **score_columns(scores),
        },
    )
    touched = keys.groupby(["symbol", "record", "step"], sort=False).agg(
        first_at=("target_at", "min"), last_at=("target_at", "max")
    )
    add_sums(
        conn,
        interval,
        pair_sums(keys, scores),
        pair_sums(keys, before, sign=-1),
        day_sums(conn, interval, touched.reset_index()),
    )
    return len(keys)


def finish_revising(conn: Connection, interval: str, as_of: datetime) -> None:
    """Bring the portfolios' days in line with the corrected bars, and remember how far corrections were followed."""
    lock_scores(conn, interval)
    found = fetch_arrays(conn, load("score_revised_series"), _corrections(conn, interval, as_of))
    if found["symbol"] is not None:
        touched = pd.DataFrame(found)
        touched["last_at"] += NEXT_BAR
        add_sums(conn, interval, day_sums(conn, interval, touched))
    conn.execute(load("score_mark"), {"interval": interval, "as_of": as_of})


def _corrections(conn: Connection, interval: str, as_of: datetime) -> dict[str, object]:
    until = followed_until(conn, interval)
    return {"interval": interval, "since": until - LONGEST_IMPORT if until else "-infinity", "as_of": as_of}


def closes_at(
    paths: Mapping[UUID, Paths], ids: NDArray[Any], steps: NDArray[np.int32]
) -> tuple[bytes, NDArray[np.int32]]:
    """The sample paths of each pair at its step, joined, and the number of bytes of each; 0 where none are kept."""
    closes = [
        paths[one][:, step - 1].astype("<f4").tobytes() if one in paths else b""
        for one, step in zip((UUID(bytes=one.tobytes()) for one in ids), steps.tolist(), strict=True)
    ]
    return b"".join(closes), np.array([len(one) for one in closes], dtype=np.int32)
