"""The outcome of a forecast is the close of the bar that closed at its target, as it was known when it was scored."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecast
from candlecast.portfolio import Bars, Signals, calendar_time
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from jobs.predict import Request, predict
from jobs.score import score
from tests.conftest import drop_database, run_sql
from tests.leaks.asof import REQUEST, read
from tests.leaks.world import DAY, SETTLE, World, fill

pytestmark = pytest.mark.xdist_group("leaks-scores")  # one database for all

STEPS = {"1h": (1, 4, 24), "1d": (1, 5, 20)}
HOURLY = [datetime(2024, 11, 4, 15, 55, tzinfo=UTC) + k * timedelta(hours=5) for k in range(9)]
DAILY = [datetime(2024, 11, day, 5, 45, tzinfo=UTC) for day in (5, 6, 7)]
VOID_AFTER = timedelta(days=7)


@pytest.fixture(scope="module")
def issued(postgres: EmbeddedPostgres, template: str, world: World) -> Iterator[Engine]:
    """The world with a dozen slots forecast in it, nothing of which is scored."""
    name = f"leaks_{uuid.uuid4().hex}"
    run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    engine = create_engine(postgres.url(name), application_name="leaks")
    fill(engine, world)
    for interval, slots in (("1h", HOURLY), ("1d", DAILY)):
        for slot in slots:
            request = Request(interval=interval, slot=slot, **{**REQUEST, "n_paths": 4})  # type: ignore[arg-type]
            predict(engine, request, forecaster=None, run=None, deadline_s=60)
    yield engine
    engine.dispose()
    drop_database(postgres, name)


def rows(engine: Engine, query: str, **parameters: Any) -> list[Any]:
    with engine.connect() as conn:
        return list(conn.execute(text(query), parameters))


def answered(world: World, symbol: str, interval: str, target_at: datetime, as_of: datetime) -> float | None:
    """The close that an outsider could judge by at `as_of`, None while there is none."""
    known = world.known_bars(symbol, interval, as_of)
    hit = known[known["closed_at"] == pd.Timestamp(target_at)]
    return float(hit["close"].iloc[0]) if len(hit) else None


def assert_scored_as_known(engine: Engine, world: World, interval: str, as_of: datetime) -> int:
    said = rows(
        engine,
        "SELECT prediction_id, symbol, target_at, last_close, scale, issued_at FROM candlecast.ml_predictions"
        " WHERE interval = :interval",
        interval=interval,
    )
    newest = {
        (row.prediction_id, row.step): row
        for row in rows(
            engine,
            "SELECT * FROM candlecast.prediction_scores WHERE interval = :interval ORDER BY revision",
            interval=interval,
        )
    }
    known = {symbol: world.known_bars(symbol, interval, as_of).set_index("closed_at")["close"] for symbol in SETTLE}
    n_found = 0
    for row in said:
        for step in STEPS[interval]:
            target_at = pd.Timestamp(row.target_at[step - 1])
            outcome = known[row.symbol].get(target_at)
            found = newest.pop((row.prediction_id, step), None)
            if outcome is None:
                assert found is None, f"{row.symbol} {target_at} scored at {as_of}: nobody knew it"
                continue
            assert found is not None, f"{row.symbol} {target_at} was known at {as_of}"
            n_found += 1
            assert found.target_at == target_at
            assert found.outcome == outcome, f"{row.symbol} {target_at} as of {as_of}"
            assert found.log_return == pytest.approx(np.log(outcome / row.last_close), rel=1e-9, abs=1e-12)
            assert found.record == "replay"
    assert not newest, "scores of steps that nobody judges"
    return n_found


@pytest.mark.parametrize(("interval", "slots"), [("1h", HOURLY[::3]), ("1d", DAILY[:1])], ids=["1h", "1d"])
def test_the_ledger_holds_the_forecast_of_what_was_read(
    issued: Engine, world: World, interval: str, slots: list[datetime]
) -> None:
    """The whole job, replayed in a store that holds the future: its rows are those of the series of the slot."""
    for slot in slots:
        with issued.connect() as conn:
            found, _ = read(conn, interval, slot)
        assert found
        for symbol, one in found.items():
            query = "SELECT * FROM candlecast.ml_predictions WHERE (symbol, interval, issued_at) = (:s, :i, :at)"
            row = rows(issued, query, s=symbol, i=interval, at=one.series.issued_at)[0]
            newest = world.known_bars(symbol, interval, slot).iloc[-1]
            (walk,) = RandomWalk().forecast([one.series], horizon=24, n_paths=4)
            assert isinstance(walk, Forecast)
            assert (row.issued_at, row.last_close) == (newest["closed_at"], newest["close"])
            assert [at.replace(tzinfo=UTC) for at in one.target_at.astype("datetime64[s]").tolist()] == row.target_at
            assert row.target_at[0] > slot - timedelta(seconds=SETTLE[symbol])
            assert np.array_equal(np.array(row.fan).reshape(-1, 11), walk.fan)
            assert (bytes(row.data_hash), row.scale, row.seed) == (one.data_hash, one.scale, walk.seed)
            assert row.status == "replay"


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_scores_know_what_the_market_had_answered(issued: Engine, world: World, interval: str) -> None:
    """Run by run through time: settled, arrived, and with the corrections of by then, for better or worse."""
    counts = []
    for as_of in telling_moments(issued, world, interval):
        score(issued, interval, as_of=as_of)  # type: ignore[arg-type]
        counts.append(assert_scored_as_known(issued, world, interval, as_of))

    assert counts == sorted(counts)
    assert counts[-1] > (50 if interval == "1h" else 15)
    revised = rows(issued, "SELECT count(*) AS n FROM candlecast.prediction_scores WHERE revision > 0")
    assert interval == "1d" or revised[0].n > 0


def telling_moments(engine: Engine, world: World, interval: str) -> list[datetime]:
    """Moments that tell right from wrong: before and after a target settled, while its bar was on its way, and later.

    Nothing is asked for longer than a week after its target, when it would be given up.
    """
    first = HOURLY[0] if interval == "1h" else DAILY[0]
    last = first + (6 if interval == "1h" else 9) * DAY
    said = rows(engine, "SELECT * FROM candlecast.ml_predictions WHERE interval = :interval", interval=interval)
    bars = world.bars[world.bars["interval"] == interval].set_index(["symbol", "closed_at"])["first_seen"]
    around, on_the_way = [], []
    for row in said:
        for step in STEPS[interval]:
            settled = row.target_at[step - 1] + timedelta(seconds=SETTLE[row.symbol])
            came = bars.get((row.symbol, pd.Timestamp(row.target_at[step - 1])))
            if came is None or not first < settled < last:
                continue
            if came > pd.Timestamp(settled) + pd.Timedelta(minutes=2):
                on_the_way.append(settled + (came.to_pydatetime() - settled) / 2)
            else:
                around += [settled - timedelta(seconds=5), settled + timedelta(seconds=5)]
    around, on_the_way = sorted(set(around)), sorted(at for at in set(on_the_way) if at < last)
    some = (len(around) // 3 // 2) * 2
    return sorted([*around[:2], *around[some : some + 2], *on_the_way[:: max(1, len(on_the_way) // 3)][:3], last])


def test_a_bar_that_never_came_is_given_up_and_not_replaced(issued: Engine, world: World) -> None:
    as_of = HOURLY[-1] + 9 * DAY
    before = rows(issued, "SELECT count(*) AS n FROM candlecast.score_voids")[0].n
    score(issued, "1h", as_of=as_of)

    voids = rows(issued, "SELECT * FROM candlecast.score_voids WHERE interval = '1h'")
    assert before < len(voids)
    for row in voids:
        came = answered(world, row.symbol, "1h", row.target_at, row.target_at + VOID_AFTER)
        assert came is None, f"{row.symbol} {row.target_at} was judged missing and had come"
    left = rows(issued, "SELECT * FROM candlecast.score_pending WHERE interval = '1h' AND target_at <= :at", at=as_of)
    assert all(row.target_at > as_of - VOID_AFTER for row in left)


def test_positions_earn_the_bars_after_the_issue_and_none_before() -> None:
    """One bar at a time: a signal is held from the close that it knew to the close of its target."""
    rng = np.random.default_rng(5)
    closed_at = np.cumsum(rng.integers(1, 4, 60)) * 3600
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 60)))
    at = np.sort(rng.choice(50, 25, replace=False))
    steps = rng.integers(1, 9, 25)
    direction = rng.integers(-1, 2, 25)
    signals = Signals(np.zeros(25, np.int64), closed_at[at], closed_at[at + steps], direction, np.zeros(1, np.int64))

    found = calendar_time(signals, Bars(np.zeros(60, np.int64), closed_at, close)).returns

    wanted = {}
    for bar in range(1, 60):
        held = [d for start, n, d in zip(at, steps, direction, strict=True) if start <= bar - 1 and bar <= start + n]
        if held:
            wanted[int(closed_at[bar])] = float(np.mean(held) * np.log(close[bar] / close[bar - 1]))
    got = dict(zip(found.closed_at.tolist(), found.value.tolist(), strict=True))
    assert got == pytest.approx(wanted, abs=1e-12)


def test_a_signal_that_only_knows_the_past_earns_nothing_on_independent_returns() -> None:
    """Placebo: bet on the last move, of returns that are independent; a bar too early it would win every time."""
    rng = np.random.default_rng(6)
    n = 4000
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, n)))
    closed_at = np.arange(n) * 3600
    sign = np.sign(np.diff(close, prepend=100.0)).astype(np.int64)
    signals = Signals(np.zeros(n - 1, np.int64), closed_at[:-1], closed_at[1:], sign[:-1], np.zeros(1, np.int64))

    earned = calendar_time(signals, Bars(np.zeros(n, np.int64), closed_at, close)).returns.value

    assert len(earned) == n - 1
    assert abs(earned.mean() / earned.std() * np.sqrt(len(earned))) < 3.0
