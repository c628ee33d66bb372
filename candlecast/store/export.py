"""The ledger out of the database, byte for byte as it was hashed, into a file that anybody can check."""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from candlecast.ledger_lines import last_line, lines_of
from candlecast.records import decoded
from candlecast.store.ledger import HEADER, NO_LIMIT, template
from candlecast.store.sql import load

BYTES_AT_ONCE: Final = 16 * 2**20  # of records; a row of 120 steps has 23 kB
ROWS_AT_ONCE: Final = 20_000
LINES_AT_ONCE: Final = 100
SIZE: Final = struct.Struct("!i").unpack_from


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows first_seq to last_seq of a chain, without a gap."""

    model_name: str
    interval: str
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    path: Path
    n_rows: int
    n_chains: int
    n_bytes: int


def export_ledger(
    conn: Connection,
    path: Path,
    *,
    model_name: str | None = None,
    interval: str | None = None,
    start: datetime | None = None,
    stop: datetime | None = None,
    progress: Callable[[int], None] = lambda n_rows: None,
    statement_limit: str = NO_LIMIT,
) -> ExportReport:
    """Write the ledger to a Parquet file (candlecast.ledger_file), in pieces of bounded size.

    Only the chains of a model or an interval, and of each the piece without a gap that was recorded from `start` on
    and before `stop`, where these are given. What was exported before the call failed is not kept.

    Raises
    ------
    OddRecord : a row that was put into the table past this code, in a shape that no column can carry.
    """
    from candlecast.ledger_file import Writer  # pyarrow takes its time, and the gateway does without

    conn.exec_driver_sql(statement_limit)
    chains = pieces(conn, model_name=model_name, interval=interval, start=start, stop=stop)
    with Writer(path) as writer:
        for chain in chains:
            hashes: list[bytes] = []
            records: list[bytes] = []
            n_bytes = 0
            for row_hash, record in sealed_rows(
                conn, chain.model_name, chain.interval, chain.first_seq, chain.last_seq
            ):
                hashes.append(row_hash)
                records.append(record)
                n_bytes += len(record)
                if n_bytes >= BYTES_AT_ONCE or len(records) >= ROWS_AT_ONCE:
                    writer.add(decoded(records), hashes)
                    progress(writer.n_rows)
                    hashes, records, n_bytes = [], [], 0
            if records:
                writer.add(decoded(records), hashes)
                progress(writer.n_rows)
        n_rows = writer.n_rows
    return ExportReport(path, n_rows, len(chains), path.stat().st_size)


def pieces(
    conn: Connection,
    *,
    model_name: str | None = None,
    interval: str | None = None,
    start: datetime | None = None,
    stop: datetime | None = None,
) -> list[Piece]:
    """What of each chain belongs to an export, in its order; None is no limit."""
    asked = {"model_name": model_name, "interval": interval, "start": start, "stop": stop}
    rows = conn.execute(load("export_chains"), asked)
    return [Piece(row.model_name, row.interval, row.first_seq, row.last_seq) for row in rows]


def exported_lines(conn: Connection, chains: Sequence[Piece], *, statement_limit: str = NO_LIMIT) -> Iterator[bytes]:
    """The rows as JSON lines (candlecast.ledger_lines), `LINES_AT_ONCE` at a time, and the line that ends the file.

    No transaction is open between two pieces, so whoever takes the lines may be as slow as they are: rows of a chain
    never change. `conn` is in no transaction.

    Raises
    ------
    OddRecord : a row that was put into the table past this code, in a shape that no line can carry.
    """
    digest, n_rows = sha256(), 0
    for chain in chains:
        for first in range(chain.first_seq, chain.last_seq + 1, LINES_AT_ONCE):
            last = min(first + LINES_AT_ONCE - 1, chain.last_seq)
            with conn.begin():
                conn.exec_driver_sql(statement_limit)
                rows = list(sealed_rows(conn, chain.model_name, chain.interval, first, last))
            lines = b"".join(lines_of(decoded([record for _, record in rows]), [row_hash for row_hash, _ in rows]))
            digest.update(lines)
            n_rows += len(rows)
            yield lines
    yield last_line(n_rows, len(chains), digest.digest())


def sealed_rows(
    conn: Connection, model_name: str, interval: str, first_seq: int, last_seq: int
) -> Iterator[tuple[bytes, bytes]]:
    """(row_hash, the bytes it was made of) of the rows first_seq to last_seq of a chain, in order."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    place = {"model_name": model_name, "interval": interval, "after": first_seq - 1, "upto": last_seq}
    literals = {name: sql.Literal(value) for name, value in place.items()}
    with driver.cursor() as cursor, cursor.copy(sql.SQL(template()).format(**literals)) as copy:
        for message in copy:
            row: Any = bytes(message)
            if row.startswith(HEADER):
                row = row[19:]
            if len(row) <= 2:  # the trailer
                continue
            end = 6 + SIZE(row, 2)[0]
            yield row[6:end], row[end + 4 :]
