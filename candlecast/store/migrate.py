"""Bring a database to the schema this code expects, or tell how far it is. Alembic, run from code.

One transaction holds everything: the roles, the schema and every migration, or nothing. Two processes that
migrate at once queue at a transaction lock, which a transaction pooler keeps, unlike a session's.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from candlecast.errors import CandlecastError
from candlecast.store.engine import create_engine, shown
from candlecast.store.sql import run_file
from candlecast.store.tables import SCHEMA

PACKAGED: Final = Path(__file__).parents[1] / "_migrations"  # where a wheel puts `migrations/`
FOLDER: Final = PACKAGED if PACKAGED.is_dir() else Path(__file__).parents[2] / "migrations"
LOCK: Final = 0x63616E646C65  # "candle": one number for everybody who migrates this database


class MigrationRefused(CandlecastError):
    """The database user lacks a right that a migration needs; the message names the statements that give it."""


def upgrade(url: str, revision: str = "head") -> str | None:
    """Migrate up to `revision`; the revision then reached. Does nothing when it is reached already."""
    return _migrate(url, lambda config: command.upgrade(config, revision))


def downgrade(url: str, revision: str) -> str | None:
    """Migrate down to `revision` (`base` for none); the revision then reached. Rows of dropped tables are lost."""
    return _migrate(url, lambda config: command.downgrade(config, revision))


def head() -> str:
    """The newest revision this code knows."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    assert newest is not None, "the migrations are packaged with the code"
    return newest


def current(conn: Connection) -> str | None:
    """The revision the database is at; None for a database without the schema."""
    return MigrationContext.configure(conn, opts={"version_table_schema": SCHEMA}).get_current_revision()


def is_current(conn: Connection) -> bool:
    """Whether the database has the schema that this code expects."""
    return current(conn) == head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _migrate(url: str, run: Callable[[Config], None]) -> str | None:
    engine = create_engine(url, application_name="candlecast-migrate")
    try:
        with engine.begin() as conn:
            # SET LOCAL ends with the transaction. Waiting for another migration is fine; blocking readers is not.
            conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
            conn.exec_driver_sql("SET LOCAL lock_timeout = '10min'")
            conn.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
            conn.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            _become_owner(conn, url)
            config = _config()
            config.attributes["connection"] = conn
            run(config)
            run_file(conn, "roles/close_version_table")
            return current(conn)
    finally:
        engine.dispose()


def _become_owner(conn: Connection, url: str) -> None:
    """Make the roles and the schema where they are missing, then act as `candlecast_owner` to the transaction's end."""
    try:
        run_file(conn, "roles/create_roles")
        run_file(conn, "roles/enter_owner")
        conn.exec_driver_sql("SET LOCAL ROLE candlecast_owner")
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        user = conn.engine.url.username
        said = error.orig.diag.message_primary
        raise MigrationRefused(
            f"the user {user} of {shown(url)} may not make the roles or the schema ({said}); let an administrator run: "
            "CREATE ROLE candlecast_owner; CREATE ROLE candlecast_writer; "
            f"CREATE ROLE candlecast_reader; GRANT candlecast_owner TO {user}; "
            f"CREATE SCHEMA candlecast AUTHORIZATION candlecast_owner; and then try again"
        ) from None
