"""How often a client may ask. The rates and their counting are those of the `limits` package.

What is ours is where it counts. Its own memory storage keeps a lock per client for ever and walks over all of them
in a thread a hundred times a second; here the number of clients is bounded, and time is monotonic.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import limits
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from candlecast.settings import BadSetting

MAX_CLIENTS: Final = 65_536
LEASE: Final = 20  # hits that a client is given at once

Clock = Callable[[], float]


class Windows(Storage):
    """Hits per key in the window that its first hit began; the oldest windows make room for new ones.

    Windows are kept in the order in which they began, and all of one limiter are equally long: the first is the one
    that ends first, so what is forgotten under a flood of addresses is what would have been forgotten next.
    """

    STORAGE_SCHEME = None

    def __init__(self, clock: Clock, max_keys: int) -> None:
        super().__init__()
        self._clock, self._max_keys = clock, max_keys
        # Hits, end. An ordinary dictionary looks for its oldest key among all that left before it.
        self._windows: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Nothing can go wrong in a dictionary."""
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` hits; the hits in the window so far."""
        now = self._clock()
        hits, end = self._windows.get(key, (0, 0.0))
        if end <= now:
            self._windows.pop(key, None)  # to the back of the line
            self._make_room(now)
            hits, end = 0, now + expiry
        self._windows[key] = (hits + amount, end)
        return hits + amount

    def _make_room(self, now: float) -> None:
        """Two windows that ended for each that begins: those of clients who left do not stay."""
        for _ in range(2):
            oldest = next(iter(self._windows), None)
            if oldest is None or (self._windows[oldest][1] > now and len(self._windows) < self._max_keys):
                return
            self._windows.popitem(last=False)

    def get(self, key: str) -> int:
        """The hits in the window, 0 when it has ended."""
        hits, end = self._windows.get(key, (0, 0.0))
        return hits if end > self._clock() else 0

    def get_expiry(self, key: str) -> float:
        """The end of the window on the clock; now when there is none."""
        return max(self._clock(), self._windows.get(key, (0, 0.0))[1])

    def check(self) -> bool:
        """It is always there."""
        return True

    def reset(self) -> int:
        """Forget everything; the number of windows."""
        n_windows = len(self._windows)
        self._windows.clear()
        return n_windows

    def clear(self, key: str) -> None:
        """Forget one key."""
        self._windows.pop(key, None)


class Lease:
    """Hits that a client was given at once, to be used before its window ends."""

    __slots__ = ("left", "until")

    def __init__(self, left: int, until: float) -> None:
        self.left, self.until = left, until


class Limiter:
    """Admits each client so many times per window.

    A client is given hits in leases of `LEASE`, so that most requests cost a look-up and a subtraction. A lease ends
    with the window it was taken from: the number admitted in a window is exact.
    """

    def __init__(self, rate: limits.RateLimitItem, *, clock: Clock = time.monotonic, n_clients: int = MAX_CLIENTS):
        self.rate = rate
        self._clock, self._max_clients = clock, n_clients
        self.windows = Windows(clock, n_clients)
        self._strategy = FixedWindowRateLimiter(self.windows)
        self._leases: OrderedDict[str, Lease] = OrderedDict()

    def __len__(self) -> int:
        return len(self._leases)

    def admit(self, client: str) -> float | None:
        """Count one request: None to go on, else the seconds after which the client may ask again."""
        lease = self._leases.get(client)
        if lease is not None and lease.left and self._clock() < lease.until:
            lease.left -= 1
            return None
        return self._renew(client)

    def _renew(self, client: str) -> float | None:
        end, left = self._strategy.get_window_stats(self.rate, client)
        if left <= 0:
            return max(0.0, end - self._clock())
        taken = min(LEASE, left)
        self._strategy.hit(self.rate, client, cost=taken)
        until = self._strategy.get_window_stats(self.rate, client).reset_time
        lease = self._leases.get(client)
        if lease is None or lease.until != until:
            self._leases.pop(client, None)  # to the back of the line, as its window is
            if len(self._leases) >= self._max_clients:
                self._leases.popitem(last=False)
            lease = self._leases[client] = Lease(0, until)
        lease.left = taken - 1
        return None


def parse_rate(name: str, text: str) -> limits.RateLimitItem:
    """A rate as `1200/minute` or `100/15 seconds`; raises BadSetting under the setting's name."""
    expected = "a rate such as 1200/minute or 100/15 seconds"
    try:
        rate = limits.parse(text)
    except ValueError as error:
        raise BadSetting(name, text, expected) from error
    if rate.amount < 1:
        raise BadSetting(name, text, expected)
    return rate


def retry_after(wait_s: float) -> int:
    """Seconds as the header Retry-After says them: whole, and not too early."""
    return max(1, math.ceil(wait_s))
