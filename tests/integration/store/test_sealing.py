"""A day is sealed once, when it is over and all of it is on record; the files say the same for ever, or a sentence."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from candlecast.outsider import verify_files
from candlecast.proofs import Proof
from candlecast.records import hashes
from candlecast.seals import EMPTY, BadSeal, Seal, Tree
from candlecast.store import sealing
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.predictions import insert_predictions
from candlecast.store.sealing import (
    DayNotOver,
    NoSuchForecast,
    SealsBroken,
    StillWriting,
    prove,
    seal_day,
    seal_until_yesterday,
    sealed_days,
)

from .sealed_ledger import DAYS, N_ROWS, OTHER, OURS, SealedLedger, row, sealed_ledger, set_clock

TABLE = "candlecast.ml_predictions"


@pytest.fixture(scope="module")
def ledger(
    postgres: EmbeddedPostgres, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SealedLedger]:
    with sealed_ledger(postgres, template, tmp_path_factory.mktemp("ledger")) as made:
        yield made


@pytest.fixture
def reader(ledger: SealedLedger) -> Iterator[Connection]:
    with ledger.engine_as("reader").connect() as conn:
        yield conn


def test_a_day_sealed_again_leaves_its_file_byte_for_byte(ledger: SealedLedger) -> None:
    for one, day in zip(ledger.published, DAYS, strict=True):
        again = seal_day(ledger.engine_as("reader"), ledger.folder / "seals", day)

        assert not again.is_new
        assert again.path.read_bytes() == one.data
        assert again.file_hash == sha256(one.data).hexdigest()
        assert "stands as it was sealed" in str(again)


def test_every_file_names_the_one_before_and_nothing_else_lies_in_the_folder(ledger: SealedLedger) -> None:
    first, second, third = ledger.published

    assert (first.seal.previous, second.seal.previous, third.seal.previous) == (
        None,
        sha256(first.data).digest(),
        sha256(second.data).digest(),
    )
    assert sorted(path.name for path in (ledger.folder / "seals").iterdir()) == [f"{day}.json" for day in DAYS]


def test_a_day_without_forecasts_has_the_root_of_nothing_and_the_heads_of_before(
    ledger: SealedLedger, tmp_path: Path
) -> None:
    quiet = seal_day(ledger.engine_as("reader"), tmp_path, date(2025, 3, 4)).seal

    assert (quiet.n_rows, quiet.root) == (0, EMPTY)
    assert dict(quiet.heads) == dict(ledger.published[-1].seal.heads)


def test_a_day_before_the_first_forecast_has_no_heads(ledger: SealedLedger, tmp_path: Path) -> None:
    assert dict(seal_day(ledger.engine_as("reader"), tmp_path, date(2025, 2, 28)).seal.heads) == {}


def test_midnight_belongs_to_the_day_that_begins(ledger: SealedLedger) -> None:
    with ledger.engine_as("superuser").connect() as conn:
        set_clock(conn, "2025-03-04 23:49:59.99999Z")  # and ten minutes and ten microseconds for the tenth row
        conn.execute(text("SET LOCAL ROLE candlecast_writer"))
        insert_predictions(conn, [row(OURS, 10)], scored_steps=(1,), fence=None)
        stored = conn.execute(text(f"SELECT recorded_at FROM {TABLE} WHERE chain_seq = 10")).scalar_one()
        days = [sealing.read_seal(conn, date(2025, 3, day), previous=None) for day in (4, 5)]
        conn.rollback()

    assert stored.astimezone(UTC) == datetime(2025, 3, 5, tzinfo=UTC)
    assert [one.n_rows for one in days] == [0, 1]
    assert [one.heads[OURS, "1h"].chain_seq for one in days] == [9, 10]


def test_a_day_that_is_not_over_is_not_sealed(ledger: SealedLedger, tmp_path: Path) -> None:
    today = sealing.database_clock(ledger.engine_as("reader")).date()

    with pytest.raises(DayNotOver, match=f"{today} is not over: the database's clock says"):
        seal_day(ledger.engine_as("reader"), tmp_path, today)

    assert list(tmp_path.iterdir()) == []


def test_days_are_sealed_in_order_and_none_is_left_out(ledger: SealedLedger, tmp_path: Path) -> None:
    engine = ledger.engine_as("reader")
    seal_day(engine, tmp_path, DAYS[1])

    with pytest.raises(SealsBroken, match="the newest seal in .* before it is of 2025-03-02"):
        seal_day(engine, tmp_path, date(2025, 3, 4))
    with pytest.raises(SealsBroken, match="begin on 2025-03-02, and no later one names a seal of 2025-03-01"):
        seal_day(engine, tmp_path, DAYS[0])
    assert sealed_days(tmp_path) == [DAYS[1]]


def test_without_a_day_all_days_up_to_yesterday_are_sealed(ledger: SealedLedger, tmp_path: Path) -> None:
    engine = ledger.engine_as("reader")
    yesterday = sealing.database_clock(engine).date() - timedelta(days=1)

    assert [one.seal.day for one in seal_until_yesterday(engine, tmp_path)] == [yesterday]  # the first: alone
    (tmp_path / f"{yesterday}.json").unlink()
    seal_day(engine, tmp_path, yesterday - timedelta(days=2))
    done = seal_until_yesterday(engine, tmp_path)

    assert [(str(one.seal.day), one.is_new) for one in done] == [
        (str(yesterday - timedelta(days=2)), False),
        (str(yesterday - timedelta(days=1)), True),
        (str(yesterday), True),
    ]
    assert done[2].seal.previous == sha256(done[1].path.read_bytes()).digest()


@pytest.fixture
def forged(ledger: SealedLedger) -> Iterator[Callable[[str, str], None]]:
    """Force a change on the record, committed; it is taken back afterwards."""
    undo: list[str] = []

    def force(change: str, back: str) -> None:
        with ledger.engine_as("superuser").begin() as conn:
            conn.execute(text("SET LOCAL session_replication_role = replica"))
            conn.execute(text(change))
        undo.append(back)

    yield force
    with ledger.engine_as("superuser").begin() as conn:
        conn.execute(text("SET LOCAL session_replication_role = replica"))
        for back in undo:
            conn.execute(text(back))


def test_a_day_whose_rows_were_changed_is_not_sealed_another_time(
    ledger: SealedLedger, forged: Callable[[str, str], None]
) -> None:
    seals = ledger.folder / "seals"
    where = f"WHERE model_name = '{OURS}' AND chain_seq = 6"
    forged(
        f"UPDATE {TABLE} SET recorded_at = recorded_at - interval '1 day' {where}",
        f"UPDATE {TABLE} SET recorded_at = recorded_at + interval '1 day' {where}",
    )

    with pytest.raises(
        SealsBroken, match=r"2025-03-02.json is no longer what the ledger says .*4 forecasts there, 3 now"
    ):
        seal_day(ledger.engine_as("reader"), seals, DAYS[1])
    assert (seals / "2025-03-02.json").read_bytes() == ledger.published[1].data


def test_no_day_is_sealed_on_top_of_rows_that_were_written_anew(
    ledger: SealedLedger, forged: Callable[[str, str], None]
) -> None:
    where = f"WHERE model_name = '{OTHER}' AND chain_seq = 3"
    forged(
        f"UPDATE {TABLE} SET row_hash = set_bit(row_hash, 0, 1 - get_bit(row_hash, 0)) {where}",
        f"UPDATE {TABLE} SET row_hash = set_bit(row_hash, 0, 1 - get_bit(row_hash, 0)) {where}",
    )

    with pytest.raises(SealsBroken, match=f"{OTHER} 1h, row 3: the row that was sealed on 2025-03-02 is another one"):
        seal_day(ledger.engine_as("reader"), ledger.folder / "seals", DAYS[2])


def test_a_broken_file_of_the_day_before_is_named(ledger: SealedLedger, tmp_path: Path) -> None:
    (tmp_path / "2025-03-01.json").write_text("{}")

    with pytest.raises(BadSeal, match="2025-03-01.json is no seal of a day"):
        seal_day(ledger.engine_as("reader"), tmp_path, DAYS[1])


def test_forecasts_that_are_being_written_are_waited_for(ledger: SealedLedger, tmp_path: Path) -> None:
    """A row dated before midnight whose transaction ends after it is in the seal, or there is none."""
    engine, day = ledger.engine_as("reader"), date(2025, 3, 6)
    with ledger.engine_as("superuser").connect() as conn:
        set_clock(conn, f"{day} 10:00Z")
        conn.execute(text("SET LOCAL ROLE candlecast_writer"))
        insert_predictions(conn, [row("kronos-late", 1)], scored_steps=(1,), fence=None)

        with pytest.raises(StillWriting, match="1 transactions that may hold forecasts of that day did not end"):
            seal_day(engine, tmp_path, day, wait_s=0.3)
        assert list(tmp_path.iterdir()) == []

        found: list[sealing.Sealed] = []
        waiting = threading.Thread(target=lambda: found.append(seal_day(engine, tmp_path, day, wait_s=60)))
        waiting.start()
        waiting.join(timeout=0.5)
        assert waiting.is_alive()
        conn.rollback()  # it might as well have committed: what counts is that nobody can add to the day any more
        waiting.join(timeout=60)

    assert [one.is_new for one in found] == [True]


def test_the_reader_seals_and_proves(reader: Connection, ledger: SealedLedger, tmp_path: Path) -> None:
    """Every forecast has a proof against its own day, which no other day's seal accepts."""
    rows = reader.execute(text(f"SELECT prediction_id, recorded_at FROM {TABLE}")).all()
    assert len(rows) == N_ROWS
    for prediction_id, recorded_at in rows:
        proof = Proof.from_bytes(prove(reader, prediction_id).to_bytes(), "proof.json")
        for one in ledger.published:
            mine = one.seal.day == recorded_at.astimezone(UTC).date()
            assert (proof.check(one.seal) == []) is mine


def test_a_proof_of_a_changed_forecast_does_not_hold(reader: Connection, ledger: SealedLedger, tmp_path: Path) -> None:
    place = {"model_name": OURS, "chain_seq": 6}
    found = reader.execute(
        text(f"SELECT prediction_id FROM {TABLE} WHERE model_name = :model_name AND chain_seq = :chain_seq"), place
    )
    good = prove(reader, found.scalar_one()).to_bytes().decode()
    seal, path, root = ledger.published[1], tmp_path / "proof.json", tmp_path / "2025-03-02.json"
    root.write_bytes(seal.data)

    def verdict(text: str) -> tuple[str, bool]:
        path.write_text(text)
        sentence, _, wrong = verify_files(None, path, [root])
        return sentence, wrong

    sentence, wrong = verdict(good)
    assert not wrong
    assert sentence == (
        "The proof holds: BTCUSDT 1h by kronos-base, issued 2030-01-07T15:00Z, row 6 of its chain was one of the 4 "
        "forecasts recorded on 2025-03-02, just as it is."
    )
    for old, new in (
        ('"scale": 0.01', '"scale": 0.010000000000000002'),
        ('"feed": "okx, naïve"', '"feed": null'),
        ('"synthetic": false', '"synthetic": true'),
        ('"index": 2', '"index": 1'),
        ('"run_id": null', '"run_id": 1'),
    ):
        assert old in good
        sentence, wrong = verdict(good.replace(old, new))
        assert wrong
        assert "do not lead to the root of 2025-03-02" in sentence
    sentence, wrong = verdict(good.replace('"n_rows": 4', '"n_rows": 5'))
    assert "the proof counts 5 forecasts on 2025-03-02, the seal 4" in sentence
    with pytest.raises(BadSeal, match="is no proof of a forecast: its scale is missing"):
        verdict(good.replace('"scale": 0.01', '"scale": null'))
    with pytest.raises(BadSeal, match="it has no 'seed'"):
        verdict(good.replace('"seed"', '"sead"'))


def test_a_forecast_that_was_sealed_on_a_day_that_is_not_its_own_has_no_proof(
    reader: Connection, ledger: SealedLedger
) -> None:
    """Whoever makes the seals may seal what he likes; that the row itself names another day is said."""
    query = text(f"SELECT prediction_id FROM {TABLE} WHERE model_name = :model_name AND chain_seq = 6")
    proof = prove(reader, reader.execute(query, {"model_name": OURS}).scalar_one())
    moved = replace(proof, day=DAYS[2], index=0, n_rows=1, path=[])
    seal = replace(ledger.published[2].seal, n_rows=1, root=Tree(hashes(proof.row)).root())

    assert moved.check(seal) == ["the forecast says that it was recorded on 2025-03-02, not on 2025-03-03"]


def test_a_forecast_that_is_not_on_record_has_no_proof(reader: Connection) -> None:
    with pytest.raises(NoSuchForecast, match="the ledger has no forecast 00000000-0000-0000-0000-000000000009"):
        prove(reader, UUID(int=9))


def test_a_seal_is_the_same_whatever_the_order_of_the_database(ledger: SealedLedger) -> None:
    """Leaves by bytes: Kronos before kronos, as whoever checks it sorts them."""
    seal = Seal.from_bytes(ledger.published[0].data, "x")

    assert [model for model, _ in seal.heads] == sorted([OURS, OTHER], key=str.encode) == [OTHER, OURS]
