"""`HttpForecaster` against a real server, and against far sides that misbehave."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from candlecast import wire
from candlecast.baselines import RandomWalk
from candlecast.errors import CandlecastError
from candlecast.forecasts import Forecast, Refusal, Result, Series
from candlecast.wire import BadItem, End
from jobs.forecasters import (
    GpuDown,
    HttpForecaster,
    InferenceAuthError,
    InferenceError,
    InferenceRejected,
    InferenceUnavailable,
)
from jobs.forecasters.connection import RETRIED
from jobs.forecasters.patience import retry_after

Step = Callable[[BaseHTTPRequestHandler, bytes], None]
HORIZON = 6


class Naps(list[float]):
    """Sleeps that only take notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


_OPEN: list[HttpForecaster] = []


@pytest.fixture(autouse=True)
def closed_clients() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().close()


def client(url: str, model_name: str = "baseline-rw", **options: Any) -> HttpForecaster:
    _OPEN.append(HttpForecaster(url, model_name, **({"sleep": Naps(), "jitter": lambda: 0.5} | options)))
    return _OPEN[-1]


def ask(one: HttpForecaster, series: list[Series], heard: list[Result] | None = None, **options: Any) -> list[Result]:
    """All results; `heard` has those that came before an error."""
    made = [] if heard is None else heard
    for result in one.forecast(series, **({"horizon": HORIZON, "n_paths": 10} | options)):
        made.append(result)
    return made


def same(made: Result, wanted: Result) -> bool:
    assert isinstance(made, Forecast), made
    assert isinstance(wanted, Forecast)
    assert made.paths is not None
    assert wanted.paths is not None
    return (made.fan.tobytes(), made.paths.tobytes(), made.seed) == (
        wanted.fan.tobytes(),
        wanted.paths.tobytes(),
        wanted.seed,
    )


# -- scripts for the far side ------------------------------------------------------------------------


def answer_lines(body: bytes) -> list[bytes]:
    """What an honest server would send to `body`, line by line."""
    request = wire.parse_request(body)
    lines = []
    n_ok = 0
    for index, item in enumerate(request.items):
        assert not isinstance(item, BadItem), item
        (result,) = RandomWalk().forecast([item], horizon=request.horizon, n_paths=request.n_paths)
        n_ok += isinstance(result, Forecast)
        lines.append(wire.encode(wire.item_fields(index, result)) + b"\n")
    return [*lines, wire.encode(wire.end_fields(End(n_ok, len(lines) - n_ok))) + b"\n"]


def send(handler: BaseHTTPRequestHandler, status: int, content: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"content_type": wire.NDJSON, "connection": "close"} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(content)


def honest(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, 200, b"".join(answer_lines(body)))


def status(code: int, **headers: str) -> Step:
    return lambda handler, body: send(handler, code, b'{"detail":"the reason"}', content_type=wire.PROBLEM, **headers)


def page(code: int, **headers: str) -> Step:
    return lambda handler, body: send(handler, code, b"<html>sign in</html>", content_type="text/html", **headers)


def cut_after(n_lines: int) -> Step:
    return lambda handler, body: send(handler, 200, b"".join(answer_lines(body)[:n_lines]))


def altered(change: Callable[[list[bytes]], list[bytes]]) -> Step:
    return lambda handler, body: send(handler, 200, b"".join(change(answer_lines(body))))


def hang_up(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.connection.shutdown(2)


def symbols_asked(body: bytes) -> list[str]:
    return [item["symbol"] for item in orjson.loads(body)["items"]]


# -- with the real server ----------------------------------------------------------------------------


def test_forecasts_over_http_equal_those_in_process_bit_for_bit(serve: Any, series_of: Any) -> None:
    series = [series_of(f"S{k}") for k in range(30)]

    made = ask(client(serve().url), series, deadline_s=60)

    wanted = list(RandomWalk().forecast(series, horizon=HORIZON, n_paths=10))
    assert len(made) == 30
    assert all(map(same, made, wanted))


def test_what_a_model_is_over_http_equals_what_it_is_in_process(serve: Any) -> None:
    url = serve().url

    assert client(url).models() == [RandomWalk.info]
    assert client(url).info == RandomWalk.info
    with pytest.raises(InferenceRejected, match=f"{url} serves baseline-rw, not kronos-base"):
        _ = client(url, "kronos-base").info


def test_refusals_arrive_beside_forecasts(serve: Any, series_of: Any) -> None:
    made = ask(client(serve().url), [series_of("A"), series_of("B", n_bars=5), series_of("C")])

    assert [type(one) for one in made] == [Forecast, Refusal, Forecast]
    assert isinstance(made[1], Refusal)
    assert made[1].code == "too_few_bars"


def test_nothing_asked_is_nothing_answered(serve: Any) -> None:
    assert ask(client(serve().url), []) == []


def test_the_key_opens_a_server_that_asks_for_one(serve: Any, series_of: Any) -> None:
    url = serve(token="canary").url

    assert isinstance(ask(client(url, api_key="canary"), [series_of("A")])[0], Forecast)
    with pytest.raises(InferenceAuthError, match="INFERENCE_TOKEN"):
        ask(client(url, api_key="wrong"), [series_of("A")])
    with pytest.raises(InferenceAuthError):
        client(url).models()


def test_a_model_that_is_not_there_is_a_rejection_with_the_servers_own_words(serve: Any, series_of: Any) -> None:
    with pytest.raises(InferenceRejected, match="GET /models lists them: baseline-rw"):
        ask(client(serve().url, "kronos-base"), [series_of("A")])


def test_a_busy_server_is_asked_again_when_it_says(serve: Any, gated: Any, series_of: Any) -> None:
    url = serve(gated, queue_depth=0).url
    naps = Naps()

    def nap(seconds: float) -> None:
        naps(seconds)
        gated.go.set()
        threading.Event().wait(0.05)

    holder = threading.Thread(target=lambda: ask(client(url, "gated"), [series_of("A")]))
    holder.start()
    assert gated.started.wait(20)

    made = ask(client(url, sleep=nap), [series_of("B")], deadline_s=60)

    holder.join()
    assert isinstance(made[0], Forecast)
    assert naps[0] >= 1  # Retry-After is a whole number of seconds, and the jitter comes on top


def test_a_deadline_ends_the_call_and_stops_the_server(serve: Any, gated: Any, series_of: Any) -> None:
    served = serve(gated)

    with pytest.raises(InferenceUnavailable, match="time for this call is over|stopped after 0 items: deadline"):
        ask(client(served.url, "gated"), [series_of("A")], deadline_s=0.3)

    assert gated.cancelled.wait(20)


def test_a_caller_who_leaves_stops_the_server(serve: Any, gated: Any, series_of: Any) -> None:
    served = serve(gated, heartbeat_s=0.01)
    leave = threading.Event()

    results = client(served.url, "gated").forecast(
        [series_of("A"), series_of("B")], horizon=HORIZON, n_paths=10, cancel=leave.is_set, on_wait=leave.set
    )

    assert list(results) == []  # told by the first heartbeat, and ended without a result and without an error
    assert gated.cancelled.wait(20)


def test_a_caller_who_leaves_between_two_results_asks_for_no_more(serve: Any, gated: Any, series_of: Any) -> None:
    served = serve(gated)
    gated.go.set()
    results = client(served.url, "gated").forecast([series_of(f"S{k}") for k in range(9)], horizon=HORIZON, n_paths=10)
    assert next(results).symbol == "S0"

    results.close()

    assert len(gated.seen) <= 8  # the second chunk was never asked for


def test_a_pause_looks_whether_anybody_still_waits(edge: Any, series_of: Any) -> None:
    naps = Naps()
    far = edge(status(429, retry_after="60"))

    made = ask(client(far.url, sleep=naps), [series_of("A")], cancel=lambda: len(naps) >= 3)

    assert made == []
    assert naps == [1.0] * 3


# -- chunks ------------------------------------------------------------------------------------------


def test_the_first_chunk_is_small_and_the_next_as_large_as_was_measured(edge: Any, series_of: Any) -> None:
    far = edge(honest)
    series = [series_of(f"S{k}") for k in range(20)]

    ask(client(far.url), series)
    assert [len(symbols_asked(body)) for _, _, body in far.requests] == [8, 12]  # far below 30 s, so all the rest

    far.requests.clear()
    ask(client(far.url, chunk_s=1e-9), series[:11])
    assert [len(symbols_asked(body)) for _, _, body in far.requests] == [8, 1, 1, 1]


def test_a_chunk_ends_where_its_bytes_do(edge: Any, series_of: Any) -> None:
    far = edge(honest)
    series = [series_of(f"S{k}") for k in range(6)] + [series_of("HUGE", n_bars=4000)]
    body = wire.encode_request(wire.PredictRequest("baseline-rw", "1h", HORIZON, 10, 0, series[:2]))

    made = ask(client(far.url, max_body=len(body) + 200), series)

    assert [type(one) for one in made] == [Forecast] * 6 + [Refusal]
    assert isinstance(made[6], Refusal)
    assert made[6].code == "too_large"
    assert "shorten the lookback" in made[6].message
    assert [symbols_asked(body) for _, _, body in far.requests] == [["S0", "S1"], ["S2", "S3"], ["S4", "S5"]]
    assert all(len(sent) <= len(body) + 200 for _, _, sent in far.requests)


def test_what_no_model_should_see_is_refused_without_asking(edge: Any, series_of: Any) -> None:
    far = edge(honest)
    bad = series_of("BAD")
    bad.ohlcv[3, 0] = np.nan

    made = ask(client(far.url), [series_of("A"), bad, series_of("C")])

    assert [type(one) for one in made] == [Forecast, Refusal, Forecast]
    assert made[1] == next(iter(RandomWalk().forecast([bad], horizon=HORIZON, n_paths=10)))
    assert [symbols_asked(body) for _, _, body in far.requests] == [["A", "C"]]


def test_events_are_not_sent_to_a_model_that_reads_none(edge: Any, series_of: Any) -> None:
    def serve_models(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        send(handler, 200, wire.encode(wire.models_fields([RandomWalk.info])), content_type=wire.JSON)

    far = edge(serve_models, honest)
    with_events = replace(series_of("A"), events=np.zeros((86, 20), np.float32))
    one = client(far.url)
    assert not one.info.takes_events

    ask(one, [with_events])

    assert orjson.loads(far.requests[1][2])["items"][0]["events"] is None


def test_a_request_says_how_long_it_is_wanted_and_keeps_its_key_until_it_asks_for_something_else(
    edge: Any, series_of: Any
) -> None:
    far = edge(status(503), hang_up, cut_after(3), honest)

    ask(client(far.url), [series_of(f"S{k}") for k in range(8)], deadline_s=60)

    first, again, cut, rest = (headers["idempotency-key"] for _, headers, _ in far.requests)
    assert first == again == cut != rest
    waits = [int(headers["x-deadline-ms"]) for _, headers, _ in far.requests]
    assert 60_000 >= waits[0] >= waits[-1] > 0


@pytest.mark.parametrize("code", [500, 413])
def test_one_item_that_the_server_fails_on_is_found_and_the_others_are_answered(
    edge: Any, series_of: Any, code: int
) -> None:
    def poisoned(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        (status(code) if "POISON" in symbols_asked(body) else honest)(handler, body)

    symbols = ["A", "B", "POISON", "C", "D"]
    made = ask(client(edge(poisoned).url), [series_of(symbol) for symbol in symbols])

    assert [type(one) for one in made] == [Forecast, Forecast, Refusal, Forecast, Forecast]
    assert isinstance(made[2], Refusal)
    assert made[2].code == "server_error"
    assert "the reason" in made[2].message


def test_a_server_that_fails_on_everything_is_not_asked_about_each_item(edge: Any, series_of: Any) -> None:
    far = edge(status(500))

    with pytest.raises(InferenceUnavailable, match="answered 500: the reason; so it did for 5 items in a row"):
        ask(client(far.url), [series_of(f"S{k}") for k in range(64)])

    assert len(far.requests) < 20


# -- cuts --------------------------------------------------------------------------------------------


EVERYTHING_BUT_THE_END = cut_after(8)


@pytest.mark.parametrize(
    "broken",
    [
        cut_after(3),
        EVERYTHING_BUT_THE_END,
        altered(lambda lines: [*lines[:3], lines[3][:40]]),  # the last line torn
        altered(lambda lines: [*lines[:3], b"garbage\n", *lines[3:]]),
        altered(lambda lines: [*lines[:3], b'{"type":"surprise"}\n', *lines[3:]]),
        altered(lambda lines: [*lines[:3], lines[0], *lines[3:]]),  # a line twice
        altered(lambda lines: [*lines[:3], lines[-1]]),  # an end that counts what did not come
        altered(lambda lines: [*lines[:3], b'{"type":"end","n_ok":3,"n_failed":0,"reason":"draining"}\n']),
        altered(lambda lines: [*lines[:3], b"<html>\n", b"oops\n"]),
    ],
)
def test_after_a_cut_what_arrived_is_kept_and_only_the_rest_is_asked_again(
    edge: Any, series_of: Any, broken: Step
) -> None:
    far = edge(broken, honest)
    series = [series_of(f"S{k}") for k in range(8)]

    made = ask(client(far.url), series)

    assert len(made) == 8
    assert all(map(same, made, RandomWalk().forecast(series, horizon=HORIZON, n_paths=10)))
    first, *second = [symbols_asked(body) for _, _, body in far.requests]
    assert len(first) == 8
    assert second == ([] if broken is EVERYTHING_BUT_THE_END else [["S3", "S4", "S5", "S6", "S7"]])


def test_cuts_are_borne_as_long_as_each_answer_brings_something(edge: Any, series_of: Any) -> None:
    far = edge(cut_after(2))

    made = ask(client(far.url), [series_of(f"S{k}") for k in range(8)])

    assert [one.symbol for one in made] == [f"S{k}" for k in range(8)]
    assert [len(symbols_asked(body)) for _, _, body in far.requests] == [8, 6, 4, 2]


def test_answers_that_bring_nothing_are_given_up_and_nothing_that_arrived_is_lost(edge: Any, series_of: Any) -> None:
    far = edge(cut_after(2), cut_after(0))
    heard: list[Result] = []

    with pytest.raises(InferenceUnavailable, match=r"cut, 6 of 8 items are missing .* given up after 4 attempts"):
        ask(client(far.url), [series_of(f"S{k}") for k in range(8)], heard)

    assert [one.symbol for one in heard] == ["S0", "S1"]
    assert len(far.requests) == 5


def test_lines_in_another_order_are_put_in_order(edge: Any, series_of: Any) -> None:
    far = edge(altered(lambda lines: [lines[2], lines[0], lines[1], lines[3]]))
    series = [series_of(symbol) for symbol in "ABC"]

    made = ask(client(far.url), series)

    assert len(made) == 3
    assert all(map(same, made, RandomWalk().forecast(series, horizon=HORIZON, n_paths=10)))


def test_an_answer_of_another_version_is_refused_with_a_sentence_and_not_asked_for_again(
    edge: Any, series_of: Any
) -> None:
    newer = altered(lambda lines: [line.replace(b'"protocol":1', b'"protocol":2') for line in lines])
    far = edge(newer)

    with pytest.raises(InferenceRejected, match="protocol 2, this client speaks 1; update the older"):
        ask(client(far.url), [series_of("A")])

    assert len(far.requests) == 1


def test_silence_in_the_middle_of_an_answer_is_a_cut(edge: Any, series_of: Any) -> None:
    over = threading.Event()

    def silent(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        cut_after(1)(handler, body)
        handler.wfile.flush()
        over.wait(20)

    far = edge(silent, honest)
    made = ask(client(far.url, idle_s=0.2), [series_of("A"), series_of("B")])
    over.set()

    assert [type(one) for one in made] == [Forecast, Forecast]
    assert symbols_asked(far.requests[1][2]) == ["B"]


def test_an_answer_in_pieces_that_split_lines_and_letters_is_the_same_answer(edge: Any, series_of: Any) -> None:
    def drip(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        whole = b"\n\n" + '{"type":"heartbeat","é":"ü"}\n'.encode() + b"".join(answer_lines(body))
        send(handler, 200, whole[:1])
        for start in range(1, len(whole), 7):
            handler.wfile.write(whole[start : start + 7])
            handler.wfile.flush()

    series = [series_of("A"), series_of("B")]

    made = ask(client(edge(drip).url), series)

    assert all(map(same, made, RandomWalk().forecast(series, horizon=HORIZON, n_paths=10)))


# -- answers that cannot be true ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"symbol": "OTHER"}, "symbol"),
        ({"issued_at": "2020-01-01T00:00:00Z"}, "issued_at"),
        ({"fan": [[1.0] * 11]}, "shape"),
        ({"fan": [[None] * 11] * HORIZON}, "fan"),
        ({"fan": np.arange(11.0, 0.0, -1.0).tolist() and [np.arange(11.0, 0.0, -1.0).tolist()] * HORIZON}, "falls"),
        ({"p90": [1.0] * HORIZON}, "p90"),
        ({"paths": [[1.0] * HORIZON]}, "paths"),
    ],
)
def test_a_line_that_cannot_be_true_refuses_its_item_and_no_other(
    edge: Any, series_of: Any, change: dict[str, Any], words: str
) -> None:
    def lie(lines: list[bytes]) -> list[bytes]:
        return [lines[0], orjson.dumps(orjson.loads(lines[1]) | change) + b"\n", *lines[2:]]

    made = ask(client(edge(altered(lie)).url), [series_of("A"), series_of("B"), series_of("C")])

    assert [type(one) for one in made] == [Forecast, Refusal, Forecast]
    assert isinstance(made[1], Refusal)
    assert (made[1].symbol, made[1].code) == ("B", "bad_answer")
    assert words in made[1].message


# -- statuses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(RETRIED))
def test_a_status_that_may_pass_is_asked_again(edge: Any, series_of: Any, code: int) -> None:
    naps = Naps()
    far = edge(status(code), page(code), honest)

    made = ask(client(far.url, sleep=naps), [series_of("A")])

    assert isinstance(made[0], Forecast)
    assert naps == [0.75, 1.0, 0.5]  # 0.75, by the fixed jitter, of 1 and of 2 seconds, in looks of a second
    assert len(far.requests) == 3


def test_a_far_side_that_stays_busy_is_given_up_after_four_attempts(edge: Any, series_of: Any) -> None:
    far = edge(status(503))

    with pytest.raises(InferenceUnavailable, match="answered 503: the reason; given up after 4 attempts"):
        ask(client(far.url), [series_of("A")])

    assert len(far.requests) == 4


def test_a_busy_server_that_says_when_to_come_back_is_asked_until_the_deadline(edge: Any, series_of: Any) -> None:
    naps = Naps()
    far = edge(*[status(429, retry_after="1")] * 30, honest)

    made = ask(client(far.url, sleep=naps), [series_of("A")], deadline_s=60)

    assert isinstance(made[0], Forecast)
    assert sum(naps) == 30 * 1.5


def test_every_chunk_has_all_its_attempts(edge: Any, series_of: Any) -> None:
    far = edge(status(503), status(503), honest, status(503), status(503), honest)

    made = ask(client(far.url), [series_of(f"S{k}") for k in range(9)])  # chunks of 8 and 1

    assert len(made) == 9
    assert len(far.requests) == 6


def test_retry_after_is_waited_for_and_no_longer_than_the_deadline(edge: Any, series_of: Any) -> None:
    naps = Naps()
    ask(client(edge(status(429, retry_after="7"), honest).url, sleep=naps), [series_of("A")], deadline_s=60)
    assert sum(naps) == 7.5

    far = edge(status(429, retry_after="90"))
    with pytest.raises(InferenceUnavailable, match="no time to wait"):
        ask(client(far.url), [series_of("A")], deadline_s=60)
    assert len(far.requests) == 1


def test_retry_after_may_be_seconds_or_a_date_and_nonsense_is_nothing() -> None:
    assert retry_after("120") == 120.0
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (retry_after("Wed, 21 Oct 2099 07:28:00 GMT") or 0) > 1e9
    assert [retry_after(text) for text in ("", "soon", "-5", "１２", "9" * 30)] == [None] * 5


@pytest.mark.parametrize(
    "login",
    [
        status(401),
        status(403),
        page(403),
        page(302, location="https://team.cloudflareaccess.com/cdn-cgi/access/login"),
        status(307, location="/predict"),
        page(200),
    ],
)
def test_a_login_is_neither_followed_nor_tried_again(edge: Any, series_of: Any, login: Step) -> None:
    far = edge(login)

    with pytest.raises(InferenceAuthError, match="CF_ACCESS_CLIENT_ID"):
        ask(client(far.url), [series_of("A")])

    assert len(far.requests) == 1


@pytest.mark.parametrize("code", [400, 404, 409, 422])
def test_what_the_server_will_not_do_is_not_asked_twice(edge: Any, series_of: Any, code: int) -> None:
    far = edge(status(code))

    with pytest.raises(InferenceRejected, match=f"answered {code}: the reason"):
        ask(client(far.url), [series_of("A")])

    assert len(far.requests) == 1


def test_a_far_side_that_hangs_up_without_a_word_is_asked_again(edge: Any, series_of: Any) -> None:
    made = ask(client(edge(hang_up, honest).url), [series_of("A")])

    assert isinstance(made[0], Forecast)


def test_three_connections_that_could_not_be_made_break_the_circuit(edge: Any, series_of: Any) -> None:
    far = edge(honest)
    url = far.url
    far.shutdown()
    far.server_close()
    naps = Naps()
    one = client(url, sleep=naps)

    with pytest.raises(GpuDown, match="is the inference server running"):
        ask(one, [series_of("A")])
    assert sum(naps) == 2.25  # two pauses, 0.75 of 1 and of 2 seconds

    with pytest.raises(GpuDown, match="not trying on"):
        ask(one, [series_of("A")])
    assert sum(naps) == 2.25  # the rest of the run does not wait again


def test_a_server_that_was_there_is_given_time_to_start_again(edge: Any, series_of: Any) -> None:
    far = edge(honest)
    naps = Naps()
    one = client(far.url, sleep=naps)
    ask(one, [series_of("A")])
    far.shutdown()
    far.server_close()

    with pytest.raises(GpuDown):
        ask(one, [series_of("B")])

    assert sum(naps) == 9.0  # 0.75 of 4 and of 8 seconds


# -- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [honest, status(401), status(503), page(302, location="/x"), cut_after(1), hang_up])
def test_secrets_reach_the_server_and_nothing_else(
    edge: Any, series_of: Any, caplog: pytest.LogCaptureFixture, step: Step
) -> None:
    caplog.set_level(logging.DEBUG)
    far = edge(step)
    address = far.url.replace("http://", "http://user:canary-password@")
    secrets = {"api_key": "canary-key", "access_id": "canary-id", "access_secret": "canary-secret"}
    one = client(address, **secrets)
    told = repr(one)
    try:
        ask(one, [series_of("A"), series_of("B")])
    except InferenceError as error:
        told += str(error) + repr(error)

    headers = far.requests[0][1]
    assert headers["x-api-key"] == "canary-key"
    assert headers["cf-access-client-id"] == "canary-id"
    assert headers["cf-access-client-secret"] == "canary-secret"
    assert "canary" not in told + caplog.text


def test_neither_proxy_variables_nor_a_netrc_change_what_is_sent(
    edge: Any, series_of: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    far = edge(honest)

    assert isinstance(ask(client(far.url), [series_of("A")])[0], Forecast)
    assert "authorization" not in far.requests[0][1]


@pytest.mark.parametrize("url", ["", "localhost:8200", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(CandlecastError, match="needed is http"):
        client(url)


def test_series_of_two_intervals_are_not_one_request(series_of: Any) -> None:
    with pytest.raises(ValueError, match="one interval"):
        ask(client("http://127.0.0.1:1"), [series_of("A"), series_of("B", interval="1d")])
