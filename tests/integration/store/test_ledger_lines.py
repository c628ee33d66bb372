"""The ledger as JSON lines: every row as it was hashed, readable by anybody, and checked like the Parquet file."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from candlecast.audit import audit
from candlecast.ledger_file import Reader, Writer
from candlecast.ledger_lines import BadLedgerFile, LinesReader
from candlecast.outsider import verify_files
from candlecast.store import export
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.export import export_ledger, exported_lines, pieces

from .sealed_ledger import DAYS, N_ROWS, OTHER, OURS, SealedLedger, sealed_ledger

VICTIM = 8  # of the file: our chain's row 6, with a feed and a calibration


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


def written(conn: Connection, path: Path, **limits: Any) -> Path:
    with conn.begin():
        chains = pieces(conn, **limits)
    path.write_bytes(b"".join(exported_lines(conn, chains)))
    return path


@pytest.fixture
def lines(reader: Connection, tmp_path: Path) -> Path:
    return written(reader, tmp_path / "ledger.jsonl")


def ended(rows: list[bytes], n_chains: int = 2) -> bytes:
    """The rows with a last line that fits them: what a forger would write."""
    body = b"".join(rows)
    said = {"ledger": {"n_rows": len(rows), "n_chains": n_chains, "sha256": sha256(body).hexdigest()}}
    return body + json.dumps(said).encode() + b"\n"


def test_the_lines_are_whole_and_every_row_is_sealed(lines: Path, ledger: SealedLedger) -> None:
    report = audit(lines, ledger.published)

    assert report.ok, report.wrong
    assert (report.n_rows, report.n_chains, report.n_sealed) == (N_ROWS, 2, N_ROWS)
    assert report.days == DAYS
    assert report.open == []


def test_they_say_what_the_table_says(lines: Path, reader: Connection) -> None:
    """Read with Python's own json, held against what the database writes as text."""
    *rows, last = map(json.loads, lines.read_bytes().splitlines())
    query = (
        "SELECT *, to_json(p10)::text AS p10_text, to_json(fan)::text AS fan_text, event_context::text AS events, "
        "calibration::text AS correction, seed::text AS seed_text FROM candlecast.ml_predictions"
    )
    table = {(one["model_name"], one["chain_seq"]): one for one in reader.execute(text(query)).mappings()}

    assert [(one["model_name"], one["chain_seq"]) for one in rows] == [(OTHER, n) for n in (1, 2, 3)] + [
        (OURS, n) for n in range(1, 10)
    ]
    for one in rows:
        there = table[one["model_name"], one["chain_seq"]]
        assert one["p10"] == json.loads(there["p10_text"])
        assert one["fan"] == json.loads(there["fan_text"])
        assert (one["event_context"], one["calibration"]) == (there["events"], there["correction"])
        assert (one["seed"], one["run_id"], one["feed"]) == (there["seed_text"], there["run_id"], there["feed"])
        for name in ("row_hash", "prev_hash", "data_hash"):
            assert one[name] == there[name].hex()
        for name in ("issued_at", "recorded_at", "lookback_start"):
            assert datetime.fromisoformat(one[name]) == there[name]
        assert [datetime.fromisoformat(at) for at in one["target_at"]] == there["target_at"]
    assert '"last_close":-0.0' in lines.read_text().splitlines()[4]
    assert last == {
        "ledger": {
            "n_rows": N_ROWS,
            "n_chains": 2,
            "sha256": sha256(b"".join(lines.read_bytes().splitlines(True)[:-1])).hexdigest(),
        }
    }


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_they_hold_what_the_parquet_file_holds(
    reader: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(export, "LINES_AT_ONCE", at_once)
    lines = written(reader, tmp_path / "ledger.jsonl")
    export_ledger(reader, tmp_path / "ledger.parquet")
    with Writer(tmp_path / "again.parquet") as again:
        for rows, row_hashes in LinesReader(lines).batches():
            again.add(rows, row_hashes)

    def told(path: Path) -> list[Any]:
        return [row for batch, hashes in Reader(path).batches() for row in zip(*(_plain(batch, hashes)), strict=True)]

    assert told(tmp_path / "again.parquet") == told(tmp_path / "ledger.parquet")


def _plain(batch: Any, hashes: list[bytes]) -> Iterator[list[Any]]:
    yield hashes
    for column in batch.columns.values():
        if hasattr(column, "offsets"):
            ends = zip(column.offsets[:-1], column.offsets[1:], strict=True)
            yield [column.values[start:end].tolist() for start, end in ends]
        else:
            yield column if isinstance(column, list) else column.tolist()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "symbol": lambda old: "ETHUSDT",
    "model_version": lambda old: old[:-1] + "0",
    "prediction_id": lambda old: old[:-1] + ("0" if old[-1] != "0" else "1"),
    "issued_at": lambda old: old.replace("30", "31", 1),
    "recorded_at": lambda old: old[:-2] + ("1Z" if old[-2] != "1" else "2Z"),
    "status": lambda old: "replay" if old != "replay" else "late",
    "horizon": lambda old: old + 1,
    "target_at": lambda old: [*old[:-1], old[-1].replace("30", "31", 1)],
    "last_close": lambda old: old * (1 + 2**-52),
    "scale": lambda old: old * (1 + 2**-52),
    "p10": lambda old: [old[0] * (1 + 2**-52), *old[1:]],
    "p50": lambda old: old[:-1],
    "p90": lambda old: [*old, old[-1]],
    "fan": lambda old: old[::-1],
    "seed": lambda old: str(int(old) + 1),
    "n_paths": lambda old: old + 1,
    "lookback_start": lambda old: old.replace("20", "21", 1),
    "lookback_end": lambda old: old.replace("20", "21", 1),
    "data_hash": lambda old: "00" * 32,
    "event_context": lambda old: old + " ",
    "synthetic": lambda old: not old,
    "paths_hash": lambda old: "00" * 32,
    "run_id": lambda old: 5,
    "feed": lambda old: "elsewhere",
    "calibration": lambda old: None,
    "prev_hash": lambda old: "00" * 32,
    "row_hash": lambda old: "00" * 32,
}


def test_a_change_is_tried_in_every_column_that_is_hashed(lines: Path) -> None:
    row = json.loads(lines.read_bytes().splitlines()[VICTIM])

    assert set(CHANGES) == set(row) - {"model_name", "interval", "chain_seq"}  # those three name the row


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_value_is_found_and_its_row_named(lines: Path, ledger: SealedLedger, name: str) -> None:
    rows = lines.read_bytes().splitlines(keepends=True)[:-1]
    victim = json.loads(rows[VICTIM])
    victim[name] = CHANGES[name](victim[name])
    rows[VICTIM] = json.dumps(victim).encode() + b"\n"
    lines.write_bytes(ended(rows))

    report = audit(lines, ledger.published)

    assert f"chain {OURS} 1h, row {victim['chain_seq']} (" in report.wrong[0]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda rows: [], "it is empty"),
        (lambda rows: [*rows, rows[0]], "a line has no model_name"),
        (lambda rows: [b"{}\n", *rows], "a line has no model_name"),
        (lambda rows: [b"no json\n", *rows], "line 1 is not JSON"),
        (lambda rows: [b"[1]\n", *rows], "line 1 is no object"),
        (lambda rows: [rows[0].replace(b'"scale":0.01', b'"scale":null'), *rows[1:]], "a value of scale"),
        (lambda rows: [rows[0].replace(b'"scale":0.01', b'"scale":"much"'), *rows[1:]], "a value of scale"),
        (lambda rows: [rows[0].replace(b'"synthetic":false', b'"synthetic":0'), *rows[1:]], "a value of synthetic"),
    ],
)
def test_a_file_that_is_no_export_says_why(
    lines: Path, edit: Callable[[list[bytes]], list[bytes]], sentence: str
) -> None:
    lines.write_bytes(b"".join(edit(lines.read_bytes().splitlines(keepends=True))))

    with pytest.raises(BadLedgerFile, match=sentence):
        audit(lines)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda rows: rows[:-1], "has no last line, so it was cut off"),
        (lambda rows: [*rows[:-2], rows[-1]], "are not those that its last line counts"),
        (lambda rows: [rows[0].replace(b'","', b'", "', 1), *rows[1:]], "are not those that its last line counts"),
        (lambda rows: [*rows[:-1], b'{"ledger": 3}\n'], "are not those that its last line counts"),
    ],
)
def test_a_file_that_is_not_as_it_was_sent_is_found_though_its_chains_fit(
    lines: Path, edit: Callable[[list[bytes]], list[bytes]], sentence: str
) -> None:
    lines.write_bytes(b"".join(edit(lines.read_bytes().splitlines(keepends=True))))

    assert sentence in " ".join(audit(lines).wrong)


def test_lines_read_in_small_pieces_are_checked_all_the_same(
    lines: Path, ledger: SealedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candlecast.ledger_lines.BYTES_AT_ONCE", 1)

    assert audit(lines, ledger.published).n_sealed == N_ROWS


def test_a_piece_of_the_ledger_is_held_against_the_seals_of_its_days(
    reader: Connection, ledger: SealedLedger, tmp_path: Path
) -> None:
    path = written(reader, tmp_path / "piece.jsonl", start=datetime(2025, 3, 2, tzinfo=UTC), model_name=OURS)
    report = audit(path, ledger.published[1:])

    assert report.n_rows == N_ROWS - 3 - 4
    assert f"chain {OURS} 1h begins at row 5: the rows before it are not in the file" in report.open


def test_who_has_only_files_verifies_them_without_parquet(
    lines: Path, ledger: SealedLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("candlecast.outsider.find_spec", lambda name: None)
    sentence, facts, wrong = verify_files(lines, None, sorted((ledger.folder / "seals").glob("*.json")))

    assert not wrong
    assert "The export is whole: 12 forecasts in 2 chains" in sentence
    assert facts["n_sealed"] == N_ROWS
