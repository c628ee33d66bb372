"""The outermost ASGI application: answers a cached address at once, and looks after everyone else's headers and counts.

An address that was answered before needs no routing and no validation again. So the exact path and query are
remembered with what they mean, and within one second also with what is sent: the next request costs a few look-ups.
`gateway.wire` asks here too, below ASGI.
"""

import time
from collections import OrderedDict
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admission import Admission
from gateway.answers import Form, Header, Rendered
from gateway.cache import Entry
from gateway.headers import PREFLIGHT, headers_for
from gateway.limits import retry_after
from gateway.metrics import Durations
from gateway.problems import too_many_requests
from gateway.service import Service, Target, Value

MAX_ADDRESSES: Final = 4096
MAX_ADDRESS_LENGTH: Final = 200
HEAD_ONLY: Final = "candlecast.head_only"  # in the scope of a HEAD request that goes on as a GET

# Whoever looks whether we live must hear it, and files of the pages cost next to nothing.
UNLIMITED: Final = ("/healthz", "/readyz", "/favicon.ico", "/assets/")
STATUS_LINES: Final = {code: f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n".encode() for code in (200, 304)}


class Reply:
    """What is sent, complete: for ASGI in parts, and as the bytes of an HTTP/1.1 head."""

    __slots__ = ("body", "head", "headers", "labels", "status")

    def __init__(self, status: int, headers: list[Header], body: bytes, second: int, route: str) -> None:
        """`second` is the moment's, for the Date header, which an ASGI server adds by itself."""
        self.status, self.headers, self.body = status, headers, body
        self.labels = (route, "GET", str(status))  # of its counter
        date = (b"date", formatdate(second, usegmt=True).encode())
        lines = [b"%b: %b\r\n" % header for header in (date, *headers)]
        self.head = b"".join([STATUS_LINES[status], *lines, b"\r\n"])


# What an address asks for, the headers that its answers get besides their own, and where its durations go.
Known = tuple[Target, list[Header], Durations]


class Hot:
    """A cached answer to a known address, with its replies of this second."""

    __slots__ = ("_replies", "durations", "entry", "extra", "rendered", "result", "route", "second")

    def __init__(self, known: Known, entry: Entry[Value], rendered: Rendered, result: str, second: int) -> None:
        """`result` is what the look-up counts as: hit or stale."""
        target, self.extra, self.durations = known
        self.route = target.route
        self.entry, self.rendered, self.result, self.second = entry, rendered, result, second
        self._replies: list[Reply | None] = [None] * len(Form)

    def reply(self, form: Form) -> Reply:
        """The reply in a form, made at most once."""
        reply = self._replies[form]
        if reply is None:
            status, headers, body = self.rendered.sent_as(form)
            reply = self._replies[form] = Reply(status, headers + self.extra, body, self.second, self.route)
        return reply


async def send_rendered(scope: Scope, send: Send, rendered: Rendered) -> None:
    """Send an answer in the coding the client takes, or 304 when it has it already."""
    status, headers, body = rendered.sent_as(rendered.form(scope["headers"]))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Front:
    """Wraps an application; see the module."""

    def __init__(self, app: ASGIApp, service: Service, admission: Admission) -> None:
        self._app = app
        self.service = service
        self.admission = admission
        self._metrics = service.metrics
        self._known: OrderedDict[bytes, Known] = OrderedDict()  # by path and query as they were sent
        self._hot: dict[bytes, Hot] = {}  # of this second; so an answer that left the cache is not kept here
        self._second = 0

    def remember(self, scope: Scope, target: Target) -> None:
        """Let the next GET of this address return early. Bounded: the oldest address makes room.

        Never one whose answer a key opened: who returns early is not asked for a key.
        """
        address = _address(scope)
        if len(address) > MAX_ADDRESS_LENGTH or address in self._known or "key_id" in scope.get("state", {}):
            return
        if len(self._known) >= MAX_ADDRESSES:
            self._known.popitem(last=False)
        self._known[address] = (target, headers_for(scope["path"]), self._metrics.durations_of(target.route))

    def found(self, address: bytes) -> Hot | None:
        """The cached answer to a known address, None without one."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._hot.clear()
        hot = self._hot.get(address)
        if hot is not None and hot.entry.current:
            return hot
        known = self._known.get(address)
        found = None if known is None else self.service.found(known[0])
        if known is None or found is None:
            return None
        hot = self._hot[address] = Hot(known, *found, second)
        return hot

    def sent(self, hot: Hot, reply: Reply, *, head: bool, seconds: float) -> None:
        """Count a reply."""
        metrics = self._metrics
        metrics.cache_requests[hot.result] += 1
        metrics.requests[(hot.route, "HEAD", str(reply.status)) if head else reply.labels] += 1
        hot.durations.observe(seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event: a request, or the lifespan."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        wait_s = self._wait_s(scope)
        if wait_s is not None:
            response = too_many_requests(retry_after(wait_s)).response()
            response.raw_headers += headers_for(scope["path"])
            await response(scope, receive, send)
            self._metrics.count("limited", scope["method"], 429, time.perf_counter() - started)
            return
        head = scope["method"] == "HEAD"
        hot = self.found(_address(scope)) if head or scope["method"] == "GET" else None
        if hot is None:
            await self._pass_on(scope, receive, send, started)
            return
        reply = hot.reply(hot.rendered.form(scope["headers"]))
        await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
        await send({"type": "http.response.body", "body": b"" if head else reply.body})
        self.sent(hot, reply, head=head, seconds=time.perf_counter() - started)

    def _wait_s(self, scope: Scope) -> float | None:
        """Count a request: None to go on, else the seconds that its client has to wait."""
        if scope["path"].startswith(UNLIMITED):
            return None
        peer = scope["client"]
        return self.admission.wait_s(peer[0] if peer else None, scope["headers"])

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        """Any other request: through the framework, HEAD as a GET without its body, CORS pre-flights answered here."""
        path, method = scope["path"], scope["method"]
        if method == "OPTIONS" and path.startswith("/showcase/"):
            await send({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            self._metrics.count("/showcase/*", method, 204, time.perf_counter() - started)
            return
        inner = {**scope, "method": "GET", HEAD_ONLY: True} if method == "HEAD" else scope
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


def _address(scope: Scope) -> bytes:
    """Path and query as they stood in the request line."""
    query: bytes = scope["query_string"]
    path: bytes = scope["raw_path"]
    return path + b"?" + query if query else path
