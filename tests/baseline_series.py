"""Series that baselines are tried on: walks with fat tails, and the hours they could have been seen in."""

from datetime import UTC, datetime

import numpy as np

from candlecast.forecasts import Forecast, Forecaster, Series

ISSUED = datetime(2025, 3, 1, tzinfo=UTC)
HOUR, DAY = np.timedelta64(3600, "s"), np.timedelta64(86400, "s")
MONDAY = np.datetime64("2025-01-06T00:00:00")


def walk(seed: int, n_bars: int = 392, df: float = 5.0, vol: float = 0.01) -> np.ndarray:
    """[n_bars] closes after independent Student returns of standard deviation `vol`."""
    steps = np.random.default_rng(seed).standard_t(df, n_bars) * vol / np.sqrt(df / (df - 2))
    return 100.0 * np.exp(np.cumsum(steps))


def series(closes: np.ndarray, horizon: int = 24, symbol: str = "BTCUSDT", interval: str = "1h") -> Series:
    """Bars round the clock from a Monday on."""
    step = HOUR if interval == "1h" else DAY
    times = MONDAY + np.arange(len(closes) + horizon) * step
    bars = np.column_stack([closes] * 4 + [np.ones_like(closes)] * 2)
    return Series(symbol, interval, ISSUED, bars, times[: len(closes)], times[len(closes) :])


def issue(forecaster: Forecaster, one: Series, n_paths: int = 0, base_seed: int = 0) -> Forecast:
    """The forecast of one series."""
    horizon = len(one.target_opened_at)
    (made,) = forecaster.forecast([one], horizon=horizon, n_paths=n_paths, base_seed=base_seed)
    assert isinstance(made, Forecast), made
    return made
