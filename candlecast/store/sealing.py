"""Seal the days that are over: one file per day, each naming the one before, to be published off this machine.

A seal that was written stays: making it again gives the same bytes, or says what is no longer as it was sealed.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from candlecast.errors import CandlecastError
from candlecast.proofs import Proof
from candlecast.records import decoded
from candlecast.seals import Head, Seal, Tree
from candlecast.store.export import sealed_rows
from candlecast.store.ledger import NO_LIMIT
from candlecast.store.sql import load

DAY: Final = timedelta(days=1)
WAIT_S: Final = 120.0  # for forecasts that were being written at midnight; a group of them takes a second
ROWS_AT_ONCE: Final = 10_000


class DayNotOver(CandlecastError):
    """A day can be sealed when it is over, by the database's clock."""

    exit_code = 75

    def __init__(self, day: date, now: datetime) -> None:
        super().__init__(
            f"{day} is not over: the database's clock says {now:%Y-%m-%dT%H:%MZ}; seal it after {day + DAY}T00:00Z"
        )


class OnReplica(CandlecastError):
    """A replica may lag behind: forecasts that are on record might be missing from a seal made there."""

    def __init__(self) -> None:
        super().__init__("this database is a replica and may lag; set DATABASE_URL to the primary and seal there")


class StillWriting(CandlecastError):
    """A transaction that may hold forecasts of the day has not ended."""

    exit_code = 75

    def __init__(self, day: date, n_writers: int, seconds: float) -> None:
        super().__init__(
            f"{day} is not sealed: {n_writers} transactions that may hold forecasts of that day did not end within "
            f"{seconds:.0f} s; end them (see pg_stat_activity), then seal again"
        )


class SealsBroken(CandlecastError):
    """The folder's files do not let this day be sealed, or the rows are no longer those that were sealed."""


class NoSuchForecast(CandlecastError):
    """A forecast that is not on record."""

    exit_code = 64

    def __init__(self, prediction_id: UUID) -> None:
        super().__init__(f"the ledger has no forecast {prediction_id}; ids stand in the export and in /v1/predictions")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A seal and its file; `is_new` where this call wrote it."""

    path: Path
    seal: Seal
    file_hash: str
    is_new: bool

    def __str__(self) -> str:
        done = "sealed" if self.is_new else "stands as it was sealed"
        seal = self.seal
        return (
            f"{seal.day} {done}: {seal.n_rows} forecasts, {len(seal.heads)} chains, root {seal.root.hex()}, "
            f"{self.path} (SHA-256 {self.file_hash})"
        )


def seal_until_yesterday(engine: Engine, folder: Path, *, wait_s: float = WAIT_S) -> list[Sealed]:
    """Seal every day from the newest file of the folder to yesterday; where there is none, yesterday alone.

    A first seal needs no forerunner: the heads it names stand for everything before them in their chains. The newest
    file is made again too, which tells whether its rows are still those that were sealed.

    Raises
    ------
    OnReplica, StillWriting, SealsBroken : see `seal_day`.
    """
    days = sealed_days(folder)
    yesterday = database_clock(engine).date() - DAY
    first = min(days[-1], yesterday) if days else yesterday
    return [
        seal_day(engine, folder, first + number * DAY, wait_s=wait_s) for number in range((yesterday - first).days + 1)
    ]


def seal_day(engine: Engine, folder: Path, day: date, *, wait_s: float = WAIT_S) -> Sealed:
    """Seal one day: read its rows, write FOLDER/YYYY-MM-DD.json, or find that the file that is there still holds.

    Raises
    ------
    DayNotOver, OnReplica, StillWriting : it cannot be sealed now.
    SealsBroken : the day before was not sealed, or a file or the ledger is not what it was.
    """
    now = database_clock(engine)
    if now < _midnight(day + DAY):
        raise DayNotOver(day, now)
    before = _before(folder, day)
    path = seal_path(folder, day)
    _wait_for_writers(engine, day, wait_s)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn:
        if before is not None:
            _hold_heads(conn, before[0])
        seal = read_seal(conn, day, previous=None if before is None else sha256(before[1]).digest())
    if path.exists():
        return _compared(path, seal)
    data = seal.to_bytes()
    if not _write_once(path, data):
        return _compared(path, seal)
    return Sealed(path, seal, sha256(data).hexdigest(), is_new=True)


def read_seal(conn: Connection, day: date, *, previous: bytes | None) -> Seal:
    """The seal of the rows that are on record; the caller sees to it that the day is over."""
    conn.exec_driver_sql(NO_LIMIT)
    start, stop = _midnight(day), _midnight(day + DAY)
    tree = Tree()
    found = conn.execute(
        load("seal_rows"), {"start": start, "stop": stop}, execution_options={"yield_per": ROWS_AT_ONCE}
    )
    for rows in found.partitions():
        tree.add(bytes(row.row_hash) for row in rows)
    heads = {
        (row.model_name, row.interval): Head(row.chain_seq, bytes(row.row_hash))
        for row in conn.execute(load("seal_heads"), {"before": stop})
    }
    now = conn.execute(load("seal_clock")).one().now.astimezone(UTC)
    return Seal(day, tree.n, tree.root(), heads, previous, now)


def prove(conn: Connection, prediction_id: UUID) -> Proof:
    """The proof of one forecast against the seal of the day on which it was recorded.

    Raises
    ------
    NoSuchForecast : it is not on record.
    DayNotOver : its day has no seal yet.
    """
    conn.exec_driver_sql(NO_LIMIT)
    place = conn.execute(load("seal_place"), {"prediction_id": prediction_id}).first()
    if place is None:
        raise NoSuchForecast(prediction_id)
    day = place.recorded_at.astimezone(UTC).date()
    now = conn.execute(load("seal_clock")).one().now.astimezone(UTC)
    if now < _midnight(day + DAY):
        raise DayNotOver(day, now)
    (_, record), *_ = sealed_rows(conn, place.model_name, place.interval, place.chain_seq, place.chain_seq)
    span = {"start": _midnight(day), "stop": _midnight(day + DAY)}
    found = conn.execute(load("seal_rows"), span, execution_options={"yield_per": ROWS_AT_ONCE})
    row_hashes: list[bytes] = []
    index = -1
    for row in found:
        if row.prediction_id == prediction_id:
            index = len(row_hashes)
        row_hashes.append(bytes(row.row_hash))
    return Proof.of(day, decoded([record]), row_hashes, index)


def database_clock(engine: Engine) -> datetime:
    """Now, by the clock that dates the rows; raises OnReplica."""
    with engine.connect() as conn:
        clock = conn.execute(load("seal_clock")).one()
    if clock.is_replica:
        raise OnReplica
    now: datetime = clock.now.astimezone(UTC)
    return now


def seal_path(folder: Path, day: date) -> Path:
    return folder / f"{day}.json"


def sealed_days(folder: Path) -> list[date]:
    """The days that have a file, in order."""
    days = []
    for path in folder.glob("????-??-??.json"):
        try:
            days.append(date.fromisoformat(path.stem))
        except ValueError:
            continue
    return sorted(days)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, clock_time(), UTC)


def _before(folder: Path, day: date) -> tuple[Seal, bytes] | None:
    """The seal of the day before and its bytes; None where this day is the folder's first."""
    days = sealed_days(folder)
    earlier = [one for one in days if one < day]
    if not earlier:
        if days and days[0] > day:
            raise SealsBroken(
                f"the seals in {folder} begin on {days[0]}, and no later one names a seal of {day}; what was recorded "
                f"then is covered by the heads that the seal of {days[0]} names"
            )
        return None
    if earlier[-1] != day - DAY:
        raise SealsBroken(
            f"{day} cannot be sealed: the newest seal in {folder} before it is of {earlier[-1]}; run `candlecast seal` "
            "without --day, which seals the days between"
        )
    path = seal_path(folder, earlier[-1])
    data = path.read_bytes()
    return Seal.from_bytes(data, str(path)), data


def _wait_for_writers(engine: Engine, day: date, wait_s: float, sleep: Callable[[float], None] = time.sleep) -> None:
    """Until every transaction that was writing forecasts when this began has ended."""
    give_up_at = time.monotonic() + wait_s
    pending: set[str] | None = None
    while pending is None or pending:
        with engine.connect() as conn:
            writing = set(conn.execute(load("seal_writers")).scalars())
        pending = writing if pending is None else pending & writing
        if pending and time.monotonic() > give_up_at:
            raise StillWriting(day, len(pending), wait_s)
        if pending:
            sleep(0.2)


def _hold_heads(conn: Connection, before: Seal) -> None:
    """The rows that the seal of the day before names are still there."""
    for (model_name, interval), head in before.heads.items():
        place = {"model_name": model_name, "interval": interval, "chain_seq": head.chain_seq}
        row = conn.execute(load("ledger_row"), place).first()
        if row is None or bytes(row.row_hash) != head.row_hash:
            what = "is gone" if row is None else "is another one now"
            raise SealsBroken(
                f"chain {model_name} {interval}, row {head.chain_seq}: the row that was sealed on {before.day} {what}; "
                "keep the database as it is and run `candlecast verify`"
            )


def _compared(path: Path, seal: Seal) -> Sealed:
    """The file that is there, if it says what the rows say."""
    data = path.read_bytes()
    written = Seal.from_bytes(data, str(path))
    if not written.says_the_same_as(seal):
        differs = [
            what
            for what, there, now in (
                (f"{written.n_rows} forecasts there, {seal.n_rows} now", written.n_rows, seal.n_rows),
                ("another root", written.root, seal.root),
                ("other heads of the chains", dict(written.heads), dict(seal.heads)),
                ("another file of the day before", written.previous, seal.previous),
            )
            if there != now
        ]
        raise SealsBroken(
            f"{path} is no longer what the ledger says about {seal.day} ({', '.join(differs)}); nothing was written. "
            "Compare the file with the published one, and the rows with a backup: one of them was changed"
        )
    return Sealed(path, written, sha256(data).hexdigest(), is_new=False)


def _write_once(path: Path, data: bytes) -> bool:
    """Whether the file was written; False where another process was first. It is there whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True
