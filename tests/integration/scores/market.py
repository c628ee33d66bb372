"""A small market with forecasts on record, for the tests of the scorer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Engine, text

from candlecast.calibration import Correction, corrected
from candlecast.forecasts import LEVELS
from candlecast.instruments import load_instruments
from candlecast.scoring import SCORED_STEPS
from candlecast.store.instruments import upsert_instruments
from candlecast.store.predictions import PredictionRow, insert_predictions

START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(hour: float) -> datetime:
    return START + hour * HOUR


def add_instruments(engine: Engine) -> None:
    with engine.begin() as conn:
        upsert_instruments(conn, [replace(one, settle_s=0) for one in load_instruments()])


def add_bars(
    engine: Engine,
    closes: dict[int, float],
    symbol: str = "BTCUSDT",
    *,
    origin: datetime = START,
    state: str = "final",
    source: str = "test",
) -> None:
    """Hourly bars; the key is the hour at which the bar closed."""
    rows = [
        {"symbol": symbol, "ts": origin + (hour - 1) * HOUR, "closed_at": origin + hour * HOUR, "close": close}
        | {"state": state, "source": source}
        for hour, close in closes.items()
    ]
    with engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.ohlcv_1h (symbol, ts, closed_at, open, high, low, close, volume, state, "
                "source, first_seen) VALUES (:symbol, :ts, :closed_at, :close, :close, :close, :close, 1, :state, "
                ":source, :closed_at)"
            ),
            rows,
        )


def correct_bar(engine: Engine, hour: int, close: float, symbol: str = "BTCUSDT", *, revised_at: datetime) -> None:
    """What an import does when a venue corrects a bar."""
    with engine.begin() as conn:
        named = {"symbol": symbol, "ts": at(hour - 1), "close": close, "revised_at": revised_at}
        conn.execute(
            text(
                "INSERT INTO candlecast.ohlcv_revisions (symbol, interval, ts, revised_at, old_open, old_high, "
                "old_low, old_close, old_volume, old_source, source) "
                "SELECT symbol, '1h', ts, :revised_at, open, high, low, close, volume, source, 'correction' "
                "FROM candlecast.ohlcv_1h WHERE symbol = :symbol AND ts = :ts"
            ),
            named,
        )
        conn.execute(
            text(
                "UPDATE candlecast.ohlcv_1h SET open = :close, high = :close, low = :close, close = :close "
                "WHERE symbol = :symbol AND ts = :ts"
            ),
            named,
        )


def forecast(
    hour: int,
    last_close: float = 100.0,
    *,
    symbol: str = "BTCUSDT",
    model_name: str = "baseline-rw",
    horizon: int = 4,
    drift: float = 0.0,
    scale: float = 0.01,
    n_paths: int | None = 20,
    replay: bool = True,
    synthetic: bool = False,
    origin: datetime = START,
    seed: int = 0,
    feed: str | None = None,
    factor: float | None = None,
) -> PredictionRow:
    """A fan of straight lines in log price: p90 is two sigmas above the median, p10 two below, at every step.

    `factor` serves it with all distances from the median times that.
    """
    steps = np.arange(1, horizon + 1)
    centre = last_close * np.exp(drift * steps)[:, None]
    fan = centre * np.exp(scale * 5.0 * (np.array(LEVELS) - 0.5))
    paths = None
    if n_paths is not None:
        noise = np.random.default_rng([seed, hour]).normal(size=(n_paths, horizon))
        paths = (centre.T * np.exp(scale * noise)).astype(np.float32)
    issued = origin + hour * HOUR
    correction = None
    served = fan
    if factor is not None:
        factors = np.where(np.array(LEVELS) == 0.5, 1.0, factor)[None]
        correction = Correction((1,), factors, np.array([100.0]))
        served = corrected(fan, last_close, correction)
    return PredictionRow(
        symbol=symbol,
        interval="1h",
        model_name=model_name,
        model_version="v1",
        issued_at=issued,
        horizon=horizon,
        target_at=[issued + int(step) * HOUR for step in steps],
        last_close=last_close,
        scale=scale,
        p10=served[:, 1],
        p50=served[:, 5],
        p90=served[:, 9],
        fan=fan,
        seed=seed,
        n_paths=n_paths or 0,
        lookback_start=issued - 100 * HOUR,
        lookback_end=issued,
        data_hash=bytes(32),
        event_context={},
        synthetic=synthetic,
        replay=replay,
        paths=paths,
        run_id=None,
        feed=feed,
        calibration=None if correction is None else correction.to_json(),
    )


def issue(engine: Engine, rows: Sequence[PredictionRow]) -> None:
    with engine.begin() as conn:
        insert_predictions(conn, rows, scored_steps=SCORED_STEPS["1h"], fence=None)


def rows_of(engine: Engine, query: str, **parameters: Any) -> list[dict[str, Any]]:
    with engine.connect() as conn:
        return [dict(row) for row in conn.execute(text(query), parameters).mappings()]


def random_walk(seed: int, n_hours: int, *, holes: float = 0.0) -> dict[int, float]:
    """Closes by hour, some of them missing; prices on a grid, so that some bars do not move."""
    rng = np.random.default_rng(seed)
    prices = 100.0 + np.cumsum(rng.integers(-2, 3, n_hours + 1))
    there = rng.random(n_hours + 1) >= holes
    there[0] = True
    return {hour: float(price) for hour, price in enumerate(prices) if there[hour]}
