"""Made-up series for the tests of a forecaster."""

from datetime import UTC, datetime

import numpy as np

from candlecast.forecasts import Series

ISSUED = datetime(2025, 3, 3, 12, tzinfo=UTC)


def walk(symbol: str, n: int, horizon: int, price: float = 100.0) -> Series:
    """n hourly bars of a random walk that depends on symbol and n alone, and the next `horizon` opening times."""
    generator = np.random.default_rng(sum(symbol.encode()) + n)
    close = price * np.exp(np.cumsum(generator.normal(0, 0.01, n)))
    opening = np.roll(close, 1)
    high, low = np.maximum(opening, close) * 1.001, np.minimum(opening, close) * 0.999
    bars = np.stack([opening, high, low, close, generator.uniform(1, 9, n), np.zeros(n)], axis=-1)
    hours = np.datetime64("2025-03-03T12:00:00", "s") + np.arange(-n, horizon) * np.timedelta64(3600, "s")
    return Series(symbol, "1h", ISSUED, bars, hours[:n], hours[n:])
