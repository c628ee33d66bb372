"""What is answered below ASGI is the same answer, on every kind of connection that HTTP/1 knows."""

import contextlib
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.front import Front
from gateway.wire import Wire

PATH = "/showcase/ml-prediction/BTCUSDT"
PLAIN = f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class Wires:
    """The connections that were made, and how many requests reached the application."""

    def __init__(self) -> None:
        self.n_usual = 0
        self.made: list[Wire] = []


@pytest.fixture
def wires(monkeypatch: pytest.MonkeyPatch) -> Wires:
    seen = Wires()
    call, made = Front.__call__, Wire.connection_made

    async def counted(front: Front, scope: Any, receive: Any, send: Any) -> None:
        seen.n_usual += scope["type"] == "http"
        await call(front, scope, receive, send)

    def noted(wire: Wire, transport: Any) -> None:
        seen.made.append(wire)
        made(wire, transport)

    monkeypatch.setattr(Front, "__call__", counted)
    monkeypatch.setattr(Wire, "connection_made", noted)
    return seen


@contextlib.contextmanager
def connected(client: httpx.Client, receive_buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as link:
        if receive_buffer is not None:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        link.settimeout(30.0)
        link.connect((client.base_url.host, client.base_url.port))
        yield link


def answers(link: socket.socket, methods: list[str]) -> list[tuple[int, dict[str, str], bytes]]:
    """Read one answer to each of these methods: status, headers, body."""
    data, found = b"", []
    for method in methods:
        while b"\r\n\r\n" not in data:
            data += link.recv(1 << 20)
        head, data = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        status = int(re.fullmatch(r"HTTP/1\.1 (\d{3}) [A-Z][A-Za-z ]+", lines[0])[1])  # type: ignore[index]
        length = 0 if method == "HEAD" or status == 304 else int(headers["content-length"])
        while len(data) < length:
            data += link.recv(1 << 20)
        found.append((status, headers, data[:length]))
        data = data[length:]
    assert data == b""
    return found


def test_the_protocol_that_is_extended_has_the_parts_that_are_relied_on() -> None:
    for name in ("on_headers_complete", "on_message_complete", "on_response_complete", "connection_made"):
        assert callable(getattr(HttpToolsProtocol, name)), name


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("asks", ["plain", "gzip", "tag", "other tag"])
def test_the_answer_is_the_one_that_the_application_gives(
    market: Any, reader_url: str, serve: Any, wires: Wires, asks: str, method: str
) -> None:
    market.issue(horizon=60)

    with serve(reader_url) as (client, _), connected(client) as link:
        tag = client.get(PATH).headers["etag"]
        line = {"plain": "", "gzip": "Accept-Encoding: gzip, br\r\n", "tag": f"If-None-Match: {tag}\r\n"}
        line["other tag"] = 'If-None-Match: "x"\r\nIf-None-Match: "y"\r\n'
        request = f"{method} {PATH} HTTP/1.1\r\nHost: x\r\n{line[asks]}"
        before = wires.n_usual
        for _ in range(5):  # the age and the date may grow between the two
            link.sendall(f"{request}\r\n".encode())
            [direct] = answers(link, [method])
            with connected(client) as other:
                other.sendall(f"{request}Connection: close\r\n\r\n".encode())
                [usual] = answers(other, [method])
                assert other.recv(1) == b""
            assert usual[1].pop("connection") == "close"
            dates = [parsedate_to_datetime(answer[1].pop("date")) for answer in (direct, usual)]
            if direct == usual and abs(dates[0] - dates[1]) <= timedelta(seconds=1):
                break

    assert abs(dates[0] - dates[1]) <= timedelta(seconds=1)
    assert direct == usual
    assert direct[0] == (304 if asks == "tag" else 200)
    assert direct[1].get("content-encoding") == ("gzip" if asks == "gzip" else None)
    assert direct[1]["access-control-allow-origin"] == "*"
    assert wires.n_usual - before <= 5, "one of the two did not reach the application"


def test_requests_that_come_together_are_answered_in_their_order_whoever_answers_them(
    market: Any, reader_url: str, serve: Any, wires: Wires
) -> None:
    market.issue()
    unknown = b"GET /showcase/ml-prediction/NOPE HTTP/1.1\r\nHost: x\r\n\r\n"
    with_body = PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello")
    chunked = PLAIN.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")
    head = PLAIN.replace(b"GET", b"HEAD")
    posted = b"POST /showcase/models HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    parts = [PLAIN, unknown, PLAIN, head, with_body, PLAIN, chunked, PLAIN, posted, head, PLAIN]
    statuses = [200, 404, 200, 200, 200, 200, 200, 200, 405, 200, 200]
    methods = [part.split(b" ")[0].decode() for part in parts]

    with serve(reader_url) as (client, _), connected(client) as link:
        client.get(PATH)
        before = wires.n_usual
        link.sendall(b"".join(parts))
        assert [answer[0] for answer in answers(link, methods)] == statuses
        assert wires.n_usual - before < len(parts), "some were answered below"
        for part, method, status in zip(parts, methods, statuses, strict=True):
            with connected(client) as fresh:
                fresh.sendall(part)
                assert [answer[0] for answer in answers(fresh, [method])] == [status]
            link.sendall(part)
            assert [answer[0] for answer in answers(link, [method])] == [status]
        for end in range(0, len(PLAIN), 7):  # and byte by byte, as far as the network likes
            link.sendall(PLAIN[end : end + 7])
        assert [answer[0] for answer in answers(link, ["GET"])] == [200]


def test_an_old_client_gets_its_answer_and_the_end_of_the_connection(market: Any, reader_url: str, serve: Any) -> None:
    market.issue()

    with serve(reader_url) as (client, _):
        expected = client.get(PATH).json()["p50"]
        for request in (PLAIN.replace(b"1.1", b"1.0"), PLAIN.replace(b"Host: x", b"Connection: close")):
            with connected(client) as link:
                link.sendall(request)
                [(status, headers, _)] = answers(link, ["GET"])
                assert (status, headers["connection"]) == (200, "close")
                assert link.recv(1) == b""
        assert client.get(PATH).json()["p50"] == expected


def test_a_client_that_asks_and_does_not_read_fills_its_own_connection_only(
    market: Any, reader_url: str, serve: Any, wires: Wires
) -> None:
    market.issue(horizon=120)
    n_requests = 3000

    with serve(reader_url) as (client, _), connected(client, receive_buffer=4096) as link:
        n_bytes = len(client.get(PATH, headers={"accept-encoding": "identity"}).content)
        link.setblocking(False)
        sent, asked = 0, PLAIN * n_requests
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                sent += link.send(asked[sent:])
            if sent == len(asked):
                break
            assert client.get(PATH).status_code == 200
        for _ in range(20):
            assert client.get(PATH).status_code == 200
        unread = max(wire.transport.get_write_buffer_size() for wire in wires.made if wire.transport is not None)
        link.settimeout(30.0)
        if sent < len(asked):
            link.sendall(asked[sent : sent + (-sent) % len(PLAIN)])
            sent += (-sent) % len(PLAIN)
        found = answers(link, ["GET"] * (sent // len(PLAIN)))

    assert {answer[0] for answer in found} == {200}
    assert len(found) * n_bytes > 1e6, "there was more to send than anybody should hold"
    assert unread < 65_536 + 2 * (n_bytes + 1000)


def test_connections_at_rest_are_closed_at_the_end_and_none_keeps_the_process(
    market: Any, reader_url: str, serve: Any
) -> None:
    market.issue()

    with contextlib.ExitStack() as links:
        with serve(reader_url) as (client, _):
            open_links = [links.enter_context(connected(client)) for _ in range(5)]
            client.get(PATH)
            for link in open_links:
                link.sendall(PLAIN)
                answers(link, ["GET"])
        assert [link.recv(1) for link in open_links] == [b""] * 5


def test_a_connection_at_rest_is_closed_after_a_while(
    market: Any, reader_url: str, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.issue()
    monkeypatch.setattr("uvicorn.config.Config.timeout_keep_alive", 1, raising=False)

    with serve(reader_url) as (client, _), connected(client) as link:
        client.get(PATH)
        link.sendall(PLAIN)
        answers(link, ["GET"])
        assert link.recv(1) == b""


def test_a_defect_in_an_answer_is_our_error_and_not_a_bad_request(
    market: Any, reader_url: str, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.issue()

    with serve(reader_url) as (client, front):
        assert client.get(PATH).status_code == 200
        monkeypatch.setattr(front, "found", lambda address: 1 / 0)
        assert client.get(PATH).status_code == 500
        monkeypatch.undo()
        assert client.get(PATH).status_code == 200


def test_an_answer_to_the_holder_of_a_key_is_given_to_nobody_else(
    market: Any, reader_url: str, serve: Any, wires: Wires
) -> None:
    key = "a-showcase-key-of-more-than-32-characters"
    market.issue()

    with serve(reader_url, showcase_api_key=key) as (client, front):
        paths = client.get("/openapi.json").json()["paths"]
        keyed = [path for path in paths if path.startswith("/v1/") and "{" not in path]
        assert keyed
        for path in keyed:
            for _ in range(2):
                assert client.get(path, headers={"X-API-Key": key}).status_code != 401, path
            assert client.get(path).status_code == 401, path
        assert not [address for address in front._known if address.startswith(b"/v1/")]
