"""What was answered to one request so far, for any number of connections to read, each at its own pace."""

import asyncio
from collections.abc import Callable

from candlecast.wire import End

# A run in which an item failed by the server's own doing may go better next time.
_OWN_FAULTS = frozenset({"model_error", "out_of_memory", "bad_forecast"})


class Transcript:
    """Encoded items, then one `End`. Lives on the event loop.

    Parameters
    ----------
    abandon : told why when the last reader has left before the end
    """

    def __init__(self, model_name: str, abandon: Callable[[str], None]) -> None:
        self.model_name = model_name
        self.lines: list[bytes] = []
        self.end: End | None = None
        self.n_ok = self.n_failed = self.n_oom = self.n_bytes = 0
        self.faultless = True
        self.n_readers = 0
        self._abandon: Callable[[str], None] | None = abandon
        self._news = asyncio.Event()

    def put(self, line: bytes, code: str | None) -> None:
        """Add an item; `code` says why it is no forecast, None where it is one."""
        self.lines.append(line)
        self.n_bytes += len(line)
        if code is None:
            self.n_ok += 1
        else:
            self.n_failed += 1
            self.n_oom += code == "out_of_memory"
            self.faultless &= code not in _OWN_FAULTS
        self._announce()

    def finish(self, reason: str | None) -> None:
        """Nothing more comes; `reason` says why it is not all, None where it is."""
        self.end = self.so_far(reason)
        self._abandon = None  # it would keep the request's bars alive for as long as the answer is kept
        self._announce()

    def so_far(self, reason: str | None) -> End:
        """The end, were it now."""
        return End(self.n_ok, self.n_failed, reason)

    @property
    def is_whole(self) -> bool:
        """Whether every item was answered, and none failed by the server's doing."""
        return self.end is not None and self.end.reason is None and self.faultless

    @property
    def is_awaited(self) -> bool:
        """Whether more comes and somebody reads it."""
        return self.end is None and self.n_readers > 0

    def join(self) -> None:
        """One more reads this; the same has to `leave` it once."""
        self.n_readers += 1

    def leave(self, reason: str) -> None:
        """One reader less; the last to leave before the end stops the work, for `reason`."""
        self.n_readers -= 1
        if self.n_readers == 0 and self._abandon is not None:
            self._abandon(reason)

    async def beyond(self, n_lines: int) -> None:
        """Returns once there are more than `n_lines` lines, or the end."""
        while len(self.lines) <= n_lines and self.end is None:
            await self._news.wait()

    def _announce(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
