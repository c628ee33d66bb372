"""Who may do what: three roles without a login, and the policies that every table gets.

`candlecast_owner` holds every object, `candlecast_writer` is what the jobs are, `candlecast_reader` the gateway.
A login (a person, a service) is granted one of them. Nothing at all is granted to PUBLIC.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Connection

from candlecast.store.sql import read

ROLES: Final = ("owner", "writer", "reader")
WriterPrivilege = Literal["INSERT", "UPDATE", "DELETE"]

# Timeouts live on the role, where they hold behind a transaction pooler too; a session's SET would not.
TIMEOUTS: Final[dict[str, dict[str, str]]] = {
    "owner": {"lock_timeout": "3s"},
    "writer": {"statement_timeout": "120s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "60s"},
    "reader": {"statement_timeout": "5s", "lock_timeout": "3s", "idle_in_transaction_session_timeout": "30s"},
}


def group_name(role: str) -> str:
    return f"candlecast_{role}"


def login_name(role: str) -> str:
    """The login of the embedded server that stands for a role."""
    return f"candlecast_{role}_login"


def create_roles(connection: "psycopg.Connection[Any]") -> None:
    """Make the three roles where they are missing; a no-op where they exist."""
    connection.execute(read("roles/create_roles"))


def create_logins(connection: "psycopg.Connection[Any]", passwords: Mapping[str, str]) -> None:
    """One login per role with its password and timeouts; as superuser, repeatable.

    The owner's login may make databases and hand out the roles, but is no superuser: row security and the
    append-only triggers hold for it, and migrations run under the rights that a hosted database gives.
    """
    for role in ROLES:
        login, group = sql.Identifier(login_name(role)), sql.Identifier(group_name(role))
        known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (login_name(role),)).fetchone()
        verb = sql.SQL("CREATE" if known is None else "ALTER")
        rights = sql.SQL("CREATEDB CREATEROLE" if role == "owner" else "NOCREATEDB NOCREATEROLE")
        password = sql.Literal(passwords[role])
        connection.execute(sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(verb, login, rights, password))
        connection.execute(sql.SQL("GRANT {} TO {}").format(group, login))
        for name, value in TIMEOUTS[role].items():
            setting = sql.SQL("ALTER ROLE {} SET {} = {}")
            connection.execute(setting.format(login, sql.Identifier(name), sql.Literal(value)))
    owner = sql.Identifier(login_name("owner"))
    for role in ROLES:
        group = sql.Identifier(group_name(role))
        connection.execute(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(group, owner))


class HasBind(Protocol):
    """What a migration's `op` offers."""

    def get_bind(self) -> Connection: ...


def protect(op: HasBind, table: str, writer: tuple[WriterPrivilege, ...] | None) -> None:
    """Close a new table of the schema `candlecast` and open it to the roles: every migration's last word on it.

    Readers select; the writer selects and has the privileges named. None opens it to nobody: for a partition,
    which is reached through its parent.
    """
    privileges = "NULL" if writer is None else f"'{{{','.join(writer)}}}'"
    op.get_bind().exec_driver_sql(f"SELECT candlecast.protect_table('{table}', {privileges})")


def protect_view(op: HasBind, view: str) -> None:
    """Close a new view or materialized view and let the roles read it; such a view knows no row security."""
    connection = op.get_bind()
    connection.exec_driver_sql(f"REVOKE ALL ON candlecast.{view} FROM PUBLIC")
    connection.exec_driver_sql(f"GRANT SELECT ON candlecast.{view} TO candlecast_reader, candlecast_writer")
