"""Answers by `Idempotency-Key`: who asks again with the same key gets the answer of the first time.

A request that is still at work is joined, a finished one is told again. Only whole answers are kept, for two
hours, in bounded number and bytes; see docs/decisions/0013.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from candlecast.errors import CandlecastError
from inference_server.transcript import Transcript

KEPT_S: Final = 2 * 3600.0
MAX_KEPT: Final = 256
_OVERHEAD: Final = 64  # bytes that Python adds to each line


class KeyReused(CandlecastError):
    """The key came with another body before."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Idempotency-Key {key[:40]!r} was sent with another body before; a new request needs its own")
        self.key = key


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: bytes
    transcript: Transcript
    n_bytes: int = 0
    until: float = float("inf")


class Results:
    """Transcripts by key, bounded in number, bytes and age; the oldest goes first.

    max_bytes : of all kept answers together; 0 keeps none, and still lets requests at work be joined
    """

    def __init__(self, max_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._clock = clock
        self._at_work: dict[str, _Entry] = {}
        self._kept: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._entry(key) is not None

    def find(self, key: str | None, digest: bytes) -> Transcript | None:
        """The answer to the same request, finished or at work; None when there is none.

        Raises
        ------
        KeyReused : the key belongs to a request with another body.
        """
        entry = None if key is None else self._entry(key)
        if key is None or entry is None:
            return None
        if entry.digest != digest:
            raise KeyReused(key)
        return entry.transcript

    def begin(self, key: str, digest: bytes, transcript: Transcript) -> None:
        """Whoever comes with the same key from now on joins `transcript`."""
        self._at_work[key] = _Entry(digest, transcript)

    def settle(self, key: str, transcript: Transcript) -> None:
        """Keep `transcript` when it is whole and not too large; else forget it."""
        entry = self._at_work.get(key)
        if entry is None or entry.transcript is not transcript:
            return  # given up, and another run has taken its key since
        del self._at_work[key]
        size = transcript.n_bytes + _OVERHEAD * len(transcript.lines) + len(key)
        if not transcript.is_whole or size > self.max_bytes:
            return
        self._kept[key] = _Entry(entry.digest, transcript, size, self._clock() + KEPT_S)
        self.n_bytes += size
        self._trim()

    def _entry(self, key: str) -> _Entry | None:
        self._trim()
        running = self._at_work.get(key)
        # One that nobody waits for is being stopped: it will not be whole.
        return running if running is not None and running.transcript.is_awaited else self._kept.get(key)

    def _trim(self) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.until > self._clock() and len(self._kept) <= MAX_KEPT and self.n_bytes <= self.max_bytes:
                return
            self._kept.popitem(last=False)
            self.n_bytes -= oldest.n_bytes
