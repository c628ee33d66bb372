"""Answers as bytes: serialised once, sent many times.

A forecast never changes, its age changes every second. So the forecast is serialised (and compressed) once, and
what depends on the moment is put in front of it when it is sent:

    {"age_seconds":754,"expected_next_at":"…","stale":false,"stale_reason":null,   <- spliced in at most once a second
     "symbol":"BTCUSDT","interval":"1h",…}                                         <- serialised when it was loaded

The compressed form is spliced the same way: an uncompressed deflate block, followed by the stored deflate stream.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from functools import lru_cache
from typing import Any, Final, Self

import orjson

from candlecast.freshness import overdue_reason, stale_at

Header = tuple[bytes, bytes]

JSON: Final = b"application/json"
HTML: Final = b"text/html; charset=utf-8"

# Long enough to be worth the client's time to unpack, as usual.
WORTH_COMPRESSING: Final = 1024

_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"


@dataclass(frozen=True, slots=True)
class Moment:
    """What every answer of one second has in common.

    second : wall clock, whole seconds since 1970
    checked_s : seconds since the database last confirmed that nothing newer is there
    unconfirmed : why that is too long ago, None while it is not
    """

    second: int
    checked_s: int
    unconfirmed: str | None


class Form(IntEnum):
    """What is sent of an answer."""

    PLAIN = 0
    GZIP = 1
    NOT_MODIFIED = 2


# The enumeration's own members cost a look-up each, which counts where an answer takes microseconds.
PLAIN, GZIP, NOT_MODIFIED = Form


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer ready to be sent; `headers` lack only the content coding."""

    etag: bytes
    headers: list[Header]
    body: bytes
    gzip_headers: list[Header]
    gzip_body: bytes | None
    not_modified_headers: list[Header]

    def form(self, request_headers: Iterable[Header]) -> Form:
        """304 for a client that has this answer already, else the coding that it takes."""
        has_tag = gzip = False
        for name, value in request_headers:
            if name == b"accept-encoding":
                gzip = accepts_gzip(value)
            elif name == b"if-none-match":
                has_tag = has_tag or names(value, self.etag)
        if has_tag:
            return NOT_MODIFIED
        return GZIP if gzip and self.gzip_body is not None else PLAIN

    def sent_as(self, form: Form) -> tuple[int, list[Header], bytes]:
        """Status, headers and body of a form."""
        if form is NOT_MODIFIED:
            return 304, self.not_modified_headers, b""
        if form is GZIP and self.gzip_body is not None:
            return 200, self.gzip_headers, self.gzip_body
        return 200, self.headers, self.body


def render(
    content_type: bytes, etag: bytes, max_age_s: int, checked_s: int, body: bytes, gzip_body: bytes | None
) -> Rendered:
    """An answer with the headers of RFC 9111: how long it may be reused, and how long ago it was checked."""
    common = [
        (b"etag", etag),
        (
            b"cache-control",
            b"public, max-age=%d, stale-while-revalidate=300, stale-if-error=86400" % (max_age_s + checked_s),
        ),
        (b"age", b"%d" % checked_s),
        (b"vary", b"accept-encoding"),
    ]
    typed = [(b"content-type", content_type), *common]
    gzip_headers = []
    if gzip_body is not None:
        gzip_headers = [*typed, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(gzip_body))]
    return Rendered(etag, [*typed, (b"content-length", b"%d" % len(body))], body, gzip_headers, gzip_body, common)


def deflate(data: bytes) -> bytes:
    """`data` as a raw deflate stream, the second half of what `gzip_spliced` joins."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


def gzip_spliced(front: bytes, rest: bytes, deflated_rest: bytes) -> bytes:
    """`front + rest` as one gzip member, without compressing `rest` again.

    `front` becomes a stored block (RFC 1951 §3.2.4), so it has to be shorter than 64 KiB.
    """
    stored = struct.pack("<BHH", 0, len(front), len(front) ^ 0xFFFF) + front
    trailer = struct.pack("<II", zlib.crc32(rest, zlib.crc32(front)), (len(front) + len(rest)) & 0xFFFFFFFF)
    return _GZIP_HEADER + stored + deflated_rest + trailer


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: bytes) -> bool:
    """Whether an Accept-Encoding header allows gzip; there are few of them, one per kind of client."""
    for coding in accept_encoding.lower().split(b","):
        name, _, weight = coding.partition(b";")
        if name.strip() in (b"gzip", b"*"):
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False


def names(if_none_match: bytes, etag: bytes) -> bool:
    """Weak comparison (RFC 9110 §8.8.3.2) of one tag with a list of them."""
    if if_none_match == etag:
        return True
    opaque = etag.removeprefix(b"W/")
    tags = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return opaque in tags or tags == [b"*"]


def iso(moment: datetime) -> str:
    """An instant as it is written in every answer: UTC, whole seconds unless it has more."""
    text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


class ForecastAnswer:
    """One forecast: its immutable part as bytes, and the facts from which its freshness is computed."""

    __slots__ = (
        "_deflated",
        "_digest",
        "_due",
        "_due_at",
        "_interval",
        "_issued",
        "_moment",
        "_rendered",
        "_rest",
        "_stale",
        "_superseded",
    )

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        interval: str,
        issued_at: datetime,
        expected_next_at: datetime,
        superseded: bool = False,
    ) -> None:
        """`fields` are the JSON members that never change; instants are UTC. A superseded forecast is never stale: its
        successor is there, and nothing more is expected of it."""
        self._rest = orjson.dumps(dict(fields))[1:]  # without the opening brace: the front brings it
        self._deflated = deflate(self._rest)
        self._digest = hashlib.blake2b(self._rest, digest_size=12).hexdigest()
        self._interval = interval
        self._issued = issued_at.timestamp()
        self._due_at = expected_next_at
        self._due = expected_next_at.timestamp()
        self._stale = stale_at(interval, expected_next_at).timestamp()
        self._superseded = superseded
        self._moment: Moment | None = None
        self._rendered: Rendered | None = None

    def packed(self) -> dict[str, Any]:
        """All it is made from, for orjson to write down."""
        return {
            "interval": self._interval,
            "issued_at": self._issued,
            "expected_next_at": self._due,
            "superseded": self._superseded,
            "fields": orjson.Fragment(b"{" + self._rest),
        }

    @classmethod
    def unpacked(cls, packed: Mapping[str, Any]) -> Self:
        """The answer that was packed."""
        instants = {name: datetime.fromtimestamp(packed[name], UTC) for name in ("issued_at", "expected_next_at")}
        return cls(packed["fields"], interval=packed["interval"], superseded=packed["superseded"], **instants)

    @property
    def n_bytes(self) -> int:
        """Memory held, counting one rendered copy of either coding."""
        return 2 * (len(self._rest) + len(self._deflated)) + 1024

    def replaced_in_s(self, now: float) -> float:
        """Seconds until the next forecast should have arrived, its grace included; negative when it is overdue."""
        return self._stale - now

    def at(self, moment: Moment) -> Rendered:
        """The answer as of `moment`; rendered once for all readers of the same moment."""
        if self._rendered is None or self._moment is not moment:
            self._rendered, self._moment = self._render(moment), moment
        return self._rendered

    def _render(self, moment: Moment) -> Rendered:
        reason = moment.unconfirmed
        if self._superseded:
            reason = None
        elif reason is None and moment.second >= self._stale:
            reason = overdue_reason(self._due_at)
        front = orjson.dumps(
            {
                "age_seconds": max(0, int(moment.second - self._issued)),
                "expected_next_at": None if self._superseded else iso(self._due_at),
                "stale": reason is not None,
                "stale_reason": reason,
            }
        )
        front = front[:-1] + b","
        # Weak: two answers with this tag differ in age_seconds only. Turning stale is a change worth telling.
        state = "fresh" if reason is None else "unconfirmed" if moment.unconfirmed else "overdue"
        etag = f'W/"{self._digest}-{state}"'.encode()
        # Nothing newer is expected before it is due, so clients may keep it that long, but look again each minute.
        max_age_s = min(60, max(5, int(self._due - moment.second)))
        return render(
            JSON, etag, max_age_s, moment.checked_s, front + self._rest, gzip_spliced(front, self._rest, self._deflated)
        )


@dataclass(slots=True)
class Document:
    """Any other answer: bytes that stand as they are until the cache replaces them."""

    body: bytes
    content_type: bytes = JSON
    max_age_s: int = 30
    fresh_s: float = 60.0
    _gzip: bytes | None = field(init=False)
    _etag: bytes = field(init=False)
    _moment: Moment | None = field(init=False, default=None)
    _rendered: Rendered | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        worth = len(self.body) >= WORTH_COMPRESSING
        self._gzip = gzip_spliced(b"", self.body, deflate(self.body)) if worth else None
        self._etag = f'W/"{hashlib.blake2b(self.body, digest_size=12).hexdigest()}"'.encode()

    @property
    def n_bytes(self) -> int:
        """Memory held by the body in both codings."""
        return len(self.body) + len(self._gzip or b"") + 512

    def fresh_for_s(self) -> float:
        """Seconds until it should be built again."""
        return self.fresh_s

    def pick(self, part: str | None) -> "Document":  # noqa: ARG002  (like a shelf and the overview)
        """Itself: a document has no parts."""
        return self

    def at(self, moment: Moment) -> Rendered:
        """The answer as of `moment`."""
        if self._rendered is None or self._moment is not moment:
            self._rendered = render(
                self.content_type, self._etag, self.max_age_s, moment.checked_s, self.body, self._gzip
            )
            self._moment = moment
        return self._rendered
