"""What the gateway writes to its log: one line per event, as JSON for machines or as text for a terminal.

    {"ts":"2026-11-20T09:02:11.345Z","level":"WARNING","logger":"gateway.requests","event":"answered","request_id":"…",
     "method":"GET","route":"/v1/predictions/{symbol}","status":503,"duration_ms":151.2}

No line repeats a secret: what looks like one is blotted out of every text, and so is every value that is known as one.
Errors of a database driver carry addresses with passwords, and those of an HTTP client carry headers.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO
from urllib.parse import unquote, urlsplit

BLOT: Final = "***"
# Settings that hold secrets, also those that the gateway itself has no use for.
SECRETS: Final = (
    "SHOWCASE_API_KEY", "DATABASE_URL", "INFERENCE_TOKEN", "CF_ACCESS_CLIENT_ID", "CF_ACCESS_CLIENT_SECRET"
)  # fmt: skip
MIN_SECRET: Final = 6  # a shorter one stands in too many words to be blotted out of them

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_PATTERNS: Final = (
    # postgresql://user:password@host, up to the last @ of the word: a password may hold one
    (re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'<>]*@"), rf"\1{BLOT}@"),
    (re.compile(r"(?i)\b((?:ssl)?password|passwd|pwd|api_?key|token|secret)(\s*=\s*)('[^']*'|\"[^\"]*\"|[^\s&;,)]+)"),
     rf"\1\2{BLOT}"),
    # A header in any spelling that a message may give it: `X-API-Key: …`, `'x-api-key': '…'`, `(b'x-api-key', b'…')`
    (
        re.compile(
            r"(?i)\b(proxy-authorization|authorization|x-api-key|cf-access-[a-z-]+|set-cookie|cookie)\b"
            r"([\"']?\s*[:=,]\s*b?[\"']?)[^\"'\r\n]+"
        ),
        rf"\1\2{BLOT}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {BLOT}"),
    (re.compile(r"\b(ck_[2-9a-z]{10}_)[A-Za-z0-9_-]+"), rf"\1{BLOT}"),
)  # fmt: skip

# What every record has; anything else came in `extra`.
_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class Redaction:
    """Blots secrets out of texts: those of `secrets` by value, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str | None] = ()) -> None:
        found = {form for secret in secrets if secret for form in (secret, *_passwords(secret))}
        known = sorted((form for form in found if len(form) >= MIN_SECRET), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """The text without them."""
        if self._known is not None:
            text = self._known.sub(BLOT, text)
        for pattern, blotted in _PATTERNS:
            text = pattern.sub(blotted, text)
        return text


class Lines(logging.Formatter):
    """Writes a record as one line of JSON, or as text with the traceback below it."""

    def __init__(self, form: Literal["json", "text"], redact: Redaction) -> None:
        super().__init__()
        self._form, self._redact = form, redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields: dict[str, Any] = {
            "ts": moment,
            "level": record.levelname,
            "logger": record.name,
            "event": self._redact(record.getMessage()),
        }
        asked = request_id.get()
        if asked is not None:
            fields["request_id"] = asked
        for name, value in vars(record).items():
            if name not in _USUAL:
                fields[name] = value if isinstance(value, int | float | bool) else self._redact(str(value))
        trace = ""
        if record.exc_info and record.exc_info[0] is not None:
            trace = self._redact(self.formatException(record.exc_info))
            fields["error_class"] = record.exc_info[0].__name__
        if self._form == "json":
            if trace:
                fields["traceback"] = trace
            return json.dumps(fields, separators=(",", ":"))  # in ASCII: no sign of a text ends the line
        rest = " ".join(f"{name}={value}" for name, value in list(fields.items())[4:])
        head = f"{moment} {record.levelname} {record.name} {fields['event']}"
        return "\n".join(part for part in (f"{head} [{rest}]" if rest else head, trace) if part)


def configure(
    level: str, form: str | None = None, *, secrets: Iterable[str | None] = (), stream: TextIO | None = None
) -> None:
    """Let every logger of this process write such lines.

    Parameters
    ----------
    form : `json` or `text`; by default text on a terminal and JSON anywhere else
    secrets : values that no line may hold; of an address only its password
    """
    stream = stream or sys.stderr
    chosen: Literal["json", "text"] = "text" if form == "text" or (form is None and stream.isatty()) else "json"
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Lines(chosen, Redaction(secrets)))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # we say once that the database is away


def _passwords(secret: str) -> list[str]:
    """The password of an address, as it is written and as it is meant; the address itself is covered by its form."""
    try:
        password = urlsplit(secret).password if "://" in secret else None
    except ValueError:
        return []
    return [password, unquote(password)] if password else []
