"""How long to go on trying: attempts, pauses between them, and a deadline over all."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NoReturn

from jobs.inference_errors import InferenceUnavailable

ATTEMPTS: Final = 4  # of one chunk, when the pause is ours to choose or there is no deadline
ATTEMPTS_AS_TOLD: Final = 12  # when a busy server says when to come back


class Again(Exception):
    """The same request may be sent again now."""


class Patience:
    """How much longer to try: a deadline over all, and a number of attempts for each chunk."""

    def __init__(self, deadline_s: float | None, sleep: Callable[[float], None], jitter: Callable[[], float]) -> None:
        self._ends = None if deadline_s is None else time.monotonic() + deadline_s
        self._sleep, self._jitter = sleep, jitter
        self._n_failed = 0

    def fresh(self) -> None:
        """A new chunk has all its attempts."""
        self._n_failed = 0

    def left(self) -> float:
        """Seconds until the deadline, inf without one."""
        return float("inf") if self._ends is None else self._ends - time.monotonic()

    def header(self) -> dict[str, str]:
        """What tells the server how long anybody wants the answer."""
        return {} if self._ends is None else {"X-Deadline-Ms": str(max(0, int(1000 * self.left())))}

    def check(self, where: str) -> None:
        """Raise `InferenceUnavailable` once the deadline has passed."""
        if self.left() <= 0:
            raise InferenceUnavailable(f"{where}: the time for this call is over")

    def wait(self, retry_after_s: float | None, reason: str) -> NoReturn:
        """Sleep as told, or a random part of 1, 2, 4... seconds, and raise `Again`; or give up with `reason`."""
        self._n_failed += 1
        limit = ATTEMPTS if retry_after_s is None or self._ends is None else ATTEMPTS_AS_TOLD
        told = 2.0 ** (self._n_failed - 1) * self._jitter() if retry_after_s is None else retry_after_s
        if self._n_failed >= limit or told > self.left():
            tried = f"after {self._n_failed} attempts" if self._n_failed > 1 else "and there is no time to wait"
            raise InferenceUnavailable(f"{reason}; given up {tried}") from None
        # Everybody is told the same number; a little more, each their own, keeps them from coming back together.
        self._sleep(told if retry_after_s is None else told + self._jitter())
        raise Again from None


def retry_after(header: str) -> float | None:
    """Seconds in a Retry-After header, which may hold seconds or a date; None without a usable one."""
    text = header.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 6:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
