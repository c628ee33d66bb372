"""Instruments in the store. The file decides for the symbols it names; rows of other symbols stay as they are."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import orjson
from sqlalchemy import Connection

from candlecast.instruments import Instrument
from candlecast.store.sql import load


@dataclass(frozen=True, slots=True)
class SyncCounts:
    """How many instruments were new, differed, and were the same."""

    inserted: int
    updated: int
    unchanged: int


def upsert_instruments(conn: Connection, instruments: Iterable[Instrument]) -> SyncCounts:
    """Make the table agree with `instruments`; doing it again touches no row.

    A row that was edited in the table and is named here is set back: to keep an edit, make it in the file.
    """
    rows = [asdict(instrument) for instrument in instruments]
    parameters = {"rows": orjson.dumps(rows).decode()}
    conn.execute(load("instruments_free_leaders"), parameters)
    changed = conn.execute(load("instruments_upsert"), parameters).all()
    inserted = sum(row.inserted for row in changed)
    return SyncCounts(inserted, len(changed) - inserted, len(rows) - len(changed))


def read_instruments(conn: Connection) -> tuple[Instrument, ...]:
    """Every instrument of the store, by symbol."""
    return tuple(Instrument(**row) for row in conn.execute(load("instruments_read")).mappings())
