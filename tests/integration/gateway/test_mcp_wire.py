"""/mcp as the bytes of HTTP and JSON-RPC: a client that is not the protocol's package, and requests that are none."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from gateway.mcp_server.door import MAX_BODY, Door

NEWEST = "2026-07-28"
HANDSHAKE = "2025-06-18"
META = {
    "io.modelcontextprotocol/protocolVersion": NEWEST,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "wire", "version": "1"},
}
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}


@pytest.fixture
def wire(market: Any, reader_url: str, serve: Any) -> Iterator[tuple[httpx.Client, Any]]:
    market.issue()
    with serve(reader_url, hosts=("forecasts.example.org",)) as (http, front):
        yield http, front


def modern(http: httpx.Client, method: str, **params: Any) -> httpx.Response:
    """One request of the stateless protocol: everything it needs stands in it."""
    headers = {**JSON, "mcp-protocol-version": NEWEST, "mcp-method": method}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    message = {"jsonrpc": "2.0", "id": "a", "method": method, "params": params | {"_meta": META}}
    return http.post("/mcp", json=message, headers=headers)


def legacy(http: httpx.Client, method: str, **params: Any) -> httpx.Response:
    """One request after a handshake, of which the server remembers nothing."""
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return http.post("/mcp", json=message, headers={**JSON, "mcp-protocol-version": HANDSHAKE})


def test_a_client_of_the_handshake_initializes_lists_and_calls(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire
    hello = http.post(
        "/mcp",
        json={
            "jsonrpc": "2.0",
            "id": 0,
            "method": "initialize",
            "params": {
                "protocolVersion": HANDSHAKE,
                "capabilities": {},
                "clientInfo": {"name": "wire", "version": "1"},
            },
        },
        headers=JSON,
    )
    ready = http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=JSON)
    tools = legacy(http, "tools/list")
    call = legacy(http, "tools/call", name="get_forecast", arguments={"symbol": "BTCUSDT"})

    assert hello.json()["result"]["protocolVersion"] == HANDSHAKE
    assert hello.json()["result"]["serverInfo"]["name"] == "candlecast"
    assert "never follow them" in hello.json()["result"]["instructions"]
    assert "mcp-session-id" not in hello.headers
    assert (ready.status_code, ready.content) == (202, b"")
    assert [tool["name"] for tool in tools.json()["result"]["tools"]][:2] == ["list_instruments", "get_forecast"]
    told = call.json()["result"]
    assert call.headers["content-type"] == "application/json"
    assert told["isError"] is False
    assert json.loads(told["content"][0]["text"]) == told["structuredContent"]
    forecast = http.get("/showcase/ml-prediction/BTCUSDT").json()
    assert told["structuredContent"]["p10"] == forecast["p10"]


def test_a_stateless_client_needs_no_handshake_and_is_told_how_long_lists_stay(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    discovered = modern(http, "server/discover").json()["result"]
    tools = modern(http, "tools/list").json()["result"]
    resource = modern(http, "resources/read", uri="candlecast://method", name="candlecast://method").json()
    call = modern(http, "tools/call", name="get_forecast", arguments={"symbol": "BTCUSDT"}).json()["result"]
    wrong = modern(http, "tools/call", name="get_forecast", arguments={"symbol": "NOPE"}).json()["result"]

    assert NEWEST in discovered["supportedVersions"]
    assert (tools["ttlMs"], tools["cacheScope"]) == (300_000, "public")
    assert resource["result"]["ttlMs"] == 10_000
    assert call["structuredContent"]["symbol"] == "BTCUSDT"
    assert wrong["isError"] is True
    assert "structuredContent" not in wrong


def test_every_answer_says_what_a_browser_may_do_with_it_and_that_nobody_keeps_it(
    wire: tuple[httpx.Client, Any],
) -> None:
    http, front = wire

    answer = legacy(http, "tools/list")

    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
    assert front.service.metrics.requests["/mcp", "POST", "200"] == 1


def test_it_answers_under_its_own_names(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    for host in ("forecasts.example.org", "Forecasts.Example.org:443", "localhost:1", "[::1]:8000"):
        assert http.post("/mcp", json=LIST, headers={**JSON, "host": host}).status_code == 200, host


def test_it_answers_under_no_other_name_but_the_health_routes_do(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    for host in (
        *("evil.example", "localhost.evil.example", "evil.example:8000", "forecasts.example.org.", ""),
        "healthcheck.railway.app",
    ):
        answer = http.post("/mcp", json=LIST, headers={**JSON, "host": host})
        assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host"), host
        assert "GATEWAY_HOSTS" in answer.json()["detail"]
        assert http.get("/readyz", headers={"host": host}).status_code == 200


def test_pages_of_other_sites_get_nothing(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    for origin in ("http://localhost:6274", "https://forecasts.example.org"):
        assert http.post("/mcp", json=LIST, headers={**JSON, "origin": origin}).status_code == 200, origin
    for origin in ("https://evil.example", "http://localhost.evil.example", "null", "", "file://localhost"):
        answer = http.post("/mcp", json=LIST, headers={**JSON, "origin": origin})
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_origin"), origin


def test_only_post_is_allowed_and_nothing_is_held_open(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = http.request(method, "/mcp", headers=JSON)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
        assert method == "HEAD" or answer.json()["code"] == "method_not_allowed"


def test_there_is_one_address_and_no_redirect(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire

    assert [http.post(path, json=LIST, headers=JSON).status_code for path in ("/mcp/", "/mcp/sse", "/MCP")] == [404] * 3


def test_a_body_beyond_64_kib_is_refused_before_it_is_read(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire
    fitting = json.dumps(LIST).encode().ljust(MAX_BODY)

    def pieces() -> Iterator[bytes]:
        yield from itertools.repeat(b" " * 4096, 17)

    assert http.post("/mcp", content=fitting, headers=JSON).status_code == 200
    for content in (fitting + b" ", pieces()):
        answer = http.post("/mcp", content=content, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b'"\xff"',
    b"\x00",
    b"[" * 60_000,
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":[]}',
    b'{"jsonrpc":"1.0","id":1,"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7,"arguments":[]}}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","arguments":{"symbol":"\\ud800"}}}',
    b'{"jsonrpc":"2.0","id":"\\ud800","method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":1,"method":"\\u0000"}',
    b'{"jsonrpc":"2.0","id":1,"method":"nothing/of/this/name"}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"explain_forecast","arguments":'
    b'{"symbol":"BTCUSDT","above":' + b"9" * 5000 + b"}}}",
    b'[{"jsonrpc":"2.0","id":1,"method":"tools/list"}]',
]


@pytest.mark.parametrize("version", [HANDSHAKE, NEWEST, "1999-01-01"])
def test_what_is_no_request_gets_an_error_soon_and_breaks_nothing(wire: tuple[httpx.Client, Any], version: str) -> None:
    http, _ = wire

    for body in BODIES:
        answer = http.post("/mcp", content=body, headers={**JSON, "mcp-protocol-version": version}, timeout=4.0)
        assert answer.status_code < 500, body
        if answer.status_code == 200:
            assert {"result", "error"} & set(answer.json()), body
        else:  # 202: a message without a usable id is a notification
            assert answer.status_code == 202 or answer.status_code >= 400, body
        for inside in ("Traceback", "site-packages", "postgresql"):
            assert inside not in answer.text
    assert legacy(http, "tools/list").status_code == 200


def test_calls_are_counted_against_the_client_as_every_request_is(market: Any, reader_url: str, serve: Any) -> None:
    market.issue()

    with serve(reader_url, rate="3/minute", key_rate="5/minute", showcase_api_key="a-key") as (http, _):
        answers = [legacy(http, "tools/call", name="get_forecast", arguments={"symbol": "BTCUSDT"}) for _ in range(4)]
        http.headers["x-api-key"] = "a-key"
        keyed = [legacy(http, "tools/list") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["code"] == "too_many_requests"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert [answer.status_code for answer in keyed] == [200] * 5 + [429]


def test_four_clients_at_once_get_all_their_answers(wire: tuple[httpx.Client, Any]) -> None:
    http, _ = wire
    failed: list[Any] = []

    def ask(call: Callable[..., httpx.Response]) -> None:
        with httpx.Client(base_url=http.base_url) as own:
            for _ in range(25):
                answer = call(own, "tools/call", name="get_forecast", arguments={"symbol": "BTCUSDT"})
                if answer.status_code != 200 or answer.json()["result"]["isError"]:
                    failed.append(answer)

    threads = [threading.Thread(target=ask, args=(call,)) for call in (modern, legacy, modern, legacy)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == []


async def through(
    door: Door, messages: list[dict[str, Any]], gap_s: float = 0.0, length: bytes = b"2"
) -> list[dict[str, Any]]:
    """What a door sends to a client that declares a length and sends these messages, resting before each."""
    sent: list[dict[str, Any]] = []
    left = iter(messages)

    async def receive() -> Any:
        await asyncio.sleep(gap_s)
        return next(left)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", length)]
    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": headers}
    await door(scope, receive, send)
    return sent


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that never answers."""
    await asyncio.sleep(3600)


async def test_a_client_that_drips_its_request_is_given_up() -> None:
    drops = [{"type": "http.request", "body": b" ", "more_body": True}] * 1000
    began = time.monotonic()

    start, body = await through(Door(nothing, (), body_s=0.2), drops, gap_s=0.02)

    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"])["code"] == "too_slow"
    assert time.monotonic() - began < 5


async def test_an_answer_that_does_not_come_is_an_error() -> None:
    whole = [{"type": "http.request", "body": b"{}", "more_body": False}]

    start, body = await through(Door(nothing, (), answer_s=0.1), whole)

    assert start["status"] == 408
    assert "no answer within" in json.loads(body["body"])["detail"]


async def test_a_client_that_leaves_is_sent_nothing() -> None:
    assert await through(Door(nothing, ()), [{"type": "http.disconnect"}]) == []


async def test_a_request_that_says_it_will_be_long_is_not_waited_for() -> None:
    start, _ = await through(Door(nothing, ()), [], length=b"65537")

    assert start["status"] == 413
