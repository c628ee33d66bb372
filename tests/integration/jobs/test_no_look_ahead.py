"""Promise 1: a forecast issued at t reads only what was known at t, through the whole job and a real database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from candlecast.lookback import Prepared
from candlecast.store.instruments import read_instruments
from jobs.predict import BASELINE, Request, predict, read_series
from tests.small_market import SLOT, SYMBOLS, Market, random_bars

REQUEST = Request(interval="1h", slot=SLOT, model_name=BASELINE, horizon=24, lookback=200, n_paths=20, replay=True)

POISON = (
    # Every later bar, in place. Of leaders too: they are bars like any other.
    "UPDATE candlecast.ohlcv_{interval} SET open = 1e9, high = 1e9, low = 1e9, close = 1e9, volume = 1e9 "
    "WHERE closed_at > :as_of",
    # Every later vintage of the calendar, and what it says.
    "UPDATE candlecast.economic_calendar SET actual = 1e9, forecast = 1e9, previous = 1e9, impact = 'High' "
    "WHERE known_at > :as_of",
)


def inputs(market: Market, request: Request) -> dict[str, Prepared]:
    with market.engine.connect() as conn:
        prepared, refused = read_series(conn, request, read_instruments(conn))
    assert refused == []
    return {one.series.symbol: one for one in prepared}


def poison(market: Market, interval: str, as_of: datetime) -> None:
    with market.engine.begin() as conn:
        # The store refuses such edits; an adversary, or a bug, is let past the trigger for the test.
        conn.execute(text("ALTER TABLE candlecast.economic_calendar DISABLE TRIGGER USER"))
        for statement in POISON:
            conn.execute(text(statement.format(interval=interval)), {"as_of": as_of})
        conn.execute(text("ALTER TABLE candlecast.economic_calendar ENABLE TRIGGER USER"))


def assert_same(before: dict[str, Prepared], after: dict[str, Prepared]) -> None:
    assert before.keys() == after.keys()
    for symbol, one in before.items():
        # The hash covers every number that a forecaster may read: bars, times, events, targets.
        assert after[symbol].data_hash == one.data_hash, symbol
        assert after[symbol].event_context == one.event_context, symbol


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(interval=st.sampled_from(["1h", "1d"]), hours_back=st.integers(0, 24 * 40))
def test_poisoning_everything_that_became_known_later_changes_no_input(
    market: Market, interval: Any, hours_back: int
) -> None:
    slot = SLOT - timedelta(hours=hours_back)
    request = replace(REQUEST, interval=interval, slot=slot)
    with market.engine.connect() as conn:
        before, refused_before = read_series(conn, request, read_instruments(conn))

    with market.engine.connect() as conn:
        transaction = conn.begin()
        conn.execute(text("ALTER TABLE candlecast.economic_calendar DISABLE TRIGGER USER"))
        for statement in POISON:
            conn.execute(text(statement.format(interval=interval)), {"as_of": slot})
        after, refused_after = read_series(conn, request, read_instruments(conn))
        transaction.rollback()

    assert refused_before == refused_after
    assert_same({one.series.symbol: one for one in before}, {one.series.symbol: one for one in after})


def test_the_poison_works(market: Market) -> None:
    """The same poison a moment earlier does change the inputs: the test above can fail."""
    before = inputs(market, REQUEST)

    poison(market, "1h", SLOT - timedelta(hours=3))

    after = inputs(market, REQUEST)
    assert all(after[symbol].data_hash != before[symbol].data_hash for symbol in SYMBOLS)


def test_a_forming_bar_in_the_table_changes_nothing(market: Market) -> None:
    before = inputs(market, REQUEST)

    # 15:00 to 16:00 is in the table already, and has not closed at 15:55.
    with market.engine.begin() as conn:
        forming = {"ts": SLOT.replace(hour=15, minute=0)}
        n = conn.execute(text("UPDATE candlecast.ohlcv_1h SET close = high WHERE ts = :ts"), forming).rowcount
    assert n > 0

    assert_same(before, inputs(market, REQUEST))


def test_a_correction_that_arrives_later_changes_no_replay(market: Market) -> None:
    before = inputs(market, REQUEST)

    corrected = random_bars("BTCUSDT", "1h", SLOT - timedelta(days=150), SLOT + timedelta(days=12), 1)
    corrected.loc[corrected["ts"] >= SLOT - timedelta(days=2), ["open", "high", "low", "close"]] *= 1.5
    market.store("1h", {"BTCUSDT": corrected})

    assert_same(before, inputs(market, REQUEST))


def ledger(market: Market) -> list[tuple[Any, ...]]:
    columns = "symbol, issued_at, target_at, last_close, scale, p10, p50, p90, fan, seed, data_hash, event_context"
    with market.engine.connect() as conn:
        query = text(f"SELECT {columns} FROM candlecast.ml_predictions ORDER BY symbol")
        return [tuple(row) for row in conn.execute(query)]


def test_a_replay_equals_the_forecast_made_live_from_the_same_rows(market: Market) -> None:
    # Live: nothing later than the slot exists yet.
    with market.engine.begin() as conn:
        later = {
            table: conn.execute(
                text(f"SELECT count(*) FROM candlecast.{table} WHERE {column} > :slot"), {"slot": SLOT}
            ).scalar_one()
            for table, column in (("ohlcv_1h", "closed_at"), ("economic_calendar", "known_at"))
        }
        assert all(n > 0 for n in later.values())
        conn.execute(
            text("CREATE TABLE later_bars AS SELECT * FROM candlecast.ohlcv_1h WHERE closed_at > :slot"), {"slot": SLOT}
        )
        conn.execute(text("DELETE FROM candlecast.ohlcv_1h WHERE closed_at > :slot"), {"slot": SLOT})
        conn.execute(text("ALTER TABLE candlecast.economic_calendar DISABLE TRIGGER USER"))
        conn.execute(
            text("CREATE TABLE later_news AS SELECT * FROM candlecast.economic_calendar WHERE known_at > :slot"),
            {"slot": SLOT},
        )
        conn.execute(text("DELETE FROM candlecast.economic_calendar WHERE known_at > :slot"), {"slot": SLOT})
    predict(market.engine, replace(REQUEST, replay=False), forecaster=None, run=None, deadline_s=60)
    live = ledger(market)
    assert len(live) == len(SYMBOLS)

    with market.engine.begin() as conn:
        conn.execute(text("INSERT INTO candlecast.ohlcv_1h SELECT * FROM later_bars"))
        conn.execute(text("INSERT INTO candlecast.economic_calendar SELECT * FROM later_news"))
        conn.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER USER"))
        for table in ("prediction_paths", "score_pending", "ml_predictions", "ledger_heads"):
            conn.execute(text(f"DELETE FROM candlecast.{table}"))
        conn.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE TRIGGER USER"))
    predict(market.engine, REQUEST, forecaster=None, run=None, deadline_s=60)

    assert ledger(market) == live


@pytest.mark.parametrize("moment", [datetime(2025, 3, 9, 8, 55, tzinfo=UTC), datetime(2025, 3, 10, 14, 55, tzinfo=UTC)])
def test_targets_never_lie_in_what_was_read(market: Market, moment: datetime) -> None:
    """Around the night in which New York's clocks change."""
    with market.engine.connect() as conn:
        prepared, _ = read_series(conn, replace(REQUEST, slot=moment), read_instruments(conn))

    for one in prepared:
        assert one.series.opened_at[-1] < one.series.target_opened_at[0]
        assert one.target_at[0] > one.series.target_opened_at[0]
        assert (one.target_at[1:] > one.target_at[:-1]).all()
