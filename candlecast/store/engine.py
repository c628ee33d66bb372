"""The way into the database: one address for every kind of PostgreSQL, and engines that keep few connections.

A hosted database may sit behind a transaction pooler, where consecutive transactions of one client meet different
servers. So nothing here or above it prepares statements, sets session variables, holds session locks or listens.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from psycopg.errors import InvalidSchemaName, UndefinedColumn, UndefinedFunction, UndefinedTable
from sqlalchemy import Engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from candlecast.errors import CandlecastError
from candlecast.store.embedded import EmbeddedPostgres, Role

DRIVER: Final = "postgresql+psycopg"
CONNECT_TIMEOUT_S: Final = 5
LACKING: Final = (UndefinedTable, UndefinedColumn, UndefinedFunction, InvalidSchemaName)


class BadDatabaseUrl(CandlecastError):
    """DATABASE_URL is no address of a PostgreSQL database; the message does not repeat it, it may hold a password."""

    exit_code = 78

    def __init__(self, reason: str) -> None:
        super().__init__(f"DATABASE_URL {reason}; write it as postgresql://user:password@host:5432/database")


class DatabaseUnavailable(CandlecastError):
    """The database cannot be reached, or refused the login; the message names host and user, never the password."""

    exit_code = 69

    def __init__(self, url: str | URL, reason: str) -> None:
        super().__init__(
            f"the database {shown(url)} cannot be reached: {reason}; check that it runs and that DATABASE_URL is "
            "right (unset it to use the embedded one), then try again"
        )
        self.reason = reason


class SchemaOutdated(CandlecastError):
    """The database lacks a table, column or function that this code needs."""

    exit_code = 78

    def __init__(self, url: str | URL, reason: str) -> None:
        super().__init__(
            f"the database {shown(url)} lacks what this version needs ({reason}); run `candlecast db upgrade`, then "
            "try again"
        )
        self.reason = reason


def database_url(env: Mapping[str, str], data_dir: Path, role: Role = "owner") -> str:
    """Where the store is: DATABASE_URL, else the embedded server below `data_dir`, started if need be.

    `role` picks the login of the embedded server; a DATABASE_URL carries its own user.
    """
    given = env.get("DATABASE_URL", "").strip()
    if given:
        return normalised(given)
    return EmbeddedPostgres(data_dir / "postgres").ensure().url(role=role)


def normalised(url: str) -> str:
    """The address with the driver we use: `postgres://` and `postgresql://` are what hosts hand out.

    Raises
    ------
    BadDatabaseUrl : not an address, or one of another kind of database.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadDatabaseUrl("cannot be read as an address") from None
    if parsed.drivername not in ("postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        raise BadDatabaseUrl(f"begins with {parsed.drivername}://, which is not PostgreSQL")
    if not parsed.database:
        raise BadDatabaseUrl("names no database")
    return parsed.set(drivername=DRIVER).render_as_string(hide_password=False)


def shown(url: str | URL) -> str:
    """The address as a message may show it: user, host, port and database."""
    parsed = make_url(url)
    host = parsed.host or parsed.query.get("host", "local socket")
    return f"{parsed.username or ''}@{host}:{parsed.port or 5432}/{parsed.database}"


def create_engine(
    url: str, *, application_name: str, pool_size: int = 2, max_overflow: int = 3, **options: Any
) -> Engine:
    """An engine over psycopg 3; connection failures come out of it as `DatabaseUnavailable`, and what a database that
    was not migrated lacks as `SchemaOutdated`.

    A connection is tested before use and renewed after five minutes, so a restarted database is noticed
    between two transactions and not inside one.
    """
    address = make_url(normalised(url))
    engine = sqlalchemy.create_engine(
        address,
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_timeout=10,
        pool_pre_ping=True,
        pool_recycle=300,
        connect_args={
            "prepare_threshold": None,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": application_name,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
        **options,
    )

    @event.listens_for(engine, "handle_error")
    def name_the_database(failure: ExceptionContext) -> None:
        error = failure.sqlalchemy_exception
        if isinstance(failure.original_exception, LACKING):
            raise SchemaOutdated(address, reason(failure.original_exception)) from None
        if failure.is_pre_ping:  # the pool found a broken connection and is about to replace it
            return
        if isinstance(error, DBAPIError) and (failure.connection is None or failure.is_disconnect):
            raise DatabaseUnavailable(address, reason(failure.original_exception)) from None

    return engine


def reason(error: BaseException) -> str:
    """First line of what the driver said, without the addresses it tried."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".;") if lines else type(error).__name__
