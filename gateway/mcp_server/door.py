"""What a request has to be before the protocol's package sees it: a POST of this site, short, and sent in one go.

A server of tools on a developer's machine is within reach of every page that is open in the same browser. Such a page
cannot choose the Host that the browser sends for its own name, nor hide its Origin, so both are checked.
"""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import Problem, shown

PATH: Final = "/mcp"
MAX_BODY: Final = 64 << 10
BODY_S: Final = 5.0
ANSWER_S: Final = 10.0
LOCAL: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
NO_STORE: Final = (b"cache-control", b"no-store")


class Gone(Exception):
    """The client left before it had sent its request."""


class Door:
    """Lets requests through to `app`, or answers why not.

    Parameters
    ----------
    hosts : names besides those of this machine, without ports
    body_s, answer_s : seconds that a client has to send its request, and that the answer may take
    """

    path = PATH  # read by the metrics as the name of the route

    def __init__(
        self, app: ASGIApp, hosts: Collection[str], *, body_s: float = BODY_S, answer_s: float = ANSWER_S
    ) -> None:
        self._app = app
        self._hosts = LOCAL | frozenset(hosts)
        self._body_s, self._answer_s = body_s, answer_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        scope["route"] = self
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], NO_STORE]}
            await send(message)

        try:
            self._check(scope)
            body = await self._read(receive)
            async with asyncio.timeout(self._answer_s):
                await self._app(scope, _replay(body, receive), send_on)
        except Problem as problem:
            await problem.response()(scope, receive, send)
        except TimeoutError:
            if not started:
                late = Problem("too_slow", f"There was no answer within {self._answer_s:.0f} s. Try again later.")
                await late.response()(scope, receive, send)
        except Gone:
            pass

    def _check(self, scope: Scope) -> None:
        """Raise the problem that shows in the headers."""
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if _name(host) not in self._hosts:
            raise Problem(
                "wrong_host",
                f"{PATH} does not answer under the host {shown(host)}; whoever runs this server can add it to "
                "GATEWAY_HOSTS.",
            )
        origin = headers.get(b"origin")
        if origin is not None:
            scheme, _, rest = origin.decode("latin-1").partition("://")
            if scheme not in ("http", "https") or _name(rest) not in self._hosts:
                raise Problem(
                    "wrong_origin",
                    f"{PATH} does not answer pages of {shown(origin.decode('latin-1'))}; ask without one.",
                )
        if scope["method"] != "POST":
            raise Problem(
                "method_not_allowed",
                f"{PATH} speaks the Model Context Protocol: POST one JSON-RPC request. There are no sessions, and so "
                "nothing to GET or to DELETE.",
                headers={"allow": "POST"},
            )
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > MAX_BODY:
            raise _too_large()

    async def _read(self, receive: Receive) -> bytes:
        """The whole body."""
        body = bytearray()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Gone
                    body += message.get("body", b"")
                    if len(body) > MAX_BODY:
                        raise _too_large()
                    if not message.get("more_body", False):
                        return bytes(body)
        raise Problem(
            "too_slow",
            f"The request had not arrived after {self._body_s:.0f} s; send it in one go.",
            headers={"connection": "close"},
        )


def _too_large() -> Problem:
    return Problem(
        "too_large",
        f"A request may have {MAX_BODY >> 10} KiB; no tool here needs a tenth of it.",
        headers={"connection": "close"},  # the rest of the body is not read
    )


def _name(authority: str) -> str:
    """A host without its port, in lower case: `[::1]:8000` is `[::1]`."""
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).lower()


def _replay(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body, then whatever follows."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
