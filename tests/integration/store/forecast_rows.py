"""Forecast rows for the tests of the ledger: small, coherent, each a function of its arguments alone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy.stats import norm
from sqlalchemy import Connection, insert

from candlecast.store import tables
from candlecast.store.predictions import PredictionRow

LEVELS = np.array([0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
ISSUED = datetime(2030, 1, 7, 9, tzinfo=UTC)  # in the future, so that rows are on time whenever the test runs


def add_instruments(conn: Connection, *symbols: str) -> None:
    conn.execute(
        insert(tables.instruments),
        [
            {
                "symbol": symbol,
                "name": symbol,
                "asset_class": "crypto",
                "calendar": "24/7",
                "provider": "files",
                "provider_symbol": symbol,
                "quote_asset": "USDT",
                "forecast": True,
            }
            for symbol in symbols
        ],
    )


def forecast_row(
    symbol: str = "BTCUSDT", *, issued_at: datetime = ISSUED, horizon: int = 4, n_paths: int = 0, **changes: Any
) -> PredictionRow:
    spread = np.sqrt(np.arange(1, horizon + 1))[:, None]
    fan = 100.0 + spread * norm.ppf(LEVELS)
    paths = None
    if n_paths:
        draws = np.random.default_rng(issued_at.toordinal()).normal(size=(n_paths, horizon))
        paths = (100.0 + np.cumsum(draws, axis=1)).astype(np.float32)
    given: dict[str, Any] = {
        "symbol": symbol,
        "interval": "1h",
        "model_name": "baseline-rw",
        "model_version": "ab" * 32,
        "issued_at": issued_at,
        "horizon": horizon,
        "target_at": [issued_at + timedelta(hours=step) for step in range(1, horizon + 1)],
        "last_close": 100.0,
        "scale": 0.01,
        "p10": fan[:, 1],
        "p50": fan[:, 5],
        "p90": fan[:, 9],
        "fan": fan,
        "seed": 7,
        "n_paths": n_paths,
        "lookback_start": issued_at - timedelta(hours=392),
        "lookback_end": issued_at,
        "data_hash": "cd" * 32,
        "event_context": {"is_fomc": True, "note": "naïve"},
        "synthetic": False,
        "replay": False,
        "paths": paths,
        "run_id": None,
    }
    return PredictionRow(**{**given, **changes})
