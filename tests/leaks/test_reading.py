"""What a forecast reads at a moment is what an outsider had at that moment: not a row, not a number more."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from bench.events_plain import encode_plain
from candlecast.events import CHANNELS
from candlecast.forecasts import AMOUNT
from candlecast.sessions import Sessions
from tests.leaks.asof import POISON_CALENDAR, assert_all_same, forget, poison, read
from tests.leaks.world import DAY, HOUR, LEADERS, LOOKBACK, SETTLE, SYMBOLS, VALUES, World, instrument, schedule

pytestmark = pytest.mark.xdist_group("leaks-reading")  # one database for all

MOMENTS = [(interval, at) for interval, n in (("1h", 9), ("1d", 4)) for at in World.of().moments(interval, n, 1)]
NAMES = [f"{interval}-{at:%m%dT%H%M%S}" for interval, at in MOMENTS]
at_moments = pytest.mark.parametrize(("interval", "as_of"), MOMENTS, ids=NAMES)


def seconds(times: Any) -> list[int]:
    return np.asarray(times).astype("datetime64[s]").astype(np.int64).tolist()


@at_moments
def test_a_lookback_is_what_an_outsider_had(market: Engine, world: World, interval: str, as_of: datetime) -> None:
    with market.connect() as conn:
        found, _ = read(conn, interval, as_of)

    assert found
    for symbol, one in found.items():
        known = world.known_bars(symbol, interval, as_of).tail(LOOKBACK)
        # By close, not by place or opening: the newest bar had closed and settled, the next one had not.
        assert one.series.issued_at == known["closed_at"].iloc[-1], symbol
        assert one.series.issued_at + timedelta(seconds=SETTLE[symbol]) <= as_of
        assert seconds(one.series.opened_at) == [int(at.timestamp()) for at in known["ts"]], symbol
        # Holes stay holes, and a correction that came later is not in it.
        assert np.array_equal(one.series.ohlcv[:, :AMOUNT], known[VALUES].to_numpy()), symbol
        amount = known["volume"] * known[["open", "high", "low", "close"]].mean(axis=1)
        assert one.series.ohlcv[:, AMOUNT] == pytest.approx(amount.to_numpy(), rel=1e-12), symbol
        assert one.lookback_start == known["ts"].iloc[0]
        assert one.lookback_end == known["closed_at"].iloc[-1]
        assert one.series.last_close == known["close"].iloc[-1]
        assert one.scale == pytest.approx(plain_scale(known["close"].to_numpy()), rel=1e-12)
        assert not one.synthetic
        assert one.feed == "world"


def plain_scale(close: np.ndarray) -> float:
    """The volatility after the last close of all, by its definition."""
    moves = [float(np.log(after / before)) for before, after in pairwise(close)]
    variance = sum(move * move for move in moves) / len(moves)
    for move in moves:
        variance = 0.97 * variance + 0.03 * move * move
    return float(np.sqrt(variance))


@at_moments
def test_targets_are_the_bars_after_the_newest_one(market: Engine, interval: str, as_of: datetime) -> None:
    with market.connect() as conn:
        found, _ = read(conn, interval, as_of)

    for symbol in ("BTCUSDT", "ETHUSDT", "SPY", "AAPL"):
        if symbol in found:
            one = found[symbol]
            issued = one.series.issued_at
            coming = schedule(symbol, interval, floor(issued), floor(issued) + 60 * DAY)
            coming = [bar for bar in coming if bar[0] >= issued][:24]
            assert seconds(one.series.target_opened_at) == [int(opened.timestamp()) for opened, _ in coming], symbol
            assert seconds(one.target_at) == [int(closed.timestamp()) for _, closed in coming], symbol


def floor(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_symbol_whose_newest_bar_did_not_come_is_refused_and_never_shifted(market: Engine, world: World) -> None:
    n_refused = 0
    for interval, as_of in MOMENTS:
        with market.connect() as conn:
            found, refused = read(conn, interval, as_of)
        for symbol in ("BTCUSDT", "ETHUSDT"):
            unit = HOUR if interval == "1h" else DAY
            due = as_of - timedelta(seconds=SETTLE[symbol])
            newest = datetime.fromtimestamp(due.timestamp() // unit.total_seconds() * unit.total_seconds(), UTC)
            came = world.known_bars(symbol, interval, as_of)["closed_at"].iloc[-1] == newest
            is_stale = any(f"{symbol}: the newest" in sentence for sentence in refused)
            assert is_stale != came
            assert not (is_stale and symbol in found)
            n_refused += not came
    assert 0 < n_refused < len(MOMENTS)


@at_moments
def test_a_store_without_the_future_gives_the_same(market: Engine, interval: str, as_of: datetime) -> None:
    with market.connect() as conn, conn.begin() as transaction:
        before = read(conn, interval, as_of)
        forget(conn, as_of)
        after = read(conn, interval, as_of)
        transaction.rollback()

    assert_all_same(before, after)


@pytest.mark.parametrize("kind", POISON_CALENDAR)
@pytest.mark.parametrize(("interval", "as_of"), MOMENTS[::3], ids=NAMES[::3])
def test_a_poisoned_future_changes_nothing(market: Engine, interval: str, as_of: datetime, kind: str) -> None:
    with market.connect() as conn, conn.begin() as transaction:
        before = read(conn, interval, as_of)
        poison(conn, as_of, kind)
        after = read(conn, interval, as_of)
        transaction.rollback()

    assert_all_same(before, after)


@pytest.mark.parametrize("kind", POISON_CALENDAR)
def test_the_same_poison_of_the_past_changes_everything(market: Engine, kind: str) -> None:
    as_of = datetime(2024, 11, 13, 15, 55, tzinfo=UTC)
    with market.connect() as conn, conn.begin() as transaction:
        before, _ = read(conn, "1h", as_of)
        poison(conn, as_of - 6 * HOUR, kind)
        after, _ = read(conn, "1h", as_of)
        transaction.rollback()

    # The stock's last session lies 18 hours back, but its calendar is everybody's.
    assert all(after[symbol].data_hash != one.data_hash for symbol, one in before.items() if symbol in after)


@pytest.mark.parametrize(
    ("interval", "as_of", "symbol"),
    [
        ("1h", datetime(2024, 11, 8, 16, 31, tzinfo=UTC), "AAPL"),
        ("1h", datetime(2024, 11, 20, 4, 55, tzinfo=UTC), "BTCUSDT"),
        ("1d", datetime(2024, 11, 21, 5, 45, tzinfo=UTC), "SPY"),
    ],
)
def test_events_are_what_was_said_by_then(
    market: Engine, world: World, interval: str, as_of: datetime, symbol: str
) -> None:
    """Against the definitions, bar by bar and entry by entry, on frames cut at the moment of the issue."""
    with market.connect() as conn:
        one = read(conn, interval, as_of)[0][symbol]
    bars = world.known_bars(symbol, interval, as_of).tail(LOOKBACK)
    leaders = {}
    for name, leader in LEADERS.items():
        known = world.known_bars(leader, interval, as_of)
        closed_at = known["closed_at"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        leaders[name] = (closed_at, known["close"].to_numpy())

    plain = encode_plain(
        world.known_calendar(as_of),
        leaders,
        lambda calendar, closed: Sessions.of(calendar).session_elapsed(closed),
        symbol,
        instrument(symbol).calendar,
        [int(at.timestamp()) for at in bars["ts"]] + seconds(one.series.target_opened_at),
        [int(at.timestamp()) for at in bars["closed_at"]] + seconds(one.target_at),
        LOOKBACK,
        int(one.series.issued_at.timestamp()),
    )

    assert one.series.events is not None
    # Entries are read from the oldest bar's opening on: earnings earlier on that day are not known on its bars.
    day = one.series.opened_at[0].astype("datetime64[D]")
    n_first_day = int((one.series.opened_at.astype("datetime64[D]") == day).sum())
    for channel in CHANNELS:
        rows = slice(n_first_day if channel.name == "is_earnings" else 0, None)
        told, wanted = one.series.events[rows, channel.index], plain[rows, channel.index]
        assert told == pytest.approx(wanted, abs=2e-6), channel.name


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_a_bar_says_the_same_at_every_later_issue(quiet_market: Engine, interval: str) -> None:
    """A lookback row knows what was known at its own close: nothing that comes after it ever changes it."""
    unit = HOUR if interval == "1h" else DAY
    first = datetime(2024, 11, 12, 16, 55, tzinfo=UTC)
    with quiet_market.connect() as conn:
        early, _ = read(conn, interval, first)
        for steps in (1, 2, 5, 17):
            late, _ = read(conn, interval, first + steps * unit)
            for symbol in early.keys() & late.keys():
                one, other = early[symbol].series, late[symbol].series
                # The first row of a lookback takes in what happened while there was no bar before it.
                shared = np.flatnonzero(np.isin(one.opened_at, other.opened_at[1:]))
                again = np.flatnonzero(np.isin(other.opened_at, one.opened_at[shared]))
                assert np.array_equal(one.ohlcv[shared], other.ohlcv[again]), symbol
                assert one.events is not None
                assert other.events is not None
                assert np.array_equal(one.events[shared], other.events[again]), (symbol, steps)


def test_nothing_that_is_read_tells_the_next_return(quiet_market: Engine, quiet_world: World) -> None:
    """Placebo: returns are independent draws, leaders move with them, and every input is asked about the next one."""
    inputs, outcomes = [], []
    first = datetime(2024, 11, 4, 0, 55, tzinfo=UTC)
    truth = {
        symbol: quiet_world.bars[
            (quiet_world.bars["symbol"] == symbol) & (quiet_world.bars["interval"] == "1h")
        ].set_index("closed_at")["close"]
        for symbol in SYMBOLS
    }
    with quiet_market.connect() as conn:
        for k in range(110):
            found, _ = read(conn, "1h", first + k * 3 * HOUR, lookback=64, horizon=2)
            for symbol, one in found.items():
                target = one.target_at[0].astype("datetime64[s]").item().replace(tzinfo=UTC)
                if target in truth[symbol].index:
                    events = one.series.events
                    assert events is not None
                    moves = np.diff(np.log(one.series.ohlcv[-4:, :4]), axis=0)
                    inputs.append(np.r_[moves.ravel(), events[-3:-2].ravel(), events[-2:].ravel()])
                    outcomes.append(np.log(truth[symbol][target] / one.series.last_close) / one.scale)

    x, y = np.array(inputs), np.array(outcomes)
    x = x[:, x.std(axis=0) > 0]
    # Rank correlations: fat tails would make a few bars decide. 80 inputs of 500 forecasts: 4.5 is far beyond chance.
    ranks = np.argsort(np.argsort(x, axis=0), axis=0)
    order = np.argsort(np.argsort(y))
    z = [float(np.corrcoef(column, order)[0, 1]) * np.sqrt(len(y)) for column in ranks.T]
    assert len(y) > 300
    assert max(map(abs, z)) < 5.0
