"""A tunnel with a login in front of the inference server, as bad as one can be: small limits, cuts, buffering."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

LOGIN = b"<!doctype html><html><title>Sign in</title></html>"


@dataclass
class Edge:
    """What the tunnel does with a request, and what it saw.

    idle_s : longest silence of the server, then 524 (before the answer's head was sent) or a cut (after)
    body_limit : bytes of a request, beyond it 413 with a page
    access : the service token's id and secret; without them a request meets `login`: 403, 302, or 200 with a page
    buffering : hold the answer back until it is whole
    cuts : after how many lines the next answers end, one number for each answer
    on_post : told the symbols of every POST, before it is passed on
    """

    upstream: str
    idle_s: float = 100.0
    body_limit: int = 100_000_000
    access: tuple[str, str] | None = None
    login: int = 403
    buffering: bool = False
    cuts: list[int] = field(default_factory=list)
    on_post: Callable[[bytes], None] = lambda body: None
    url: str = ""
    statuses: list[int] = field(default_factory=list)
    n_logins: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def edge(self) -> Edge:
        return self.server.edge  # type: ignore[attr-defined,no-any-return]

    def do_GET(self) -> None:
        edge = self.edge
        self.close_connection = True
        length = int(self.headers.get("content-length", 0))
        if self.path == "/login":
            edge.n_logins += 1
        given = (self.headers.get("cf-access-client-id"), self.headers.get("cf-access-client-secret"))
        if edge.access is not None and given != edge.access:
            self.rfile.read(length)
            return self._page(edge.login)
        if length > edge.body_limit:
            self.rfile.read(length)
            return self._page(413)
        body = self.rfile.read(length)
        if self.command == "POST":
            edge.on_post(body)
        return self._pass_on(body)

    do_POST = do_GET

    def _page(self, status: int) -> None:
        self.edge.statuses.append(status)
        self.send_response(status)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("location", f"{self.edge.url}/login")
        self.send_header("content-length", str(len(LOGIN)))
        self.end_headers()
        self.wfile.write(LOGIN)

    def _pass_on(self, body: bytes) -> None:
        edge, target = self.edge, urlsplit(self.edge.upstream)
        server = http.client.HTTPConnection(target.hostname or "", target.port, timeout=edge.idle_s)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        give_up = threading.Timer(edge.idle_s, lambda: server.sock and server.sock.shutdown(2))
        if edge.buffering:
            give_up.start()  # nothing of the answer is seen on the other side, however lively it is
        with closing(server):
            try:
                server.request(self.command, self.path, body, kept)
                answer = server.getresponse()
                with closing(answer):
                    lines = iter([answer.read()]) if edge.buffering else iter(answer.readline, b"")
                    give_up.cancel()
                    return self._answer(answer, lines)
            except (OSError, http.client.HTTPException):
                return self._page(524)
            finally:
                give_up.cancel()

    def _answer(self, answer: http.client.HTTPResponse, lines: Iterator[bytes]) -> None:
        edge = self.edge
        edge.statuses.append(answer.status)
        self.send_response(answer.status)
        for name in ("content-type", "retry-after"):
            if value := answer.headers.get(name):
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        cut = edge.cuts.pop(0) if edge.cuts and self.command == "POST" else None
        try:
            for n, line in enumerate(lines):
                if n == cut:
                    break
                self.wfile.write(line)
                self.wfile.flush()
        except (OSError, http.client.HTTPException):
            pass  # the server fell silent, or the client left: either way this connection is over

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def edge_before(upstream: str, **settings: Any) -> Iterator[Edge]:
    """A running edge before the server at `upstream`; its `url` is where clients go."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    edge = Edge(upstream, url=f"http://127.0.0.1:{server.server_address[1]}", **settings)
    server.edge = edge  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield edge
    finally:
        server.shutdown()
        server.server_close()
