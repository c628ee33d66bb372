"""The verifier finds every change that a superuser could force on the record, and names the first row it touches."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError

from candlecast.store import ledger
from candlecast.store.embedded import Role
from candlecast.store.ledger import VerifyReport, verify
from candlecast.store.predictions import insert_predictions
from candlecast.store.tables import ml_predictions

from .forecast_rows import ISSUED, add_instruments, forecast_row

N_ROWS = 9
VICTIM = 5

# One bit, or the smallest step, in every column; the triggers and constraints are out of the way.
FLIPS = {
    "prediction_id": "overlay(prediction_id::text placing 'f' from 1 for 1)::uuid",
    "chain_seq": "chain_seq + 1000",
    "symbol": "'SPY'",
    "interval": "'1d'",
    "model_name": "'baseline-rv'",
    "model_version": "overlay(model_version placing 'c' from 1 for 1)",
    "issued_at": "issued_at - interval '1 microsecond'",
    "horizon": "horizon # 1",
    "target_at": "array_replace(target_at, target_at[4], target_at[4] + interval '1 microsecond')",
    "last_close": "last_close + 1.4210854715202004e-14",
    "scale": "scale * (1 + 2.220446049250313e-16)",
    "p10": "array_replace(p10, p10[2], p10[2] - 1.4210854715202004e-14)",
    "p50": "array_replace(p50, p50[2], p50[2] + 1.4210854715202004e-14)",
    "p90": "array_replace(p90, p90[2], p90[2] + 1.4210854715202004e-14)",
    "fan": "array_replace(fan, fan[44], fan[44] + 1.4210854715202004e-14)",
    "seed": "seed # 1",
    "n_paths": "n_paths # 1",
    "lookback_start": "lookback_start + interval '1 microsecond'",
    "lookback_end": "lookback_end - interval '1 microsecond'",
    "data_hash": "set_bit(data_hash, 77, 1 - get_bit(data_hash, 77))",
    "event_context": "event_context || '{\"is_fomc\": false}'",
    "synthetic": "NOT synthetic",
    "paths_hash": "set_bit(paths_hash, 0, 1 - get_bit(paths_hash, 0))",
    "status": "'late'",
    "run_id": "12",
    "recorded_at": "recorded_at - interval '1 microsecond'",
    "prev_hash": "set_bit(prev_hash, 255, 1 - get_bit(prev_hash, 255))",
    "row_hash": "set_bit(row_hash, 0, 1 - get_bit(row_hash, 0))",
    "feed": "'binance'",
    "calibration": "'{}'",
}
IN_THE_WAY = (
    "calibration_check",
    "model_name_interval_chain_seq_key",
    "symbol_interval_model_name_issued_at_key",
    "counts_check",
    "lengths_check",
    "lookback_check",
    "status_check",
    "target_at_check",
)


@pytest.fixture
def forger(engine_as: Callable[[Role], Engine]) -> Iterator[Connection]:
    """A superuser with the triggers and foreign keys switched off, on a chain of nine forecasts."""
    with engine_as("writer").begin() as conn:
        add_instruments(conn, "BTCUSDT", "SPY")
        for number in range(N_ROWS):
            row = forecast_row(issued_at=ISSUED + timedelta(hours=number), n_paths=3)
            insert_predictions(conn, [row], scored_steps=(1,), fence=None)
    with engine_as("superuser").connect() as conn:
        conn.execute(text("SET session_replication_role = replica"))
        for constraint in IN_THE_WAY:
            conn.execute(text(f"ALTER TABLE candlecast.ml_predictions DROP CONSTRAINT ml_predictions_{constraint}"))
        yield conn


def force(conn: Connection, statement: str) -> VerifyReport:
    conn.execute(text(statement))
    return verify(conn)


def test_an_untouched_ledger_verifies(forger: Connection) -> None:
    seen: list[tuple[int, int]] = []

    report = verify(forger, progress=lambda done, total: seen.append((done, total)))

    assert report.ok
    assert (report.n_chains, report.n_rows, report.n_paths, report.n_paths_absent) == (1, N_ROWS, N_ROWS, 0)
    assert seen[-1] == (N_ROWS, N_ROWS)
    (length, newest), *_ = report.heads.values()
    stored = forger.execute(text("SELECT chain_seq, encode(row_hash, 'hex') FROM candlecast.ledger_heads")).one()
    assert (length, newest) == tuple(stored)


def test_every_column_has_its_flip() -> None:
    assert set(FLIPS) == {column.name for column in ml_predictions.columns}


@pytest.mark.parametrize("column", FLIPS)
def test_a_flipped_bit_is_found_and_its_row_named(forger: Connection, column: str) -> None:
    report = force(
        forger, f"UPDATE candlecast.ml_predictions SET {column} = {FLIPS[column]} WHERE chain_seq = {VICTIM}"
    )

    # A row that says it is another model's or interval's is missing here, and surplus in a chain of its own.
    broken = {(found.model_name, found.interval): found for found in report.breaks}
    found = broken["baseline-rw", "1h"]
    assert found.chain_seq == VICTIM
    if column not in ("chain_seq", "interval", "model_name"):
        assert found.issued_at is not None
        assert abs(found.issued_at - (ISSUED + timedelta(hours=VICTIM - 1))) <= timedelta(microseconds=1)
        assert found.prediction_id is not None
        assert f"row {VICTIM} (" in str(found)


@pytest.mark.parametrize(
    "change",
    [
        "feed = 'files'",
        "feed = NULL",
        "calibration = NULL",
        "feed = NULL, calibration = NULL",
        "calibration = jsonb_set(calibration, '{factors, 0, 0}', '1.2000000000000004')",  # next after ...02
    ],
)
def test_a_change_of_what_corrected_a_forecast_is_found(forger: Connection, change: str) -> None:
    """As if it had been served as the model gave it, or otherwise, or from another source."""
    corrected = {"steps": [1], "factors": [[1.2000000000000002] + [1.0] * 10], "n_eff": [0.0]}
    rows = [
        forecast_row(issued_at=ISSUED + timedelta(hours=number), model_name="kronos-base", feed=feed, calibration=made)
        for number, (feed, made) in enumerate(
            [(None, None), ("binance", corrected), ("binance", None), (None, corrected)]
        )
    ]
    forger.execute(text("SET session_replication_role = origin"))
    insert_predictions(forger, rows, scored_steps=(1,), fence=None)
    assert verify(forger, model_name="kronos-base").ok
    forger.execute(text("SET session_replication_role = replica"))

    report = force(
        forger, f"UPDATE candlecast.ml_predictions SET {change} WHERE model_name = 'kronos-base' AND chain_seq = 2"
    )

    assert report.first_broken is not None
    assert (report.first_broken.model_name, report.first_broken.chain_seq) == ("kronos-base", 2)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"feed": ""}, "feed_check"),  # would hash like none
        ({"model_name": "baseline-rw", "calibration": {"factors": []}}, "calibration_check"),  # a yardstick moves not
    ],
)
def test_a_row_that_could_mislead_is_refused(
    engine_as: Callable[[Role], Engine], changes: dict[str, Any], rule: str
) -> None:
    with engine_as("writer").begin() as conn:
        add_instruments(conn, "BTCUSDT")
        with pytest.raises(IntegrityError, match=rule):
            insert_predictions(conn, [forecast_row(**changes)], scored_steps=(1,), fence=None)


@pytest.mark.parametrize("victim", [1, VICTIM, N_ROWS])
def test_a_deleted_row_is_missed(forger: Connection, victim: int) -> None:
    report = force(forger, f"DELETE FROM candlecast.ml_predictions WHERE chain_seq = {victim}")

    assert report.first_broken is not None
    assert report.first_broken.chain_seq == victim
    assert "removed" in report.first_broken.what or "1 row missing" in report.first_broken.what


def test_a_chain_without_its_last_rows_is_cut(forger: Connection) -> None:
    report = force(forger, f"DELETE FROM candlecast.ml_predictions WHERE chain_seq > {VICTIM}")

    assert report.first_broken is not None
    assert report.first_broken.chain_seq == VICTIM + 1
    assert "ends at row 5, but its head names row 9" in report.first_broken.what


def test_a_chain_without_any_row_is_cut(forger: Connection) -> None:
    report = force(forger, "DELETE FROM candlecast.ml_predictions")

    assert "ends at row 0, but its head names row 9" in str(report.first_broken)


def test_rows_go_on_after_a_cut_and_the_gap_stays(forger: Connection, engine_as: Callable[[Role], Engine]) -> None:
    forger.execute(text(f"DELETE FROM candlecast.ml_predictions WHERE chain_seq > {VICTIM}"))
    forger.execute(text("ALTER TABLE candlecast.ml_predictions ADD UNIQUE (model_name, interval, chain_seq)"))
    forger.commit()

    with engine_as("writer").begin() as conn:
        row = forecast_row(issued_at=ISSUED + timedelta(days=9))
        assert insert_predictions(conn, [row], scored_steps=(1,), fence=None) == 1
        report = verify(conn)

    assert "4 rows missing: after row 5 comes row 10" in str(report.first_broken)


def test_a_row_slipped_in_between_is_found(forger: Connection) -> None:
    report = force(
        forger,
        f"INSERT INTO candlecast.ml_predictions SELECT (jsonb_populate_record(p, "
        f'\'{{"prediction_id": "00000000-0000-0000-0000-000000000001"}}\')).* '
        f"FROM candlecast.ml_predictions AS p WHERE chain_seq = {VICTIM}",
    )

    assert report.first_broken is not None
    assert report.first_broken.chain_seq in (VICTIM, VICTIM + 1)


def test_swapped_rows_are_found(forger: Connection) -> None:
    report = force(
        forger,
        f"UPDATE candlecast.ml_predictions SET chain_seq = {2 * VICTIM + 1} - chain_seq "
        f"WHERE chain_seq IN ({VICTIM}, {VICTIM + 1})",
    )

    assert report.first_broken is not None
    assert report.first_broken.chain_seq == VICTIM


def test_a_changed_row_with_a_hash_made_to_fit_breaks_the_next_one(forger: Connection) -> None:
    """The forger may recompute the hash of one row; then the next row no longer follows from it."""
    forger.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE ALWAYS TRIGGER seal"))
    forger.execute(text("CREATE TEMP TABLE kept AS SELECT * FROM candlecast.ml_predictions WHERE chain_seq >= 5"))
    forger.execute(text("CREATE TEMP TABLE heads AS SELECT * FROM candlecast.ledger_heads"))
    forger.execute(text("DELETE FROM candlecast.ml_predictions WHERE chain_seq >= 5"))
    forger.execute(
        text(
            "UPDATE candlecast.ledger_heads SET chain_seq = 4, "
            "row_hash = (SELECT row_hash FROM candlecast.ml_predictions WHERE chain_seq = 4)"
        )
    )
    forger.execute(text("UPDATE kept SET last_close = 1 WHERE chain_seq = 5"))
    forger.execute(text("INSERT INTO candlecast.ml_predictions SELECT * FROM kept WHERE chain_seq = 5"))
    forger.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER seal"))
    forger.execute(text("INSERT INTO candlecast.ml_predictions SELECT * FROM kept WHERE chain_seq > 5"))
    report = force(
        forger,
        "UPDATE candlecast.ledger_heads SET chain_seq = heads.chain_seq, row_hash = heads.row_hash FROM heads",
    )

    assert report.first_broken is not None
    assert report.first_broken.chain_seq == 6
    assert "prev_hash is not the hash of the row before it" in report.first_broken.what


def test_a_last_row_with_a_hash_made_to_fit_is_not_the_one_the_head_names(forger: Connection) -> None:
    forger.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE ALWAYS TRIGGER seal"))
    forger.execute(text("CREATE TEMP TABLE kept AS SELECT * FROM candlecast.ml_predictions WHERE chain_seq = 9"))
    forger.execute(text("CREATE TEMP TABLE heads AS SELECT * FROM candlecast.ledger_heads"))
    forger.execute(text("DELETE FROM candlecast.ml_predictions WHERE chain_seq = 9"))
    forger.execute(
        text(
            "UPDATE candlecast.ledger_heads SET chain_seq = 8, "
            "row_hash = (SELECT row_hash FROM candlecast.ml_predictions WHERE chain_seq = 8)"
        )
    )
    forger.execute(text("UPDATE kept SET last_close = 1"))
    forger.execute(text("INSERT INTO candlecast.ml_predictions SELECT * FROM kept"))
    report = force(
        forger,
        "UPDATE candlecast.ledger_heads SET chain_seq = heads.chain_seq, row_hash = heads.row_hash FROM heads",
    )

    assert "row 9" in str(report.first_broken)
    assert "not the one that the chain's head names" in str(report.first_broken)


def test_a_row_added_past_the_head_is_found(forger: Connection) -> None:
    forger.execute(text("UPDATE candlecast.ledger_heads SET chain_seq = 8"))

    assert "head names row 8: rows were added by force" in str(verify(forger).first_broken)


def test_a_chain_whose_head_was_removed_is_found(forger: Connection) -> None:
    report = force(forger, "DELETE FROM candlecast.ledger_heads")

    assert "head names row 0: rows were added by force" in str(report.first_broken)


@pytest.mark.parametrize(
    "change",
    [
        "closes = set_bit(closes, 0, 1 - get_bit(closes, 0))",
        "codec = 'another'",
        "n_paths = n_paths + 1",
        "horizon = horizon + 1",
    ],
)
def test_edited_paths_are_found(forger: Connection, change: str) -> None:
    report = force(
        forger,
        f"UPDATE candlecast.prediction_paths SET {change} WHERE prediction_id = "
        f"(SELECT prediction_id FROM candlecast.ml_predictions WHERE chain_seq = {VICTIM})",
    )

    assert report.first_broken is not None
    assert report.first_broken.chain_seq == VICTIM
    assert "sample paths are not the ones" in report.first_broken.what


def test_paths_that_retention_removed_are_counted_and_no_break(engine_as: Callable[[Role], Engine]) -> None:
    with engine_as("writer").begin() as conn:
        add_instruments(conn, "BTCUSDT")
        insert_predictions(conn, [forecast_row(n_paths=3)], scored_steps=(1,), fence=None)
        conn.execute(text("DELETE FROM candlecast.prediction_paths"))
        report = verify(conn)

    assert report.ok
    assert (report.n_paths, report.n_paths_absent) == (0, 1)


def test_only_the_chains_asked_for_are_walked(forger: Connection, engine_as: Callable[[Role], Engine]) -> None:
    forger.execute(text("UPDATE candlecast.ml_predictions SET scale = 1 WHERE chain_seq = 2"))
    forger.execute(text("ALTER TABLE candlecast.ml_predictions ADD UNIQUE (model_name, interval, chain_seq)"))
    forger.commit()
    with engine_as("writer").begin() as conn:
        insert_predictions(conn, [forecast_row(model_name="kronos-base")], scored_steps=(1,), fence=None)

        assert verify(conn, model_name="kronos-base").ok
        assert not verify(conn, interval="1h").ok
        assert verify(conn, interval="1d").n_chains == 0


def test_the_reader_verifies(forger: Connection, engine_as: Callable[[Role], Engine]) -> None:
    forger.rollback()
    with engine_as("reader").connect() as conn:
        assert verify(conn).n_rows == N_ROWS


def test_a_client_in_another_encoding_verifies_the_same_bytes(engine_as: Callable[[Role], Engine]) -> None:
    with engine_as("writer").begin() as conn:
        add_instruments(conn, "BTCUSDT")
        conn.execute(text("SET LOCAL client_encoding = 'LATIN1'"))
        insert_predictions(conn, [forecast_row(model_version="naïve")], scored_steps=(1,), fence=None)
        assert verify(conn).ok
    with engine_as("reader").connect() as conn:
        assert verify(conn).ok


@pytest.fixture
def in_three_parts(forger: Connection, monkeypatch: pytest.MonkeyPatch) -> Connection:
    """The chain of nine is walked as three parts of three rows, by three connections; changes have to be committed."""
    monkeypatch.setattr(ledger, "ROWS_PER_WORKER", 3)
    return forger


def test_a_chain_walked_in_parts_verifies_like_one_walked_at_once(in_three_parts: Connection) -> None:
    in_three_parts.commit()
    told: list[int] = []

    report = verify(in_three_parts, n_workers=3, progress=lambda done, _: told.append(done))

    assert report.ok
    assert report.n_rows == N_ROWS
    assert told == sorted(told)
    assert told[-1] == N_ROWS
    assert report.heads == verify(in_three_parts, n_workers=1).heads


@pytest.mark.parametrize("victim", range(1, N_ROWS + 1))
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE candlecast.ml_predictions SET last_close = 1 WHERE chain_seq = {}",
        "UPDATE candlecast.ml_predictions SET row_hash = sha256(row_hash) WHERE chain_seq = {}",
        "UPDATE candlecast.ml_predictions SET prev_hash = sha256(row_hash) WHERE chain_seq = {}",
        "DELETE FROM candlecast.ml_predictions WHERE chain_seq = {}",
    ],
)
def test_a_change_in_any_part_is_found_where_it_is(in_three_parts: Connection, statement: str, victim: int) -> None:
    in_three_parts.execute(text(statement.format(victim)))
    in_three_parts.commit()

    found = verify(in_three_parts, n_workers=3).first_broken

    assert found is not None
    assert found.chain_seq == victim
