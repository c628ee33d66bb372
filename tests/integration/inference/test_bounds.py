"""What one client can take from the others: bytes, time, and the attention of the event loop."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

import inference_server.inbox
from candlecast.wire import PredictRequest, parse_request
from inference_server.inbox import BODIES_AT_ONCE, MAX_VALUES
from tests.integration.inference.talk import JSON, LINES, PATIENCE_S, Caller, wait_for


@pytest.mark.parametrize("declared", [True, False])
def test_a_body_beyond_the_limit_is_refused_before_it_is_read_whole(serve: Any, declared: bool) -> None:
    url = serve(body_limit_mb=1).url

    def stream() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * 100_000

    content = b" " * 1_100_000 if declared else stream()
    answer = httpx.post(f"{url}/predict", content=content, headers=JSON)

    assert answer.status_code == 413
    assert "1000000 bytes" in answer.json()["detail"]


def test_a_length_beyond_the_limit_is_refused_before_a_byte_of_the_body_is_there(serve: Any) -> None:
    caller = Caller(serve().url, b"", JSON | {"content-length": "20000001", "connection": "close"})

    assert b" 413 " in caller.read().splitlines()[0]


def test_a_body_that_does_not_come_is_given_up(serve: Any) -> None:
    served = serve(client_s=0.1)
    caller = Caller(served.url, b'{"model_name": ', JSON | {"content-length": "1000"})

    said = caller.read()  # and then the server closed the connection

    assert b" 408 " in said.splitlines()[0]
    assert b"the body did not come whole in 0.1 s" in said
    assert served.service.inbox.n_held == 0


def test_a_client_that_breaks_off_its_body_leaves_nothing_behind(serve: Any) -> None:
    served = serve()
    callers = [Caller(served.url, b" " * 500, JSON | {"content-length": "1000"}) for _ in range(5)]
    wait_for(lambda: served.service.inbox.n_held == 5 * 500)

    for caller in callers:
        caller.hang_up()

    wait_for(lambda: served.service.inbox.n_held == 0)
    assert not served.service.scheduler.busy


def test_bodies_that_arrive_at_once_have_a_room_of_bounded_size(serve: Any, series_of: Any, body_of: Any) -> None:
    served = serve(body_limit_mb=1)
    good = body_of([series_of("A")])
    part = b" " * 999_999
    callers = [Caller(served.url, part, JSON | {"content-length": "1000000"}) for _ in range(BODIES_AT_ONCE)]
    wait_for(lambda: served.service.inbox.n_held == BODIES_AT_ONCE * len(part))

    refused = httpx.post(f"{served.url}/predict", content=good, headers=JSON)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert httpx.get(f"{served.url}/healthz").status_code == 200

    for caller in callers:
        caller.hang_up()
    wait_for(lambda: served.service.inbox.n_held == 0)
    assert httpx.post(f"{served.url}/predict", content=good, headers=JSON).status_code == 200


def test_health_and_metrics_answer_while_a_body_is_parsed(
    serve: Any, series_of: Any, body_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsing, answered = threading.Event(), threading.Event()

    def parse(body: bytes) -> PredictRequest:
        parsing.set()
        assert answered.wait(PATIENCE_S)  # on the event loop nothing would ever answer
        return parse_request(body)

    monkeypatch.setattr(inference_server.inbox, "parse_request", parse)
    url = serve().url
    with ThreadPoolExecutor(1) as pool:
        body = body_of([series_of("A")])
        asked = pool.submit(httpx.post, f"{url}/predict", content=body, headers=JSON, timeout=PATIENCE_S)
        assert parsing.wait(PATIENCE_S)
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/metrics").status_code == 200
        answered.set()
        assert asked.result().json()["n_ok"] == 1


def test_a_request_whose_answer_would_fill_the_memory_is_told_how_to_ask_for_less(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    url = serve().url
    item = orjson.loads(body_of([series_of("A", n_bars=1, horizon=1_000)]))
    fields = item | {"n_paths": 4_000, "items": item["items"] * 6}  # 24 million values of paths
    assert MAX_VALUES < 6 * 1_000 * 4_000

    def ask(**changed: Any) -> httpx.Response:
        return httpx.post(f"{url}/predict", content=orjson.dumps(fields | changed), headers=JSON, timeout=PATIENCE_S)

    refused = ask()
    assert refused.status_code == 413
    assert "ask for fewer items at once" in refused.json()["detail"]
    assert ask(return_paths=False).json()["n_failed"] == 6  # one bar is too few for this model


def test_a_client_that_reads_nothing_of_its_answer_is_left(serve: Any, series_of: Any, body_of: Any) -> None:
    served = serve(client_s=0.2)
    series = [series_of(symbol, n_bars=200, horizon=1_000) for symbol in "ABCDEF"]  # 6 MB each
    caller = Caller(served.url, body_of(series, n_paths=600), LINES)
    wait_for(lambda: served.n_connected() == 1)

    wait_for(lambda: served.n_connected() == 0)

    assert b'"type":"end"' not in caller.read()


# -- nothing grows -----------------------------------------------------------------------------------


def test_nothing_is_left_of_hundreds_of_requests_however_they_ended(serve: Any, series_of: Any, body_of: Any) -> None:
    """Good ones, bad ones, refused ones, expired ones, repeated ones, and ones that nobody waited for."""
    served = serve(queue_depth=1, results_mb=1)
    good, bad = body_of([series_of("A")], n_paths=200), body_of([series_of("B", n_bars=5)])
    length = {"content-length": str(len(good))}
    kinds: list[Callable[[httpx.Client, int], Any]] = [
        lambda client, _: client.post("/predict", content=good, headers=LINES),
        lambda client, _: client.post("/predict", content=bad, headers=JSON),
        lambda client, _: client.post("/predict", content=b"{", headers=JSON),
        lambda client, _: client.post("/predict", content=good, headers=JSON | {"x-deadline-ms": "1"}),
        lambda client, n: client.post("/predict", content=good, headers=JSON | {"idempotency-key": f"k{n}"}),
        lambda client, _: client.post("/predict", content=good, headers=JSON | {"idempotency-key": "same"}),
        lambda _, n: Caller(served.url, good[: len(good) - n % 2], LINES | length).hang_up(),
    ]

    def ask_all(start: int, n: int) -> None:
        with httpx.Client(base_url=served.url, timeout=PATIENCE_S) as client:
            for number in range(start, start + n):
                kinds[number % len(kinds)](client, number)

    def in_parallel(start: int, n: int) -> dict[str, int]:
        with ThreadPoolExecutor(4) as pool:
            for one in [pool.submit(ask_all, start + k * n, n) for k in range(4)]:
                one.result()
        wait_for(lambda: not served.service.scheduler.busy and served.service.inbox.n_held == 0)
        wait_for(lambda: served.n_connected() == 0)
        gc.collect()
        counts: dict[str, int] = {}
        for one in gc.get_objects():
            if str(type(one).__module__).startswith(
                ("inference_server", "candlecast", "starlette", "asyncio", "_asyncio")
            ):
                counts[type(one).__name__] = counts.get(type(one).__name__, 0) + 1
        return counts

    in_parallel(0, 21)
    before = in_parallel(1_000, 42)
    n_kept = len(served.service.results)
    after = in_parallel(2_000, 42)

    assert served.service.at_work == set()
    assert served.service.results.n_bytes <= 1_000_000
    # Kept answers grow to their bound; everything else is gone with its request.
    grown = {name: n - before.get(name, 0) for name, n in after.items() if n > before.get(name, 0)}
    allowed = {"_Entry", "Transcript", "End", "Event"}
    assert {name for name, n in grown.items() if name not in allowed and n > 2} == set(), grown
    assert all(grown.get(name, 0) <= len(served.service.results) - n_kept for name in allowed - {"Event"})
