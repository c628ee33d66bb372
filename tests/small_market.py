"""A small market in a real database: a few instruments of every class, hourly and daily bars, a calendar."""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine, text

from candlecast.bars import validate
from candlecast.instruments import load_instruments
from candlecast.sessions import Sessions
from candlecast.store.bars import copy_many
from candlecast.store.calendar import upsert_entries
from candlecast.store.instruments import upsert_instruments
from jobs.providers.calendar_files import read_calendar_file

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SPY", "EURUSD", "XAUUSD")
LEADERS = ("BTCUSDT", "SPY", "DXY", "VIX")
INSTRUMENTS = {one.symbol: one for one in load_instruments()}

# A Monday with all venues open; New York's summer.
SLOT = datetime(2025, 6, 2, 15, 55, tzinfo=UTC)


def random_bars(symbol: str, interval: str, start: datetime, end: datetime, seed: int) -> pd.DataFrame:
    """Bars on the instrument's own schedule, a random walk with coherent highs and lows."""
    opened_at, _ = Sessions.of(INSTRUMENTS[symbol].calendar).scheduled(interval, start, end)
    rng = np.random.default_rng([seed, sum(symbol.encode()), len(interval)])
    close = 100 * np.exp(np.cumsum(rng.standard_t(5, len(opened_at)) * 0.004))
    opening = np.concatenate([[100.0], close[:-1]])
    wick = np.abs(rng.normal(0, 0.002, (2, len(close))))
    return pd.DataFrame(
        {
            "ts": pd.DatetimeIndex(opened_at).tz_localize("UTC"),
            "open": opening,
            "high": np.maximum(opening, close) * (1 + wick[0]),
            "low": np.minimum(opening, close) * (1 - wick[1]),
            "close": close,
            "volume": rng.uniform(1, 100, len(close)),
        }
    )


def releases(start: datetime, end: datetime) -> pd.DataFrame:
    """Monthly CPI, payrolls and FOMC decisions with prints, as an archive would hold them."""
    rng = np.random.default_rng(5)
    rows = []
    month = start.replace(day=1, hour=0, minute=0)
    while month < end:
        for event, day, hour in (
            ("CPI m/m", 12, 12.5),
            ("Non-Farm Employment Change", 5, 12.5),
            ("Federal Funds Rate", 18, 18),
        ):
            rows.append(
                {
                    "ts": (month + timedelta(days=day, hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "currency": "USD",
                    "event": event,
                    "impact": "High",
                    "actual": f"{rng.normal(0.3, 0.1):.1f}%",
                    "forecast": "0.3%",
                    "previous": "0.3%",
                }
            )
        month = (month + timedelta(days=32)).replace(day=1)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "economic_calendar.csv"
        pd.DataFrame(rows).to_csv(archive, index=False)
        return read_calendar_file(archive)[0]


@dataclass(frozen=True)
class Market:
    """What the tests need to know of the small market."""

    engine: Engine
    symbols: tuple[str, ...]
    slot: datetime

    def store(self, interval: str, frames: dict[str, pd.DataFrame]) -> None:
        """Import bars as an archive would be."""
        clean = {symbol: validate(frame, INSTRUMENTS[symbol], interval)[0] for symbol, frame in frames.items()}
        with self.engine.begin() as conn:
            copy_many(conn, interval, clean, source="test", first_seen="close")


def fill(engine: Engine, slot: datetime = SLOT) -> Market:
    """Put the small market into a migrated database: bars to 12 days past the slot, so that forecasts mature."""
    with engine.begin() as conn:
        upsert_instruments(conn, load_instruments())
        names = {"symbols": list(SYMBOLS)}
        conn.execute(text("UPDATE candlecast.instruments SET forecast = false WHERE NOT symbol = ANY(:symbols)"), names)
        upsert_entries(conn, releases(datetime(2022, 1, 1, tzinfo=UTC), slot + timedelta(days=90)))
    market = Market(engine, SYMBOLS, slot)
    for interval, back, ahead in (("1h", 150, 12), ("1d", 900, 12)):
        start, end = slot - timedelta(days=back), slot + timedelta(days=ahead)
        market.store(
            interval,
            {symbol: random_bars(symbol, interval, start, end, 1) for symbol in dict.fromkeys(SYMBOLS + LEADERS)},
        )
    return market


def crowd(market: Market, n: int) -> Market:
    """The market with `n` other instruments to forecast: hourly bars as BTCUSDT's, at other prices."""
    like, names = INSTRUMENTS["BTCUSDT"], tuple(f"GEN{k:03d}" for k in range(n))
    frame = random_bars("BTCUSDT", "1h", market.slot - timedelta(days=20), market.slot + timedelta(days=2), 2)
    prices = ["open", "high", "low", "close"]
    clean = validate(frame, like, "1h")[0]
    with market.engine.begin() as conn:
        conn.execute(text("UPDATE candlecast.instruments SET forecast = false"))
        upsert_instruments(conn, [replace(like, symbol=name, provider_symbol=name, leader=None) for name in names])
        frames = {name: clean.assign(**clean[prices] * (1 + k / 7)) for k, name in enumerate(names)}
        copy_many(conn, "1h", frames, source="test", first_seen="close")
    return Market(market.engine, names, market.slot)
