"""A known address is answered below ASGI: complete bytes, written when the request's headers are complete.

uvicorn makes a task, a scope and two messages of each request and checks every header of the answer by a regular
expression; that is most of what a cached answer costs. So its protocol is extended by one decision. What is not the
plainest of requests takes the usual way: any other method, a body, an HTTP/1.0 or closing connection, an upgrade, a
key, a request behind one that is still being answered, a peer that reads too slowly, a client who asked too often.
"""

import logging
import time
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.clients import direct
from gateway.front import Front, Hot, Reply

logger = logging.getLogger(__name__)

# Headers with which a request is not plain. Those of a connection are the parser's to judge.
NOT_PLAIN: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"x-api-key", b"authorization"}
)


class Wire(HttpToolsProtocol):
    """One connection. Behind any application but a `Front` it is uvicorn's own protocol."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        config = self.config
        # What these would add to an answer or forbid is not looked at here.
        usual = config.root_path or config.headers or config.server_header or config.limit_concurrency
        self._front = config.app if isinstance(config.app, Front) and not usual else None
        self._client: str | None = None  # its name, unless each request has to tell
        self._answered = False  # the request whose end the parser has not met yet

    def connection_made(self, transport: Any) -> None:
        """Learn who asks."""
        super().connection_made(transport)
        peer = self.client[0] if self.client else None
        if self._front is not None and not self._front.admission.clients.trusts(peer):
            self._client = direct(peer)

    def on_headers_complete(self) -> None:
        """Answer at once, or leave the request to the application."""
        started = time.perf_counter()
        found = None
        if self._front is not None:
            try:
                found = self._found(self._front)
            except Exception:  # a defect of ours, which the usual way answers with a 500, and not as a bad request
                logger.exception("an answer could not be sent from the cache")
                self._front = None
        if self._front is None or found is None:
            super().on_headers_complete()
            return
        hot, reply = found
        head = self.parser.get_method() == b"HEAD"
        self._answered = True
        self.transport.writelines((reply.head,) if head else (reply.head, reply.body))
        self.on_response_complete()
        self._front.sent(hot, reply, head=head, seconds=time.perf_counter() - started)

    def on_message_complete(self) -> None:
        """The end of a request; one that was answered has no body and no cycle to tell of it."""
        if self._answered:
            self._answered = False
            return
        super().on_message_complete()

    def _found(self, front: Front) -> tuple[Hot, Reply] | None:
        """What is cached for a plain request, counted for its client; None when it takes the usual way."""
        parser = self.parser
        if (
            parser.get_method() not in (b"GET", b"HEAD")
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or self.transport.is_closing()
        ):
            return None
        for name, _ in self.headers:
            if name in NOT_PLAIN:
                return None
        hot = front.found(self.url)
        if hot is None:
            return None
        client = self._client
        if client is None:
            client = front.admission.clients.name(self.client[0] if self.client else None, self.headers)
        if front.admission.by_address.admit(client) is not None:
            return None
        return hot, hot.reply(hot.rendered.form(self.headers))
