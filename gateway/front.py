"""The outermost ASGI application: answers a cached address at once, and looks after everyone else's headers and counts.

An address that was answered before needs no routing and no validation again. So the exact (path, query) is
remembered with what it means, and its next GET costs two look-ups and two sends: a fraction of a framework's route.
"""

import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.answers import Header, Rendered, accepts_gzip
from gateway.headers import PREFLIGHT, headers_for
from gateway.metrics import Durations
from gateway.service import Service, Target

MAX_ADDRESSES: Final = 4096
MAX_ADDRESS_LENGTH: Final = 200

# A target, the headers that its answers get besides their own, and where its durations go.
Known = tuple[Target, list[Header], Durations]


async def send_rendered(scope: Scope, send: Send, rendered: Rendered, extra: list[Header], *, head: bool) -> int:
    """Send an answer in the coding the client takes, or 304 when it has it already; the status sent."""
    has_tag = gzip = False
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            has_tag = _names(value, rendered.etag)
        elif name == b"accept-encoding":
            gzip = rendered.gzip_body is not None and accepts_gzip(value)
    if has_tag:
        status, headers, body = 304, rendered.not_modified_headers, b""
    elif gzip and rendered.gzip_body is not None:
        status, headers, body = 200, rendered.gzip_headers, rendered.gzip_body
    else:
        status, headers, body = 200, rendered.headers, rendered.body
    await send({"type": "http.response.start", "status": status, "headers": headers + extra})
    await send({"type": "http.response.body", "body": b"" if head else body})
    return status


def _names(if_none_match: bytes, etag: bytes) -> bool:
    """Weak comparison (RFC 9110 §8.8.3.2) of one tag with a list of them."""
    if if_none_match == etag:
        return True
    opaque = etag.removeprefix(b"W/")
    tags = [tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b",")]
    return opaque in tags or tags == [b"*"]


class Front:
    """Wraps an application; see the module."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self.service = self._service = service
        self._metrics = service.metrics
        self._known: dict[tuple[str, bytes], Known] = {}

    def remember(self, scope: Scope, target: Target) -> None:
        """Let the next GET of this address return early. Bounded: the oldest address makes room."""
        address = (scope["path"], scope["query_string"])
        if len(address[0]) + len(address[1]) > MAX_ADDRESS_LENGTH or address in self._known:
            return
        if len(self._known) >= MAX_ADDRESSES:
            del self._known[next(iter(self._known))]
        self._known[address] = (target, headers_for(address[0]), self._metrics.durations_of(target.route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event: a request, or the lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        if scope["method"] == "GET":
            known = self._known.get((scope["path"], scope["query_string"]))
            if known is not None:
                target, extra, durations = known
                rendered = self._service.cached(target)
                if rendered is not None:
                    status = await send_rendered(scope, send, rendered, extra, head=False)
                    self._metrics.requests[target.route, "GET", "200" if status == 200 else "304"] += 1
                    durations.observe(time.perf_counter() - started)
                    return
        await self._pass_on(scope, receive, send, started)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        """Any other request: through the framework, HEAD as a GET without its body, CORS pre-flights answered here."""
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS" and path.startswith("/showcase/"):
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            self._metrics.count("/showcase/*", method, 204, time.perf_counter() - started)
            return
        inner = {**scope, "method": "GET"} if method == "HEAD" else scope
        extra = headers_for(path)
        status = 500

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *extra]}
            elif method == "HEAD" and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self._app(inner, receive, send_on)
        finally:
            route = getattr(inner.get("route"), "path", "unmatched")
            self._metrics.count(route, method, status, time.perf_counter() - started)
