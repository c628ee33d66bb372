"""What is never scored, and why: rules that were fixed before any forecast was issued, counted by reason."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, text

from candlecast.clock import utc_now
from candlecast.scoring import VOID_REASONS
from jobs.score import score
from tests.integration.scores.ledger import assert_sums_are_right
from tests.integration.scores.market import (
    HOUR,
    START,
    add_bars,
    add_instruments,
    at,
    correct_bar,
    forecast,
    issue,
    random_walk,
    rows_of,
)


@pytest.fixture
def market(engine: Engine) -> Engine:
    add_instruments(engine)
    add_bars(engine, {0: 100.0})
    return engine


def voids_of(engine: Engine) -> list[tuple[int, str]]:
    rows = rows_of(engine, "SELECT step, reason FROM candlecast.score_voids ORDER BY target_at, step")
    return [(row["step"], row["reason"]) for row in rows]


def steps_scored(engine: Engine) -> list[int]:
    return [row["step"] for row in rows_of(engine, "SELECT step FROM candlecast.prediction_scores ORDER BY step")]


@pytest.mark.parametrize(("state", "reason"), [("halt", "halt"), ("no_trade", "no trade"), ("missing", "no bar")])
def test_a_target_bar_that_is_not_final_makes_the_pair_void_at_once(market: Engine, state: str, reason: str) -> None:
    add_bars(market, {1: 101.0}, state=state)
    add_bars(market, {4: 102.0})
    issue(market, [forecast(0)])

    before, after = (score(market, "1h", as_of=at(1) + seconds * HOUR / 3600) for seconds in (-1, 0))
    score(market, "1h", as_of=at(4))

    assert (before.voids, after.voids, after.n_scored) == ({}, {reason: 1}, 0)
    assert voids_of(market) == [(1, reason)]
    assert steps_scored(market) == [4]
    assert_sums_are_right(market)


def test_a_bar_that_has_not_settled_makes_nothing_void_yet(market: Engine) -> None:
    add_bars(market, {1: 101.0}, state="halt")
    issue(market, [forecast(0)])
    with market.begin() as conn:
        conn.exec_driver_sql("UPDATE candlecast.instruments SET settle_s = 90")

    counts = [score(market, "1h", as_of=at(1) + timedelta(seconds=s)).n_voided for s in (89, 90)]

    assert counts == [0, 1]


def test_a_bar_of_another_feed_than_the_lookback_is_no_outcome(market: Engine) -> None:
    add_bars(market, {1: 101.0}, source="exchange")
    add_bars(market, {4: 102.0}, source="archive")
    issue(market, [forecast(0, feed="archive")])

    report = score(market, "1h", as_of=at(4))

    assert report.voids == {"feed switched": 1}
    assert voids_of(market) == [(1, "feed switched")]
    assert steps_scored(market) == [4]
    assert_sums_are_right(market)


def test_a_forecast_without_a_feed_is_not_held_to_one(market: Engine) -> None:
    add_bars(market, {1: 101.0}, source="exchange")
    issue(market, [forecast(0)])

    assert score(market, "1h", as_of=at(1)).n_scored == 1


def test_the_feed_that_counts_is_that_of_the_bar_as_it_was_known(market: Engine) -> None:
    # Seen from the pinned feed, corrected by another one an hour later: judged in between it is scored, and stays so.
    add_bars(market, {1: 101.0}, source="archive")
    issue(market, [forecast(0, feed="archive")])
    correct_bar(market, 1, 103.0, revised_at=at(2))
    with market.begin() as conn:
        conn.exec_driver_sql("UPDATE candlecast.ohlcv_1h SET source = 'correction' WHERE close = 103")

    first = score(market, "1h", as_of=at(1.5))
    second = score(market, "1h", as_of=at(3))

    assert (first.n_scored, first.voids) == (1, {})
    assert (second.n_revised, second.voids) == (0, {})
    assert rows_of(market, "SELECT outcome, revision FROM candlecast.prediction_scores") == [
        {"outcome": 101.0, "revision": 0}
    ]


@pytest.mark.parametrize("state", ["halt", "no_trade"])
def test_a_correction_to_a_bar_that_may_not_judge_leaves_the_score_as_it_was(market: Engine, state: str) -> None:
    add_bars(market, {1: 101.0})
    issue(market, [forecast(0)])
    score(market, "1h", as_of=at(1))
    correct_bar(market, 1, 103.0, revised_at=at(2))
    with market.begin() as conn:
        conn.execute(text("UPDATE candlecast.ohlcv_1h SET state = :state WHERE close = 103"), {"state": state})

    assert score(market, "1h", as_of=at(3)).n_revised == 0
    assert len(rows_of(market, "SELECT 1 FROM candlecast.prediction_scores")) == 1


def test_every_reason_is_counted_by_itself_and_shown(market: Engine) -> None:
    # Hourly issues at 0 to 4; the bars at 1 to 4 are bad in four ways, and one forecast is written too late.
    add_bars(market, {1: 100.0}, state="halt")
    add_bars(market, {2: 100.0}, state="no_trade")
    add_bars(market, {3: 100.0}, source="exchange")
    add_bars(market, {5: 104.0})
    issue(market, [forecast(hour, horizon=1, feed="test") for hour in range(5)])

    report = score(market, "1h", as_of=at(4) + timedelta(days=7))

    assert report.voids == {"halt": 1, "no trade": 1, "feed switched": 1, "no bar": 1}
    (row,) = rows_of(
        market, "SELECT n, n_voids, voids FROM candlecast.signal_performance WHERE step = 1 AND \"window\" = 'all'"
    )
    assert row == {"n": 1, "n_voids": 4, "voids": report.voids}
    assert_sums_are_right(market)


def test_a_late_row_is_counted_apart_and_its_closed_steps_are_void(market: Engine) -> None:
    origin = utc_now() - 2 * HOUR
    add_bars(market, {1: 101.0, 4: 102.0}, origin=origin, state="halt")
    issue(market, [forecast(0, replay=False, origin=origin)])

    report = score(market, "1h", as_of=origin + 5 * HOUR)

    # That the target had closed is said first: nothing about its bar matters then.
    assert report.voids == {"target had closed": 1, "halt": 1}
    rows = rows_of(market, "SELECT DISTINCT record FROM candlecast.score_voids")
    assert rows == [{"record": "late"}]


def test_the_reasons_in_code_are_those_that_the_database_takes(market: Engine) -> None:
    (row,) = rows_of(
        market,
        "SELECT pg_get_constraintdef(oid) AS rule FROM pg_constraint WHERE conname = 'score_voids_reason_check'",
    )
    assert sorted(row["rule"].split("'")[1::2]) == sorted(VOID_REASONS)

    reasons = rows_of(
        market,
        "SELECT DISTINCT candlecast.void_reason(state, source, feed) AS reason FROM "
        "unnest(ARRAY['final', 'halt', 'missing', 'no_trade']) AS state, unnest(ARRAY['a', 'b']) AS source, "
        "unnest(ARRAY['a', NULL]) AS feed",
    )
    assert {row["reason"] for row in reasons} == {None, *VOID_REASONS} - {"target had closed"}


@pytest.mark.parametrize("state", ["final", "halt"])
@pytest.mark.parametrize("feed", [None, "a", "b"])
def test_what_is_void_is_never_scored_and_what_is_not_is(market: Engine, state: str, feed: str | None) -> None:
    """The scorer's short way past the rules says the same as the rules."""
    add_bars(market, {1: 101.0}, state=state, source="a")
    issue(market, [forecast(0, horizon=1, feed=feed)])

    report = score(market, "1h", as_of=at(1))

    (rule,) = rows_of(market, "SELECT candlecast.void_reason(:state, 'a', :feed) AS reason", state=state, feed=feed)
    assert (report.n_scored, report.n_voided) == ((1, 0) if rule["reason"] is None else (0, 1))


def test_voids_do_not_come_back_when_a_run_is_repeated(market: Engine) -> None:
    add_bars(market, {1: 101.0}, state="halt")
    add_bars(market, {hour: close for hour, close in random_walk(1, 30).items() if hour > 1})
    issue(market, [forecast(hour) for hour in range(20)])

    first = score(market, "1h", as_of=START + 30 * HOUR)
    again = score(market, "1h", as_of=START + 30 * HOUR)

    assert (first.n_voided, again.n_voided) == (1, 0)
    assert_sums_are_right(market)
