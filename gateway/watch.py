"""Notice what is new in the database: one small query every few seconds, which is also the probe of its health.

A poll works over every kind of connection, also through a transaction pooler where NOTIFY is silently lost, and a
missed one is made up for by the next.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from candlecast.errors import CandlecastError
from gateway.content.shelf import Key
from gateway.database import Database

logger = logging.getLogger(__name__)

Chain = tuple[str, str]  # model_name, interval


class Follower(Protocol):
    """Who keeps what the watch finds up to date."""

    def recovered(self) -> None:
        """The database answers again after it was away."""

    async def renew_keys(self) -> None:
        """Load the keys of readers again."""

    async def warm(self) -> None:
        """Load everything: at the start, or after the ledger was replaced."""

    async def renew(self, keys: list[Key]) -> None:
        """Load these (symbol, interval) pairs again as far as they are kept."""

    async def renew_lists(self) -> None:
        """Load what is built from all instruments and models again."""


class Watch:
    """Compares the database's versions with those last seen, and has the follower renew what changed."""

    def __init__(self, database: Database, follower: Follower, poll_s: float) -> None:
        self._database = database
        self._follower = follower
        self._poll_s = poll_s
        self._tables: dict[str, int] | None = None
        self.chains: dict[Chain, int] = {}

    @property
    def begun(self) -> bool:
        """Whether everything was loaded once."""
        return self._tables is not None

    async def check(self) -> None:
        """Look once. What was seen is remembered only after it was acted upon, so a failure is repeated."""
        was_away = self._database.reachable is False
        rows = await self._database.rows("gateway_versions", probe=True)
        if was_away:
            self._follower.recovered()
        await self._follower.renew_keys()
        chains = {(row["model_name"], row["interval"]): row["version"] for row in rows if row["kind"] == "chain"}
        tables = {row["kind"]: row["version"] for row in rows if row["kind"] != "chain"}
        shrunk = any(chains.get(chain, 0) < length for chain, length in self.chains.items())
        if self._tables is None or shrunk:
            await self._follower.warm()
        else:
            grown = {chain: self.chains.get(chain, 0) for chain in chains if chains[chain] > self.chains.get(chain, 0)}
            if grown:
                found = await self._database.rows(
                    "gateway_changed",
                    model_names=[model_name for model_name, _ in grown],
                    intervals=[interval for _, interval in grown],
                    lengths=list(grown.values()),
                )
                await self._follower.renew([(row["symbol"], row["interval"]) for row in found])
            if grown or tables != self._tables:
                await self._follower.renew_lists()
        self.chains, self._tables = chains, tables

    async def run(self, first_done: Callable[[], None]) -> None:
        """Look every `poll_s` seconds, for ever; `first_done` is called after the first look, good or bad."""
        while True:
            await self._quietly(self.check)
            first_done()
            await asyncio.sleep(self._poll_s)

    async def _quietly(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except CandlecastError as error:
            logger.debug("the look at the database failed: %s", error)  # its loss is logged where it is found
        except Exception:
            logger.exception("the look at the database failed")
