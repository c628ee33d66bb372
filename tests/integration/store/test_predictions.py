"""Forecasts on record: the database seals them, refuses changes, and a second run changes nothing."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from candlecast.store.embedded import Role
from candlecast.store.ledger import verify
from candlecast.store.predictions import (
    BadForecast,
    Fence,
    LeaseLost,
    PredictionRow,
    existing,
    insert_predictions,
    read_paths,
)

from .forecast_rows import ISSUED, add_instruments, forecast_row

STEPS = (1, 4, 24)


@pytest.fixture
def writer(engine_as: Callable[[Role], Engine]) -> Engine:
    """The writer's engine on a database that knows three instruments."""
    engine = engine_as("writer")
    with engine.begin() as conn:
        add_instruments(conn, "BTCUSDT", "ETHUSDT", "SPY")
    return engine


def column(conn: Connection, expression: str) -> list[object]:
    return list(conn.execute(text(f"SELECT {expression} FROM candlecast.ml_predictions ORDER BY chain_seq")).scalars())


def put(engine: Engine, *rows: PredictionRow, fence: Fence | None = None) -> int:
    with engine.begin() as conn:
        return insert_predictions(conn, rows, scored_steps=STEPS, fence=fence)


def test_a_forecast_is_read_back_as_it_was_written(writer: Engine) -> None:
    row = forecast_row(horizon=5, n_paths=3)

    assert put(writer, row) == 1

    with writer.connect() as conn:
        stored = conn.execute(text("SELECT * FROM candlecast.ml_predictions")).one()
    assert stored.prediction_id == row.prediction_id
    assert stored.target_at == row.target_at
    assert stored.p10 == np.asarray(row.p10).tolist()
    assert stored.fan == np.asarray(row.fan).reshape(-1).tolist()
    assert stored.event_context == {"is_fomc": True, "note": "naïve"}
    assert bytes(stored.data_hash).hex() == row.data_hash
    assert (stored.seed, stored.horizon, stored.n_paths) == (7, 5, 3)


def test_forecasts_of_different_horizons_go_in_together(writer: Engine) -> None:
    rows = [forecast_row("BTCUSDT", horizon=2), forecast_row("ETHUSDT", horizon=7), forecast_row("SPY", horizon=1)]

    assert put(writer, *rows) == 3

    with writer.connect() as conn:
        assert column(conn, "p90") == [np.asarray(row.p90).tolist() for row in rows]
        assert column(conn, "cardinality(fan)") == [22, 77, 11]


def test_the_order_given_is_the_order_in_the_chain(writer: Engine) -> None:
    put(writer, forecast_row("SPY"), forecast_row("BTCUSDT"), forecast_row("ETHUSDT"))

    with writer.connect() as conn:
        assert column(conn, "symbol") == ["SPY", "BTCUSDT", "ETHUSDT"]
        assert column(conn, "chain_seq") == [1, 2, 3]


def test_a_second_run_changes_nothing_and_counts_nothing(writer: Engine) -> None:
    put(writer, forecast_row("BTCUSDT", n_paths=2))
    with writer.connect() as conn:
        before = conn.execute(text("SELECT * FROM candlecast.ml_predictions")).all()

    other_numbers = forecast_row("BTCUSDT", n_paths=2, last_close=1.0, seed=8)
    assert put(writer, other_numbers, forecast_row("ETHUSDT")) == 1

    with writer.connect() as conn:
        assert conn.execute(text("SELECT * FROM candlecast.ml_predictions WHERE chain_seq = 1")).all() == before
        assert column(conn, "symbol") == ["BTCUSDT", "ETHUSDT"]
        assert verify(conn).ok


def test_the_same_forecast_twice_in_one_statement_is_one_row(writer: Engine) -> None:
    assert put(writer, forecast_row("BTCUSDT"), forecast_row("BTCUSDT"), forecast_row("ETHUSDT")) == 2

    with writer.connect() as conn:
        assert column(conn, "chain_seq") == [1, 2]
        assert verify(conn).ok


def test_the_databases_clock_says_whether_a_forecast_is_late(writer: Engine) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    put(
        writer,
        forecast_row("BTCUSDT"),
        forecast_row("ETHUSDT", issued_at=past),
        forecast_row("SPY", issued_at=past, replay=True),
    )

    with writer.connect() as conn:
        assert column(conn, "status") == ["on_time", "late", "replay"]


def test_the_caller_sets_neither_the_time_nor_the_place_in_the_chain(writer: Engine) -> None:
    put(writer, forecast_row("BTCUSDT"))
    forged = (
        "INSERT INTO candlecast.ml_predictions (prediction_id, chain_seq, symbol, interval, model_name, model_version, "
        "issued_at, horizon, target_at, last_close, scale, p10, p50, p90, fan, seed, n_paths, lookback_start, "
        "lookback_end, data_hash, event_context, synthetic, status, recorded_at, prev_hash, row_hash) "
        "SELECT gen_random_uuid(), 99, 'ETHUSDT', interval, model_name, model_version, '2020-01-01', horizon, "
        "ARRAY['2020-01-01 01:00Z'::timestamptz, '2020-01-01 02:00Z', '2020-01-01 03:00Z', '2020-01-01 04:00Z'], "
        "last_close, scale, p10, p50, p90, fan, seed, n_paths, '2019-12-01', '2020-01-01', data_hash, event_context, "
        "synthetic, 'on_time', '2020-01-01', '', '' FROM candlecast.ml_predictions"
    )

    with writer.begin() as conn:
        conn.execute(text(forged))

    with writer.connect() as conn:
        assert column(conn, "chain_seq") == [1, 2]
        assert column(conn, "status") == ["on_time", "late"]
        assert column(conn, "abs(extract(epoch FROM now() - recorded_at)) < 60") == [True, True]
        assert verify(conn).ok


@pytest.mark.parametrize("role", ["owner", "superuser"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE candlecast.ml_predictions SET scale = 2",
        "DELETE FROM candlecast.ml_predictions",
        "TRUNCATE candlecast.ml_predictions CASCADE",
    ],
)
def test_not_even_the_owner_rewrites_a_forecast(
    writer: Engine, engine_as: Callable[[Role], Engine], role: Role, statement: str
) -> None:
    put(writer, forecast_row("BTCUSDT"))

    with engine_as(role).connect() as conn:
        with pytest.raises(DBAPIError, match="candlecast.ml_predictions is append-only"):
            conn.execute(text(statement))
        conn.rollback()
        assert column(conn, "scale") == [0.01]


def test_an_upsert_does_not_rewrite_a_forecast(writer: Engine, engine_as: Callable[[Role], Engine]) -> None:
    put(writer, forecast_row("BTCUSDT"))
    upsert = (
        "INSERT INTO candlecast.ml_predictions SELECT * FROM candlecast.ml_predictions "
        "ON CONFLICT (prediction_id) DO UPDATE SET scale = 2"
    )

    with engine_as("owner").connect() as conn, pytest.raises(DBAPIError, match="append-only"):
        conn.execute(text(upsert))


def test_a_forecast_and_its_paths_and_its_queue_are_one_transaction(writer: Engine) -> None:
    with writer.connect() as conn:
        insert_predictions(conn, [forecast_row(n_paths=3)], scored_steps=STEPS, fence=None)
        conn.rollback()
        counts = (
            "SELECT (SELECT count(*) FROM candlecast.ml_predictions), "
            "(SELECT count(*) FROM candlecast.prediction_paths), (SELECT count(*) FROM candlecast.score_pending), "
            "(SELECT coalesce(sum(chain_seq), 0) FROM candlecast.ledger_heads)"
        )
        assert conn.execute(text(counts)).one() == (0, 0, 0, 0)
        insert_predictions(conn, [forecast_row(n_paths=3)], scored_steps=STEPS, fence=None)
        conn.commit()
        assert conn.execute(text(counts)).one() == (1, 1, 2, 1)  # steps 1 and 4; the horizon ends before 24


def test_paths_come_back_bit_for_bit(writer: Engine) -> None:
    row = forecast_row(horizon=6, n_paths=9)
    put(writer, row, forecast_row("ETHUSDT"))

    with writer.connect() as conn:
        read = read_paths(conn, [row.prediction_id, forecast_row("ETHUSDT").prediction_id])

    assert list(read) == [row.prediction_id]
    assert row.paths is not None
    assert read[row.prediction_id].tobytes() == row.paths.tobytes()


def test_existing_names_what_is_there_for_these_issue_times(writer: Engine) -> None:
    later = ISSUED + timedelta(hours=1)
    put(writer, forecast_row("BTCUSDT"), forecast_row("ETHUSDT", issued_at=later))

    with writer.connect() as conn:
        assert existing(conn, "1h", "baseline-rw", {ISSUED, later}) == {("BTCUSDT", ISSUED), ("ETHUSDT", later)}
        assert existing(conn, "1h", "baseline-rw", {later}) == {("ETHUSDT", later)}
        assert existing(conn, "1d", "baseline-rw", {ISSUED}) == set()
        assert existing(conn, "1h", "baseline-rw", set()) == set()


def test_chains_of_models_and_intervals_are_apart(writer: Engine) -> None:
    put(
        writer,
        forecast_row("BTCUSDT"),
        forecast_row("BTCUSDT", model_name="kronos-base"),
        forecast_row("BTCUSDT", interval="1d"),
        forecast_row("ETHUSDT"),
    )

    with writer.connect() as conn:
        heads = conn.execute(text("SELECT model_name, interval, chain_seq FROM candlecast.ledger_heads ORDER BY 1, 2"))
        assert heads.all() == [("baseline-rw", "1d", 1), ("baseline-rw", "1h", 2), ("kronos-base", "1h", 1)]


def test_writers_at_the_same_time_append_one_after_the_other(writer: Engine) -> None:
    n_writers, n_groups = 4, 10
    start = Barrier(n_writers)
    failures: list[BaseException] = []

    def append(number: int) -> None:
        try:
            start.wait()
            for group in range(n_groups):
                issued_at = ISSUED + timedelta(hours=group)
                # Every group holds rows of the other writers' too, and the chains come in another order.
                rows = [
                    forecast_row(symbol, issued_at=issued_at + timedelta(minutes=number % 2), model_name=model_name)
                    for model_name in (("a", "b") if number % 2 else ("b", "a"))
                    for symbol in ("BTCUSDT", "ETHUSDT")
                ]
                put(writer, *rows)
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=append, args=(number,)) for number in range(n_writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    with writer.begin() as conn:
        report = verify(conn)
    assert report.ok
    assert {chain: length for chain, (length, _) in report.heads.items()} == {("a", "1h"): 40, ("b", "1h"): 40}


def lease(engine: Engine, token: int) -> None:
    statement = (
        "INSERT INTO candlecast.job_leases VALUES ('kronos-batch-1h', 'me', :token, now(), now()) "
        "ON CONFLICT (job) DO UPDATE SET token = excluded.token"
    )
    with engine.begin() as conn:
        conn.execute(text(statement), {"token": token})


def test_the_holder_of_the_lease_writes(writer: Engine) -> None:
    lease(writer, 3)

    assert put(writer, forecast_row(), fence=Fence("kronos-batch-1h", 3)) == 1


def test_a_run_whose_lease_was_taken_over_writes_nothing(writer: Engine) -> None:
    lease(writer, 4)

    with pytest.raises(LeaseLost, match="token 3 was taken over") as lost:
        put(writer, forecast_row(), fence=Fence("kronos-batch-1h", 3))

    assert lost.value.exit_code == 75
    with writer.connect() as conn:
        assert column(conn, "symbol") == []


def test_a_lease_cannot_be_taken_over_between_the_check_and_the_commit(writer: Engine) -> None:
    lease(writer, 3)
    with writer.connect() as conn, writer.connect() as rival:
        insert_predictions(conn, [forecast_row()], scored_steps=STEPS, fence=Fence("kronos-batch-1h", 3))
        rival.execute(text("SET LOCAL lock_timeout = '100ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            rival.execute(text("UPDATE candlecast.job_leases SET token = 4"))
        conn.commit()


BASE = forecast_row(horizon=3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"p10": np.array([99.0, 99.0])}, r"p10 has the shape \(2,\)"),
        ({"fan": np.full((3, 10), 100.0)}, r"fan has the shape \(3, 10\)"),
        ({"target_at": BASE.target_at[:2]}, "2 target times for a horizon of 3"),
        ({"target_at": BASE.target_at[::-1]}, "target times do not rise"),
        ({"p50": np.array([100.0, np.nan, 100.0])}, "not finite"),
        ({"p90": np.array([102.0, 102.0, 98.0])}, "does not hold at step 3"),
        ({"fan": np.asarray(BASE.fan)[:, ::-1]}, "does not rise along the levels at step 1"),
        ({"scale": 0.0}, "scale above 0"),
        ({"last_close": float("inf")}, "have to be finite"),
        ({"paths": np.zeros((2, 3), np.float32), "n_paths": 5}, r"\(2, 3\), not \(5, 3\)"),
    ],
)
def test_what_is_no_forecast_is_refused_by_name_and_reason(
    writer: Engine, changes: dict[str, object], reason: str
) -> None:
    with pytest.raises(BadForecast, match=f"BTCUSDT 1h: the forecast by baseline-rw .* is not stored: .*{reason}"):
        put(writer, forecast_row("ETHUSDT"), replace(BASE, **changes))  # type: ignore[arg-type]

    with writer.connect() as conn:
        assert column(conn, "symbol") == []


@pytest.mark.parametrize(
    "broken",
    ["p10 = p90, p90 = p10", "fan = fan[2:]", "p50[2] = 'NaN'", "fan[7] = 'Infinity'", "fan[7] = NULL", "horizon = 3"],
)
def test_the_database_refuses_it_as_well(writer: Engine, broken: str) -> None:
    """For writers that are not this program."""
    put(writer, forecast_row("BTCUSDT"))
    with writer.begin() as conn:
        conn.execute(text("CREATE TEMP TABLE forged ON COMMIT DROP AS SELECT * FROM candlecast.ml_predictions"))
        conn.execute(text(f"UPDATE forged SET symbol = 'ETHUSDT', prediction_id = gen_random_uuid(), {broken}"))
        with pytest.raises(IntegrityError, match=r"the forecast of ETHUSDT 1h by baseline-rw .* is not stored"):
            conn.execute(text("INSERT INTO candlecast.ml_predictions SELECT * FROM forged"))
        conn.rollback()
