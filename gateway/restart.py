"""What a gateway that starts without its database serves: a copy of what it last had, marked as such."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.answers import iso
from gateway.cache import Cache
from gateway.content.overview import Listed, Overview
from gateway.database import Database
from gateway.snapshot import Snapshot, SnapshotFile, packable
from gateway.watch import Watch

EVERY_S: Final = 30.0
NOT_YET_S: Final = 1.0  # until the first load is looked for again
OVERVIEW: Final = ("overview",)


class Restored(Protocol):
    """The service, as far as it is copied and restored."""

    cache: Cache[tuple[str, ...], Any]
    database: Database
    watch: Watch

    def listed(self) -> Sequence[Listed]:
        """The instruments that are cached."""

    def overview_of(self, listed: Sequence[Listed]) -> Overview:
        """The list and the page of these instruments."""


class Restart:
    """Writes the copy while all is well, and brings it back at the start.

    copied_at : when the database last confirmed what was brought back; None when there was nothing
    """

    def __init__(self, service: Restored, path: Path, lasting: Callable[[tuple[str, ...]], bool]) -> None:
        """`lasting` tells the keys that are worth to be kept over a restart."""
        self._service, self._lasting = service, lasting
        self._file = SnapshotFile(path)
        self._writing: asyncio.Task[None] | None = None
        self.copied_at: datetime | None = None

    async def begin(self) -> None:
        """Bring back what the file holds, as outdated as it is, and begin to write."""
        snapshot = await asyncio.to_thread(self._file.read)
        if snapshot is not None:
            cache = self._service.cache
            cache.put(OVERVIEW, self._service.overview_of(snapshot.listed))
            for key, value in snapshot.values.items():
                cache.put(key, value)
            for key in cache.all_keys():
                cache.outdate(key)
            self._service.watch.chains = dict(snapshot.chains)
            self.copied_at = snapshot.confirmed_at
        self._writing = asyncio.create_task(self._write())

    async def end(self) -> None:
        """Write once more, so that the next start has what this one had."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        if self._service.watch.begun:
            await asyncio.to_thread(self._file.write, self._snapshot())

    def standing(self) -> tuple[int, str]:
        """Seconds since what was brought back was confirmed, and why it is stale."""
        assert self.copied_at is not None
        return max(0, int(time.time() - self.copied_at.timestamp())), (
            f"unconfirmed: this is a copy of {iso(self.copied_at.replace(microsecond=0))}, since the database has not "
            "been reachable after a restart, so there may be a newer one"
        )

    async def _write(self) -> None:
        """After the first load, and then twice a minute as far as anything changed."""
        while True:
            known = self._service.watch.begun and self._service.database.reachable
            if known:
                await asyncio.to_thread(self._file.write, self._snapshot())
            await asyncio.sleep(EVERY_S if known else NOT_YET_S)

    def _snapshot(self) -> Snapshot:
        service = self._service
        values = {key: value for key, value in service.cache.all_values() if self._lasting(key) and packable(value)}
        silent_s = time.monotonic() - (service.database.confirmed_at or time.monotonic())
        confirmed_at = datetime.fromtimestamp(time.time() - silent_s, UTC)
        return Snapshot(confirmed_at, dict(service.watch.chains), service.listed(), values)
