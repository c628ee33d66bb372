"""A cache that keeps answering: fresh, else stale while it refreshes, else one shared load.

An entry is fresh for at most `ttl_s`. Past that it is served as it is while one background load runs, and it is
kept when the load fails: an old forecast with its true age is worth more than an error. Nothing leaves by age,
only by the bounds on entries and bytes, least recently used first.

Belongs to one event loop and needs no lock: no state changes across an `await`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Final, Generic, Literal, Protocol, TypeVar

from cachetools import Cache as _Untouched
from cachetools import LRUCache, TTLCache

from candlecast.errors import CandlecastError

logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 1.0
LAST_RETRY_S: Final = 30.0

Outcome = Literal["ok", "failed"]


class Cacheable(Protocol):
    """What the cache needs to know about a value."""

    @property
    def n_bytes(self) -> int:
        """Memory that the value holds, about."""

    def fresh_for_s(self) -> float:
        """Seconds from now for which nothing newer can be expected."""


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Cacheable)


class NotLoaded(CandlecastError):
    """There is nothing to serve for a key, and its load did not succeed in time."""

    def __init__(self, key: object, reason: str, retry_after_s: float) -> None:
        super().__init__(f"nothing is cached for {key} and its load {reason}; retry in {retry_after_s:.0f} s")
        self.key, self.reason, self.retry_after_s = key, reason, retry_after_s


@dataclass(slots=True)
class Entry(Generic[V]):
    """A value, and until when (on the cache's clock) it needs no refresh.

    current : False once the cache dropped it, or knows or holds something newer; whoever keeps an entry outside of
        the cache has to look
    """

    value: V
    fresh_until: float
    current: bool = True


class Room(LRUCache[K, Entry[V]]):
    """Entries within a number of entries and of bytes, least recently used first."""

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=lambda entry: entry.value.n_bytes)
        self.max_entries = max_entries


class Cache(Generic[K, V]):
    """Values by key, at most one load per key at a time.

    Parameters
    ----------
    load : fetches the value of a key; a raised `CandlecastError` counts as a failed load, is not cached, and holds
        off further loads of that key for 1, 2, 4 … 30 s
    aside : whether a key belongs to those that get a quarter of the room and none of the rest, because there are as
        many of them as anybody can think of; without it there is one room for all
    clock : monotonic seconds; the wall clock may jump, a time-to-live may not
    on_load : told how each load ended
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        max_entries: int,
        max_bytes: int,
        ttl_s: float,
        aside: Callable[[K], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_load: Callable[[Outcome], None] | None = None,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._aside = aside
        self._clock = clock
        self._on_load = on_load
        less = 4 if aside is not None else max_entries + max_bytes
        self._rooms: list[Room[K, V]] = [
            Room(max_entries - max_entries // less, max_bytes - max_bytes // less),
            Room(max_entries // less, max_bytes // less),
        ]
        self._loads: dict[K, asyncio.Task[Entry[V] | CandlecastError]] = {}
        self._outdated: set[K] = set()  # keys whose running load may have read what was just replaced
        # Seconds to wait before the next try and the moment of that try, per failed key.
        self._failures: TTLCache[K, tuple[float, float]] = TTLCache(max_entries, 2 * LAST_RETRY_S, timer=clock)

    def __len__(self) -> int:
        return sum(map(len, self._rooms))

    def __contains__(self, key: K) -> bool:
        return key in self._room(key)

    @property
    def n_bytes(self) -> int:
        """Bytes that all values hold together."""
        return sum(int(room.currsize) for room in self._rooms)

    @property
    def n_free(self) -> int:
        """Entries that may be added before one that is not aside has to leave."""
        return max(0, self._rooms[0].max_entries - len(self._rooms[0]))

    @property
    def n_loading(self) -> int:
        """Loads that are under way."""
        return len(self._loads)

    def is_loading(self, key: K) -> bool:
        """Whether the load of a key is under way."""
        return key in self._loads

    def all_keys(self) -> Iterator[K]:
        """The keys that have a value, least recently used first, those aside after the others."""
        return iter([key for room in self._rooms for key in room])

    def all_values(self) -> Iterator[tuple[K, V]]:
        """The keys and what is kept of them; nothing counts as used, and nothing is refreshed."""
        return iter([(key, _Untouched.__getitem__(room, key).value) for room in self._rooms for key in room])

    def peek(self, key: K) -> Entry[V] | None:
        """The entry of `key` whatever its age, None if there is none; an expired one starts its refresh."""
        try:
            entry = self._room(key)[key]
        except KeyError:
            return None
        if entry.fresh_until <= self._clock() and key not in self._loads and self.retry_after_s(key) == 0.0:
            self._start(key)
        return entry

    def is_fresh(self, entry: Entry[V]) -> bool:
        """Whether an entry needs no refresh yet."""
        return entry.fresh_until > self._clock()

    async def get(self, key: K, wait_s: float) -> Entry[V]:
        """The entry of `key`; where there is none, wait at most `wait_s` for the load that all its readers share.

        The load itself is never cancelled, neither by the time limit nor by a reader who leaves.

        Raises
        ------
        NotLoaded : the load failed, failed a moment ago, or takes longer.
        """
        entry = self.peek(key)
        if entry is not None:
            return entry
        hold_s = self.retry_after_s(key)
        if hold_s and key not in self._loads:
            raise NotLoaded(key, "failed a moment ago", max(1.0, hold_s))
        task = self._loads.get(key) or self._start(key)
        done, _ = await asyncio.wait({task}, timeout=wait_s)
        if not done:
            raise NotLoaded(key, f"takes longer than {wait_s * 1000:.0f} ms", 2.0)
        outcome = task.result()
        if isinstance(outcome, CandlecastError):
            raise NotLoaded(key, f"failed: {outcome}", max(1.0, self.retry_after_s(key)))
        return outcome

    def put(self, key: K, value: V) -> Entry[V]:
        """Keep a value that was loaded elsewhere, for example by one query for many keys."""
        entry = Entry(value, self._clock() + min(self._ttl_s, value.fresh_for_s()))
        self._failures.pop(key, None)
        self.drop(key)
        room = self._room(key)
        if value.n_bytes > room.maxsize:
            return entry  # served once, too big to keep
        room[key] = entry
        while len(room) > room.max_entries:
            room.popitem()
        return entry

    def outdate(self, key: K) -> bool:
        """Say that the store now holds something newer than what is cached or being loaded.

        Returns whether the key has an entry that the caller should replace. A load that already runs may have read
        the older state; it is repeated when it ends.
        """
        if key in self._loads:
            self._outdated.add(key)
        self._failures.pop(key, None)
        entry = self._room(key).get(key)
        if entry is None:
            return False
        entry.fresh_until = self._clock()
        entry.current = False
        return True

    def drop(self, key: K) -> None:
        """Forget a key; its next reader waits for a load."""
        entry = self._room(key).pop(key, None)
        if entry is not None:
            entry.current = False

    def forgive(self) -> None:
        """Let every failed key be loaded again at once: what made them fail is over."""
        self._failures.clear()

    def retry_after_s(self, key: K) -> float:
        """Seconds until a failed key may be loaded again, 0 when it may be now."""
        _, retry_at = self._failures.get(key, (0.0, 0.0))
        return max(0.0, retry_at - self._clock())

    async def close(self) -> None:
        """End all loads."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _room(self, key: K) -> "Room[K, V]":
        return self._rooms[self._aside is not None and self._aside(key)]

    def _start(self, key: K) -> asyncio.Task[Entry[V] | CandlecastError]:
        task = asyncio.create_task(self._run(key))
        self._loads[key] = task
        return task

    async def _run(self, key: K) -> Entry[V] | CandlecastError:
        """Load one key; a failure is returned, because nobody may be left to catch it."""
        try:
            value = await self._load(key)
        except CandlecastError as error:
            self._hold_off(key)
            self._report("failed")
            return error
        except Exception as error:
            # A defect of ours in one key's data: its readers get an answer, the log gets the traceback.
            logger.exception("loading %s failed", key)
            self._hold_off(key)
            self._report("failed")
            return CandlecastError(f"an unexpected {type(error).__name__}; the gateway's log has the details")
        else:
            entry = self.put(key, value)
            self._report("ok")
            return entry
        finally:
            self._loads.pop(key, None)
            if key in self._outdated:
                self._outdated.discard(key)
                if key in self:
                    self._start(key)

    def _hold_off(self, key: K) -> None:
        last_s, _ = self._failures.get(key, (FIRST_RETRY_S / 2, 0.0))
        wait_s = min(LAST_RETRY_S, 2 * last_s)
        self._failures[key] = (wait_s, self._clock() + wait_s)

    def _report(self, outcome: Outcome) -> None:
        if self._on_load is not None:
            self._on_load(outcome)
