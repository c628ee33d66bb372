"""An encoder that was given the whole future, as a training gives it, still tells each row only what was known then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from candlecast.calendar import FirstPrints, first_prints
from candlecast.channels import CHANNELS, KNOWN_FUTURE, PAST_ONLY
from candlecast.events import EventEncoder
from candlecast.leaders import LeaderBars, level_z, log_returns
from tests.leaks.world import LEADERS, World, instrument

N_LOOKBACK, N_HORIZON = 160, 60
Leaders = dict[str, tuple[np.ndarray, np.ndarray]]
CASES = [(symbol, last) for symbol, last in (("AAPL", 400), ("BTCUSDT", 1900), ("EURUSD", 1300), ("BTCUSDT", 2200))]


def grid(world: World, symbol: str) -> tuple[np.ndarray, np.ndarray]:
    bars = world.bars[(world.bars["symbol"] == symbol) & (world.bars["interval"] == "1h")]
    return naive(bars["ts"]), naive(bars["closed_at"])


def naive(times: pd.Series) -> np.ndarray:
    return times.dt.tz_localize(None).to_numpy().astype("datetime64[s]")


def leaders(world: World) -> Leaders:
    hourly = world.bars[world.bars["interval"] == "1h"]
    of = {name: hourly[hourly["symbol"] == symbol] for name, symbol in LEADERS.items()}
    return {name: (naive(bars["closed_at"]), bars["close"].to_numpy()) for name, bars in of.items()}


def encode(symbol: str, last: int, world: World, entries: pd.DataFrame, bars: Leaders) -> np.ndarray:
    """The tensor as of the close of the symbol's bar number `last` - 1."""
    return encoded(symbol, last, world, entries, bars)[0]


def encoded(
    symbol: str, last: int, world: World, entries: pd.DataFrame, bars: Leaders
) -> tuple[np.ndarray, dict[str, Any]]:
    """The tensor, and what the ledger keeps about it."""
    opened, closed = grid(world, symbol)
    back, ahead = slice(last - N_LOOKBACK, last), slice(last, last + N_HORIZON)
    times = (opened[back], closed[back], opened[ahead], closed[ahead])
    encoder = EventEncoder(entries, bars)
    return encoder.tensor_and_context(instrument(symbol), "1h", *times, issued_at=instant(closed[last - 1]))


def instant(at: np.datetime64) -> datetime:
    return datetime.fromtimestamp(int(at.astype(np.int64)), UTC)


def later_leaders(bars: Leaders, after: np.datetime64, value: float | None) -> Leaders:
    """Bars that closed later at another price, or gone."""
    if value is None:
        return {name: (closed[closed <= after], close[closed <= after]) for name, (closed, close) in bars.items()}
    return {name: (closed, np.where(closed > after, value, close)) for name, (closed, close) in bars.items()}


@pytest.mark.parametrize(("symbol", "last"), CASES)
def test_a_whole_future_in_the_encoder_is_not_read(quiet_world: World, symbol: str, last: int) -> None:
    bars, moment = leaders(quiet_world), grid(quiet_world, symbol)[1][last - 1]
    known = quiet_world.known_calendar(instant(moment))
    truncated, told = encoded(symbol, last, quiet_world, known, later_leaders(bars, moment, None))

    whole, whole_told = encoded(symbol, last, quiet_world, quiet_world.calendar, bars)
    assert np.array_equal(whole, truncated)
    assert whole_told == told
    entries = quiet_world.calendar.copy()
    entries.loc[entries["known_at"] > pd.Timestamp(instant(moment)), ["forecast", "previous", "actual"]] = 1e6
    assert np.array_equal(encode(symbol, last, quiet_world, entries, later_leaders(bars, moment, 1e6)), truncated)


@pytest.mark.parametrize(("symbol", "last"), CASES)
@pytest.mark.parametrize("back", [1, 3, 50, 120])
def test_a_row_knows_nothing_that_came_after_its_own_close(
    quiet_world: World, symbol: str, last: int, back: int
) -> None:
    """Cut inside the lookback: what became known after a row's close changes neither that row nor those before it."""
    assert_blind_to_later(quiet_world, symbol, last, back)


@pytest.mark.parametrize(("symbol", "last"), CASES)
def test_the_bar_before_a_release_does_not_know_it(quiet_world: World, symbol: str, last: int) -> None:
    """The same cut, right before each of the newest numbers that came within the lookback."""
    closed = grid(quiet_world, symbol)[1]
    entries = quiet_world.calendar
    told = naive(entries[np.isfinite(entries["actual"]) & entries["family"].notna()]["known_at"])
    rows = np.unique(np.searchsorted(closed, told, side="right"))
    inside = rows[(rows > last - N_LOOKBACK) & (rows < last)]

    assert len(inside) >= 3
    for row in inside[-7:]:
        assert_blind_to_later(quiet_world, symbol, last, last - int(row))


def assert_blind_to_later(world: World, symbol: str, last: int, back: int) -> None:
    """All but the newest `back` rows of the lookback know nothing of what came after their own last close."""
    bars, row = leaders(world), N_LOOKBACK - back
    moment = grid(world, symbol)[1][last - back - 1]
    before = encode(symbol, last, world, world.calendar, bars)

    entries = world.calendar.copy()
    later = entries["known_at"] > pd.Timestamp(instant(moment))
    entries.loc[later, ["forecast", "previous"]] = 0.0
    entries.loc[later, "actual"] = -1e6
    entries.loc[later, "ts"] += pd.Timedelta(days=3)
    entries.loc[later, "impact"] = "High"
    after = encode(symbol, last, world, entries, later_leaders(bars, moment, 1e6))
    cut = encode(symbol, last, world, entries[~later], later_leaders(bars, moment, None))

    assert np.array_equal(before[:row], after[:row])
    assert np.array_equal(before[:row], cut[:row])
    assert not np.array_equal(before, after)


def test_the_horizon_holds_schedules_and_no_values(quiet_world: World) -> None:
    for symbol, last in CASES:
        tensor = encode(symbol, last, quiet_world, quiet_world.calendar, leaders(quiet_world))
        for channel in PAST_ONLY:
            assert not tensor[N_LOOKBACK:, channel.index].any(), channel.name
            assert tensor[:N_LOOKBACK, channel.index].any() or "surprise" in channel.name or "fomc" in channel.name
    values = {"cpi_surprise_z", "fomc_hawkish_score", "nfp_surprise_z", "vix_level_z"}
    values |= {f"{name}_log_return" for name in ("btc", "spy", "dxy")}
    assert {one.name for one in PAST_ONLY} == values
    assert {one.name for one in KNOWN_FUTURE} == {one.name for one in CHANNELS} - values


def test_a_surprise_is_measured_by_what_was_forecast_before_and_surprises_before(quiet_world: World) -> None:
    """From first prints alone: later vintages, and the surprises that followed, do not move it."""
    whole = first_prints(quiet_world.calendar)
    for family in ("CPI", "NFP"):
        all_of_them = FirstPrints.surprises(whole, family)
        assert all_of_them.told.sum() >= 5
        for at in all_of_them.visible_at[all_of_them.told][-5:]:
            moment = instant(np.datetime64(int(at), "s"))
            then = FirstPrints.surprises(first_prints(quiet_world.known_calendar(moment)), family)
            assert then.visible_at[-1] == at
            here = all_of_them.visible_at == at
            assert then.value[then.visible_at == at].tolist() == all_of_them.value[here].tolist()


def test_a_print_is_visible_when_it_was_known_and_never_before_its_time() -> None:
    entry = {"entry_id": "1", "currency": "USD", "event": "CPI y/y", "impact": "High", "family": "CPI", "symbol": None}
    due = pd.Timestamp("2024-11-13T13:30Z")
    numbers = {"forecast": 2.6, "previous": 2.4}
    rows = [
        {**entry, "known_at": due - pd.Timedelta(days=40), "ts": due},
        {**entry, "known_at": due - pd.Timedelta(days=1), "ts": due, "forecast": 2.5},
        {**entry, "known_at": due + pd.Timedelta(minutes=7), "ts": due, **numbers, "actual": 2.8},
        {**entry, "known_at": due + pd.Timedelta(days=30), "ts": due, **numbers, "actual": 2.9, "forecast": 2.9},
    ]
    frame = pd.DataFrame(rows).astype({"forecast": float, "previous": float, "actual": float})

    first = first_prints(frame)

    assert first["actual"].tolist() == [2.8]
    assert first["forecast"].tolist() == [2.5]  # the snapshot before, not what the print or the revision said of it
    assert first["previous"].tolist() == [2.4]
    assert first["visible_at"].tolist() == [int((due + timedelta(minutes=7)).timestamp())]


def test_a_leader_is_read_by_its_close_and_only_once_it_closed() -> None:
    """Leader bars that close at 10:00 and 11:00; rows that close a second before, at, and a second after 11:00."""
    at = np.array(["2024-11-13T10:00:00", "2024-11-13T11:00:00", "2024-11-13T12:00:00"], dtype="datetime64[s]")
    moves = log_returns(LeaderBars.of(at, np.array([100.0, 110.0, 1e6])))
    closed = at[1].astype(np.int64) + np.array([-1, 0, 1])

    assert moves.closing_within(closed - 3000, closed).tolist() == [0.0, np.log(1.1), np.log(1.1)]
    # Nothing is carried: a row in which no leader bar closed says nothing.
    assert moves.closing_within(closed[2:], closed[2:] + 600).tolist() == [0.0]


def test_a_level_is_measured_by_the_closes_before_it() -> None:
    rng = np.random.default_rng(2)
    close = 20 + np.cumsum(rng.normal(0, 0.5, 600))
    at = np.datetime64("2022-01-01", "s") + np.arange(600) * np.timedelta64(86400, "s")
    z = level_z(LeaderBars.of(at, close)).value

    for k in (20, 100, 251, 252, 300, 599):
        past = close[max(0, k - 252) : k]
        assert z[k] == pytest.approx(np.clip((close[k] - past.mean()) / past.std(ddof=1), -10, 10), rel=1e-9)
        assert level_z(LeaderBars.of(at[: k + 1], close[: k + 1])).value[k] == z[k]
