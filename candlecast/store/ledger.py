"""Recompute the hash chains from the rows: whether any forecast was changed, removed or slipped in afterwards.

The rows arrive as a binary COPY, whose bytes are the ones that were hashed when the row was written, so no value is
ever parsed: one SHA-256 a row, in the order of the chain. What the hash covers is listed in
sql/queries/ledger_rows.sql; its bytes are those of PostgreSQL's `record_send`, big-endian, microseconds since 2000.
"""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from candlecast.store.sql import load, read

GENESIS: Final = sha256(b"").digest()  # prev_hash of the first row of every chain
Progress = Callable[[int, int], None]  # rows done, rows there were at the start

HEADER: Final = b"PGCOPY\n\xff\r\n\0"
# Offsets in a row of the COPY: int16 count, (int32 size, 32 bytes) row_hash, (int32 size, ...) record; and in the
# record: int32 count, (oid, size, 32 bytes) prev_hash, (oid, size, int64) chain_seq, ...
ROW_HASH: Final = slice(6, 38)
RECORD: Final = 42
PREV_HASH: Final = slice(RECORD + 12, RECORD + 44)
CHAIN_SEQ: Final = RECORD + 52
CHAIN_SEQ_OF: Final = struct.Struct("!q").unpack_from
PROGRESS_EVERY: Final = 8192


@dataclass(frozen=True, slots=True)
class Break:
    """The first place of a chain that is not as it was written; who it is, where the row is still there."""

    model_name: str
    interval: str
    chain_seq: int
    what: str
    prediction_id: UUID | None = None
    symbol: str | None = None
    issued_at: datetime | None = None

    def __str__(self) -> str:
        who = (
            ""
            if self.symbol is None
            else f" ({self.symbol} issued {self.issued_at:%Y-%m-%dT%H:%MZ}, {self.prediction_id})"
        )
        return f"chain {self.model_name} {self.interval}, row {self.chain_seq}{who}: {self.what}"


@dataclass(slots=True)
class VerifyReport:
    """What was recomputed. `breaks` names the first broken row of each chain that is broken."""

    n_chains: int = 0
    n_rows: int = 0
    n_paths: int = 0  # stored sample paths that agree with their row
    n_paths_absent: int = 0  # removed by retention
    seconds: float = 0.0
    breaks: list[Break] = field(default_factory=list)
    heads: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)  # chain -> (length, newest hash in hex)

    @property
    def ok(self) -> bool:
        return not self.breaks

    @property
    def first_broken(self) -> Break | None:
        return self.breaks[0] if self.breaks else None


@dataclass(slots=True)
class _Walk:
    """Where the walk along one chain stands."""

    n_rows: int = 0
    seq: int = 0
    digest: bytes = GENESIS
    what: str | None = None
    where: int = 0
    head_digest: bytes | None = None  # the hash of the row that the head named before the walk


def verify(
    conn: Connection,
    *,
    model_name: str | None = None,
    interval: str | None = None,
    paths: bool = True,
    progress: Progress | None = None,
) -> VerifyReport:
    """Recompute every chain, or those of one model or interval. Rows that arrive meanwhile do no harm.

    `paths` also holds the stored sample paths against their rows. A broken chain is reported by its first
    broken row and not followed further.
    """
    started = time.perf_counter()
    conn.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a reader's limit is made for reading one page
    report = VerifyReport()
    wanted = {"model_name": model_name, "interval": interval}
    chains = conn.execute(load("ledger_chains"), wanted).all()
    total = sum(chain.chain_seq for chain in chains)
    for chain in chains:
        report.n_chains += 1
        walk = _walk(conn, chain.model_name, chain.interval, chain.chain_seq, report.n_rows, total, progress)
        report.n_rows += walk.n_rows
        _compare_head(conn, chain, walk)
        if walk.what is not None:
            report.breaks.append(_break(conn, chain.model_name, chain.interval, walk.where, walk.what))
        else:
            report.heads[chain.model_name, chain.interval] = (walk.seq, walk.digest.hex())
        if paths:
            _compare_paths(conn, chain.model_name, chain.interval, report)
    report.seconds = time.perf_counter() - started
    return report


def _walk(
    conn: Connection,
    model_name: str,
    interval: str,
    head_seq: int,
    n_before: int,
    total: int,
    progress: Progress | None,
) -> _Walk:
    """Follow one chain to its end, or to the first row that does not follow from the one before."""
    walk = _Walk()
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = sql.SQL(_template()).format(model_name=sql.Literal(model_name), interval=sql.Literal(interval))
    seq, digest = 0, GENESIS
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for message in copy:  # one row each, as the protocol promises
            row: Any = message
            if row[:11] == HEADER:
                row = row[19:]
            if len(row) <= 2:  # the trailer
                continue
            walk.n_rows += 1
            if walk.what is not None:  # read to the end: a COPY that is broken off takes the transaction with it
                continue
            found = CHAIN_SEQ_OF(row, CHAIN_SEQ)[0]
            if found != seq + 1:
                walk.where, walk.what = seq + 1, _missing(seq, found)
            elif row[PREV_HASH] != digest:
                walk.where, walk.what = found, "its prev_hash is not the hash of the row before it"
            else:
                computed = sha256(memoryview(row)[RECORD:]).digest()
                if computed != row[ROW_HASH]:
                    walk.where, walk.what = found, "its columns do not give its row_hash: a value was changed"
                seq, digest = found, computed
            if seq == head_seq:
                walk.head_digest = digest
            if progress is not None and not walk.n_rows % PROGRESS_EVERY:
                progress(n_before + walk.n_rows, total)
    walk.seq, walk.digest = seq, digest
    if progress is not None:
        progress(n_before + walk.n_rows, total)
    return walk


def _template() -> str:
    """The COPY without its header, whose commas and braces are prose."""
    return "\n".join(line for line in read("queries/ledger_rows").splitlines() if not line.startswith("--"))


def _missing(seq: int, found: int) -> str:
    n_missing = found - seq - 1
    return f"{n_missing} row{'s' * (n_missing != 1)} missing: after row {seq} comes row {found}"


def _compare_head(conn: Connection, chain: Any, walk: _Walk) -> None:
    """A chain that was followed to its end has to end where its head says, or at a newer head of this moment."""
    if walk.what is not None:
        return
    place = {"model_name": chain.model_name, "interval": chain.interval}
    now_seq = conn.execute(load("ledger_head"), place).scalar_one_or_none() or 0
    if walk.seq < chain.chain_seq:
        walk.where = walk.seq + 1
        walk.what = f"the chain ends at row {walk.seq}, but its head names row {chain.chain_seq}: the last were removed"
    elif walk.seq > now_seq:
        walk.where = now_seq + 1
        walk.what = f"the chain has {walk.seq} rows, but its head names row {now_seq}: rows were added by force"
    elif chain.chain_seq > 0 and walk.head_digest != bytes(chain.row_hash):
        walk.where, walk.what = chain.chain_seq, "its hash is not the one that the chain's head names"


def _compare_paths(conn: Connection, model_name: str, interval: str, report: VerifyReport) -> None:
    row = conn.execute(load("ledger_paths"), {"model_name": model_name, "interval": interval}).one()
    report.n_paths += row.n_agree
    report.n_paths_absent += row.n_absent
    if row.first_broken is not None:
        what = "its stored sample paths are not the ones it was sealed with"
        report.breaks.append(_break(conn, model_name, interval, row.first_broken, what))


def _break(conn: Connection, model_name: str, interval: str, chain_seq: int, what: str) -> Break:
    place = {"model_name": model_name, "interval": interval, "chain_seq": chain_seq}
    row = conn.execute(load("ledger_row"), place).one_or_none()
    if row is None:
        return Break(model_name, interval, chain_seq, what)
    return Break(model_name, interval, chain_seq, what, row.prediction_id, row.symbol, row.issued_at)
