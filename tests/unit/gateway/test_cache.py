"""The cache under readers that crowd, leave and come back, with a clock that the test turns."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from candlecast.errors import CandlecastError
from gateway.cache import Cache, NotLoaded


@dataclass(frozen=True)
class Text:
    text: str
    fresh_s: float = 1e9

    @property
    def n_bytes(self) -> int:
        return len(self.text)

    def fresh_for_s(self) -> float:
        return self.fresh_s


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Where values come from: it can be held shut, can fail, and counts how often it was asked."""

    def __init__(self) -> None:
        self.n_calls = 0
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False
        self.value: Callable[[str], Text] = lambda key: Text(f"{key} v{self.n_calls}")

    async def load(self, key: str) -> Text:
        self.n_calls += 1
        value = self.value(key)
        await self.open.wait()
        if self.broken:
            raise CandlecastError("the source is broken")
        return value


def make(
    source: Source, clock: Clock | None = None, max_entries: int = 100, max_bytes: int = 10_000
) -> Cache[str, Text]:
    return Cache(source.load, max_entries=max_entries, max_bytes=max_bytes, ttl_s=1800.0, clock=clock or Clock())


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_thousand_cold_readers_of_one_key_share_one_load() -> None:
    source = Source()
    cache = make(source)

    entries = await asyncio.gather(*(cache.get("BTC", 5.0) for _ in range(1000)))

    assert source.n_calls == 1
    assert {entry.value.text for entry in entries} == {"BTC v1"}


async def test_when_the_first_reader_leaves_the_others_still_get_the_value_of_the_same_load() -> None:
    source = Source()
    source.open.clear()
    cache = make(source)
    first = asyncio.create_task(cache.get("BTC", 5.0))
    second = asyncio.create_task(cache.get("BTC", 5.0))
    await settle()

    first.cancel()
    await settle()
    source.open.set()

    assert (await second).value.text == "BTC v1"
    assert source.n_calls == 1


async def test_a_reader_of_a_slow_load_is_let_go_and_the_load_goes_on() -> None:
    source = Source()
    source.open.clear()
    cache = make(source)

    with pytest.raises(NotLoaded, match="takes longer than 10 ms"):
        await cache.get("BTC", 0.01)
    source.open.set()
    await settle()

    assert cache.peek("BTC") is not None
    assert source.n_calls == 1


async def test_an_expired_entry_is_served_at_once_and_refreshed_behind_the_readers_back() -> None:
    source, clock = Source(), Clock()
    cache = make(source, clock)
    await cache.get("BTC", 1.0)

    clock.now += 1801.0
    stale = await cache.get("BTC", 1.0)
    await settle()

    assert stale.value.text == "BTC v1"
    assert (await cache.get("BTC", 1.0)).value.text == "BTC v2"
    assert source.n_calls == 2


async def test_an_entry_does_not_outlive_the_moment_the_next_value_is_due() -> None:
    source, clock = Source(), Clock()
    source.value = lambda key: Text(f"v{source.n_calls}", fresh_s=60.0)
    cache = make(source, clock)
    await cache.get("BTC", 1.0)

    clock.now += 59.0
    cache.peek("BTC")
    await settle()
    assert source.n_calls == 1

    clock.now += 2.0
    cache.peek("BTC")
    await settle()
    assert source.n_calls == 2


async def test_a_failed_refresh_keeps_the_entry_and_is_not_repeated_before_its_time() -> None:
    source, clock = Source(), Clock()
    cache = make(source, clock)
    await cache.get("BTC", 1.0)
    source.broken = True
    clock.now += 1801.0

    for _ in range(50):
        assert (await cache.get("BTC", 1.0)).value.text == "BTC v1"
        await settle()
    assert source.n_calls == 2

    tries = []
    for _ in range(200):  # seconds
        clock.now += 1.0
        before = source.n_calls
        cache.peek("BTC")
        await settle()
        if source.n_calls > before:
            tries.append(clock.now - 1000.0 - 1801.0)
    # Waits of 1, 2, 4, 8, 16, then 30 s each: tries at the running sums.
    assert tries[:7] == [1.0, 3.0, 7.0, 15.0, 31.0, 61.0, 91.0]


async def test_a_hundred_readers_of_a_broken_source_see_one_failure() -> None:
    source = Source()
    source.broken = True
    cache = make(source)

    outcomes = await asyncio.gather(*(cache.get("BTC", 1.0) for _ in range(100)), return_exceptions=True)

    assert source.n_calls == 1
    assert all(isinstance(outcome, NotLoaded) for outcome in outcomes)
    with pytest.raises(NotLoaded, match="failed a moment ago"):
        await cache.get("BTC", 1.0)
    assert source.n_calls == 1


async def test_a_failure_is_forgotten_once_the_source_is_back() -> None:
    source, clock = Source(), Clock()
    cache = make(source, clock)
    source.broken = True
    with pytest.raises(NotLoaded):
        await cache.get("BTC", 1.0)

    source.broken = False
    clock.now += 1.0

    assert (await cache.get("BTC", 1.0)).value.text == "BTC v2"
    assert cache.retry_after_s("BTC") == 0.0


async def test_entries_and_bytes_stay_inside_their_bounds_and_the_least_used_leave_first() -> None:
    source = Source()
    by_count = make(source, max_entries=3)
    for key in "abc":
        await by_count.get(key, 1.0)
    by_count.peek("a")
    await by_count.get("d", 1.0)
    assert sorted(by_count.all_keys()) == ["a", "c", "d"]

    source.value = lambda key: Text("x" * 40)
    by_bytes = make(source, max_bytes=100)
    for key in "abcd":
        await by_bytes.get(key, 1.0)
    assert list(by_bytes.all_keys()) == ["c", "d"]
    assert by_bytes.n_bytes == 80


async def test_a_value_that_is_too_big_to_keep_is_still_served() -> None:
    source = Source()
    source.value = lambda key: Text("x" * 200)
    cache = make(source, max_bytes=100)

    assert (await cache.get("a", 1.0)).value.n_bytes == 200
    assert len(cache) == 0


async def test_a_load_that_read_the_old_state_is_repeated_after_the_store_changed() -> None:
    source = Source()
    versions = iter(["old", "new"])
    source.value = lambda key: Text(next(versions))
    source.open.clear()
    cache = make(source)
    reader = asyncio.create_task(cache.get("BTC", 5.0))
    await settle()  # the load has read "old" and hangs on its way back

    cache.outdate("BTC")
    source.open.set()
    await reader
    await settle()

    entry = cache.peek("BTC")
    assert entry is not None
    assert entry.value.text == "new"


async def test_closing_ends_the_loads_that_hang() -> None:
    source = Source()
    source.open.clear()
    cache = make(source)
    with pytest.raises(NotLoaded):
        await cache.get("BTC", 0.01)

    await cache.close()

    assert cache.n_loading == 0


async def test_keys_that_anybody_can_think_of_push_out_each_other_and_nothing_else() -> None:
    source = Source()
    source.value = lambda key: Text("x" * 10)
    cache: Cache[str, Text] = Cache(
        source.load, max_entries=40, max_bytes=4000, ttl_s=1800.0, clock=Clock(), aside=lambda key: key.startswith("?")
    )
    for number in range(30):
        await cache.get(f"kept {number}", 1.0)
    for number in range(2000):
        await cache.get(f"?{number}", 1.0)

    keys = list(cache.all_keys())
    assert [key for key in keys if key.startswith("kept")] == [f"kept {number}" for number in range(30)]
    assert [key for key in keys if key.startswith("?")] == [f"?{number}" for number in range(1990, 2000)]  # a quarter

    source.value = lambda key: Text("x" * 600)
    for number in range(20):
        await cache.get(f"?big {number}", 1.0)
    assert cache.n_bytes == 30 * 10 + 600  # of the 1000 bytes aside one answer of 600 leaves no room for another
    assert len(cache) == 31


async def test_an_entry_that_is_kept_elsewhere_says_when_it_is_not_the_newest_any_more() -> None:
    source = Source()
    cache = make(source)
    replaced = await cache.get("a", 1.0)
    cache.put("a", Text("newer"))
    outdated = cache.peek("a")
    cache.outdate("a")
    dropped = await cache.get("b", 1.0)
    cache.drop("b")

    assert outdated is not None
    assert [entry.current for entry in (replaced, outdated, dropped)] == [False, False, False]
    assert (await cache.get("c", 1.0)).current


async def test_failures_of_random_keys_are_remembered_within_the_bounds() -> None:
    source = Source()
    cache = make(source, max_entries=50, max_bytes=10_000)
    source.broken = True
    for number in range(5000):
        with pytest.raises(NotLoaded):
            await cache.get(str(number), 1.0)

    assert (len(cache), cache.n_loading, len(cache._failures)) == (0, 0, 50)
    assert not cache._outdated


@pytest.mark.parametrize("jump_s", [3600.0, -3600.0])
async def test_a_wall_clock_that_jumps_changes_no_time_to_live(monkeypatch: pytest.MonkeyPatch, jump_s: float) -> None:
    source = Source()
    cache: Cache[str, Text] = Cache(source.load, max_entries=9, max_bytes=999, ttl_s=1800.0)
    entry = await cache.get("a", 1.0)
    source.broken = True
    with pytest.raises(NotLoaded):
        await cache.get("b", 1.0)
    wait_s = cache.retry_after_s("b")

    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + jump_s)

    assert cache.is_fresh(entry)
    assert await cache.get("a", 1.0) is entry
    assert 0 < cache.retry_after_s("b") <= wait_s <= 1.0
    assert source.n_calls == 2
