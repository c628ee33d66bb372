"""`candlecast keys …`: make, list and revoke the keys with which readers open the keyed routes."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from candlecast.commands import BadOption, Json, finish
from candlecast.keys import ID_LENGTH
from candlecast.settings import JobSettings

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from candlecast.keys import KeyRecord

app = typer.Typer(help="The keys of readers: for the routes that ask for one.", no_args_is_help=True)

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who or what reads with it, e.g. research-desk.")],
    expires: Annotated[str | None, typer.Option(help="When it ends: 90d, or 2027-06-01 (UTC); default never.")] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once: only its hash is kept."""
    from candlecast.store.keys import create_key

    if not NAME.fullmatch(name):
        raise BadOption(
            f"{name!r} cannot name a key; use 1 to 64 letters, digits, spaces and . _ @ -, beginning with a letter or "
            "digit"
        )
    expires_at = _end(expires)
    with _store() as conn:
        key, record = create_key(conn, name, expires_at)
    until = f"until {record.expires_at:%Y-%m-%d %H:%M} UTC" if record.expires_at else "until it is revoked"
    finish(
        f"{key.text}\n\n"
        f"This is the key {key.key_id} of {name}, good {until}. It is shown only now; keep it where secrets are kept.\n"
        f"Send it as the header X-API-Key. A running gateway knows it within seconds.",
        as_json,
        key_id=key.key_id,
        key=key.text,
        name=name,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List all keys with their state; the keys themselves are kept nowhere."""
    from candlecast.store.keys import list_keys

    with _store() as conn:
        listed = list_keys(conn)
    if not as_json and listed:
        width = max(4, *(len(record.name) for record, _ in listed))
        print(f"{'id':<10}  {'name':<{width}}  {'state':<7}  {'created (UTC)':<16}  ends")
        for record, state in listed:
            created = f"{record.created_at.astimezone(UTC):%Y-%m-%d %H:%M}"
            print(f"{record.key_id}  {record.name:<{width}}  {state:<7}  {created}  {_ends(record)}")
    n_active = sum(state == "active" for _, state in listed)
    finish(
        f"{_keys(len(listed))}, {n_active} active."
        if listed
        else "There are no keys; `candlecast keys create NAME` makes one.",
        as_json,
        keys=[
            {
                "key_id": record.key_id,
                "name": record.name,
                "state": state,
                "created_at": record.created_at,
                "expires_at": record.expires_at,
                "revoked_at": record.revoked_at,
            }
            for record, state in listed
        ],
    )


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id: the part after ck_, as `keys list` shows it.")],
    as_json: Json = False,
) -> None:
    """End a key: running gateways refuse it within seconds."""
    from candlecast.store.keys import revoke_key

    # Somebody may have the whole key at hand instead; no message repeats more of it than the id.
    asked = key_id.removeprefix("ck_")[:ID_LENGTH]
    with _store() as conn:
        record, is_new = revoke_key(conn, asked)
    assert record.revoked_at is not None, "it was just revoked, or before"
    when = f"{record.revoked_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    finish(
        f"The key {record.key_id} of {record.name} is revoked; running gateways refuse it within seconds."
        if is_new
        else f"The key {record.key_id} of {record.name} was revoked already, on {when}.",
        as_json,
        key_id=record.key_id,
        name=record.name,
        revoked_at=record.revoked_at,
        was_active=is_new,
    )


@contextmanager
def _store() -> Iterator["Connection"]:
    """A transaction as the owner of the database: the jobs' own role makes no keys."""
    from candlecast.store.engine import create_engine, database_url

    settings = JobSettings.from_env(os.environ)
    engine = create_engine(database_url(os.environ, settings.home, role="owner"), application_name="candlecast-keys")
    try:
        with engine.begin() as conn:
            yield conn
    finally:
        engine.dispose()


def _end(text: str | None) -> datetime | None:
    """The instant that `--expires` names; days are counted from now."""
    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        if re.fullmatch(r"[0-9]{1,4}d", text):
            end = now + timedelta(days=int(text[:-1]))
        else:
            end = datetime.fromisoformat(text)
            end = end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadOption(f"--expires is {text!r}; write days such as 90d, or a moment such as 2027-06-01") from error
    if end <= now:
        raise BadOption(f"--expires is {text!r}, which is not in the future; a key has to be good for some time")
    return end


def _ends(record: "KeyRecord") -> str:
    if record.revoked_at is not None:
        return f"revoked {record.revoked_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    return f"{record.expires_at.astimezone(UTC):%Y-%m-%d %H:%M}" if record.expires_at else "never"


def _keys(n: int) -> str:
    return "1 key" if n == 1 else f"{n} keys"
