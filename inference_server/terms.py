"""What the headers of a request to `/predict` say: how the answer is wanted, until when, and under which key."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from candlecast.wire import JSON, NDJSON
from inference_server.problems import BadRequest

_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one request.

    lines : one line per item as it is ready, instead of one document
    expires : the monotonic clock's time after which nobody wants the answer, None for never
    key : requests with the same key are one request, None for a request of its own
    """

    lines: bool
    expires: float | None
    key: str | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Self:
        """The terms in `headers`; raises BadRequest where they cannot be used."""
        if headers.get("content-type", "").split(";")[0].strip().lower() != JSON:
            raise BadRequest(415, f"send the request as {JSON}")
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise BadRequest(415, "the body is compressed; send it as it is, without Content-Encoding")
        key = headers.get("idempotency-key")
        if key is not None and not _KEY.fullmatch(key):
            raise BadRequest(422, "Idempotency-Key cannot be used, needed are 1 to 200 visible ASCII characters")
        return cls(NDJSON in headers.get("accept", "").lower(), _expires(headers.get("x-deadline-ms")), key)

    def expired(self) -> bool:
        """Whether nobody wants the answer any more."""
        return self.expires is not None and time.monotonic() >= self.expires


def _expires(header: str | None) -> float | None:
    """The monotonic time at which `X-Deadline-Ms`, milliseconds from now, has passed."""
    if header is None:
        return None
    if not (header.isascii() and header.isdecimal() and len(header) <= 12):
        raise BadRequest(422, f"X-Deadline-Ms is {header[:40]!r}, needed is a whole number of milliseconds from now")
    return time.monotonic() + int(header) / 1000
