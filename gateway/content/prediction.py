"""One forecast as it is on record: what the model gave, what was served, what it is sealed with, what it was worth."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson

from candlecast.clock import utc_now
from candlecast.forecasts import LEVELS
from candlecast.freshness import freshness
from candlecast.store.paths import unpack
from gateway import problems
from gateway.answers import iso
from gateway.content.chart import href, served_fan
from gateway.content.shelf import notice, utc
from gateway.database import Row
from gateway.patience import Patient

NOT_ASKED: Final = "Sample paths come with ?paths=true."
NONE_DRAWN: Final = "There are no sample paths: this forecast was sealed without any."
NOT_KEPT: Final = (
    "The sample paths are no longer kept. paths_hash is the SHA-256 over codec, shape and bytes that they were sealed "
    "with, so a copy can still be checked."
)
KEPT: Final = "Each path is a list of closes, one per step, in the precision of 32 bits in which they are kept."
SCORED: Final = (
    "In sigmas at issue: pinball, interval_score, width, abs_error, crps. The pinball and crps are the model's, those "
    "named calibrated_ of what was served; inside, interval_score and width are of the band that was served, those "
    "named raw_ of the model's. A step with a void_reason is not scored, and a step that is not listed is not yet due."
)
SCORES: Final = (
    "revision", "outcome", "log_return", "hit", "inside", "raw_inside", "pinball", "calibrated_pinball",
    "interval_score", "raw_interval_score", "width", "raw_width", "abs_error", "crps", "calibrated_crps", "pit",
    "calibrated_pit", "p_up", "calibrated_p_up", "brier", "calibrated_brier", "score_version",
)  # fmt: skip


async def read_prediction(database: Patient, prediction_id: UUID, *, paths: bool) -> bytes:
    """The body of /v1/predictions/by-id/{prediction_id}.

    Raises
    ------
    Problem : 404 unknown_prediction; 503 while the database cannot be read.
    """
    found = await database.rows("gateway_prediction", prediction_id=prediction_id)
    if not found:
        raise problems.unknown_prediction(str(prediction_id))
    row = found[0]
    until = row["target_at"][-1]
    scores = await database.rows(
        "gateway_prediction_scores", prediction_id=prediction_id, issued_at=row["issued_at"], until=until
    )
    drawn = await database.rows("paths_read", prediction_ids=[prediction_id]) if paths else []
    # Unpacking a hundred thousand numbers and writing them down takes a while that other readers need not wait for.
    return await asyncio.to_thread(prediction_json, row, scores, drawn, paths, utc_now())


def prediction_json(row: Row, scores: Sequence[Row], drawn: Sequence[Row], paths: bool, now: datetime) -> bytes:
    """The body from the rows of the three queries."""
    symbol, interval = row["symbol"], row["interval"]
    issued_at, target_at = utc(row["issued_at"]), [utc(moment) for moment in row["target_at"]]
    seen = freshness(interval, issued_at, target_at, now, row["settle_s"])
    newest = row["is_newest"]
    document = {
        "prediction_id": str(row["prediction_id"]),
        "symbol": symbol,
        "interval": interval,
        "model_name": row["model_name"],
        "model_version": row["model_version"],
        "issued_at": iso(issued_at),
        "generated_at": iso(utc(row["recorded_at"])),
        "age_seconds": seen.age_seconds,
        "newest": newest,
        "expected_next_at": iso(seen.expected_next_at) if newest else None,
        "stale": seen.stale and newest,
        "stale_reason": seen.stale_reason if newest else None,
        "status": row["status"],
        "synthetic": row["synthetic"],
        "notice": notice(row["synthetic"], row["status"]),
        "horizon": row["horizon"],
        "target_at": [iso(moment) for moment in target_at],
        "last_close": row["last_close"],
        "scale": row["scale"],
        "p10": row["p10"],
        "p50": row["p50"],
        "p90": row["p90"],
        "levels": LEVELS,
        "fan": served_fan(row),
        "raw_fan": np.asarray(row["fan"], dtype=np.float64).reshape(-1, len(LEVELS)).tolist(),
        "corrected": row["calibration"] is not None,
        "calibration": json.loads(row["calibration"]) if row["calibration"] is not None else None,
        "n_paths": row["n_paths"],
        "paths": paths_of(drawn),
        "paths_note": paths_note(row, drawn, paths),
        "seed": str(row["seed"]),  # 63 bits do not fit a JavaScript number
        "feed": row["feed"],
        "lookback_start": iso(utc(row["lookback_start"])),
        "lookback_end": iso(utc(row["lookback_end"])),
        "event_context": row["event_context"],
        "run_id": row["run_id"],
        "chain_seq": row["chain_seq"],
        "prev_hash": row["prev_hash"].hex(),
        "row_hash": row["row_hash"].hex(),
        "data_hash": row["data_hash"].hex(),
        "paths_hash": None if row["paths_hash"] is None else row["paths_hash"].hex(),
        "scores_note": SCORED,
        "scores": [score_json(score) for score in scores],
        "page": href(symbol, interval, row),
    }
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def paths_of(drawn: Sequence[Row]) -> Any:
    """[S, H] float32 as they were kept, None where there are none."""
    if not drawn:
        return None
    kept = drawn[0]
    return unpack(bytes(kept["closes"]), kept["codec"], kept["n_paths"], kept["horizon"])


def paths_note(row: Row, drawn: Sequence[Row], asked: bool) -> str:
    """Why there are sample paths, or why not."""
    if drawn:
        return KEPT
    if row["paths_hash"] is None:
        return NONE_DRAWN
    return NOT_KEPT if asked else NOT_ASKED


def score_json(row: Row) -> dict[str, Any]:
    """A step's newest score; one that is void has nothing but its reason."""
    return {
        "step": row["step"],
        "target_at": iso(utc(row["target_at"])),
        "scored_at": iso(utc(row["scored_at"])),
        "void_reason": row["void_reason"],
        **{name: row[name] for name in SCORES},
    }
