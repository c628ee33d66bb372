"""What surrounds each request that goes through the framework: its id, its line in the log, its cross-origin headers.

An answer that is sent again from what is cached passes above here and carries no request id: nothing happened for it
that a log could tell, and every header costs such an answer a good part of its time.
"""

import logging
import re
import secrets
import time
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.answers import Header
from gateway.headers import cross_origin, keyed_preflight
from gateway.logs import request_id

logger = logging.getLogger("gateway.requests")

ID_FORM: Final = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CROSS_ORIGIN: Final = ("/v1/", "/mcp")  # the showcase is open to every origin, everything else to its own


class Envelope:
    """Wraps the framework's application; see the module.

    Parameters
    ----------
    origins : of pages elsewhere that may ask the keyed routes and /mcp, such as `https://desk.example`
    """

    def __init__(self, app: ASGIApp, origins: Collection[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origin.encode() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        asked = _id_of(scope["headers"])
        request_id.set(asked.decode())  # each request is a task of its own, so it ends with the request
        state = scope.setdefault("state", {})
        added: list[Header] = [(b"x-request-id", asked)]
        origin = self._origin(scope)
        if origin is not None:
            added += cross_origin(origin)
            if scope["method"] == "OPTIONS" and _has(scope["headers"], b"access-control-request-method"):
                await send({"type": "http.response.start", "status": 204, "headers": [*added, *keyed_preflight()]})
                await send({"type": "http.response.body", "body": b""})
                return
            # It was judged here; whoever looks for pages of foreign origins further inside need not see it.
            scope["headers"] = [header for header in scope["headers"] if header[0] != b"origin"]
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                if "key_id" in state:
                    headers = [_private(header) for header in headers]
                message = {**message, "headers": [*headers, *added]}
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        finally:
            self._tell(scope, status, time.perf_counter() - started)

    def _origin(self, scope: Scope) -> bytes | None:
        """The origin of the page that asks, where it is one that may."""
        if not self._origins or not scope["path"].startswith(CROSS_ORIGIN):
            return None
        return next((value for name, value in scope["headers"] if name == b"origin" and value in self._origins), None)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        """One line; never the path or the query as they were sent, which may hold anything."""
        key_id = scope["state"].get("key_id")
        notable = key_id is not None or status in (401, 403)
        level = logging.WARNING if status >= 500 else logging.INFO if notable else logging.DEBUG
        if logger.isEnabledFor(level):
            facts: dict[str, object] = {
                "method": scope["method"] if scope["method"].isalpha() else "other",
                "route": getattr(scope.get("route"), "path", "unmatched"),
                "status": status,
                "duration_ms": round(seconds * 1000, 1),
            }
            if key_id is not None:
                facts["key_id"] = key_id
            logger.log(level, "answered", extra=facts)


def _id_of(headers: Collection[Header]) -> bytes:
    """The id that the request brings, when it is short and clean; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and ID_FORM.fullmatch(value):
            return value
    return secrets.token_hex(8).encode()


def _has(headers: Collection[Header], name: bytes) -> bool:
    return any(known == name for known, _ in headers)


def _private(header: Header) -> Header:
    """A header of an answer that a key opened: nobody on the way may keep the answer for others."""
    if header[0].lower() != b"cache-control":
        return header
    return header[0], header[1].replace(b"public", b"private")
