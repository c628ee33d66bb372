"""What was not said before the market spoke, or not about the market, is never counted as if it had been."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sqlalchemy import Engine, text

from candlecast.forecasts import LEVELS
from candlecast.store.instruments import upsert_instruments
from candlecast.store.predictions import PredictionRow, insert_predictions
from jobs.score import score
from tests.leaks.world import HOUR, instruments

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
STEPS = (1, 4, 24)


def row(symbol: str, model_name: str, issued_at: datetime, **changes: Any) -> PredictionRow:
    """A forecast of 24 hourly steps; by its issue time it comes in time or late."""
    fan = 100.0 + np.sqrt(np.arange(1, 25))[:, None] * norm.ppf(LEVELS)
    given: dict[str, Any] = {
        "symbol": symbol,
        "interval": "1h",
        "model_name": model_name,
        "model_version": "ab" * 32,
        "issued_at": issued_at,
        "horizon": 24,
        "target_at": [issued_at + step * HOUR for step in range(1, 25)],
        "last_close": 100.0,
        "scale": 0.01,
        "p10": fan[:, 1],
        "p50": fan[:, 5],
        "p90": fan[:, 9],
        "fan": fan,
        "seed": 7,
        "n_paths": 0,
        "lookback_start": issued_at - 99 * HOUR,
        "lookback_end": issued_at,
        "data_hash": "cd" * 32,
        "event_context": {},
        "synthetic": False,
        "replay": False,
        "paths": None,
    }
    return PredictionRow(**{**given, **changes})


@pytest.fixture
def judged(engine: Engine) -> Engine:
    """One forecast of every kind, and bars that answer all of them."""
    kinds = {
        "in-time": row("BTCUSDT", "in-time", NOW + HOUR),
        "late": row("BTCUSDT", "late", NOW - 6 * HOUR),
        "replay": row("BTCUSDT", "replay", NOW + HOUR, replay=True),
        "old-replay": row("BTCUSDT", "old-replay", NOW - 40 * HOUR, replay=True),
        "synthetic": row("BTCUSDT", "synthetic", NOW + HOUR, synthetic=True),
        "synthetic-replay": row("BTCUSDT", "synthetic-replay", NOW - 40 * HOUR, synthetic=True, replay=True),
    }
    with engine.begin() as conn:
        upsert_instruments(conn, instruments())
        closes = [NOW + k * HOUR for k in range(-60, 30)]
        conn.execute(
            text(
                "INSERT INTO candlecast.ohlcv_1h (symbol, ts, closed_at, open, high, low, close, volume, source,"
                " first_seen) VALUES ('BTCUSDT', :ts, :at, 100, 110, 90, :close, 1, 'world', :at)"
            ),
            [{"ts": at - HOUR, "at": at, "close": 100 + np.sin(k)} for k, at in enumerate(closes)],
        )
        insert_predictions(conn, list(kinds.values()), scored_steps=STEPS, fence=None)
    score(engine, "1h", as_of=NOW + 40 * HOUR)
    return engine


def query(engine: Engine, statement: str) -> list[Any]:
    with engine.connect() as conn:
        return list(conn.execute(text(statement)))


def test_only_what_came_in_time_about_real_bars_is_live(judged: Engine) -> None:
    found = {one.model_name: one.record for one in query(judged, "SELECT * FROM candlecast.prediction_scores")}
    status = {one.model_name: one.status for one in query(judged, "SELECT * FROM candlecast.ml_predictions")}

    assert found == {
        "in-time": "live",
        "late": "late",
        "replay": "replay",
        "old-replay": "replay",
        "synthetic": "synthetic",
        "synthetic-replay": "synthetic",
    }
    assert status["late"] == "late"
    assert status["old-replay"] == "replay"
    for table in ("score_days", "score_totals", "signal_performance"):
        live = query(judged, f"SELECT DISTINCT model_name FROM candlecast.{table} WHERE record = 'live'")
        assert [one.model_name for one in live] == ["in-time"], table


def test_a_step_that_had_closed_when_it_was_written_is_never_scored(judged: Engine) -> None:
    scored = query(judged, "SELECT * FROM candlecast.prediction_scores")
    said = {one.prediction_id: one for one in query(judged, "SELECT * FROM candlecast.ml_predictions")}
    for one in scored:
        if said[one.prediction_id].status != "replay":
            assert one.target_at > said[one.prediction_id].recorded_at, one.model_name
    late = [(one.model_name, one.step) for one in scored if one.model_name == "late"]
    assert late == [("late", 24)]
    voids = query(judged, "SELECT * FROM candlecast.score_voids ORDER BY step")
    assert [(one.model_name, one.step, one.reason) for one in voids] == [
        ("late", 1, "target had closed"),
        ("late", 4, "target had closed"),
    ]


def test_whether_it_came_in_time_is_the_database_s_to_say(judged: Engine) -> None:
    with judged.begin() as conn:
        insert_predictions(
            conn, [row("ETHUSDT", "in-time", NOW - 3 * HOUR), row("ETHUSDT", "edge", NOW - HOUR)], scored_steps=STEPS,
            fence=None,
        )  # fmt: skip
    rows = query(judged, "SELECT * FROM candlecast.ml_predictions WHERE symbol = 'ETHUSDT'")

    assert {one.status for one in rows} == {"late"}
    assert all(abs(one.recorded_at - datetime.now(UTC)) < timedelta(minutes=10) for one in rows)


def test_a_second_forecast_of_a_moment_changes_nothing(judged: Engine) -> None:
    """Whoever saw the outcome cannot say it again."""
    before = query(judged, "SELECT * FROM candlecast.ml_predictions ORDER BY prediction_id")
    again = row("BTCUSDT", "in-time", NOW + HOUR, last_close=50.0, replay=True)
    with judged.begin() as conn:
        assert insert_predictions(conn, [again], scored_steps=STEPS, fence=None) == 0

    assert query(judged, "SELECT * FROM candlecast.ml_predictions ORDER BY prediction_id") == before
