"""Forecasts on record: written once, in the transaction that checks the writer's lease."""

import itertools
import json
import math
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import Connection

from candlecast.calibration import Correction, corrected
from candlecast.errors import CandlecastError
from candlecast.store.arrays import Bools, Byteas, Float8s, Int4s, Int8s, Timestamps, Uuids
from candlecast.store.paths import CODEC, Paths, pack, paths_hash, read_paths
from candlecast.store.sql import load

__all__ = [
    "BadForecast",
    "Fence",
    "LeaseLost",
    "PredictionRow",
    "existing",
    "insert_predictions",
    "prediction_id",
    "read_paths",
]

N_LEVELS: Final = 11
NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "candlecast/ml_predictions")
ROWS_PER_STATEMENT: Final = 500  # bounds the memory of one statement: 10 MB at 120 steps


class BadForecast(CandlecastError):
    """A forecast that may not be put on record, because it is none: the message says which and why."""

    def __init__(self, row: "PredictionRow", reason: str) -> None:
        super().__init__(
            f"{row.symbol} {row.interval}: the forecast by {row.model_name} issued at "
            f"{row.issued_at:%Y-%m-%dT%H:%MZ} is not stored: {reason}"
        )
        self.symbol, self.interval, self.model_name, self.issued_at = (
            row.symbol,
            row.interval,
            row.model_name,
            row.issued_at,
        )
        self.reason = reason


class LeaseLost(CandlecastError):
    """Another run took the job over; this one has to stop and has written nothing in this transaction."""

    exit_code = 75

    def __init__(self, fence: "Fence") -> None:
        super().__init__(
            f"the lease of {fence.job} with token {fence.token} was taken over by another run, so nothing is written; "
            "leave it to that run"
        )
        self.fence = fence


@dataclass(frozen=True, slots=True)
class Fence:
    """The lease a writer holds; every write checks it."""

    job: str
    token: int


@dataclass(frozen=True, slots=True, eq=False)
class PredictionRow:
    """One forecast to be put on record. Instants are UTC-aware.

    Parameters
    ----------
    target_at : [H] closes of the bars spoken about, rising
    scale : sigma per bar at issue, above 0
    p10, p50, p90 : [H] as served;  fan : [H, 11] as the model gave it, rising along the levels
    data_hash : of the lookback, bytes or hex
    replay : made for a past slot
    feed : source of the newest bar of the lookback, as known at issue
    calibration : what turned the fan into p10, p50 and p90, as JSON holds it; None: served as the model gave them
    paths : [S, H] sampled closes, or None
    """

    symbol: str
    interval: str
    model_name: str
    model_version: str
    issued_at: datetime
    horizon: int
    target_at: Sequence[datetime]
    last_close: float
    scale: float
    p10: ArrayLike
    p50: ArrayLike
    p90: ArrayLike
    fan: ArrayLike
    seed: int
    n_paths: int
    lookback_start: datetime
    lookback_end: datetime
    data_hash: bytes | str
    event_context: Mapping[str, Any]
    synthetic: bool
    replay: bool
    paths: Paths | None = None
    run_id: int | None = None
    feed: str | None = None
    calibration: Mapping[str, Any] | None = None

    @property
    def prediction_id(self) -> uuid.UUID:
        """The same for the same symbol, interval, model and issue time, so that a second run names the same row."""
        return prediction_id(self.symbol, self.interval, self.model_name, self.issued_at)


def prediction_id(symbol: str, interval: str, model_name: str, issued_at: datetime) -> uuid.UUID:
    """The id of a forecast, computed from what makes it unique."""
    return uuid.uuid5(NAMESPACE, f"{symbol}|{interval}|{model_name}|{issued_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}")


def insert_predictions(
    conn: Connection, rows: Sequence[PredictionRow], *, scored_steps: Sequence[int], fence: Fence | None
) -> int:
    """Append forecasts with their paths and their scoring queue; how many were new. The caller commits.

    The order given is the order in the chain. A forecast that exists already (same symbol, interval, model and
    issue time) stays as it is. Whether a row is on time is the database clock's to say.

    Raises
    ------
    BadForecast : a row that is no forecast; nothing of any row is written.
    LeaseLost : the lease of `fence` has been taken over.
    """
    for row in rows:
        check(row)
    if (
        fence is not None
        and conn.execute(load("lease_check"), {"job": fence.job, "token": fence.token}).first() is None
    ):
        raise LeaseLost(fence)
    # Two writers that lock chains in the same order cannot block each other for good.
    ordered = sorted(rows, key=lambda row: (row.model_name, row.interval))
    return sum(
        _insert(conn, ordered[start : start + ROWS_PER_STATEMENT], scored_steps)
        for start in range(0, len(ordered), ROWS_PER_STATEMENT)
    )


def existing(
    conn: Connection, interval: str, model_name: str, issued: Collection[datetime]
) -> set[tuple[str, datetime]]:
    """The (symbol, issued_at) of the model's forecasts with these issue times."""
    parameters = {"interval": interval, "model_name": model_name, "issued_at": list(issued)}
    return {(row.symbol, row.issued_at) for row in conn.execute(load("predictions_existing"), parameters)}


def check(row: PredictionRow) -> None:
    """Nothing, for a row that can be put on record.

    Raises
    ------
    BadForecast : wrong lengths, values that are not finite, crossing quantiles, targets out of order, no scale.
    """
    horizon = row.horizon
    shapes = {name: np.shape(getattr(row, name)) for name in ("p10", "p50", "p90", "fan")}
    wanted = {"p10": (horizon,), "p50": (horizon,), "p90": (horizon,), "fan": (horizon, N_LEVELS)}
    for name, shape in shapes.items():
        if shape != wanted[name]:
            raise BadForecast(row, f"{name} has the shape {shape}, a horizon of {horizon} needs {wanted[name]}")
    if horizon < 1 or len(row.target_at) != horizon:
        raise BadForecast(row, f"it has {len(row.target_at)} target times for a horizon of {horizon}")
    if not math.isfinite(row.last_close) or not math.isfinite(row.scale) or row.scale <= 0:
        raise BadForecast(
            row, f"last close {row.last_close} and scale {row.scale} have to be finite, the scale above 0"
        )
    served = np.array([row.p10, row.p50, row.p90], dtype=np.float64)
    fan = np.asarray(row.fan, dtype=np.float64)
    if not np.isfinite(served).all() or not np.isfinite(fan).all():
        raise BadForecast(row, "it holds values that are not finite")
    if (np.diff(served, axis=0) < 0).any():
        step = int(np.nonzero((np.diff(served, axis=0) < 0).any(axis=0))[0][0])
        raise BadForecast(row, f"p10 <= p50 <= p90 does not hold at step {step + 1}: {served[:, step].tolist()}")
    if (np.diff(fan, axis=1) < 0).any():
        step = int(np.nonzero((np.diff(fan, axis=1) < 0).any(axis=1))[0][0])
        raise BadForecast(row, f"its fan does not rise along the levels at step {step + 1}: {fan[step].tolist()}")
    times = [row.issued_at, *row.target_at]
    if any(later <= earlier for earlier, later in itertools.pairwise(times)):
        raise BadForecast(row, "its target times do not rise, or the first is not after the issue time")
    if row.paths is not None:
        if row.paths.shape != (row.n_paths, horizon):
            raise BadForecast(row, f"its paths have the shape {row.paths.shape}, not {(row.n_paths, horizon)}")
        if not np.isfinite(row.paths).all():
            raise BadForecast(row, "its paths hold values that are not finite")


def _insert(conn: Connection, rows: Sequence[PredictionRow], scored_steps: Sequence[int]) -> int:
    packed = [None if row.paths is None else pack(row.paths) for row in rows]
    horizons = np.array([row.horizon for row in rows])
    ids = [row.prediction_id for row in rows]
    parameters = {
        "prediction_id": _ids(ids),
        "symbol": [row.symbol for row in rows],
        "interval": [row.interval for row in rows],
        "model_name": [row.model_name for row in rows],
        "model_version": [row.model_version for row in rows],
        "issued_at": _instants([row.issued_at for row in rows]),
        "horizon": Int4s(horizons),
        "first": Int4s(np.cumsum(horizons) - horizons + 1),
        "target_at": _instants([at for row in rows for at in row.target_at]),
        "last_close": Float8s(np.array([row.last_close for row in rows], dtype=np.float64)),
        "scale": Float8s(np.array([row.scale for row in rows], dtype=np.float64)),
        "p10": _floats([row.p10 for row in rows]),
        "p50": _floats([row.p50 for row in rows]),
        "p90": _floats([row.p90 for row in rows]),
        "fan": _floats([row.fan for row in rows]),
        "seed": Int8s(np.array([row.seed for row in rows], dtype=np.int64)),
        "n_paths": Int4s(np.array([row.n_paths for row in rows])),
        "lookback_start": _instants([row.lookback_start for row in rows]),
        "lookback_end": _instants([row.lookback_end for row in rows]),
        "data_hash": Byteas([_bytes(row.data_hash) for row in rows]),
        "event_context": [json.dumps(dict(row.event_context), allow_nan=False) for row in rows],
        "synthetic": Bools(np.array([row.synthetic for row in rows])),
        "paths_hash": Byteas(
            [
                None if blob is None else paths_hash(blob, row.n_paths, row.horizon)
                for row, blob in zip(rows, packed, strict=True)
            ]
        ),
        "status": ["replay" if row.replay else "on_time" for row in rows],
        "run_id": [row.run_id for row in rows],
        "feed": [row.feed for row in rows],
        "calibration": [
            None if row.calibration is None else json.dumps(dict(row.calibration), allow_nan=False) for row in rows
        ],
    }
    new = set(conn.execute(load("predictions_insert"), parameters).scalars())
    inserted = [(one, row, blob) for one, row, blob in zip(ids, rows, packed, strict=True) if one in new]
    with_paths = [(one, row, blob) for one, row, blob in inserted if blob is not None]
    if with_paths:
        conn.execute(
            load("paths_insert"),
            {
                "prediction_id": _ids([one for one, _, _ in with_paths]),
                "n_paths": Int4s(np.array([row.n_paths for _, row, _ in with_paths])),
                "horizon": Int4s(np.array([row.horizon for _, row, _ in with_paths])),
                "codec": CODEC,
                "closes": Byteas([blob for _, _, blob in with_paths]),
            },
        )
    _queue_scores(conn, [(one, row) for one, row, _ in inserted], scored_steps)
    return len(new)


def _queue_scores(
    conn: Connection, rows: Sequence[tuple[uuid.UUID, PredictionRow]], scored_steps: Sequence[int]
) -> None:
    """Put the steps that will be judged into the scorer's queue, each with what the paths say about it."""
    steps = [(one, row, step) for one, row in rows for step in scored_steps if step <= row.horizon]
    if not steps:
        return
    served = [_served_fan(row) for _, row in rows]
    calibrated = [
        np.full(N_LEVELS, np.nan) if fan is None else fan[step - 1]
        for (_, row), fan in zip(rows, served, strict=True)
        for step in scored_steps
        if step <= row.horizon
    ]
    closes = [None if row.paths is None else row.paths[:, step - 1].astype("<f4").tobytes() for _, row, step in steps]
    conn.execute(
        load("score_queue"),
        {
            "prediction_id": _ids([one for one, _, _ in steps]),
            "step": Int4s(np.array([step for _, _, step in steps])),
            "closes": Byteas(closes),
            "calibrated": _floats(calibrated),
        },
    )
    n_steps = np.array([sum(step <= row.horizon for step in scored_steps) for _, row in rows])
    first = np.cumsum(n_steps) - n_steps
    kept = [i for i, (_, row) in enumerate(rows) if n_steps[i] and row.paths is not None and len(row.paths) > 1]
    if not kept:
        return
    conn.execute(
        load("score_queue_paths"),
        {
            "steps": list(scored_steps),
            "prediction_id": _ids([rows[i][0] for i in kept]),
            "n_steps": Int4s(n_steps[kept]),
            "first": Int4s(first[kept] + 1),
            "closes": Byteas([b"".join(filter(None, closes[first[i] : first[i] + n_steps[i]])) for i in kept]),
            "fan": _floats([np.asarray(row.fan, dtype=np.float64)[step - 1] for _, row, step in steps]),
            "calibrated": _floats(calibrated),
        },
    )


def _served_fan(row: PredictionRow) -> NDArray[np.float64] | None:
    """[H, 11] the fan as served; None where that is the fan as the model gave it."""
    if row.calibration is None:
        return None
    return corrected(np.asarray(row.fan, dtype=np.float64), row.last_close, Correction.from_json(row.calibration))


def _ids(ids: Sequence[uuid.UUID]) -> Uuids:
    return Uuids(np.array([one.bytes for one in ids], dtype="V16"))


def _instants(instants: Sequence[datetime]) -> Timestamps:
    return Timestamps(np.array([at.astimezone(UTC).replace(tzinfo=None) for at in instants], dtype="datetime64[us]"))


def _floats(arrays: Sequence[ArrayLike]) -> Float8s:
    return Float8s(np.concatenate([np.asarray(one, dtype=np.float64).reshape(-1) for one in arrays]))


def _bytes(digest: bytes | str) -> bytes:
    return bytes.fromhex(digest) if isinstance(digest, str) else digest
