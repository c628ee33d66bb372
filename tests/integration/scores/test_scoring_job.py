"""The scoring job on a real database: what is scored, postponed, given up, and never counted twice."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import scoringrules
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from candlecast.clock import utc_now
from candlecast.scoring import fair_crps
from candlecast.store import migrate
from jobs.score import score
from tests.integration.scores.ledger import assert_sums_are_right
from tests.integration.scores.market import (
    HOUR,
    START,
    add_bars,
    add_instruments,
    at,
    forecast,
    issue,
    random_walk,
    rows_of,
)


@pytest.fixture
def market(engine: Engine) -> Engine:
    add_instruments(engine)
    return engine


def scores_of(engine: Engine) -> list[dict[str, Any]]:
    return rows_of(engine, "SELECT * FROM candlecast.prediction_scores ORDER BY issued_at, step, revision")


def test_a_pair_is_scored_against_the_bar_that_closed_at_its_target(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 100.0 * np.exp(0.025), 2: 50.0})
    row = forecast(0, drift=0.01)  # p50 one sigma up, the band from one below to three above
    issue(market, [row])

    report = score(market, "1h", as_of=at(2))

    (scored,) = scores_of(market)
    assert (report.n_scored, report.n_pending) == (1, 1)  # step 4 is still open
    assert scored["outcome"] == pytest.approx(100.0 * np.exp(0.025))
    assert scored["log_return"] == pytest.approx(0.025)
    assert (scored["hit"], scored["inside"], scored["above"], scored["below"]) == (True, True, False, False)
    assert scored["width"] == pytest.approx(4.0)
    assert scored["interval_score"] == pytest.approx(4.0)
    assert scored["abs_error"] == pytest.approx(1.5)
    assert row.paths is not None
    by_hand = fair_crps(np.log(row.paths[None, :, 0].astype(float) / 100.0), np.array([0.025]))[0] / 0.01
    assert scored["crps"] == pytest.approx(by_hand)
    assert len(scored["pinballs"]) == 11


def test_a_corrected_forecast_is_scored_as_the_model_gave_it_and_as_it_was_served(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 100.0 * np.exp(0.025)})
    row = forecast(0, model_name="kronos", factor=1.5)  # the model's band reaches two sigmas each way, the served three
    issue(market, [row])

    score(market, "1h", as_of=at(1))

    (scored,) = scores_of(market)
    assert (scored["raw_inside"], scored["raw_above"], scored["inside"], scored["above"]) == (False, True, True, False)
    assert (scored["raw_width"], scored["width"]) == pytest.approx((4.0, 6.0))
    assert (scored["raw_interval_score"], scored["interval_score"]) == pytest.approx((4.0 + 10 * 0.5, 6.0))
    assert scored["z"] == pytest.approx(2.5)
    assert row.paths is not None
    paths = np.log(row.paths[:, 0].astype(float) / 100.0) / 0.01  # in sigmas; served, 1.5 times that
    for name, served in (("crps", paths), ("calibrated_crps", 1.5 * paths)):
        by_library = scoringrules.crps_ensemble(2.5, served, estimator="fair")
        assert scored[name] == pytest.approx(by_library, rel=1e-6)  # paths as served are float32
    for name, served in (("pit", paths), ("calibrated_pit", 1.5 * paths)):
        rank = np.count_nonzero(served < 2.5)
        assert rank / 21 <= scored[name] < (rank + 1) / 21
    share = np.count_nonzero(paths > 0.0) / 20
    assert (scored["p_up"], scored["brier"]) == pytest.approx((share, (share - 1.0) ** 2))


def test_without_paths_rank_and_chance_of_a_rise_come_from_the_fan(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 100.0 * np.exp(0.0125)})
    issue(market, [forecast(0, model_name="kronos", n_paths=None, drift=0.005)])  # the levels are 0.5 sigmas apart

    score(market, "1h", as_of=at(1))

    (scored,) = scores_of(market)
    assert (scored["crps"], scored["calibrated_crps"]) == (None, None)
    # The outcome lies 0.75 sigmas over the median, between the levels 0.6 and 0.7; the last close on the level 0.4.
    assert 0.6 <= scored["pit"] <= 0.7
    assert (scored["p_up"], scored["brier"]) == pytest.approx((0.6, 0.16))


def test_a_missing_bar_postpones_and_does_not_score_zero(market: Engine) -> None:
    add_bars(market, {0: 100.0, 2: 101.0, 3: 102.0, 4: 103.0})
    issue(market, [forecast(0)])

    first = score(market, "1h", as_of=at(10))
    add_bars(market, {1: 99.0})
    second = score(market, "1h", as_of=at(11))

    assert (first.n_scored, first.n_overdue, first.n_voided) == (1, 1, 0)
    assert (second.n_scored, second.n_pending) == (1, 0)
    assert {row["step"]: row["outcome"] for row in scores_of(market)} == {1: 99.0, 4: 103.0}
    assert_sums_are_right(market)


def test_a_bar_that_is_missing_seven_days_makes_the_pair_void(market: Engine) -> None:
    add_bars(market, {0: 100.0, 4: 103.0})
    issue(market, [forecast(0)])

    before = score(market, "1h", as_of=at(1) + timedelta(days=7, seconds=-1))
    after = score(market, "1h", as_of=at(1) + timedelta(days=7))

    assert (before.n_voided, after.n_voided, after.n_pending) == (0, 1, 0)
    (void,) = rows_of(market, "SELECT step, reason FROM candlecast.score_voids")
    assert void == {"step": 1, "reason": "no bar"}
    assert [row["step"] for row in scores_of(market)] == [4]
    assert_sums_are_right(market)


def test_steps_that_had_closed_when_a_late_row_was_written_are_void(market: Engine) -> None:
    origin = utc_now() - 2 * HOUR
    add_bars(market, {hour: 100.0 + hour for hour in range(6)}, origin=origin)
    issue(market, [forecast(0, replay=False, origin=origin)])

    score(market, "1h", as_of=origin + 5 * HOUR)

    assert [(row["step"], row["record"]) for row in scores_of(market)] == [(4, "late")]
    assert rows_of(market, "SELECT step, record, reason FROM candlecast.score_voids") == [
        {"step": 1, "record": "late", "reason": "target had closed"}
    ]


def test_the_records_are_kept_apart(market: Engine) -> None:
    origin = utc_now() - timedelta(minutes=5)
    add_bars(market, {hour: 100.0 + hour for hour in range(6)}, origin=origin)
    issue(
        market,
        [
            forecast(0, replay=False, origin=origin, model_name="a"),
            forecast(0, replay=True, origin=origin, model_name="b"),
            forecast(0, replay=True, synthetic=True, origin=origin, model_name="c"),
            forecast(0, replay=False, synthetic=True, origin=origin, model_name="d"),
        ],
    )

    score(market, "1h", as_of=origin + HOUR)

    assert {row["model_name"]: row["record"] for row in scores_of(market)} == {
        "a": "live",
        "b": "replay",
        "c": "synthetic",
        "d": "synthetic",
    }


def test_a_bar_counts_only_when_it_was_seen_and_settled(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0})
    issue(market, [forecast(0)])
    with market.begin() as conn:
        conn.exec_driver_sql("UPDATE candlecast.instruments SET settle_s = 90")
        conn.exec_driver_sql("UPDATE candlecast.ohlcv_1h SET first_seen = closed_at + interval '5 minutes'")

    counts = [score(market, "1h", as_of=at(1) + timedelta(seconds=s)).n_scored for s in (0, 89, 90, 299, 300)]

    assert counts == [0, 0, 0, 0, 1]


def test_scoring_twice_changes_nothing(market: Engine) -> None:
    add_bars(market, random_walk(1, 60))
    issue(market, [forecast(hour) for hour in range(40)])
    tables = ("prediction_scores", "score_days", "score_totals", "score_voids")

    score(market, "1h", as_of=at(60))
    once = {table: rows_of(market, f"SELECT * FROM candlecast.{table} ORDER BY 1, 2, 3, 4, 5, 6") for table in tables}
    again = score(market, "1h", as_of=at(60))

    assert (again.n_scored, again.n_voided, again.n_revised) == (0, 0, 0)
    assert once == {
        table: rows_of(market, f"SELECT * FROM candlecast.{table} ORDER BY 1, 2, 3, 4, 5, 6") for table in tables
    }


def test_a_pair_that_is_put_into_the_queue_again_is_not_counted_again(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0})
    issue(market, [forecast(0)])
    queued = rows_of(market, "SELECT * FROM candlecast.score_pending WHERE step = 1")
    score(market, "1h", as_of=at(1))
    columns = ", ".join(queued[0])
    with market.begin() as conn:
        conn.exec_driver_sql(
            f"INSERT INTO candlecast.score_pending ({columns}) VALUES ({', '.join(['%s'] * len(queued[0]))})",
            tuple(queued[0].values()),
        )

    again = score(market, "1h", as_of=at(1))

    assert (again.n_scored, len(scores_of(market))) == (0, 1)
    assert_sums_are_right(market)


@pytest.mark.parametrize("seed", range(4))
def test_the_sums_follow_the_scores_whatever_happens_in_between(market: Engine, seed: int) -> None:
    """Forecasts arrive out of order, runs are cut off anywhere, bars come late; after every step all sums agree."""
    rng = np.random.default_rng(seed)
    walks = {symbol: random_walk(seed + index, 90, holes=0.15) for index, symbol in enumerate(("BTCUSDT", "ETHUSDT"))}
    late: dict[str, dict[int, float]] = {}
    for symbol, walk in walks.items():
        late[symbol] = {hour: price for hour, price in walk.items() if hour > 0 and rng.random() < 0.1}
        add_bars(market, {hour: price for hour, price in walk.items() if hour not in late[symbol]}, symbol)
    rows = [
        forecast(
            hour,
            walks[symbol].get(hour, 100.0),
            symbol=symbol,
            model_name=model_name,
            horizon=24,
            drift=float(rng.choice([-0.002, 0.0, 0.002])),
            n_paths=(20 if model_name == "baseline-rw" else None) if hour % 7 else 5,
            synthetic=bool(hour % 5 == 0),
        )
        for symbol in walks
        for model_name in ("baseline-rw", "kronos", "chronos")
        for hour in range(60)
        if rng.random() < 0.8
    ]
    rng.shuffle(rows)  # type: ignore[arg-type]
    parts = np.array_split(np.arange(len(rows)), 3)

    class Cut(Exception):
        pass

    def cut(n_scored: int) -> None:
        if rng.random() < 0.4:
            raise Cut

    for index, part in enumerate(parts):
        issue(market, [rows[place] for place in part])
        for hour in sorted(rng.integers(20, 90, 3).tolist()):
            try:
                score(market, "1h", as_of=at(hour), progress=cut, pairs_per_chunk=int(rng.integers(1, 60)))
            except Cut:
                assert_sums_are_right(market, bars=index < 2)
        if index == 1:
            for symbol, bars in late.items():
                if bars:
                    add_bars(market, bars, symbol)
    score(market, "1h", as_of=at(90) + timedelta(days=8))

    assert rows_of(market, "SELECT count(*) AS n FROM candlecast.score_pending") == [{"n": 0}]
    assert_sums_are_right(market)


def test_a_chunk_that_fails_leaves_the_queue_and_the_sums_as_they_were(market: Engine) -> None:
    add_bars(market, random_walk(3, 30))
    issue(market, [forecast(hour) for hour in range(20)])
    with market.begin() as conn:  # the last statement of the transaction fails, after scores were written
        conn.exec_driver_sql("ALTER TABLE candlecast.score_totals ADD CONSTRAINT broken CHECK (n < 8)")

    with pytest.raises(DBAPIError):
        score(market, "1h", as_of=at(30), pairs_per_chunk=10)

    assert len(scores_of(market)) + rows_of(market, "SELECT count(*) AS n FROM candlecast.score_pending")[0]["n"] == 40
    assert_sums_are_right(market)


def test_months_are_made_when_they_are_needed(market: Engine) -> None:
    issue(market, [forecast(0), forecast(40 * 24)])
    add_bars(market, {0: 100.0, 1: 100.0, 4: 100.0, 961: 100.0, 964: 100.0})

    score(market, "1h", as_of=START + timedelta(days=60))

    parts = rows_of(
        market,
        "SELECT tableoid::regclass::text AS part, count(*) AS n FROM candlecast.prediction_scores "
        "GROUP BY part ORDER BY part",
    )
    assert parts == [
        {"part": "candlecast.prediction_scores_202503", "n": 2},
        {"part": "candlecast.prediction_scores_202504", "n": 2},
    ]


@pytest.mark.parametrize("change", ["UPDATE {} SET step = step", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["prediction_scores", "prediction_scores_202503", "score_voids"])
def test_scores_are_append_only(market: Engine, table: str, change: str) -> None:
    add_bars(market, {0: 100.0, 1: 100.0})
    issue(market, [forecast(0)])
    score(market, "1h", as_of=at(1) + timedelta(days=30))

    with pytest.raises(DBAPIError, match="append-only"), market.begin() as conn:
        conn.exec_driver_sql(change.format(f"candlecast.{table}"))


def test_what_was_queued_survives_a_migration_down_and_up(market: Engine, database_url: str) -> None:
    add_bars(market, {0: 100.0, 1: 101.0, 4: 102.0})
    issue(market, [forecast(0, model_name="a"), forecast(0, model_name="b", synthetic=True)])
    columns = "prediction_id, step, target_at, record, too_late, issued_at, last_close, scale, p10, p50, p90, fan"
    query = f"SELECT {columns} FROM candlecast.score_pending ORDER BY prediction_id, step"
    before = rows_of(market, query)
    market.dispose()

    migrate.downgrade(database_url, "0001")
    migrate.upgrade(database_url)

    assert rows_of(market, query) == before
    assert score(market, "1h", as_of=at(4)).n_scored == 4
    assert {row["crps"] for row in scores_of(market)} == {None}  # only the paths stay packed
