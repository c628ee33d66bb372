"""Generated bars: sound, on real sessions, repeatable, continued and not rewritten, and with the shape of returns."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from candlecast.bars import validate
from candlecast.instruments import load_instruments
from jobs.providers.synthetic import TooEarly, synthetic_bars

NOW = datetime(2025, 3, 12, 11, 37, tzinfo=UTC)
ALL = load_instruments()
SOME = [one for one in ALL if one.symbol in {"BTCUSDT", "ETHUSDT", "SPY", "VIX", "EURUSD", "XAUUSD"}]


def generated(now: datetime = NOW, **how: int) -> dict[tuple[str, str], pd.DataFrame]:
    return {(bars.instrument.symbol, bars.interval): bars.frame for bars in synthetic_bars(SOME, now=now, **how)}


@pytest.fixture(scope="module")
def frames() -> dict[tuple[str, str], pd.DataFrame]:
    return generated()


def test_what_is_forecast_and_what_leads_gets_bars_of_both_intervals() -> None:
    kinds = {(bars.instrument.symbol, bars.interval) for bars in synthetic_bars(ALL, now=NOW, n_hours=10, n_days=10)}

    assert len(kinds) == 2 * 25  # 23 that are forecast, and of the four leaders DXY and VIX are not among them


def test_generated_bars_are_sound_and_without_holes(frames: dict[tuple[str, str], pd.DataFrame]) -> None:
    instruments = {one.symbol: one for one in ALL}
    for (symbol, interval), frame in frames.items():
        _, report = validate(frame, instruments[symbol], interval, now=NOW)

        assert report.n_dropped == 0
        assert (report.count("hole"), report.count("off_schedule"), report.count("disorder")) == (0, 0, 0)
        assert len(frame) == (2000 if interval == "1h" else min(1000, len(frame)))


def test_the_newest_bar_is_the_last_one_that_closed(frames: dict[tuple[str, str], pd.DataFrame]) -> None:
    # 2025-03-12, 11:37Z, a Wednesday: New York's market is still closed.
    newest = {key: str(frame["ts"].iloc[-1])[:16] for key, frame in frames.items()}

    assert newest["BTCUSDT", "1h"] == "2025-03-12 10:00"
    assert newest["SPY", "1h"] == "2025-03-11 19:30"
    assert newest["BTCUSDT", "1d"] == newest["SPY", "1d"] == "2025-03-11 00:00"


def test_the_same_moment_gives_the_same_bars_and_another_seed_others(
    frames: dict[tuple[str, str], pd.DataFrame],
) -> None:
    again, other = generated(), generated(seed=1)

    for key, frame in frames.items():
        pd.testing.assert_frame_equal(frame, again[key])
        assert not np.array_equal(frame["close"], other[key]["close"])


def test_a_later_moment_continues_the_series(frames: dict[tuple[str, str], pd.DataFrame]) -> None:
    later = generated(NOW + timedelta(days=9))

    for key, frame in frames.items():
        both = frame.merge(later[key], on="ts", suffixes=("", "_later"))
        assert len(both) > len(frame) * 0.8
        for column in ("open", "high", "low", "close", "volume"):
            assert both[column].equals(both[f"{column}_later"].rename(column))


def test_returns_have_heavy_tails_and_calm_and_wild_weeks() -> None:
    hourly = generated(n_hours=20_000)["BTCUSDT", "1h"]
    returns = np.diff(np.log(hourly["close"]))
    size = np.abs(returns)

    assert stats.kurtosis(returns) > 3  # a normal distribution has 0, hourly bitcoin more than 10
    assert np.corrcoef(size[24:], size[:-24])[0, 1] > 0.05  # a day later the market is still as nervous
    assert abs(np.corrcoef(returns[1:], returns[:-1])[0, 1]) < 0.03  # and no easier to predict


def test_markets_of_one_class_move_together_and_fear_rises_as_shares_fall() -> None:
    frames = generated(n_hours=8000)
    close = {symbol: frames[symbol, "1h"].set_index("ts")["close"] for symbol in ("BTCUSDT", "ETHUSDT", "EURUSD")}
    returns = pd.DataFrame(close).dropna().pipe(np.log).diff().corr()
    days = pd.DataFrame({symbol: frames[symbol, "1d"].set_index("ts")["close"] for symbol in ("SPY", "VIX")})

    assert returns.loc["BTCUSDT", "ETHUSDT"] > 0.3
    assert abs(returns.loc["BTCUSDT", "EURUSD"]) < 0.1
    assert days.dropna().pipe(np.log).diff().corr().loc["SPY", "VIX"] < -0.1


def test_before_the_first_generated_year_is_over_there_is_nothing() -> None:
    with pytest.raises(TooEarly, match="synthetic bars begin at 2022-01-01"):
        list(synthetic_bars(SOME, now=datetime(2022, 6, 1, tzinfo=UTC)))
