"""Recompute the hash chains from the rows: whether any forecast was changed, removed or slipped in afterwards.

The rows arrive as a binary COPY, whose bytes are the ones that were hashed when the row was written, so no value is
ever parsed: one SHA-256 a row, in the order of the chain. What the hash covers is listed in
sql/queries/ledger_rows.sql; its bytes are those of PostgreSQL's `record_send`, big-endian, microseconds since 2000.
"""

import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from threading import Lock
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine

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
TELL_EVERY: Final = 4096
ROWS_PER_WORKER: Final = 5_000  # below, a second connection costs more than it saves
LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1
NO_LIMIT: Final = "SET LOCAL statement_timeout = 0"  # a reader's limit is made for reading one page


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
class _Part:
    """A part of a chain to be walked, rows `after` < chain_seq <= `upto`, and how far the walk came."""

    model_name: str
    interval: str
    head_seq: int  # what the head named before the walk
    after: int
    upto: int
    start: bytes  # the hash of the row before the part
    n_rows: int = 0
    seq: int = 0
    digest: bytes = b""
    head_digest: bytes | None = None  # the hash of the row that the head named
    where: int = 0
    what: str | None = None


def verify(
    conn: Connection,
    *,
    model_name: str | None = None,
    interval: str | None = None,
    paths: bool = True,
    progress: Progress | None = None,
    n_workers: int = 2,
) -> VerifyReport:
    """Recompute every chain, or those of one model or interval. Rows that arrive meanwhile do no harm.

    `paths` also holds the stored sample paths against their rows. A broken chain is reported by its first
    broken row and not followed further. A long chain is walked by `n_workers` threads at once, each with a
    connection of its own from the same engine; `progress` may then be called from any of them.
    """
    started = time.perf_counter()
    conn.exec_driver_sql(NO_LIMIT)
    report = VerifyReport()
    chains = conn.execute(load("ledger_chains"), {"model_name": model_name, "interval": interval}).all()
    tell = _counter(progress, sum(chain.chain_seq for chain in chains))
    for chain in chains:
        parts = _parts(conn, chain, n_workers)
        if len(parts) == 1:
            _walk(conn, parts[0], tell)
        else:
            with ThreadPoolExecutor(len(parts)) as pool:
                list(pool.map(lambda part: _walk_apart(conn.engine, part, tell), parts))
        report.n_chains += 1
        report.n_rows += sum(part.n_rows for part in parts)
        where, what = _first_break(conn, chain, parts)
        if what is not None:
            report.breaks.append(_break(conn, chain.model_name, chain.interval, where, what))
        else:
            report.heads[chain.model_name, chain.interval] = (parts[-1].seq, parts[-1].digest.hex())
        if paths:
            _compare_paths(conn, chain.model_name, chain.interval, report)
    report.seconds = time.perf_counter() - started
    return report


def _parts(conn: Connection, chain: Any, n_workers: int) -> list[_Part]:
    """The chain in parts of equal length, each starting from the stored hash of the row before it."""
    n_parts = max(1, min(n_workers, chain.chain_seq // ROWS_PER_WORKER))
    cuts = [chain.chain_seq * number // n_parts for number in range(1, n_parts)]
    parts = []
    for after, upto in pairwise([LOWEST, *cuts, HIGHEST]):
        row = None if after == LOWEST else _row(conn, chain.model_name, chain.interval, after)
        start = GENESIS if row is None else bytes(row.row_hash)  # a missing row is found by the part that ends there
        parts.append(_Part(chain.model_name, chain.interval, chain.chain_seq, after, upto, start))
    return parts


def _walk_apart(engine: Engine, part: _Part, tell: Callable[[int], None]) -> None:
    with engine.connect() as conn:
        conn.exec_driver_sql(NO_LIMIT)
        _walk(conn, part, tell)


def _walk(conn: Connection, part: _Part, tell: Callable[[int], None]) -> None:
    """Follow a part to its end, or to the first row that does not follow from the one before."""
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    literals = {name: sql.Literal(getattr(part, name)) for name in ("model_name", "interval", "after", "upto")}
    seq, digest = max(part.after, 0), part.start
    n_told = 0
    with driver.cursor() as cursor, cursor.copy(sql.SQL(template()).format(**literals)) as copy:
        for message in copy:  # one row each, as the protocol promises
            row: Any = message
            if row[:11] == HEADER:
                row = row[19:]
            if len(row) <= 2:  # the trailer
                continue
            part.n_rows += 1
            if part.what is not None:  # read to the end: a COPY that is broken off takes the transaction with it
                continue
            found = CHAIN_SEQ_OF(row, CHAIN_SEQ)[0]
            if found != seq + 1:
                part.where, part.what = seq + 1, _gap(seq, found)
            elif row[PREV_HASH] != digest:
                part.where, part.what = found, "its prev_hash is not the hash of the row before it"
            else:
                computed = sha256(memoryview(row)[RECORD:]).digest()
                if computed != row[ROW_HASH]:
                    part.where, part.what = found, "its columns do not give its row_hash: a value was changed"
                seq, digest = found, computed
            if seq == part.head_seq:
                part.head_digest = digest
            if part.n_rows - n_told == TELL_EVERY:
                tell(TELL_EVERY)
                n_told = part.n_rows
    part.seq, part.digest = seq, digest
    tell(part.n_rows - n_told)


def _counter(progress: Progress | None, total: int) -> Callable[[int], None]:
    """Adds up what the workers did and passes it on, one call at a time."""
    lock, done = Lock(), 0

    def tell(n_rows: int) -> None:
        nonlocal done
        with lock:
            done += n_rows
            if progress is not None:
                progress(done, total)

    return tell


def template() -> str:
    """The COPY without its header, whose commas and braces are prose."""
    return "\n".join(line for line in read("queries/ledger_rows").splitlines() if not line.startswith("--"))


def _gap(seq: int, found: int) -> str:
    if found <= seq:
        return f"after row {seq} comes row {found}: a row was slipped in"
    n_missing = found - seq - 1
    return f"{n_missing} row{'s' * (n_missing != 1)} missing: after row {seq} comes row {found}"


def _first_break(conn: Connection, chain: Any, parts: list[_Part]) -> tuple[int, str | None]:
    """Where the chain breaks first and how; the parts have to join, and the end has to be where the head says."""
    for part, after in pairwise(parts):
        if part.what is not None:
            return part.where, part.what
        if part.seq != part.upto:
            return part.seq + 1, f"{part.upto - part.seq} rows missing: after row {part.seq} comes row {part.upto + 1}"
        if part.digest != after.start:
            return part.upto, "its hash changed while it was read"
    last = parts[-1]
    if last.what is not None:
        return last.where, last.what
    # Forecasts may have arrived since: the chain may be longer than its head was, not longer than it now is.
    place = {"model_name": chain.model_name, "interval": chain.interval}
    now_seq = conn.execute(load("ledger_head"), place).scalar_one_or_none() or 0
    if last.seq < chain.chain_seq:
        gone = f"the chain ends at row {last.seq}, but its head names row {chain.chain_seq}: the last were removed"
        return last.seq + 1, gone
    if last.seq > now_seq:
        forced = f"the chain has {last.seq} rows, but its head names row {now_seq}: rows were added by force"
        return now_seq + 1, forced
    if chain.chain_seq > 0 and last.head_digest != bytes(chain.row_hash):
        return chain.chain_seq, "its hash is not the one that the chain's head names"
    return 0, None


def _compare_paths(conn: Connection, model_name: str, interval: str, report: VerifyReport) -> None:
    row = conn.execute(load("ledger_paths"), {"model_name": model_name, "interval": interval}).one()
    report.n_paths += row.n_agree
    report.n_paths_absent += row.n_absent
    if row.first_broken is not None:
        what = "its stored sample paths are not the ones it was sealed with"
        report.breaks.append(_break(conn, model_name, interval, row.first_broken, what))


def _break(conn: Connection, model_name: str, interval: str, chain_seq: int, what: str) -> Break:
    row = _row(conn, model_name, interval, chain_seq)
    if row is None:
        return Break(model_name, interval, chain_seq, what)
    return Break(model_name, interval, chain_seq, what, row.prediction_id, row.symbol, row.issued_at)


def _row(conn: Connection, model_name: str, interval: str, chain_seq: int) -> Any:
    place = {"model_name": model_name, "interval": interval, "chain_seq": chain_seq}
    return conn.execute(load("ledger_row"), place).first()
