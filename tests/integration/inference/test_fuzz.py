"""A stranger at `/predict`: whatever comes in, an answer goes out, it is no 500, and the server is well afterwards."""

import gzip
import json
import random
import socket
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.integration.inference.talk import JSON, LINES, PATIENCE_S, Caller, lines_of

N_CASES = 150
LIMIT = 1_000_000  # bytes of a body, as the server is told
ANSWERS = {200, 400, 404, 408, 413, 415, 422, 429, 504}  # never 500; 504 is a deadline of the client's own

ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, -1e-308, 2**63, 2**64 - 1, -(2**63), 10**30, float("nan"), float("inf")),
    *("", "1", "NaN", "\u0000", "é\U0001f600", "x" * 5_000, ["x" * 100_000] + [""] * 5_000),
    *("2025-01-05T00:00:00Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
    *([], {}, [[]], [None], [[1]], [["1"]], [[True]], {"a": {}}, [1, [2]], [[0.0] * 6] * 3, [0] * 2_000),
]
TEXTS = [
    *(b"", b"{", b"[", b"null", b"true", b"0", b'""', b"[]", b"{}", b"NaN", b"Infinity", b"-Infinity", b"1e999"),
    *(b"\xff\xfe", b"\x00" * 50, b" " * 500_000, b"1" * 400_000, b"a=1&b=2", b"<xml/>", b"GET / HTTP/1.1\r\n\r\n"),
    *(b"{" * 3_000, b"[" * 100_000, b"[" * 1_000 + b"]" * 1_000, b'{"a":' * 1_000 + b"1" + b"}" * 1_000),
    b'{"model_name": ' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    b'{"model_name": [[' + b"1," * 400_000 + b"1]]}",
    *(b"\xef\xbb\xbf{}", '{"a": "é"}'.encode("utf-16"), '{"a": "é"}'.encode("latin-1"), b'{"a": "\\ud800"}'),
    *(b'{"items": [' + b"{}," * 6_000 + b"{}]}", b'{"items": [' + b"0," * 300_000 + b"0]}"),
]
LINE = b"POST /predict HTTP/1.1\r\n"
HEADS: list[bytes] = [
    *(b"", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    *(b"POST /predict\r\n\r\n", b"POST /predict HTTP/9.9\r\n\r\n", b"POST /\xff\xfe HTTP/1.1\r\n\r\n"),
    *(b"OPTIONS * HTTP/1.1\r\n\r\n", b"CONNECT host:1 HTTP/1.1\r\n\r\n", b"GET http://elsewhere/ HTTP/1.1\r\n\r\n"),
    *(LINE + b"content-length: -1\r\n\r\n", LINE + b"content-length: 1e3\r\n\r\n"),
    LINE + b"content-length: " + b"9" * 5_000 + b"\r\n\r\n",
    LINE + b"content-length: 5\r\ncontent-length: 7\r\n\r\n{}",
    LINE + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n{}",
    LINE + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    LINE + b"transfer-encoding: gzip\r\n\r\n",
    *(LINE + b"x: " + b"y" * 100_000 + b"\r\n\r\n", LINE + b"x: y\r\n" * 5_000 + b"\r\n"),
    b"POST /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
]


class Stranger:
    """Makes requests from a good one, each wrong in a few places; the same seed makes the same ones."""

    def __init__(self, good: bytes, seed: int) -> None:
        self.good, self.random = orjson.loads(good), random.Random(seed)
        self.text = good

    def body(self) -> bytes:
        draw = self.random
        match draw.randrange(6):
            case 0:
                return draw.choice(TEXTS)
            case 1:
                return self.text[: draw.randrange(len(self.text))]
            case 2:
                text = bytearray(self.text)
                for _ in range(draw.randrange(1, 20)):
                    text[draw.randrange(len(text))] = draw.randrange(256)
                return bytes(text)
            case 3:
                return gzip.compress(self.text)
        fields = orjson.loads(orjson.dumps(self.good))
        for _ in range(draw.randrange(1, 4)):
            self.spoil(fields)
        return text_of(fields)

    def spoil(self, fields: Any) -> None:
        """Change, drop, add or repeat something, here or deeper."""
        draw = self.random
        here: Any = fields
        while isinstance(here, (dict, list)) and here:
            keys = list(here) if isinstance(here, dict) else range(len(here))
            key = draw.choice(keys)
            if isinstance(here[key], (dict, list)) and draw.random() < 0.7:
                here = here[key]
                continue
            match draw.randrange(5):
                case 0 | 1 | 2:
                    here[key] = draw.choice(ODD)
                case 3:
                    del here[key]
                case 4 if isinstance(here, list):
                    here.extend([here[key]] * draw.choice([1, 3, 1_000]))
                case 4:
                    here["odd"] = draw.choice(ODD)
            return

    def headers(self) -> dict[str, str]:
        draw = self.random
        headers = dict(draw.choice([JSON, LINES, JSON, LINES, {}, {"content-type": "text/plain"}]))
        odd = {
            "x-deadline-ms": ["0", "1", "-1", "1e3", "", "x" * 9_000, "999999999999", "99999999999999"],
            "idempotency-key": ["a", "b", "", "a b", "é", "k" * 9_000],
            "accept": ["*/*", "text/html", "application/x-ndjson;q=0", ""],
            "content-encoding": ["gzip", "identity", "br", ""],
            "authorization": ["Bearer x", "Basic !!!"],
            "expect": ["100-continue"],
            "content-type": ["application/json; charset=utf-16", "APPLICATION/JSON", ";"],
        }
        for name in draw.sample(sorted(odd), draw.choice([0, 0, 1, 1, 3])):
            headers[name] = draw.choice(odd[name])
        return headers


def text_of(fields: Any) -> bytes:
    """JSON that Python alone can write: with numbers of any size, NaN and Infinity."""
    return json.dumps(fields).encode()


@pytest.fixture
def url(start: Any) -> str:
    _, url = start(INFERENCE_BODY_LIMIT_MB="1", INFERENCE_CLIENT_S="1")
    return str(url)


@pytest.fixture
def good(series_of: Any, body_of: Any) -> bytes:
    return bytes(body_of([series_of("A"), series_of("B", n_bars=70)]))


@pytest.fixture
def unharmed(url: str, good: bytes) -> Iterator[None]:
    """The server answers the same good request with the same bytes before and after."""
    before = httpx.post(f"{url}/predict", content=good, headers=LINES, timeout=PATIENCE_S)
    assert len(lines_of(before)) == 3
    yield
    after = httpx.post(f"{url}/predict", content=good, headers=LINES, timeout=PATIENCE_S)
    assert after.content == before.content
    assert httpx.get(f"{url}/healthz").status_code == 200
    ready = httpx.get(f"{url}/readyz").json()
    assert (ready["status"], ready["busy"], ready["waiting"]) == ("ready", False, 0)


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("seed", range(2))
def test_no_body_and_no_header_brings_a_server_error(url: str, good: bytes, seed: int) -> None:
    stranger = Stranger(good, seed)
    statuses: dict[int, int] = {}
    with httpx.Client(base_url=url, timeout=PATIENCE_S) as client:
        for number in range(N_CASES):
            body, headers = stranger.body(), stranger.headers()
            sent = {name: value.encode() for name, value in headers.items()}
            answer = client.post("/predict", content=body, headers=sent)
            at = f"seed {seed}, case {number}: {headers} {body[:200]!r}"
            assert answer.status_code in ANSWERS, f"{answer.status_code} to {at}: {answer.text[:500]}"
            statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
            if answer.status_code == 200 and "ndjson" in answer.headers["content-type"]:
                assert lines_of(answer)[-1]["type"] == "end", at
            elif answer.status_code != 200:
                assert answer.json()["detail"], at
                assert len(answer.content) < 2_000, at  # no echo of what was sent

    assert {200, 400, 415, 422} <= set(statuses), statuses  # it was let in often enough to mean something
    described = httpx.get(f"{url}/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    assert ANSWERS | {401, 503} == {int(status) for status in described}


@pytest.mark.usefixtures("unharmed")
def test_what_is_no_request_is_refused_with_a_sentence(url: str) -> None:
    for text in TEXTS:
        answer = httpx.post(f"{url}/predict", content=text, headers=JSON, timeout=PATIENCE_S)

        assert answer.status_code in (400, 422), text[:100]
        assert answer.json()["detail"]


def speak(url: str, said: bytes) -> bytes:
    """What comes back over a bare connection until it is closed."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80), timeout=PATIENCE_S) as connection:
        connection.sendall(said)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass  # it hung up on what was still being said
        return answer


@pytest.mark.usefixtures("unharmed")
def test_what_is_no_http_is_answered_with_a_4xx_or_silence(url: str) -> None:
    for head in HEADS:
        answer = speak(url, head)
        status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/") else b""
        assert not status.startswith(b"5"), (head[:100], answer[:300])


@pytest.mark.usefixtures("unharmed")
def test_slow_and_vanishing_clients_keep_nobody_waiting(url: str, good: bytes) -> None:
    """Half a head, half a body, a request without a reader, a byte at a time: all at once, beside good requests."""
    half = len(good) // 2
    length = {"content-length": str(len(good))}
    address = httpx.URL(url)
    ways: list[Callable[[], Any]] = [
        lambda: Caller(url, good[:half], JSON | length),
        lambda: Caller(url, good, LINES),
        lambda: socket.create_connection((address.host, address.port or 80)),
    ]
    clients = [way() for way in ways for _ in range(30)]
    clients[-1].sendall(b"POST /predict HTTP/1.1\r\ncontent-")

    for _ in range(20):
        answer = httpx.post(f"{url}/predict", content=good, headers=JSON, timeout=PATIENCE_S)
        assert answer.status_code in (200, 429), answer.text
        assert httpx.get(f"{url}/healthz").status_code == 200

    for client in clients:
        (client.hang_up if isinstance(client, Caller) else client.close)()
