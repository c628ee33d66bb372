"""The view: what its numbers mean, who may refresh it, and what a refresh costs."""

import json
import math
import threading
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from candlecast.scoring import effective_sample
from candlecast.store.scores import refresh_performance
from candlecast.store.sql import read
from jobs.score import score
from tests.integration.scores.ledger import stored_totals
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, random_walk, rows_of


@pytest.fixture
def market(engine: Engine) -> Engine:
    add_instruments(engine)
    return engine


def performance(engine: Engine, **filters: Any) -> dict[str, Any]:
    where = " AND ".join(f'"{name}" = :{name}' for name in filters)
    (row,) = rows_of(engine, f"SELECT * FROM candlecast.signal_performance WHERE {where}", **filters)
    return row


def add_days(engine: Engine, n_days: int, last: date = date(2025, 12, 31), **sums: float) -> None:
    """Days of one series of every instrument, and their totals."""
    names, values = ", ".join(sums), ", ".join(f"CAST(:{name} AS double precision)" for name in sums)
    with engine.begin() as conn:
        conn.execute(
            text(
                f"INSERT INTO candlecast.score_days (symbol, interval, model_name, record, step, day, {names}) "
                f"SELECT symbol, '1h', 'kronos', 'live', 24, CAST(:last AS date) - back, {values} "
                "FROM candlecast.instruments, generate_series(0, :n_days - 1) AS back"
            ),
            {"last": last, "n_days": n_days, **sums},
        )
        totals = ", ".join(f"sum({name})" for name in sums)
        conn.execute(text("TRUNCATE candlecast.score_totals"))
        conn.execute(
            text(
                "INSERT INTO candlecast.score_totals "
                f"(symbol, interval, model_name, record, step, last_target_at, {names}) "
                "SELECT symbol, interval, model_name, record, step, CAST(:last AS date) + interval '12 hours', "
                f"{totals} FROM candlecast.score_days GROUP BY symbol, interval, model_name, record, step"
            ),
            {"last": last},
        )
        refresh_performance(conn)


def test_rates_means_and_the_wilson_interval_by_hand(market: Engine) -> None:
    add_days(
        market, 1, n=24, n_moves=20, n_hits=12, n_ups=13, n_inside=18, n_below=2, n_above=4, pinball=12.0, width=48
    )

    row = performance(market, symbol="BTCUSDT", window="all")

    assert (row["n"], row["hit_rate"], row["naive_hit_rate"]) == (24, 0.6, 0.65)
    assert row["n_eff"] == pytest.approx(effective_sample(24, 24)) == pytest.approx(24 / 11.04)
    assert (row["coverage"], row["below"], row["above"]) == pytest.approx((0.75, 2 / 24, 4 / 24))
    assert (row["pinball"], row["width"]) == pytest.approx((0.5, 2.0))
    # Wilson (1927) with n = 20 / 11.04 independent outcomes and z = 1.96
    n, p, z = 20 / 11.04, 0.6, 1.959963984540054
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    assert (row["hit_rate_low"], row["hit_rate_high"]) == pytest.approx((low, high))
    assert (row["crps"], row["skill"], row["sharpe"]) == (None, None, None)


def test_skill_is_the_ratio_of_means_on_common_rows(market: Engine) -> None:
    add_bars(market, random_walk(8, 200))
    rows = [forecast(hour, drift=0.001) for hour in range(150)]
    rows += [forecast(hour, model_name="kronos", scale=0.02, seed=1) for hour in range(50, 180)]
    issue(market, rows)

    score(market, "1h", as_of=at(200))

    row = performance(market, model_name="kronos", step=1, window="all")
    pairs = rows_of(
        market,
        "SELECT a.pinball AS model, b.pinball AS base, a.crps AS model_crps, b.crps AS base_crps "
        "FROM candlecast.prediction_scores AS a JOIN candlecast.prediction_scores AS b USING (issued_at, step) "
        "WHERE a.model_name = 'kronos' AND b.model_name = 'baseline-rw' AND step = 1",
    )
    model, base, model_crps, base_crps = (np.array([pair[name] for pair in pairs]) for name in pairs[0])
    assert row["n_common"] == 100
    assert row["skill"] == pytest.approx(1 - model.mean() / base.mean())
    assert row["crps_skill"] == pytest.approx(1 - model_crps.mean() / base_crps.mean())
    assert row["skill_se"] == pytest.approx((base - model).std() / math.sqrt(100) / base.mean())
    assert performance(market, model_name="baseline-rw", step=1, window="all")["skill"] is None


def test_the_baseline_may_be_scored_first_or_last(market: Engine) -> None:
    add_bars(market, random_walk(9, 60))
    model = [forecast(hour, model_name="kronos", seed=1) for hour in range(40)]
    baseline = [forecast(hour, drift=0.001) for hour in range(40)]
    issue(market, model)
    score(market, "1h", as_of=at(60))
    assert performance(market, model_name="kronos", step=1, window="all")["skill"] is None

    issue(market, baseline)
    score(market, "1h", as_of=at(60))

    assert performance(market, model_name="kronos", step=1, window="all")["n_common"] == 40


def test_sharpe_is_annual_with_its_error_and_needs_thirty_bars(market: Engine) -> None:
    # 48 bars with a mean of 0.001 and a variance of 0.0004 (n - 1)
    squares = 47 * 0.0004 + 48 * 0.001**2
    add_days(market, 1, n=48, n_bars=48, bar_return=0.048, bar_square=squares)

    crypto, share = (performance(market, symbol=symbol, window="all") for symbol in ("BTCUSDT", "AAPL"))

    assert crypto["sharpe"] == pytest.approx(0.05 * math.sqrt(8760))
    assert crypto["sharpe_se"] == pytest.approx(math.sqrt((1 + 0.05**2 / 2) / 48 * 8760))
    assert share["sharpe"] == pytest.approx(0.05 * math.sqrt(1764))
    assert (crypto["n_bars"], share["bars_per_year"]) == (48, 1764)


@pytest.mark.parametrize(("n_bars", "total", "square"), [(29, 0.5, 0.02), (40, 0.0, 0.0), (40, 0.4, 0.004), (0, 0, 0)])
def test_no_sharpe_from_few_bars_or_from_bars_that_do_not_vary(
    market: Engine, n_bars: int, total: float, square: float
) -> None:
    add_days(market, 1, n=48, n_bars=n_bars, bar_return=total, bar_square=square)

    row = performance(market, symbol="BTCUSDT", window="all")

    assert (row["sharpe"], row["sharpe_se"]) == (None, None)


def test_windows_end_with_the_newest_judged_day(market: Engine) -> None:
    add_days(market, 200, n=24)

    assert {
        row["window"]: row["n"]
        for row in rows_of(market, "SELECT * FROM candlecast.signal_performance WHERE symbol = 'BTCUSDT'")
    } == {"30d": 30 * 24, "90d": 90 * 24, "all": 200 * 24}


def test_no_number_comes_as_a_decimal(market: Engine) -> None:
    add_bars(market, random_walk(10, 60))
    issue(market, [forecast(hour, model_name=name) for hour in range(40) for name in ("baseline-rw", "kronos")])
    score(market, "1h", as_of=at(60))

    rows = rows_of(market, "SELECT * FROM candlecast.signal_performance")

    assert len(rows) == 2 * 2 * 3
    assert not [name for row in rows for name, value in row.items() if isinstance(value, Decimal)]


def test_refreshing_again_gives_the_same_rows(market: Engine) -> None:
    add_bars(market, random_walk(11, 60))
    issue(market, [forecast(hour) for hour in range(40)])
    score(market, "1h", as_of=at(60))

    def rows() -> list[dict[str, Any]]:
        found = rows_of(market, 'SELECT * FROM candlecast.signal_performance ORDER BY symbol, step, "window"')
        return [{name: value for name, value in row.items() if name != "updated_at"} for row in found]

    before = rows()
    with market.begin() as conn:
        refresh_performance(conn)

    assert rows() == before


def test_a_reader_is_not_blocked_while_the_view_is_refreshed(
    market: Engine, engine_as: Callable[[str], Engine]
) -> None:
    add_days(market, 5, n=24)
    reader = engine_as("reader")
    refreshed, seen = threading.Event(), threading.Event()

    def refresh_and_wait() -> None:
        with market.begin() as conn:  # the lock of a refresh is held until its transaction ends
            refresh_performance(conn)
            refreshed.set()
            seen.wait(timeout=20)

    thread = threading.Thread(target=refresh_and_wait)
    thread.start()
    assert refreshed.wait(timeout=20)
    try:
        # A blocked reader would give up at its lock_timeout, long before the refresh lets go.
        rows = rows_of(reader, "SELECT count(*) AS n FROM candlecast.signal_performance")
    finally:
        seen.set()
        thread.join()

    assert rows[0]["n"] > 0


def test_the_writer_scores_and_refreshes_and_the_reader_only_reads(
    market: Engine, engine_as: Callable[[str], Engine]
) -> None:
    add_bars(market, random_walk(12, 60))
    issue(market, [forecast(hour, model_name=name) for hour in range(40) for name in ("baseline-rw", "kronos")])
    writer, reader = engine_as("writer"), engine_as("reader")

    report = score(writer, "1h", as_of=at(60))

    assert report.n_scored > 0
    for table in ("signal_performance", "prediction_scores", "score_days", "score_totals", "score_voids"):
        assert rows_of(reader, f"SELECT count(*) AS n FROM candlecast.{table}")[0]["n"] >= 0
    for statement in (
        "SELECT candlecast.refresh_signal_performance()",
        "SELECT candlecast.ensure_score_partitions(now(), now())",
        "DELETE FROM candlecast.score_days",
        "INSERT INTO candlecast.score_marks VALUES ('1h', now())",
        "SELECT * FROM candlecast.prediction_scores_202503",
    ):
        with pytest.raises(ProgrammingError, match="permission denied"), reader.begin() as conn:
            conn.exec_driver_sql(statement)
    with pytest.raises(ProgrammingError, match="permission denied"), writer.begin() as conn:
        conn.exec_driver_sql("DELETE FROM candlecast.prediction_scores")


def rows_read(engine: Engine, table: str) -> int:
    """Rows of `table` that making the view reads, by EXPLAIN ANALYZE."""
    with engine.connect() as conn:
        plan = conn.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {read('views/signal_performance_2')}",
            execution_options={"no_parameters": True},
        ).scalar_one()
    total = 0

    def walk(node: dict[str, Any]) -> None:
        nonlocal total
        if node.get("Relation Name") == table:
            read_in_one = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
            total += round(read_in_one * node["Actual Loops"])
        for child in node.get("Plans", []):
            walk(child)

    walk((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    return total


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_refresh_reads_no_more_rows_after_three_years_than_after_one(market: Engine, analyzed: bool) -> None:
    counts = {}
    n_series = rows_of(market, "SELECT count(*) AS n FROM candlecast.instruments")[0]["n"]
    for years in (1, 3):
        with market.begin() as conn:
            conn.exec_driver_sql("TRUNCATE candlecast.score_days")
        add_days(market, 365 * years, n=24)
        if analyzed:
            with market.begin() as conn:
                conn.exec_driver_sql("ANALYZE candlecast.score_days, candlecast.score_totals")
        counts[years] = rows_read(market, "score_days")

    assert counts == {1: n_series * (30 + 90), 3: n_series * (30 + 90)}


def test_the_sums_in_code_are_the_columns_in_the_database(market: Engine) -> None:
    add_bars(market, random_walk(13, 10))
    issue(market, [forecast(0)])
    score(market, "1h", as_of=at(10))
    columns = rows_of(
        market,
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = 'candlecast' AND table_name = 'score_totals' ORDER BY ordinal_position",
    )

    (sums,) = [sums for key, sums in stored_totals(market).items() if key[-1] == 1]

    assert sorted(sums) == sorted(row["column_name"] for row in columns[6:])


def test_the_band_as_served_stands_beside_the_band_of_the_model(market: Engine) -> None:
    add_days(
        market, 1, n=20, n_crps=10, n_brier=8, n_inside=16, n_below=1, n_above=3, n_raw_inside=10, n_raw_below=4,
        n_raw_above=6, interval_score=60.0, raw_interval_score=90.0, width=50.0, raw_width=40.0, crps=12.0,
        calibrated_crps=11.0, pinball=14.0, calibrated_pinball=13.0, brier=2.0, calibrated_brier=1.8,
    )  # fmt: skip

    row = performance(market, symbol="BTCUSDT", window="30d")

    assert (row["coverage"], row["raw_coverage"]) == (0.8, 0.5)
    assert (row["below"], row["above"], row["raw_below"], row["raw_above"]) == (0.05, 0.15, 0.2, 0.3)
    assert (row["interval_score"], row["raw_interval_score"], row["width"], row["raw_width"]) == (3.0, 4.5, 2.5, 2.0)
    assert (row["crps"], row["calibrated_crps"]) == pytest.approx((1.2, 1.1))
    assert (row["pinball"], row["calibrated_pinball"]) == pytest.approx((0.7, 0.65))
    assert (row["brier"], row["calibrated_brier"], row["n_brier"]) == pytest.approx((0.25, 0.225, 8))


@pytest.mark.parametrize(
    ("n", "n_bars", "n_eff"),
    [
        (240, 240, 240 / 11.04),  # a forecast on every bar
        (60, 240, 60 / 2.76),  # on every fourth: neighbours share 20 of 24 bars
        (10, 240, 10.0),  # on every 24th: they share none
        (240, 0, 240 / 11.04),  # nothing known of the bars
        (240, 120, 240 / 11.04),  # more forecasts than bars overlap no more than one on every bar
    ],
)
def test_forecasts_issued_less_often_overlap_less(market: Engine, n: int, n_bars: int, n_eff: float) -> None:
    add_days(market, 1, n=n, n_moves=n, n_hits=n // 2, n_bars=n_bars)

    row = performance(market, symbol="BTCUSDT", window="all")

    assert row["n_eff"] == pytest.approx(n_eff)
    assert row["n_eff"] == pytest.approx(effective_sample(n, 24, spacing_bars=(n_bars or n) / n))


def test_turnover_is_per_bar_and_voids_come_by_reason(market: Engine) -> None:
    add_days(market, 1, n=48, n_bars=40, turnover=10.0, n_voids=5, n_voids_halt=3, n_voids_feed=2, n_moves=40)

    row = performance(market, symbol="BTCUSDT", window="90d")

    assert (row["turnover"], row["n_voids"], row["voids"]) == (0.25, 5, {"halt": 3, "feed switched": 2})


def test_the_served_band_is_compared_with_the_baselines_on_common_rows(market: Engine) -> None:
    add_bars(market, random_walk(8, 200))
    rows = [forecast(hour, drift=0.001) for hour in range(150)]
    rows += [forecast(hour, model_name="kronos", scale=0.02, seed=1, factor=1.5) for hour in range(50, 180)]
    issue(market, rows)

    score(market, "1h", as_of=at(200))

    row = performance(market, model_name="kronos", step=1, window="all")
    pairs = rows_of(
        market,
        "SELECT a.interval_score AS served, a.calibrated_crps AS crps, b.interval_score AS base, b.crps AS base_crps "
        "FROM candlecast.prediction_scores AS a JOIN candlecast.prediction_scores AS b USING (issued_at, step) "
        "WHERE a.model_name = 'kronos' AND b.model_name = 'baseline-rw' AND step = 1",
    )
    served, crps, base, base_crps = (np.array([pair[name] for pair in pairs]) for name in pairs[0])
    assert len(pairs) == row["n_common"] == 100
    assert row["interval_skill"] == pytest.approx(1 - served.mean() / base.mean())
    assert row["calibrated_crps_skill"] == pytest.approx(1 - crps.mean() / base_crps.mean())
    assert row["calibrated_crps_skill"] != pytest.approx(row["crps_skill"])
