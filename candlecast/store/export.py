"""The ledger out of the database, byte for byte as it was hashed, into a file that anybody can check."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from candlecast.records import decoded
from candlecast.store.ledger import HEADER, NO_LIMIT, template
from candlecast.store.sql import load

BYTES_AT_ONCE: Final = 16 * 2**20  # of records; a row of 120 steps has 23 kB
ROWS_AT_ONCE: Final = 20_000
SIZE: Final = struct.Struct("!i").unpack_from


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
) -> ExportReport:
    """Write the ledger to a Parquet file (candlecast.ledger_file), in pieces of bounded size.

    Only the chains of a model or an interval, and of each the piece without a gap that was recorded from `start` on
    and before `stop`, where these are given. What was exported before the call failed is not kept.

    Raises
    ------
    OddRecord : a row that was put into the table past this code, in a shape that no column can carry.
    """
    from candlecast.ledger_file import Writer  # pyarrow takes its time, and the gateway does without

    conn.exec_driver_sql(NO_LIMIT)
    asked = {"model_name": model_name, "interval": interval, "start": start, "stop": stop}
    chains = conn.execute(load("export_chains"), asked).all()
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
