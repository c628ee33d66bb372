"""Who is next: one request at work, a few waiting, the rest told when to come back.

A forecast takes seconds and a caller has a deadline, so a long queue only makes promises that cannot be kept.
Everything here runs on the event loop; nothing needs a lock.
"""

import asyncio
import math
from typing import Final

from candlecast.errors import CandlecastError

FIRST_GUESS_S: Final = 5.0  # service time before any was measured
NEWEST_WEIGHT: Final = 0.3


class QueueFull(CandlecastError):
    """All places are taken."""

    def __init__(self, depth: int, retry_after_s: int) -> None:
        super().__init__(f"one request is at work and {depth} wait; come back in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Closed(CandlecastError):
    """Nothing new is taken, whoever asks."""

    retry_after_s = 10


class Draining(Closed):
    """The server is on its way down."""

    def __init__(self) -> None:
        super().__init__(f"this server is shutting down; come back in {self.retry_after_s} s")


class Scheduler:
    """Hands out places and turns, first come first served.

    depth : requests that may wait behind the one at work
    closed : why nothing new is taken, None while something is
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.closed: Closed | None = None
        self.service_s = FIRST_GUESS_S
        self._turn = asyncio.Semaphore(1)
        self._taken = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def n_waiting(self) -> int:
        """Requests that have a place and not yet their turn."""
        return max(0, self._taken - 1)

    @property
    def busy(self) -> bool:
        """Whether somebody has a place."""
        return self._taken > 0

    def check_open(self) -> None:
        """Raise `Closed` when nothing new is taken."""
        if self.closed is not None:
            raise self.closed.with_traceback(None)  # raised many times, it would collect every traceback

    def check(self) -> None:
        """Raise what `admit` would raise, before anything is spent on the request."""
        self.check_open()
        if self._taken > self.depth:
            raise QueueFull(self.depth, max(1, math.ceil(self.service_s * self._taken)))

    def admit(self) -> "Place":
        """A place in the queue, to be left exactly once.

        Raises
        ------
        QueueFull, Closed : there is none; both carry `retry_after_s`.
        """
        self.check()
        self._taken += 1
        self._idle.clear()
        return Place(self)

    async def idle(self) -> None:
        """Returns once every place has been left."""
        await self._idle.wait()

    def _leave(self, had_turn: bool, service_s: float | None) -> None:
        if service_s is not None:
            self.service_s += NEWEST_WEIGHT * (service_s - self.service_s)
        if had_turn:
            self._turn.release()
        self._taken -= 1
        if self._taken == 0:
            self._idle.set()


class Place:
    """One request's place, from admission until it has left the device."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._has_turn = False
        self._left = False

    async def turn(self) -> None:
        """Returns when this request is the one at work; may be cancelled while it waits."""
        await self._scheduler._turn.acquire()
        self._has_turn = True

    def leave(self, service_s: float | None = None) -> None:
        """Give the place back, with the seconds of work it took if it was done to the end."""
        if not self._left:
            self._left = True
            self._scheduler._leave(self._has_turn, service_s)
