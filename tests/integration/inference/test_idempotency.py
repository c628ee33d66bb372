"""Requests with an `Idempotency-Key`: however often one is sent, it is one inference."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import orjson
import pytest

from candlecast.baselines import RandomWalk
from candlecast.forecasts import ModelInfo, Result, Series, never
from candlecast.wire import PredictRequest, parse_request
from inference_server.scheduler import Draining
from tests.integration.inference.talk import JSON, LINES, PATIENCE_S, Caller, items_of, lines_of, metric, wait_for

KEY = {"idempotency-key": "7f3c-1"}


class Counting(RandomWalk):
    """The baseline, and which symbols it was asked for."""

    info = ModelInfo("counting", "c" * 64, None, False, "bitwise", "counts", gives_quantiles=True)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def forecast(self, series: Sequence[Series], **how: Any) -> Iterator[Result]:
        self.seen += [one.symbol for one in series]
        return super().forecast(series, **how)


def ask(url: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{url}/predict", content=body, headers=headers, timeout=PATIENCE_S)


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_the_same_key_twice_is_one_inference_and_the_same_bytes(
    serve: Any, series_of: Any, body_of: Any, headers: dict[str, str]
) -> None:
    model = Counting()
    url = serve(model).url
    body = body_of([series_of("A"), series_of("B", n_bars=20)], "counting")

    first, second = ask(url, body, headers | KEY), ask(url, body, headers | KEY)

    assert first.status_code == 200
    assert second.content == first.content
    assert model.seen == ["A", "B"]
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert metric(url, 'modelserver_requests_total{outcome="ok"}') == 1
    assert metric(url, 'modelserver_requests_total{outcome="replayed"}') == 1
    assert metric(url, "modelserver_results_kept") == 1


def test_an_answer_given_in_lines_is_told_again_as_a_document(serve: Any, series_of: Any, body_of: Any) -> None:
    model = Counting()
    url = serve(model).url
    body = body_of([series_of("A"), series_of("B")], "counting")

    lines = lines_of(ask(url, body, LINES | KEY))
    document = ask(url, body, JSON | KEY).json()

    assert document["items"] == items_of(lines)
    assert model.seen == ["A", "B"]


def test_requests_without_a_key_or_with_keys_of_their_own_are_each_computed(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    model = Counting()
    url = serve(model).url
    body = body_of([series_of("A")], "counting")

    for headers in (JSON, JSON, JSON | KEY, JSON | {"idempotency-key": "another"}):
        assert ask(url, body, headers).status_code == 200

    assert model.seen == ["A"] * 4


def test_who_asks_while_the_first_is_at_work_joins_it_and_takes_no_place(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated, queue_depth=0)
    body = body_of([series_of("A"), series_of("B")], model_name="gated")
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, served.url, body, LINES | KEY)
        assert gated.started.wait(PATIENCE_S)
        assert ask(served.url, body, LINES).status_code == 429  # without the key there is no room

        joined = [pool.submit(ask, served.url, body, LINES | KEY) for _ in range(2)]
        wait_for(lambda: metric(served.url, 'modelserver_requests_total{outcome="replayed"}') == 2)
        assert served.service.scheduler.n_waiting == 0
        gated.go.set()

    assert first.result().status_code == 200
    assert [one.result().content for one in joined] == [first.result().content] * 2
    assert gated.seen == ["A", "B"]


def test_two_that_come_in_at_the_same_moment_are_one_inference(
    serve: Any, series_of: Any, body_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    both_here = threading.Barrier(2, timeout=PATIENCE_S)
    model = Counting()
    served = serve(model)

    async def parse(body: bytes) -> PredictRequest:
        """Until both are past their first look at the key, neither is admitted."""
        await asyncio.to_thread(both_here.wait)
        return parse_request(body)

    monkeypatch.setattr(served.service.inbox, "parse", parse)
    body = body_of([series_of("A")], "counting")
    with ThreadPoolExecutor(2) as pool:
        first, second = (one.result() for one in [pool.submit(ask, served.url, body, JSON | KEY) for _ in range(2)])

    assert first.content == second.content
    assert model.seen == ["A"]


def test_the_same_key_with_another_body_is_refused_during_and_after(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    url = serve(gated).url
    body, other = (body_of([series_of(symbol)], model_name="gated") for symbol in "AB")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, url, body, JSON | KEY)
        assert gated.started.wait(PATIENCE_S)
        during = ask(url, other, JSON | KEY)
        gated.go.set()
        assert first.result().status_code == 200
    after = ask(url, other, LINES | KEY)

    for refused in (during, after):
        assert refused.status_code == 422
        assert "was sent with another body before; a new request needs its own" in refused.json()["detail"]
    assert gated.seen == ["A"]


def test_a_run_that_its_client_gave_up_is_not_kept(serve: Any, gated: Any, series_of: Any, body_of: Any) -> None:
    served = serve(gated)
    body = body_of([series_of("A")], model_name="gated")
    caller = Caller(served.url, body, LINES | KEY)
    assert gated.started.wait(PATIENCE_S)
    caller.hang_up()
    assert gated.cancelled.wait(PATIENCE_S)

    gated.go.set()
    again = ask(served.url, body, JSON | KEY)

    assert again.json()["n_ok"] == 1
    assert "idempotent-replayed" not in again.headers
    assert gated.seen == ["A", "A"]


def test_who_comes_while_a_given_up_run_has_not_stopped_yet_gets_a_run_of_its_own(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    class LongStep(Counting):
        may_go = threading.Event()
        started = threading.Event()

        def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, **how: Any) -> Any:
            for one in series:
                self.seen.append(one.symbol)
                self.started.set()
                assert self.may_go.wait(PATIENCE_S)
                if cancel():
                    return
                yield from RandomWalk().forecast([one], **how)

    model = LongStep()
    model.info = ModelInfo("baseline-x", "c" * 64, None, False, "bitwise", "slow", gives_quantiles=True)
    served = serve(model)
    body = body_of([series_of("A")], "baseline-x")
    caller = Caller(served.url, body, LINES | KEY)
    assert model.started.wait(PATIENCE_S)
    caller.hang_up()
    wait_for(lambda: all(work.stopped for work in served.service.at_work))

    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(ask, served.url, body, JSON | KEY)
        wait_for(lambda: served.service.scheduler.n_waiting == 1)
        model.may_go.set()
        assert again.result().json()["n_ok"] == 1

    assert model.seen == ["A", "A"]


def test_the_work_goes_on_for_who_joined_when_the_first_hangs_up(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated)
    body = body_of([series_of("A")], model_name="gated")
    first = Caller(served.url, body, LINES | KEY)
    assert gated.started.wait(PATIENCE_S)
    with ThreadPoolExecutor(1) as pool:
        joined = pool.submit(ask, served.url, body, JSON | KEY)
        wait_for(lambda: metric(served.url, 'modelserver_requests_total{outcome="replayed"}') == 1)
        first.hang_up()
        wait_for(lambda: [work.transcript.n_readers for work in served.service.at_work] == [1])
        gated.go.set()
        assert joined.result().json()["n_ok"] == 1

    assert not gated.cancelled.is_set()
    assert gated.seen == ["A"]


def test_a_deadline_ends_the_answer_of_who_set_it_and_not_that_of_the_others(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    url = serve(gated).url
    body = body_of([series_of("A")], model_name="gated")
    with ThreadPoolExecutor(1) as pool:
        patient = pool.submit(ask, url, body, JSON | KEY)
        assert gated.started.wait(PATIENCE_S)
        hasty = lines_of(ask(url, body, LINES | KEY | {"x-deadline-ms": "50"}))
        gated.go.set()

    assert hasty[-1] == {"type": "end", "n_ok": 0, "n_failed": 0, "reason": "deadline"}
    assert patient.result().json()["n_ok"] == 1
    assert ask(url, body, JSON | KEY).headers["idempotent-replayed"] == "true"
    assert gated.seen == ["A"]


def test_a_run_that_met_its_deadline_is_not_kept(serve: Any, gated: Any, series_of: Any, body_of: Any) -> None:
    url = serve(gated).url
    body = body_of([series_of("A")], model_name="gated")

    assert ask(url, body, JSON | KEY | {"x-deadline-ms": "50"}).status_code == 504
    assert gated.cancelled.wait(PATIENCE_S)
    gated.go.set()

    assert ask(url, body, JSON | KEY).json()["n_ok"] == 1
    assert gated.seen == ["A", "A"]


def test_a_run_in_which_the_model_failed_is_computed_again(serve: Any, series_of: Any, body_of: Any) -> None:
    class Once(Counting):
        def forecast(self, series: Sequence[Series], **how: Any) -> Iterator[Result]:
            made = super().forecast(series, **how)
            if len(self.seen) == 1:
                raise ValueError("a bad day")
            return made

    url = serve(Once()).url
    body = body_of([series_of("A")], "counting")

    assert ask(url, body, JSON | KEY).json()["n_failed"] == 1
    assert ask(url, body, JSON | KEY).json()["n_ok"] == 1


def test_answers_take_no_more_room_than_they_are_given(serve: Any, series_of: Any, body_of: Any) -> None:
    served = serve(results_mb=1)
    for number in range(8):
        body = body_of([series_of("A")], n_paths=5_000, base_seed=number)  # about 300 kB of answer each
        assert ask(served.url, body, JSON | {"idempotency-key": str(number)}).status_code == 200

    assert 0 < served.service.results.n_bytes <= 1_000_000
    assert metric(served.url, "modelserver_results_kept_bytes") == served.service.results.n_bytes
    assert ask(served.url, body, JSON | {"idempotency-key": "7"}).headers["idempotent-replayed"] == "true"


def test_a_draining_server_refuses_known_keys_too(serve: Any, series_of: Any, body_of: Any) -> None:
    served = serve()
    body = body_of([series_of("A")])
    assert ask(served.url, body, JSON | KEY).status_code == 200

    served.service.scheduler.closed = Draining()

    assert ask(served.url, body, JSON | KEY).status_code == 503


def test_a_key_that_cannot_be_used_is_refused_with_a_sentence(serve: Any, series_of: Any, body_of: Any) -> None:
    refused = ask(serve().url, body_of([series_of("A")]), JSON | {"idempotency-key": "two words"})

    assert refused.status_code == 422
    assert orjson.loads(refused.content)["detail"].startswith("Idempotency-Key cannot be used")
