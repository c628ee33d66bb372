"""The server's promises, each over a real connection."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecast, ModelInfo, Result, Series
from inference_server.scheduler import Draining
from tests.integration.inference.talk import JSON, LINES, PATIENCE_S, Caller, items_of, lines_of, metric, wait_for

# -- numbers -----------------------------------------------------------------------------------------


def test_lines_and_document_hold_the_numbers_of_the_model_itself(serve: Any, series_of: Any, body_of: Any) -> None:
    url = serve().url
    series = [series_of(symbol) for symbol in ("AAPL", "SPY", "WTI")]

    lines = lines_of(httpx.post(f"{url}/predict", content=body_of(series), headers=LINES))
    document = httpx.post(f"{url}/predict", content=body_of(series), headers=JSON).json()

    assert items_of(lines) == document["items"]
    assert lines[-1] == {"type": "end", "n_ok": 3, "n_failed": 0}
    assert (document["protocol"], document["n_ok"], document["n_failed"]) == (1, 3, 0)
    for said, made in zip(document["items"], RandomWalk().forecast(series, horizon=6, n_paths=10), strict=True):
        assert isinstance(made, Forecast)
        assert np.array(said["fan"]).tobytes() == made.fan.tobytes()
        assert made.paths is not None
        assert np.array(said["paths"], np.float32).tobytes() == made.paths.tobytes()
        assert (said["symbol"], said["seed"], said["model_version"]) == (made.symbol, made.seed, made.model_version)
        assert said["p50"] == made.p50.tolist()


def test_sixteen_calls_at_once_get_the_answers_of_sixteen_calls_in_a_row(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    url = serve(queue_depth=16).url
    bodies = [body_of([series_of(f"S{k}A"), series_of(f"S{k}B")], n_paths=50) for k in range(16)]

    def ask(body: bytes) -> bytes:
        return httpx.post(f"{url}/predict", content=body, headers=JSON, timeout=PATIENCE_S).content

    in_a_row = [ask(body) for body in bodies]
    with ThreadPoolExecutor(16) as pool:
        at_once = list(pool.map(ask, bodies))

    assert all(answer.startswith(b'{"protocol"') for answer in in_a_row)
    assert at_once == in_a_row


def test_only_one_request_is_at_work_at_any_time(serve: Any, series_of: Any, body_of: Any) -> None:
    class Counting:
        info = ModelInfo("counting", "c" * 64, None, False, "bitwise", "counts itself", gives_quantiles=True)
        n_now = n_most = 0

        def forecast(self, series: Sequence[Series], **_: Any) -> Iterator[Result]:
            self.n_now += 1
            self.n_most = max(self.n_most, self.n_now)
            threading.Event().wait(0.005)
            yield from RandomWalk().forecast(series, horizon=6, n_paths=0)
            self.n_now -= 1

    model = Counting()
    url = serve(model, queue_depth=8).url
    body = body_of([series_of("SPY")], model_name="counting")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: httpx.post(f"{url}/predict", content=body, headers=JSON), range(8)))

    assert {answer.status_code for answer in answers} == {200}
    assert model.n_most == 1


# -- one bad item ------------------------------------------------------------------------------------


def test_a_bad_item_is_answered_with_its_reason_and_the_others_with_forecasts(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    fields = orjson.loads(body_of([series_of("A"), series_of("B"), series_of("C", n_bars=20)]))
    fields["items"][0]["ohlcv"][3][2] = None
    fields["items"].append("nonsense")

    lines = lines_of(httpx.post(f"{serve().url}/predict", content=orjson.dumps(fields), headers=LINES))

    by_index = {line["index"]: line for line in items_of(lines)}
    assert by_index[0]["symbol"] == "A"
    assert by_index[0]["error"]["code"] == "bad_item"
    assert len(by_index[1]["fan"]) == 6
    assert by_index[2]["error"]["code"] == "too_few_bars"
    assert by_index[3]["symbol"] is None
    assert lines[-1] == {"type": "end", "n_ok": 1, "n_failed": 3}


class Flawed:
    """Fails in another way on each symbol."""

    info = ModelInfo("flawed", "f" * 64, None, False, "bitwise", "fails", gives_quantiles=True)

    def forecast(self, series: Sequence[Series], *, horizon: int, **_: Any) -> Iterator[Result]:
        for one in series:
            symbol, fan = one.symbol, np.ones((horizon, 11))
            match symbol:
                case "RAISES":
                    raise ValueError("s3cret detail")
                case "NAN":
                    fan[2, 5] = np.nan
                case "FALLS":
                    fan[0, 0] = 2.0
                case "SHORT":
                    fan = fan[1:]
                case "OTHER":
                    symbol = "SPY"
                case "ENDS":
                    return
            yield Forecast(symbol, one.interval, one.issued_at, "flawed", "f" * 64, 0, fan)


def test_a_model_that_fails_on_one_series_still_answers_the_others(serve: Any, series_of: Any, body_of: Any) -> None:
    symbols = ["GOOD", "RAISES", "NAN", "FALLS", "SHORT", "OTHER", "ENDS", "LAST"]
    body = body_of([series_of(symbol) for symbol in symbols], model_name="flawed")

    lines = lines_of(httpx.post(f"{serve(Flawed()).url}/predict", content=body, headers=LINES))

    codes = {line["symbol"]: line.get("error", {}).get("code", "ok") for line in items_of(lines)}
    assert codes == {
        "GOOD": "ok",
        "RAISES": "model_error",
        "NAN": "bad_forecast",
        "FALLS": "bad_forecast",
        "SHORT": "bad_forecast",
        "OTHER": "bad_forecast",
        "ENDS": "model_error",
        "LAST": "ok",
    }
    assert "s3cret" not in str(lines)


# -- memory ------------------------------------------------------------------------------------------


def test_out_of_memory_halves_the_batch_and_changes_no_number(serve: Any, series_of: Any, body_of: Any) -> None:
    class Small(RandomWalk):
        """Holds two series at a time, and never the one called HUGE."""

        batches: tuple[int, ...] = ()

        def forecast(self, series: Sequence[Series], **options: Any) -> Iterator[Result]:
            self.batches += (len(series),)
            if len(series) > 2 or any(one.symbol == "HUGE" for one in series):
                raise MemoryError
            return super().forecast(series, **options)

    model = Small()
    model.info = ModelInfo("small", "e" * 64, None, False, "bitwise", "small", gives_quantiles=True)
    served = serve(model)
    series = [series_of(f"S{k}") for k in range(7)]

    lines = lines_of(httpx.post(f"{served.url}/predict", content=body_of(series, "small"), headers=LINES))
    alone = [next(iter(model.forecast([one], horizon=6, n_paths=10))) for one in series]

    assert model.batches[:6] == (7, 3, 1, 1, 1, 1)
    assert [line["fan"] for line in items_of(lines)] == [one.fan.tolist() for one in alone]  # type: ignore[union-attr]
    assert metric(served.url, "modelserver_oom_total") == 2

    body = body_of([series_of("HUGE"), series_of("S1")], "small")
    lines = lines_of(httpx.post(f"{served.url}/predict", content=body, headers=LINES))
    assert [line.get("error", {}).get("code") for line in items_of(lines)] == ["out_of_memory", None]
    assert metric(served.url, 'modelserver_requests_total{outcome="oom"}') == 1


def test_a_model_that_can_work_in_smaller_pieces_is_asked_to_first(serve: Any, series_of: Any, body_of: Any) -> None:
    class Halving(RandomWalk):
        info = ModelInfo("halving", "d" * 64, None, False, "bitwise", "halves", gives_quantiles=True)
        piece = 8

        def halve(self) -> bool:
            self.piece //= 2
            return self.piece >= 1

        def forecast(self, series: Sequence[Series], **options: Any) -> Iterator[Result]:
            if self.piece > 2:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return super().forecast(series, **options)

    model = Halving()
    body = body_of([series_of("A"), series_of("B")], "halving")
    lines = lines_of(httpx.post(f"{serve(model).url}/predict", content=body, headers=LINES))

    assert lines[-1] == {"type": "end", "n_ok": 2, "n_failed": 0}
    assert model.piece == 2


# -- queue, deadline, disconnect ---------------------------------------------------------------------


def test_a_full_queue_says_when_to_come_back_while_health_and_metrics_answer(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated, queue_depth=1)
    body = body_of([series_of("SPY")], model_name="gated")
    with ThreadPoolExecutor(2) as pool:
        admitted = [
            pool.submit(httpx.post, f"{served.url}/predict", content=body, headers=JSON, timeout=PATIENCE_S)
            for _ in range(2)
        ]
        assert gated.started.wait(PATIENCE_S)
        wait_for(lambda: served.service.scheduler.n_waiting == 1)

        refused = httpx.post(f"{served.url}/predict", content=body, headers=LINES)
        assert refused.status_code == 429
        unread = httpx.post(f"{served.url}/predict", content=b"{ never parsed", headers=JSON)
        assert unread.status_code == 429
        unsent = Caller(served.url, b"", JSON | {"content-length": "1000", "connection": "close"}).read()
        assert b" 429 " in unsent.splitlines()[0]  # a server that first waited for the body would say nothing
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) >= 1
        assert httpx.get(f"{served.url}/healthz").json() == {"status": "ok"}
        assert httpx.get(f"{served.url}/readyz").json()["waiting"] == 1
        assert metric(served.url, "modelserver_queue_depth") == 1
        assert metric(served.url, 'modelserver_requests_total{outcome="rejected"}') == 3

        gated.go.set()
        assert [one.result().status_code for one in admitted] == [200, 200]
    assert httpx.post(f"{served.url}/predict", content=body, headers=JSON).status_code == 200
    assert metric(served.url, 'modelserver_requests_total{outcome="ok"}') == 3


@pytest.mark.parametrize("headers", [JSON, LINES])
def test_a_client_that_hangs_up_stops_the_work_at_the_next_step(
    serve: Any, gated: Any, series_of: Any, body_of: Any, headers: dict[str, str]
) -> None:
    served = serve(gated)
    caller = Caller(served.url, body_of([series_of("A"), series_of("B")], model_name="gated"), headers)
    assert gated.started.wait(PATIENCE_S)

    caller.hang_up()

    assert gated.cancelled.wait(PATIENCE_S)
    wait_for(lambda: not served.service.scheduler.busy)
    assert gated.seen == ["A"]
    assert metric(served.url, 'modelserver_requests_total{outcome="cancelled"}') == 1


class Stepping:
    """Takes one step towards its forecast each time it is let, and asks before each whether to go on."""

    info = ModelInfo("stepping", "5" * 64, None, False, "bitwise", "counts its steps")

    def __init__(self) -> None:
        self.n_steps = 0
        self.let, self.ended = threading.Semaphore(0), threading.Event()

    def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool], **_: Any) -> Iterator[Result]:
        for _one in series:
            while not cancel():
                self.n_steps += 1
                assert self.let.acquire(timeout=PATIENCE_S)
            self.ended.set()
            return
        yield from ()


@pytest.mark.parametrize("why", ["hang up", "deadline"])
@pytest.mark.parametrize("headers", [JSON, LINES])
def test_after_a_goodbye_or_a_deadline_the_model_takes_no_further_step(
    serve: Any, series_of: Any, body_of: Any, headers: dict[str, str], why: str
) -> None:
    model = Stepping()
    served = serve(model)
    deadline = {"x-deadline-ms": "100"} if why == "deadline" else {}
    caller = Caller(served.url, body_of([series_of("A")], "stepping"), headers | deadline)
    for n_steps in (1, 2, 3):
        wait_for(lambda: model.n_steps == n_steps)  # noqa: B023
        if n_steps < 3:
            model.let.release()

    if why == "hang up":
        caller.hang_up()
    wait_for(lambda: all(work.stopped for work in served.service.at_work))
    model.let.release(100)

    assert model.ended.wait(PATIENCE_S)
    assert model.n_steps == 3  # the one that was being taken was the last
    caller.hang_up()


def test_a_client_that_hangs_up_while_it_waits_never_starts(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            httpx.post,
            f"{served.url}/predict",
            content=body_of([series_of("FIRST")], model_name="gated"),
            headers=JSON,
            timeout=PATIENCE_S,
        )
        assert gated.started.wait(PATIENCE_S)
        second = Caller(served.url, body_of([series_of("SECOND")], model_name="gated"), LINES)
        wait_for(lambda: served.service.scheduler.n_waiting == 1)
        second.hang_up()
        wait_for(lambda: served.service.scheduler.n_waiting == 0)
        gated.go.set()
        assert first.result().status_code == 200

    assert gated.seen == ["FIRST"]


def test_a_request_whose_deadline_passes_while_it_waits_never_starts(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated)
    late = {"x-deadline-ms": "40"}
    body = body_of([series_of("LATE")], model_name="gated")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(
            httpx.post,
            f"{served.url}/predict",
            content=body_of([series_of("FIRST")], model_name="gated"),
            headers=JSON,
            timeout=PATIENCE_S,
        )
        assert gated.started.wait(PATIENCE_S)
        document = httpx.post(f"{served.url}/predict", content=body, headers=JSON | late)
        lines = lines_of(httpx.post(f"{served.url}/predict", content=body, headers=LINES | late))
        gated.go.set()
        first.result()

    assert document.status_code == 504
    assert lines[-1] == {"type": "end", "n_ok": 0, "n_failed": 0, "reason": "deadline"}
    assert gated.seen == ["FIRST"]
    assert metric(served.url, 'modelserver_requests_total{outcome="expired"}') == 2


def test_a_deadline_that_passes_at_work_stops_it_at_the_next_step(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    body = body_of([series_of("A")], model_name="gated")

    lines = lines_of(httpx.post(f"{serve(gated).url}/predict", content=body, headers=LINES | {"x-deadline-ms": "200"}))

    assert gated.cancelled.wait(PATIENCE_S)
    assert lines[-1]["reason"] == "deadline"


def test_a_deadline_that_has_passed_already_is_answered_at_once(serve: Any, series_of: Any, body_of: Any) -> None:
    answer = httpx.post(
        f"{serve().url}/predict", content=body_of([series_of("A")]), headers=LINES | {"x-deadline-ms": "0"}
    )

    assert answer.status_code == 504


def test_a_silent_model_is_covered_by_heartbeats(serve: Any, gated: Any, series_of: Any, body_of: Any) -> None:
    url = serve(gated, heartbeat_s=0.02).url
    kinds = []
    with httpx.stream(
        "POST", f"{url}/predict", content=body_of([series_of("A")], model_name="gated"), headers=LINES
    ) as answer:
        for line in answer.iter_lines():
            kinds.append(orjson.loads(line)["type"])
            if kinds.count("heartbeat") == 3:
                gated.go.set()

    assert kinds[:3] == ["heartbeat"] * 3
    assert kinds[-2:] == ["item", "end"]


def test_items_arrive_one_by_one_and_not_at_the_end(serve: Any, series_of: Any, body_of: Any) -> None:
    handed_on = threading.Semaphore(0)

    class Stepwise(RandomWalk):
        info = ModelInfo("stepwise", "a" * 64, None, False, "bitwise", "waits", gives_quantiles=True)

        def forecast(self, series: Sequence[Series], **options: Any) -> Iterator[Result]:
            for result in super().forecast(series, **options):
                yield result
                assert handed_on.acquire(timeout=PATIENCE_S)

    body = body_of([series_of(symbol) for symbol in "ABC"], model_name="stepwise")
    symbols = []
    with httpx.stream("POST", f"{serve(Stepwise()).url}/predict", content=body, headers=LINES) as answer:
        for line in answer.iter_lines():
            fields = orjson.loads(line)
            if fields["type"] == "item":
                symbols.append(fields["symbol"])
                handed_on.release()  # the model goes on only after this line was here

    assert symbols == ["A", "B", "C"]


# -- a lost device -----------------------------------------------------------------------------------


def test_when_the_device_is_lost_the_request_ends_with_its_reason_and_what_waits_never_starts(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    may_go, started = threading.Event(), threading.Event()

    class Lost(RandomWalk):
        info = ModelInfo("lost", "1" * 64, None, False, "bitwise", "loses its device", gives_quantiles=True)
        seen: tuple[str, ...] = ()

        def forecast(self, series: Sequence[Series], **options: Any) -> Iterator[Result]:
            for one in series:
                self.seen += (one.symbol,)
                started.set()
                assert may_go.wait(PATIENCE_S)
                if one.symbol == "B":
                    raise RuntimeError("CUDA error: device-side assert triggered")
                yield from super().forecast([one], **options)

    model = Lost()
    served = serve(model)

    def ask(symbols: str, headers: dict[str, str]) -> httpx.Response:
        body = body_of([series_of(symbol) for symbol in symbols], "lost")
        return httpx.post(f"{served.url}/predict", content=body, headers=headers, timeout=PATIENCE_S)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask, "ABC", LINES)
        assert started.wait(PATIENCE_S)
        waiting = [pool.submit(ask, "D", headers) for headers in (JSON, LINES)]
        wait_for(lambda: served.service.scheduler.n_waiting == 2)
        may_go.set()
        lines = lines_of(first.result())
        document, stream = (one.result() for one in waiting)

    assert [line["symbol"] for line in items_of(lines)] == ["A"]
    assert lines[-1]["reason"] == "device"
    assert (document.status_code, document.headers["retry-after"]) == (503, "30")
    assert lines_of(stream)[-1]["reason"] == "device"
    assert model.seen == ("A", "B")

    ready, refused = httpx.get(f"{served.url}/readyz"), ask("E", JSON)
    assert (ready.status_code, refused.status_code) == (503, 503)
    assert "the device failed (device-side assert)" in refused.json()["detail"]
    assert httpx.get(f"{served.url}/healthz").status_code == 200
    assert metric(served.url, "modelserver_ready") == 0
    assert metric(served.url, 'modelserver_requests_total{outcome="error"}') == 1
    assert served.service.lost.is_set()


# -- drain -------------------------------------------------------------------------------------------


def test_a_draining_server_finishes_what_it_admitted_and_refuses_what_is_new(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    served = serve(gated)
    body = body_of([series_of("A")], model_name="gated")
    with ThreadPoolExecutor(1) as pool:
        admitted = pool.submit(httpx.post, f"{served.url}/predict", content=body, headers=JSON, timeout=PATIENCE_S)
        assert gated.started.wait(PATIENCE_S)
        served.service.scheduler.closed = Draining()

        refused = httpx.post(f"{served.url}/predict", content=body, headers=LINES)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert httpx.get(f"{served.url}/readyz").status_code == 503
        assert httpx.get(f"{served.url}/healthz").status_code == 200
        assert metric(served.url, "modelserver_ready") == 0

        gated.go.set()
        assert admitted.result().json()["n_ok"] == 1


# -- doors -------------------------------------------------------------------------------------------


def test_every_route_but_health_asks_for_the_key(serve: Any) -> None:
    served = serve(token="pässword")
    paths = {"/predict", "/models", "/metrics", "/healthz", "/readyz", "/openapi.json", "/nowhere"}
    right = "pässword".encode()

    for path in sorted(paths):
        for headers in ({}, {"x-api-key": "wrong"}, {"x-api-key": "é".encode()}, {"authorization": "Bearer wrong"}):
            status = httpx.get(served.url + path, headers=headers).status_code
            assert status == (200 if path in ("/healthz", "/readyz") else 401), (path, headers)
        for headers in ({"x-api-key": right}, {"authorization": b"Bearer " + right}):
            assert httpx.get(served.url + path, headers=headers).status_code != 401, (path, headers)


@pytest.mark.parametrize(
    ("method", "path", "content", "headers", "status", "words"),
    [
        ("POST", "/predict", b"{}", {"content-type": "text/plain"}, 415, "application/json"),
        ("POST", "/predict", b"{", JSON, 400, "not JSON"),
        ("POST", "/predict", b"{}", JSON, 422, "model_name"),
        ("POST", "/predict", b"{}", JSON | {"x-deadline-ms": "soon"}, 422, "milliseconds"),
        ("GET", "/predict", None, {}, 405, "Not Allowed"),
        ("GET", "/nowhere", None, {}, 404, "Not Found"),
    ],
)
def test_what_cannot_be_used_is_a_problem_with_its_reason(
    serve: Any, method: str, path: str, content: bytes | None, headers: dict[str, str], status: int, words: str
) -> None:
    answer = httpx.request(method, serve().url + path, content=content, headers=headers)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert words in answer.json()["detail"]


def test_an_unknown_model_is_404_with_the_names_that_are_known(serve: Any, series_of: Any, body_of: Any) -> None:
    answer = httpx.post(f"{serve().url}/predict", content=body_of([series_of("A")], "kronos-base"), headers=JSON)

    assert answer.status_code == 404
    assert "baseline-rw" in answer.json()["detail"]


def test_fewer_than_ten_paths_make_quantiles_only_where_the_model_gives_them_itself(
    serve: Any, gated: Any, series_of: Any, body_of: Any
) -> None:
    url = serve(gated).url
    gated.go.set()

    def ask(model_name: str, n_paths: int) -> httpx.Response:
        return httpx.post(f"{url}/predict", content=body_of([series_of("A")], model_name, n_paths), headers=JSON)

    assert ask("gated", 9).status_code == 422
    assert "n_paths of 10 or more" in ask("gated", 9).json()["detail"]
    assert ask("gated", 10).status_code == 200
    assert ask("baseline-rw", 0).status_code == 200


def test_the_list_of_models_says_what_each_is(serve: Any, gated: Any) -> None:
    fields = httpx.get(f"{serve(gated).url}/models").json()

    assert [one["name"] for one in fields["models"]] == ["baseline-rw", "gated"]
    assert [one["gives_quantiles"] for one in fields["models"]] == [True, False]
    assert fields["models"][0]["version"] == RandomWalk.info.version


def test_every_metric_of_the_operations_manual_is_there(serve: Any, series_of: Any, body_of: Any) -> None:
    url = serve().url
    httpx.post(f"{url}/predict", content=body_of([series_of("A")]), headers=JSON)

    page = httpx.get(f"{url}/metrics").text

    for name in (
        "modelserver_queue_depth",
        'modelserver_requests_total{outcome="ok"} 1.0',
        "modelserver_queue_seconds_count 1.0",
        'modelserver_inference_seconds_count{model="baseline-rw"} 1.0',
        "modelserver_batch_items_sum 1.0",
        "# TYPE modelserver_vram_bytes gauge",
        "modelserver_ready 1.0",
    ):
        assert name in page, name
