"""How long to go on trying: attempts, pauses between them, a deadline over all, a caller who may want no more."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, NoReturn

from jobs.forecasters.errors import InferenceUnavailable

ATTEMPTS: Final = 4  # without anything gained; a busy server that says when to come back is asked until the deadline
LOOK_S: Final = 1.0  # how often a pause looks whether anybody still waits


class Again(Exception):
    """The same request may be sent again now."""


class TooLong(Again):
    """The answer took longer than a tunnel waits: less may be asked for now."""


class Cancelled(Exception):
    """The caller wants no more."""


class Patience:
    """How much longer to try.

    Parameters
    ----------
    deadline_s : seconds for the whole call, None for any time
    cancel : true once the caller wants no more
    on_wait : called before every pause
    sleep, jitter : what waits, and a draw from [0, 1)
    """

    def __init__(
        self,
        deadline_s: float | None,
        *,
        cancel: Callable[[], bool],
        on_wait: Callable[[], None],
        sleep: Callable[[float], None],
        jitter: Callable[[], float],
    ) -> None:
        self._ends = None if deadline_s is None else time.monotonic() + deadline_s
        self._cancel, self.on_wait = cancel, on_wait
        self._sleep, self._jitter = sleep, jitter
        self._n_failed = 0

    def fresh(self) -> None:
        """Something was gained: all attempts are there again."""
        self._n_failed = 0

    def left(self) -> float:
        """Seconds until the deadline, inf without one."""
        return float("inf") if self._ends is None else self._ends - time.monotonic()

    def header(self) -> dict[str, str]:
        """What tells the server how long anybody wants the answer."""
        return {} if self._ends is None else {"X-Deadline-Ms": str(max(0, int(1000 * self.left())))}

    def check(self, where: str) -> None:
        """Nothing, while the answer is wanted.

        Raises
        ------
        Cancelled, InferenceUnavailable : by the caller; because the deadline has passed.
        """
        if self._cancel():
            raise Cancelled
        if self.left() <= 0:
            raise InferenceUnavailable(f"{where}: the time for this call is over")

    def wait(self, reason: str, *, retry_after_s: float | None = None, unit_s: float = 1.0) -> NoReturn:
        """Pause as told, or about 1, 2, 4... `unit_s`, and raise `Again`; or give up with `reason`."""
        self._n_failed += 1
        told = retry_after_s is not None and self._ends is not None
        # Everybody fails at the same moment, or is told the same number: each adds a part of its own.
        if retry_after_s is None:
            pause = unit_s * 2.0 ** (self._n_failed - 1) * (0.5 + 0.5 * self._jitter())
        else:
            pause = retry_after_s + self._jitter()
        if (self._n_failed >= ATTEMPTS and not told) or pause > self.left():
            tried = f"after {self._n_failed} attempts" if self._n_failed > 1 else "and there is no time to wait"
            raise InferenceUnavailable(f"{reason}; given up {tried}") from None
        self.on_wait()
        while pause > 0:
            if self._cancel():
                raise Cancelled from None
            self._sleep(min(pause, LOOK_S))
            pause -= LOOK_S
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
