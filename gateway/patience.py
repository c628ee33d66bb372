"""Reading for one reader: waiting for as long as the database answers at all, and giving up at once when it does not.

What a cache holds needs no database. An answer that is made for one reader does, and how long its query takes says
little: a page of old rows may come off a slow disk. So after a moment the database is asked something trivial; while
it answers that, the query is waited for.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

from candlecast.errors import CandlecastError
from gateway import problems
from gateway.database import Database, Row

T = TypeVar("T")

AT_ONCE: Final = 2  # of its few connections; the others stay for the watch and the cache
MOMENT_S: Final = 0.12
PROBE_S: Final = 0.07  # with the moment before: refused within 250 ms
PROBE: Final = "gateway_alive"
SILENT: Final = "the database does not answer"


class Patient:
    """Queries for single readers, a few at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def rows(self, query: str, **parameters: object) -> list[Row]:
        """The rows of `sql/queries/{query}.sql`.

        Raises
        ------
        Problem : 503 not_ready when the database is away, or refuses.
        """
        return await self.wait(self._rows(query, parameters))

    async def wait(self, reading: Awaitable[T]) -> T:
        """What `reading` gives, waited for while the database answers.

        Raises
        ------
        Problem : 503 not_ready when the database is away, or `reading` raised a CandlecastError.
        """
        task = asyncio.ensure_future(reading)
        try:
            while True:
                done, _ = await asyncio.wait({task}, timeout=MOMENT_S)
                if done:
                    return task.result()
                if not await self._answers():
                    raise problems.not_ready(SILENT, 2.0)
        except CandlecastError as error:
            raise problems.not_ready(str(error), 2.0) from error
        finally:
            task.cancel()

    async def _rows(self, query: str, parameters: dict[str, Any]) -> list[Row]:
        async with self._turns:
            return await self._database.rows(query, **parameters)

    async def _answers(self) -> bool:
        """Whether the database answers now; what it was asked before may have come back late."""
        if self._database.reachable is False:
            return False
        try:
            async with asyncio.timeout(PROBE_S):
                await self._database.rows(PROBE)
        except (TimeoutError, CandlecastError):
            return False
        return True
