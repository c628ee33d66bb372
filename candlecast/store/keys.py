"""The keys of readers on record: made, listed, revoked."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row

from candlecast.errors import CandlecastError
from candlecast.keys import KeyRecord, NewKey, digest_of, make_key
from candlecast.store.sql import load

MAX_ACTIVE: Final = 2  # per name: the one in use, and the one that is about to replace it


class TooManyKeys(CandlecastError):
    """A name has as many active keys as a rotation needs."""

    exit_code = 73

    def __init__(self, name: str, active: Sequence[KeyRecord]) -> None:
        ids = " and ".join(record.key_id for record in active)
        super().__init__(
            f"{name} has {len(active)} active keys already ({ids}), enough to replace one by the other; revoke the one "
            f"that is no longer used with `candlecast keys revoke {active[0].key_id}`, then make the new one"
        )
        self.name, self.active = name, tuple(active)


class NoSuchKey(CandlecastError):
    """A key was named that is not on record."""

    exit_code = 64

    def __init__(self, key_id: str) -> None:
        super().__init__(
            f"there is no key {key_id!r}; `candlecast keys list` shows the ids of those there are, which are the part "
            "of a key after ck_"
        )
        self.key_id = key_id


def create_key(conn: Connection, name: str, expires_at: datetime | None = None) -> tuple[NewKey, KeyRecord]:
    """Make a key for `name`, and what was recorded of it. Its text is in `NewKey` and nowhere else.

    Raises
    ------
    TooManyKeys : the name has two active ones.
    """
    conn.execute(load("keys_lock"))
    active = [record for record, state in list_keys(conn) if record.name == name and state == "active"]
    if len(active) >= MAX_ACTIVE:
        raise TooManyKeys(name, active)
    key = make_key()
    digest = digest_of(key.text.encode())
    row = conn.execute(
        load("keys_insert"), {"key_id": key.key_id, "name": name, "digest": digest, "expires_at": expires_at}
    ).one()
    return key, _record(row)


def list_keys(conn: Connection) -> list[tuple[KeyRecord, str]]:
    """Every key with its state by the database's clock, the newest last."""
    rows = conn.execute(load("keys_list")).all()
    return [(record := _record(row), record.state(row.now)) for row in rows]


def revoke_key(conn: Connection, key_id: str) -> tuple[KeyRecord, bool]:
    """The key, which is revoked now, and whether it was not before.

    Raises
    ------
    NoSuchKey : there is none with this id.
    """
    row = conn.execute(load("keys_revoke"), {"key_id": key_id}).one_or_none()
    if row is not None:
        return _record(row), True
    for record, _ in list_keys(conn):
        if record.key_id == key_id:
            return record, False
    raise NoSuchKey(key_id)


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(row.key_id, row.name, bytes(row.digest), row.created_at, row.expires_at, row.revoked_at)
