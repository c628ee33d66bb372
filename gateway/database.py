"""Reading the database without ever waiting for it: every query has a deadline, and a dead path is known as one.

psycopg answers the cancellation of a query with a cancel request of its own, and on a path that swallows every byte
that takes ten seconds. So a query that is late is abandoned to a task that nobody awaits, and its caller goes on.
"""

import asyncio
import logging
import time
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from candlecast.clock import utc_now
from candlecast.errors import CandlecastError
from candlecast.store import sql

logger = logging.getLogger(__name__)

Row = dict[str, Any]

# A row of the version table is asked for every few seconds, a miss of the cache is rare: few connections are enough.
MAX_CONNECTIONS: Final = 4
DEADLINE_S: Final = 6.0
CONNECTION_WAIT_S: Final = 1.0
CONNECTION_OPTIONS: Final = {
    "autocommit": True,
    "prepare_threshold": None,  # a transaction pooler hands each statement to another server process
    "connect_timeout": 3,
    "application_name": "candlecast-gateway",
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "row_factory": dict_row,
}


class DatabaseError(CandlecastError):
    """A query gave no rows; the message names the kind of failure and never the address or the user."""


class DatabaseUnreachable(DatabaseError):
    """The database cannot be reached, or does not answer before the deadline."""


class Database:
    """A small pool of read connections, and whether the last attempt to use one succeeded.

    While the database is known to be unreachable, only the regular probe tries; everyone else is refused at once.
    """

    def __init__(self, url: str, *, deadline_s: float = DEADLINE_S) -> None:
        self._pool = AsyncConnectionPool(
            url.replace("postgresql+psycopg://", "postgresql://", 1),
            min_size=1,
            max_size=MAX_CONNECTIONS,
            max_waiting=64,
            max_idle=300.0,
            max_lifetime=1800.0,
            timeout=CONNECTION_WAIT_S,
            # After this the pool gives an attempt up and starts afresh with the next query, so that the waits between
            # its attempts do not grow to minutes while the database is away.
            reconnect_timeout=4.0,
            kwargs=CONNECTION_OPTIONS,
            open=False,
            name="gateway",
        )
        self.url = url  # may hold a password: never to be shown
        self._deadline_s = deadline_s
        self._statements: dict[str, bytes] = {}
        self._abandoned: set[asyncio.Task[list[Row]]] = set()
        self.reachable: bool | None = None  # None until the first attempt
        self.lost_at: datetime | None = None  # when it became unreachable
        self.confirmed_at: float | None = None  # monotonic moment of the last answer
        self.n_queries = 0

    async def open(self) -> None:
        """Begin to connect; returns at once, whether or not there is a database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections; queries that hang are cut off."""
        for _ in range(2):  # the second cancellation ends the driver's own wait for its cancel request
            for task in self._abandoned:
                task.cancel()
            if self._abandoned:
                await asyncio.wait(self._abandoned, timeout=0.5)
        await self._pool.close(timeout=1.0)

    def pool_stats(self) -> dict[str, int]:
        """Connections open, idle, and readers waiting for one."""
        stats = self._pool.get_stats()
        return {
            "size": stats.get("pool_size", 0),
            "available": stats.get("pool_available", 0),
            "waiting": stats.get("requests_waiting", 0),
        }

    async def rows(self, query: str, *, probe: bool = False, **parameters: object) -> list[Row]:
        """The rows of `sql/queries/{query}.sql`.

        Parameters
        ----------
        probe : ask although the database is known to be unreachable

        Raises
        ------
        DatabaseUnreachable : no connection, a lost one, or no answer within the deadline.
        DatabaseError : the database answered with an error.
        """
        if self.reachable is False and not probe:
            raise DatabaseUnreachable(f"the database has been unreachable since {self.lost_at:%Y-%m-%dT%H:%M:%SZ}")
        task = asyncio.create_task(self._execute(query, parameters))
        try:
            done, _ = await asyncio.wait({task}, timeout=self._deadline_s)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            self._lost("deadline")
            raise DatabaseUnreachable(f"the database gave no answer within {self._deadline_s:.0f} s")
        try:
            rows = task.result()
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable) as error:
            raise DatabaseError(f"the query {query} took longer than the database allows the reader role") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self._lost(type(error).__name__)
            raise DatabaseUnreachable(f"the database cannot be used ({type(error).__name__})") from error
        except psycopg.errors.UndefinedTable as error:
            raise DatabaseError("the database has no tables of Candlecast; run `candlecast db upgrade`") from error
        except psycopg.Error as error:
            logger.exception("query %s failed", query)
            raise DatabaseError(f"the database refused the query {query} ({type(error).__name__})") from error
        if self.reachable is False:
            logger.info("the database answers again")
        self.reachable, self.lost_at, self.confirmed_at = True, None, time.monotonic()
        return rows

    async def _execute(self, query: str, parameters: dict[str, object]) -> list[Row]:
        """Run one statement; connections that died while they were idle are replaced without the caller noticing."""
        statement = self._statement(query)
        self.n_queries += 1
        for attempt in range(MAX_CONNECTIONS + 1):
            async with self._pool.connection() as connection:
                try:
                    cursor = await connection.execute(statement, parameters, binary=True)
                    return await cursor.fetchall()  # type: ignore[return-value]  # rows are dicts by row_factory
                except psycopg.OperationalError:
                    if not connection.broken or attempt == MAX_CONNECTIONS:
                        raise
        raise AssertionError("the last attempt either returns or raises")

    def _statement(self, query: str) -> bytes:
        """The statement with the driver's placeholders."""
        if query not in self._statements:
            compiled = sql.load(query).compile(dialect=PGDialect_psycopg())  # type: ignore[no-untyped-call]
            self._statements[query] = str(compiled).encode()
        return self._statements[query]

    def _lost(self, why: str) -> None:
        if self.reachable is not False:
            logger.warning("the database is unreachable (%s); what is cached keeps being served", why)
            self.reachable, self.lost_at = False, utc_now()

    def _abandon(self, task: asyncio.Task[list[Row]]) -> None:
        """Let a late query end by itself, out of everyone's way."""
        self._abandoned.add(task)
        task.add_done_callback(self._bury)
        task.cancel()
        # A second cancellation makes the driver close the connection instead of waiting for its cancel request.
        asyncio.get_running_loop().call_later(1.0, task.cancel)

    def _bury(self, task: asyncio.Task[list[Row]]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # seen; its caller was told about the deadline
