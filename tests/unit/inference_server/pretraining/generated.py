"""A few hundred made-up bars, so that training has something to read."""

import numpy as np

from candlecast.clock import INTERVALS, Interval
from inference_server.pretraining.histories import History


def history(symbol: str = "BTCUSDT", *, n: int = 400, start: str = "2024-12-20", interval: Interval = "1h") -> History:
    """`n` bars of a random walk that is a function of the symbol."""
    rng = np.random.default_rng(sum(map(ord, symbol)))
    closes = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(n)))
    opens = np.concatenate([[100.0], closes[:-1]])
    wick = closes * 0.003 * rng.random(n)
    high, low = np.maximum(opens, closes) + wick, np.minimum(opens, closes) - wick
    volume = rng.gamma(2.0, 100.0, n)
    bars = np.stack([opens, high, low, closes, volume, volume * closes], axis=-1)
    step = np.timedelta64(int(INTERVALS[interval].total_seconds()), "s")
    opened_at = np.datetime64(start, "s") + step * np.arange(n)
    return History(symbol, interval, "crypto", bars, opened_at)
