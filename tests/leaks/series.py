"""Series to forecast from, cut out of the quiet world by hand, and what must not change a forecast of them."""

import os
import pickle
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC
from functools import cache
from itertools import count
from typing import Any

import numpy as np
import pandas as pd

from candlecast.channels import PAST_ONLY
from candlecast.forecasts import AMOUNT, Forecast, Forecaster, Result, Series
from tests.leaks.world import VALUES, World

_numbers = count()


@cache
def history(symbol: str, interval: str) -> pd.DataFrame:
    """All bars of a symbol in the quiet world."""
    bars = World.of(4, quiet=True).bars
    return bars[(bars["symbol"] == symbol) & (bars["interval"] == interval)]


def series(symbol: str, end: int, lookback: int, horizon: int, *, interval: str = "1h", seed: int = 8) -> Series:
    """The `lookback` bars of the symbol before its bar number `end`, with events of random numbers."""
    mine = history(symbol, interval)
    opened = mine["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
    back, ahead = slice(end - lookback, end), slice(end, end + horizon)
    ohlcv = np.empty((lookback, 6))
    ohlcv[:, :AMOUNT] = mine[VALUES].to_numpy()[back]
    ohlcv[:, AMOUNT] = ohlcv[:, AMOUNT - 1] * ohlcv[:, :4].mean(axis=1)
    events = np.random.default_rng(seed).normal(size=(lookback + horizon, 20)).astype(np.float32)
    for channel in PAST_ONLY:
        events[lookback:, channel.index] = 0.0
    issued_at = mine["closed_at"].iloc[end - 1].to_pydatetime().astimezone(UTC)
    return Series(symbol, interval, issued_at, ohlcv, opened[back], opened[ahead], events)


def some(lookback: int, horizon: int) -> list[Series]:
    """Several symbols and, of one of them, several origins that lie within each other's horizons."""
    places = [("BTCUSDT", 900), ("ETHUSDT", 901), ("BTCUSDT", 902), ("EURUSD", 700), ("BTCUSDT", 899), ("SPY", 400)]
    return [series(symbol, end, lookback, horizon) for symbol, end in places]


def ask(forecaster: Forecaster, asked: Sequence[Series], horizon: int, n_paths: int = 4) -> list[Result]:
    return list(forecaster.forecast(asked, horizon=horizon, n_paths=n_paths))


def assert_same_forecast(one: Result, other: Result, why: str) -> None:
    """Bit for bit."""
    assert isinstance(one, Forecast), one
    assert isinstance(other, Forecast), other
    assert (one.symbol, one.issued_at, one.seed) == (other.symbol, other.issued_at, other.seed), why
    assert np.array_equal(one.fan, other.fan), why
    if one.paths is None:
        assert other.paths is None
    else:
        assert other.paths is not None
        assert np.array_equal(one.paths, other.paths), why


def assert_alone(forecaster: Forecaster, lookback: int, horizon: int, n_paths: int = 4) -> None:
    """A forecast is the same alone, among others, in any order, after anything else, and however many are asked for."""
    asked = some(lookback, horizon)
    alone = [ask(forecaster, [one], horizon, n_paths)[0] for one in asked]
    again = ask(type(forecaster)() if not vars(forecaster) else forecaster, asked[:1], horizon, n_paths)
    assert_same_forecast(alone[0], again[0], "asked again after later origins")
    for order in ([0, 1, 2, 3, 4, 5], [5, 2, 4, 0, 3, 1], [2, 0], [4, 0, 2]):
        for place, result in zip(order, ask(forecaster, [asked[k] for k in order], horizon, n_paths), strict=True):
            assert_same_forecast(alone[place], result, f"{asked[place].symbol} in the order {order}")


def assert_no_memory(make: Callable[[], Forecaster], lookback: int, horizon: int, n_paths: int = 4) -> None:
    """A process that was asked about a later origin of a symbol before says what one says that never was."""
    name = f"NEW{next(_numbers)}"
    early, late = (replace(series("BTCUSDT", end, lookback, horizon), symbol=name) for end in (900, 907))
    late = replace(late, ohlcv=late.ohlcv * np.linspace(1.0, 3.0, lookback)[:, None])
    fresh = elsewhere(lambda: ask(make(), [early], horizon, n_paths)[0])

    forecaster = make()
    later, after = ask(forecaster, [late, early], horizon, n_paths)
    assert isinstance(later, Forecast)
    assert_same_forecast(fresh, after, "after a later origin")
    assert_same_forecast(fresh, ask(make(), [early], horizon, n_paths)[0], "of another instance, after a later origin")


def elsewhere(work: Callable[[], Any]) -> Any:
    """What `work` returns in a process that has done nothing since this line."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 says so of any process with threads
        pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(writing, "wb") as out:
                pickle.dump(work(), out)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        content = answer.read()
    os.waitpid(pid, 0)
    return pickle.loads(content)


def assert_blind(forecaster: Forecaster, lookback: int, horizon: int, n_paths: int = 4) -> None:
    """What stands in the horizon of a channel that cannot be known ahead changes nothing."""
    for one in some(lookback, horizon)[:3]:
        assert one.events is not None
        events = one.events.copy()
        for channel in PAST_ONLY:
            events[lookback:, channel.index] = 50.0
        before, after = (ask(forecaster, [each], horizon, n_paths)[0] for each in (one, replace(one, events=events)))
        assert_same_forecast(before, after, "values past the issue were read")
