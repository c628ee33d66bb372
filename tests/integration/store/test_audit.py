"""Whatever is done to the record after it was sealed is refused by the database or found by an outsider with two files.

Two forgers are tried: the writer, whose triggers are in force, and the owner, who switches them off, recomputes hashes
and moves heads as he likes.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from candlecast.audit import Published, TwoSeals, audit
from candlecast.ledger_file import SCHEMA, BadLedgerFile, Reader
from candlecast.records import hashes
from candlecast.seals import Seal
from candlecast.store.embedded import EmbeddedPostgres, Role
from candlecast.store.export import export_ledger
from candlecast.store.ledger import verify
from candlecast.store.predictions import insert_predictions
from candlecast.store.sealing import read_seal

from .forecast_rows import forecast_row
from .sealed_ledger import DAYS, ENDS, N_ROWS, OTHER, OURS, SealedLedger, audited, row, sealed_ledger, set_clock
from .test_ledger import FLIPS, IN_THE_WAY

VICTIM = 6  # of our chain, recorded on the second day, with a feed and a calibration
TABLE = "candlecast.ml_predictions"
BEHIND = ("candlecast.prediction_paths", "candlecast.forecast_steps", "candlecast.score_pending")


@pytest.fixture(scope="module")
def ledger(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SealedLedger]:
    """Three days on record, sealed, and their seals in somebody else's hands."""
    with sealed_ledger(postgres, template, tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture
def published(ledger: SealedLedger) -> list[Published]:
    return ledger.published


@pytest.fixture
def reader(ledger: SealedLedger) -> Iterator[Connection]:
    with ledger.engine_as("reader").connect() as conn:
        yield conn


@pytest.fixture
def writer(ledger: SealedLedger) -> Iterator[Connection]:
    """The writer, whose rows the database dates to `clock(...)`; nothing is committed."""
    with ledger.engine_as("superuser").connect() as conn:
        yield conn
        conn.rollback()


def write_at(conn: Connection, moment: str) -> None:
    """From here on the connection is the writer's, and the database's clock shows `moment`."""
    set_clock(conn, moment)
    conn.execute(text("SET LOCAL ROLE candlecast_writer"))


@pytest.fixture
def owner(ledger: SealedLedger) -> Iterator[Connection]:
    """The owner of the tables, with the triggers switched off and the constraints gone; nothing is committed."""
    with ledger.engine_as("owner").connect() as conn:
        for table in (TABLE, *BEHIND):
            conn.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        conn.execute(text(f"ALTER TABLE {BEHIND[0]} DROP CONSTRAINT prediction_paths_prediction_id_fkey"))
        conn.execute(text(f"ALTER TABLE {TABLE} DROP CONSTRAINT ml_predictions_symbol_fkey"))
        for constraint in IN_THE_WAY:
            conn.execute(text(f"ALTER TABLE {TABLE} DROP CONSTRAINT ml_predictions_{constraint}"))
        yield conn
        conn.rollback()


def test_an_untouched_ledger_is_whole_and_every_row_is_sealed(
    reader: Connection, published: list[Published], tmp_path: Path
) -> None:
    report = audited(reader, tmp_path, published)

    assert report.ok, report.wrong
    assert (report.n_rows, report.n_chains, report.n_sealed) == (N_ROWS, 2, N_ROWS)
    assert report.days == DAYS
    assert report.open == []


def test_the_seals_hold_what_was_recorded_on_their_days(published: list[Published]) -> None:
    assert [one.seal.n_rows for one in published] == [6, 4, 2]
    for number, one in enumerate(published):
        assert {chain: head.chain_seq for chain, head in one.seal.heads.items()} == {
            (model, "1h"): ends[number] for model, ends in ENDS.items()
        }
    assert published[0].seal.previous is None
    assert published[1].seal.previous == sha256(published[0].data).digest()


def test_the_root_can_be_computed_from_the_table_by_anybody(reader: Connection, published: list[Published]) -> None:
    """The second day by hand: four leaves, RFC 6962, in SQL's own SHA-256."""
    query = f"""
        WITH leaf AS (
            SELECT sha256('\\x00' || row_hash) AS h,
                   row_number() OVER (ORDER BY model_name = 'kronos-base', chain_seq) AS place
            FROM {TABLE} WHERE recorded_at >= '2025-03-02Z' AND recorded_at < '2025-03-03Z'
        )
        SELECT sha256('\\x01' || sha256('\\x01' || one.h || two.h) || sha256('\\x01' || three.h || four.h))
        FROM leaf AS one, leaf AS two, leaf AS three, leaf AS four
        WHERE one.place = 1 AND two.place = 2 AND three.place = 3 AND four.place = 4
    """
    root = reader.exec_driver_sql(query, execution_options={"no_parameters": True}).scalar_one()

    assert bytes(root) == published[1].seal.root


CHANGES = (
    f"UPDATE {TABLE} SET last_close = 1",
    f"UPDATE {TABLE} SET recorded_at = recorded_at - interval '1 day'",
    f"UPDATE {TABLE} SET issued_at = issued_at - interval '1 day'",
    f"DELETE FROM {TABLE}",
    f"DELETE FROM {TABLE} WHERE chain_seq > 8",
    f"TRUNCATE {TABLE} CASCADE",
    "UPDATE candlecast.ledger_heads SET chain_seq = 1",
    "DELETE FROM candlecast.ledger_heads",
)


@pytest.mark.parametrize(("role", "changes"), [("writer", CHANGES), ("owner", CHANGES[:6])])
def test_with_the_triggers_in_force_nothing_on_record_can_be_changed(
    ledger: SealedLedger, role: Role, changes: tuple[str, ...]
) -> None:
    for change in changes:
        with (
            ledger.engine_as(role).connect() as conn,
            pytest.raises(DBAPIError, match="is append-only|permission denied"),
        ):
            conn.execute(text(change))


def test_what_the_writer_says_about_time_and_place_of_a_row_is_not_believed(
    writer: Connection, published: list[Published], tmp_path: Path
) -> None:
    """Dated back and slipped in: it is recorded now, at the end, and late; the export still fits every seal."""
    write_at(writer, "2025-03-09 10:00Z")
    before = datetime(2025, 2, 28, 10, tzinfo=UTC)
    targets = [(before + timedelta(hours=step)).isoformat() for step in range(1, 6)]
    writer.execute(
        text(
            f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(p, CAST(:forged AS jsonb))).* FROM {TABLE} AS p "
            "WHERE model_name = :model_name AND chain_seq = 5"
        ),
        {
            "model_name": OURS,
            "forged": json.dumps(
                {
                    "prediction_id": str(UUID(int=1)),
                    "chain_seq": 3,
                    "recorded_at": "2025-03-01T10:02:30Z",
                    "issued_at": before.isoformat(),
                    "lookback_start": "2025-02-01T00:00:00Z",
                    "lookback_end": before.isoformat(),
                    "target_at": targets,
                    "status": "on_time",
                    "prev_hash": "\\x00",
                    "row_hash": "\\x00",
                }
            ),
        },
    )
    found = writer.execute(text(f"SELECT * FROM {TABLE} WHERE issued_at < '2025-03-01Z'")).one()
    report = audited(writer, tmp_path, published)

    assert (found.chain_seq, found.status) == (10, "late")
    assert found.recorded_at.isoformat().startswith("2025-03-09")
    assert report.ok, report.wrong
    assert report.n_sealed == N_ROWS
    assert report.n_rows == N_ROWS + 1


def test_a_second_forecast_of_an_issue_time_leaves_the_first_as_it_is(
    writer: Connection, published: list[Published], tmp_path: Path
) -> None:
    write_at(writer, "2025-03-09 10:00Z")

    assert insert_predictions(writer, [row(OURS, 3)], scored_steps=(1,), fence=None) == 0
    assert audited(writer, tmp_path, published).ok


def test_every_changed_column_is_found_and_its_row_named(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    missed = {}
    for column, change in FLIPS.items():
        with owner.begin_nested() as attempt:
            owner.exec_driver_sql(
                f"UPDATE {TABLE} SET {column} = {change} WHERE model_name = '{OURS}' AND chain_seq = {VICTIM}",
                execution_options={"no_parameters": True},
            )
            report = audited(owner, tmp_path, published)
            attempt.rollback()
        # A row that claims another place or chain is missing in its own: the next one tells.
        if not any(one.startswith(f"chain {OURS} 1h, row {n} ") for one in report.wrong for n in (VICTIM, VICTIM + 1)):
            missed[column] = report.wrong

    assert missed == {}


def broken(owner: Connection, folder: Path, published: list[Published], statement: str) -> list[str]:
    owner.exec_driver_sql(statement, execution_options={"no_parameters": True})
    report = audited(owner, folder, published)
    assert not report.ok
    return report.wrong


@pytest.mark.parametrize("victim", [1, VICTIM])
def test_a_deleted_row_is_missed(owner: Connection, published: list[Published], tmp_path: Path, victim: int) -> None:
    wrong = broken(
        owner, tmp_path, published, f"DELETE FROM {TABLE} WHERE model_name = '{OURS}' AND chain_seq = {victim}"
    )

    assert any(f"day {DAYS[0 if victim == 1 else 1]}" in one for one in wrong)
    if victim == VICTIM:
        assert "1 row missing: after row 5 comes row 7" in wrong[0]


def test_a_ledger_without_its_last_rows_is_cut_whatever_its_heads_say(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    owner.execute(text(f"DELETE FROM {TABLE} WHERE chain_seq > 7"))
    owner.execute(
        text(
            f"UPDATE candlecast.ledger_heads AS head SET chain_seq = 7, row_hash = p.row_hash FROM {TABLE} AS p "
            f"WHERE head.model_name = '{OURS}' AND p.model_name = '{OURS}' AND p.chain_seq = 7"
        )
    )
    assert verify(owner).ok  # the database alone no longer knows

    wrong = audited(owner, tmp_path, published).wrong

    assert "the seal of 2025-03-03 names row 9, but the file ends at row 7: rows were removed" in wrong[0]
    assert "day 2025-03-03: the file has 0 forecasts recorded on it, the seal counts 2" in wrong[1]


def test_an_emptied_ledger_is_found(owner: Connection, published: list[Published], tmp_path: Path) -> None:
    wrong = broken(owner, tmp_path, published, f"TRUNCATE {TABLE} CASCADE")

    assert "names row 2, but the file has no row of it" in wrong[0]
    assert len([one for one in wrong if one.startswith("day ")]) == 3


def test_a_chain_that_vanished_as_a_whole_is_found(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    owner.execute(text(f"DELETE FROM candlecast.ledger_heads WHERE model_name = '{OTHER}'"))
    wrong = broken(owner, tmp_path, published, f"DELETE FROM {TABLE} WHERE model_name = '{OTHER}'")

    assert f"chain {OTHER} 1h: the seal of 2025-03-01 names row 2, but the file has no row of it" in wrong[0]


def test_a_row_dated_back_is_found(owner: Connection, published: list[Published], tmp_path: Path) -> None:
    change = "recorded_at = recorded_at - interval '1 day'"
    wrong = broken(
        owner, tmp_path, published, f"UPDATE {TABLE} SET {change} WHERE model_name = '{OURS}' AND chain_seq = {VICTIM}"
    )

    assert f"row {VICTIM} (BTCUSDT issued 2030-01-07T15:00Z" in wrong[0]
    assert "its columns do not give its row_hash" in wrong[0]
    assert {f"day {day}" for day in DAYS[:2]} <= {one.split(":")[0] for one in wrong}


def test_a_row_slipped_in_between_is_found(owner: Connection, published: list[Published], tmp_path: Path) -> None:
    wrong = broken(
        owner,
        tmp_path,
        published,
        f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(p, "
        f'\'{{"prediction_id": "00000000-0000-0000-0000-000000000001"}}\')).* '
        f"FROM {TABLE} AS p WHERE model_name = '{OURS}' AND chain_seq = {VICTIM}",
    )

    assert f"chain {OURS} 1h, row {VICTIM}" in wrong[0]
    assert any("the file has 5 forecasts recorded on it, the seal counts 4" in one for one in wrong)


def test_swapped_rows_are_found(owner: Connection, published: list[Published], tmp_path: Path) -> None:
    wrong = broken(
        owner,
        tmp_path,
        published,
        f"UPDATE {TABLE} SET chain_seq = 11 - chain_seq WHERE model_name = '{OURS}' AND chain_seq IN (5, 6)",
    )

    assert f"chain {OURS} 1h, row 5" in wrong[0]


def rewrite(owner: Connection, *changes: str) -> None:
    """Write our chain anew with changes to the table `kept`: hashes and head to fit, every row dated as before."""
    set_clock(owner, None)
    owner.execute(text(f"CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM {TABLE} WHERE model_name = '{OURS}'"))
    for behind in BEHIND:
        owner.execute(text(f"DELETE FROM {behind}"))
    owner.execute(text(f"DELETE FROM {TABLE} WHERE model_name = '{OURS}'"))
    owner.execute(text(f"DELETE FROM candlecast.ledger_heads WHERE model_name = '{OURS}'"))
    for change in changes:
        owner.exec_driver_sql(change, execution_options={"no_parameters": True})
    for trigger in ("seal", "move_heads"):
        owner.execute(text(f"ALTER TABLE {TABLE} ENABLE TRIGGER {trigger}"))
    owner.execute(text(f"ALTER TABLE {TABLE} ADD UNIQUE (model_name, interval, chain_seq)"))
    owner.execute(text(f"INSERT INTO {TABLE} SELECT * FROM kept ORDER BY chain_seq"))


def test_a_chain_written_anew_as_a_whole_passes_the_database_and_not_the_published_root(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    rewrite(owner, f"UPDATE kept SET p50 = p90 WHERE chain_seq = {VICTIM}")

    assert verify(owner, paths=False).ok  # every hash fits, and so does the head
    alone, report = audited(owner, tmp_path, []), audited(owner, tmp_path, published)

    assert alone.ok
    assert alone.n_sealed == 0
    assert report.wrong == [
        f"chain {OURS} 1h, row 7: it is not the row that was sealed on 2025-03-02; the chain was written anew from one "
        "of the rows 5 to 7 on",
        "day 2025-03-02: its 4 forecasts do not give the sealed root",
        f"chain {OURS} 1h, row 9: it is not the row that was sealed on 2025-03-03; the chain was written anew from one "
        "of the rows 5 to 9 on",
        "day 2025-03-03: its 2 forecasts do not give the sealed root",
    ]
    assert report.days == DAYS[:1]
    assert report.n_sealed == 3 + 4  # the other chain, and what the first day's head vouches for


def test_a_chain_written_anew_with_a_row_more_is_found(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    """A forecast made with hindsight, put before the last one, dated and hashed as if it had always been there."""
    rewrite(
        owner,
        "UPDATE kept SET chain_seq = 10 * chain_seq",
        """INSERT INTO kept SELECT (jsonb_populate_record(kept, jsonb_build_object(
            'prediction_id', gen_random_uuid(), 'issued_at', kept.issued_at + interval '1 minute', 'chain_seq', 85,
            'recorded_at', kept.recorded_at + interval '1 second'))).*
        FROM kept WHERE chain_seq = 80""",
    )

    assert verify(owner, paths=False).ok
    wrong = audited(owner, tmp_path, published).wrong
    assert f"chain {OURS} 1h, row 10: it says that it was recorded before the end of 2025-03-03" in " ".join(wrong)
    assert "day 2025-03-03: the file has 3 forecasts recorded on it, the seal counts 2" in wrong


def test_a_row_added_afterwards_and_dated_back_is_found(
    writer: Connection, published: list[Published], tmp_path: Path
) -> None:
    """At the end of the chain, with a hash to fit: only the newest row of the sealed day tells."""
    write_at(writer, "2025-03-01 09:00Z")

    assert insert_predictions(writer, [row(OURS, 12)], scored_steps=(1,), fence=None) == 1
    assert verify(writer).ok
    wrong = audited(writer, tmp_path, published).wrong

    assert wrong[0] == (
        f"chain {OURS} 1h, row 10: it says that it was recorded before the end of 2025-03-01, whose seal names row 4 "
        "as the newest: it was added later and dated back"
    )
    assert "day 2025-03-01: the file has 7 forecasts recorded on it, the seal counts 6" in wrong


@pytest.fixture
def exported(reader: Connection, tmp_path: Path) -> Path:
    path = tmp_path / "ledger.parquet"
    assert export_ledger(reader, path).n_rows == N_ROWS
    return path


def edited(path: Path, edit: Callable[[pa.Table], pa.Table]) -> Path:
    pq.write_table(edit(pq.read_table(path)), path)
    return path


def with_value(table: pa.Table, name: str, place: int, value: object) -> pa.Table:
    values = table[name].to_pylist()
    values[place] = value
    return table.set_column(
        table.schema.get_field_index(name), table.schema.field(name), pa.array(values, table.schema.field(name).type)
    )


def nullable(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))


def place_of(table: pa.Table, chain_seq: int) -> int:
    mine = pc.and_(pc.equal(table["model_name"], OURS), pc.equal(table["chain_seq"], chain_seq))
    return mine.to_pylist().index(True)


def test_an_edited_value_of_any_column_of_the_file_is_found_and_its_row_named(
    exported: Path, published: list[Published], tmp_path: Path
) -> None:
    table = pq.read_table(exported)
    place = place_of(table, VICTIM)
    missed = {}
    for field in SCHEMA:
        value = table[field.name][place].as_py()
        if pa.types.is_list(field.type):
            last = value[-1]
            step = timedelta(microseconds=1) if isinstance(last, datetime) else float(np.spacing(last))
            other = [*value[:-1], last + step]
        elif field.type == pa.binary():
            other = bytes(32) if value is None else value[:-1] + bytes([value[-1] ^ 1])
        elif field.type == pa.bool_():
            other = not value
        elif field.type == pa.string():
            other = value[:-1] + chr(ord(value[-1]) ^ 1)
        elif pa.types.is_timestamp(field.type):
            other = value.replace(microsecond=value.microsecond ^ 1)
        elif field.type == pa.float64():
            other = float(np.nextafter(value, np.inf))
        else:
            other = 1 + (value or 0)
        assert other != value, field.name
        path = tmp_path / "edited.parquet"
        pq.write_table(with_value(table, field.name, place, other), path)
        report = audit(path, published)
        if not report.wrong or not any(f"row {seq}" in report.wrong[0] for seq in (VICTIM, VICTIM + 1)):
            missed[field.name] = report.wrong

    assert missed == {}


def test_an_edited_hash_in_the_file_is_found(exported: Path, published: list[Published]) -> None:
    place = place_of(pq.read_table(exported), VICTIM)
    edited(exported, lambda table: with_value(table, "row_hash", place, bytes(32)))

    report = audit(exported, published)

    assert f"chain {OURS} 1h, row {VICTIM}" in report.wrong[0]
    assert "its columns do not give its row_hash" in report.wrong[0]
    assert report.days == DAYS  # the roots are computed from the columns, whatever the file says its hashes are


def test_rows_in_another_order_are_not_taken_for_the_ledger(exported: Path, published: list[Published]) -> None:
    edited(exported, lambda table: table.take(list(reversed(range(N_ROWS)))))

    report = audit(exported, published)

    assert not report.ok
    assert "rows were moved, or one was slipped in" in report.wrong[0]


def test_chains_in_another_order_are_not_taken_for_the_ledger(exported: Path, published: list[Published]) -> None:
    edited(exported, lambda table: table.take([*range(3, N_ROWS), 0, 1, 2]))

    assert "stands behind rows of a later chain" in " ".join(audit(exported, published).wrong)


def test_a_file_written_by_another_tool_is_read_all_the_same(exported: Path, published: list[Published]) -> None:
    """Other types for the same values, one row group, columns in another order."""

    def rewritten(table: pa.Table) -> pa.Table:
        table = table.select(sorted(table.column_names))
        wide = {name: pa.large_string() for name in ("symbol", "interval", "event_context")}
        return table.cast(pa.schema([pa.field(f.name, wide.get(f.name, f.type)) for f in table.schema]))

    report = audit(edited(exported, rewritten), published)

    assert report.ok, report.wrong
    assert report.n_sealed == N_ROWS


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda table: table.drop_columns(["fan"]), "it has no column fan"),
        (lambda table: with_value(nullable(table), "scale", 2, None), "a value of scale is missing"),
        (lambda table: table.set_column(0, "model_name", pa.array([b"\xff"] * N_ROWS)), "UTF8|utf-8"),
    ],
)
def test_a_file_that_is_no_export_says_why(exported: Path, edit: Callable[[pa.Table], pa.Table], sentence: str) -> None:
    with pytest.raises(BadLedgerFile, match=sentence):
        audit(edited(exported, edit))


def test_a_file_of_something_else_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")

    with pytest.raises(BadLedgerFile, match="is no export of the ledger"):
        audit(tmp_path / "x.parquet")


def reforged(one: Published, **changes: object) -> Published:
    data = json.dumps({**json.loads(one.data), **changes}).encode()
    return Published(one.name, data, Seal.from_bytes(data, one.name))


def test_a_forged_seal_is_not_the_one_that_the_next_day_names(exported: Path, published: list[Published]) -> None:
    first, *others = published
    report = audit(exported, [reforged(first, made_at="2025-03-02T00:15:00Z"), *others])

    assert report.wrong == [
        "2025-03-02.json does not name 2025-03-01.json as it is here: one of both is not the file that was published"
    ]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"root": "00" * 32}, "day 2025-03-02: its 4 forecasts do not give the sealed root"),
        ({"n_rows": 3}, "day 2025-03-02: the file has 4 forecasts recorded on it, the seal counts 3"),
        ({"heads": []}, "whose seal names no row of this chain: it was added later and dated back"),
        ({"previous": None}, "2025-03-02.json does not name 2025-03-01.json"),
    ],
)
def test_a_seal_of_other_rows_is_found(
    exported: Path, published: list[Published], changes: dict[str, object], sentence: str
) -> None:
    report = audit(exported, [published[0], reforged(published[1], **changes)])

    assert sentence in " ".join(report.wrong)


def test_the_same_day_twice_is_refused(exported: Path, published: list[Published]) -> None:
    with pytest.raises(TwoSeals):
        audit(exported, [published[0], published[0]])


def test_a_piece_of_the_ledger_is_held_against_the_seals_of_its_days_and_says_what_it_lacks(
    reader: Connection, published: list[Published], tmp_path: Path
) -> None:
    path = tmp_path / "piece.parquet"
    export_ledger(reader, path, start=datetime(2025, 3, 2, tzinfo=UTC))
    report = audit(path, published[1:])

    assert report.ok, report.wrong
    assert report.n_sealed == report.n_rows == N_ROWS - 6
    assert f"chain {OURS} 1h begins at row 5: the rows before it are not in the file" in report.open

    whole = audit(path, published)
    assert "the file has 0 forecasts recorded on it, the seal counts 6 (the file holds only a part" in whole.wrong[0]


def test_days_between_that_were_not_given_are_named(exported: Path, published: list[Published]) -> None:
    report = audit(exported, [published[0], published[2]])

    assert report.ok
    assert report.open == ["the seals between 2025-03-01 and 2025-03-03 were not given"]
    assert report.n_sealed == N_ROWS


def test_rows_newer_than_the_seals_are_counted_apart(exported: Path, published: list[Published]) -> None:
    report = audit(exported, published[:1])

    assert report.ok
    assert report.n_sealed == 6


def test_a_file_read_in_small_pieces_is_checked_all_the_same(
    exported: Path, published: list[Published], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candlecast.ledger_file.ROWS_AT_ONCE", 2)

    assert audit(exported, published).n_sealed == N_ROWS


def test_the_export_says_what_the_table_says(exported: Path, reader: Connection) -> None:
    """Read back with pyarrow alone, held against what the driver reads."""
    rows = pq.read_table(exported).to_pylist()
    stored = reader.execute(text(f"SELECT *, calibration::text AS c, event_context::text AS e FROM {TABLE}")).mappings()
    table = {(one["model_name"], one["chain_seq"]): one for one in stored}

    assert [(one["model_name"], one["chain_seq"]) for one in rows] == [(OTHER, n) for n in (1, 2, 3)] + [
        (OURS, n) for n in range(1, 10)
    ]
    for one in rows:
        there = dict(table[one["model_name"], one["chain_seq"]])
        there |= {"calibration": there.pop("c"), "event_context": there.pop("e")}
        assert {name: str(value) if name == "prediction_id" else value for name, value in there.items()} == one
    assert np.signbit(rows[4]["last_close"])
    assert rows[4]["last_close"] == 0.0
    assert {one["recorded_at"].microsecond for one in rows} == {8, 9, *range(10, 17)}


NUMBERS = st.floats(-1e300, 1e300)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.integers() | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=6,
)


@given(
    st.dictionaries(TEXTS, JSON, max_size=4),
    TEXTS,
    TEXTS.filter(bool) | st.none(),
    st.lists(NUMBERS, min_size=11, max_size=11),
    NUMBERS,
    st.floats(5e-324, 1e300),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_text_number_and_instant_comes_out_as_it_was_hashed(
    writer: Connection,
    tmp_path: Path,
    context: dict[str, object],
    version: str,
    feed: str | None,
    fan: list[float],
    last_close: float,
    scale: float,
    begun: datetime,
) -> None:
    values = np.sort(np.array(fan))
    begun = begun.replace(tzinfo=UTC)
    made = forecast_row(
        horizon=1, model_name="law", model_version=version, event_context=context, feed=feed, last_close=last_close,
        scale=scale, fan=values[None], p10=values[1:2], p50=values[5:6], p90=values[9:10], lookback_start=begun,
    )  # fmt: skip
    made = replace(made, lookback_end=begun + timedelta(microseconds=1), issued_at=begun + timedelta(hours=1))
    made = replace(made, target_at=[begun + timedelta(hours=2, microseconds=7)])
    with writer.begin_nested() as attempt:
        assert insert_predictions(writer, [made], scored_steps=(1,), fence=None) == 1
        export_ledger(writer, tmp_path / "law.parquet", model_name="law")
        attempt.rollback()

    report = audit(tmp_path / "law.parquet")

    assert report.wrong == []
    assert report.n_rows == 1


def test_no_number_in_the_record_is_not_a_number(writer: Connection) -> None:
    """The database refuses it, so that no two NaN of different bits can stand for one value."""
    write_at(writer, "2025-03-09 10:00Z")

    with pytest.raises(DBAPIError, match="the fan holds a value that is not finite"):
        writer.execute(
            text(
                f"INSERT INTO {TABLE} SELECT (jsonb_populate_record(p, jsonb_build_object('prediction_id', "
                "gen_random_uuid(), 'issued_at', issued_at + interval '1 minute', 'fan', array_replace(fan, fan[3], "
                f"'NaN')))).* FROM {TABLE} AS p WHERE chain_seq = 1"
            )
        )


def test_a_changed_row_with_a_hash_made_to_fit_breaks_the_next_one(exported: Path) -> None:
    """Without any seal: the forger recomputes one row, and the row after it still names the old hash."""
    table = pq.read_table(exported)
    place = place_of(table, VICTIM)
    pq.write_table(with_value(table, "scale", place, 0.5), exported)
    (rows, _), *_ = Reader(exported).batches()
    edited(exported, lambda table: with_value(table, "row_hash", place, hashes(rows)[place]))

    wrong = audit(exported).wrong

    assert len(wrong) == 1
    assert f"chain {OURS} 1h, row {VICTIM + 1} (" in wrong[0]
    assert "its prev_hash is not the hash of the row before it" in wrong[0]


def test_rows_are_ordered_by_their_bytes_whatever_the_order_of_the_database(
    owner: Connection, published: list[Published], tmp_path: Path
) -> None:
    found = owner.execute(
        text("SELECT collname FROM pg_collation WHERE collname IN ('en-x-icu', 'en_US.utf8') LIMIT 1")
    )
    collation = found.scalar()
    if collation is None:
        pytest.skip("this PostgreSQL sorts by nothing but bytes")
    for column in ("model_name", "interval"):
        owner.execute(text(f'ALTER TABLE {TABLE} ALTER COLUMN {column} TYPE text COLLATE "{collation}"'))
    sorted_there = owner.execute(text(f"SELECT DISTINCT model_name FROM {TABLE} ORDER BY model_name")).scalars().all()
    assert sorted_there == [OURS, OTHER]

    assert audited(owner, tmp_path, published).ok
    assert read_seal(owner, DAYS[0], previous=None).root == published[0].seal.root
