"""What readers get from a gateway on a real database: the newest forecast, the lists, and errors that help."""

import gzip
import json
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from gateway.pages.assets import VERSION

BTC = "/showcase/ml-prediction/BTCUSDT"


async def test_the_answer_has_every_promised_field_with_the_values_of_the_row(market: Any, running: Any) -> None:
    issued_at = market.issue(price=100.0, horizon=3)

    async with running() as (client, _):
        body = (await client.get(BTC)).json()

    assert body["symbol"] == "BTCUSDT"
    assert body["interval"] == "1h"
    assert (body["model_name"], body["model_version"]) == ("baseline-rw", "v1")
    assert datetime.fromisoformat(body["issued_at"]) == issued_at
    assert abs((datetime.fromisoformat(body["generated_at"]) - datetime.now(UTC)).total_seconds()) < 300
    assert body["p10"] == [99.0, 98.0, 97.0]
    assert body["p50"] == [100.0, 100.0, 100.0]
    assert body["p90"] == [101.0, 102.0, 103.0]
    assert [datetime.fromisoformat(text) - issued_at for text in body["target_at"]] == [
        timedelta(hours=step) for step in (1, 2, 3)
    ]
    assert body["last_close"] == 100.0
    assert 0 <= body["age_seconds"] < 3900
    assert (body["stale"], body["stale_reason"]) == (False, None)
    assert body["seed"] == str(2**62 + 1)
    assert body["event_context"] == {"active": ["FOMC"]}
    assert (body["synthetic"], body["notice"]) == (False, None)
    assert {"expected_next_at", "status", "horizon", "scale", "prediction_id", "n_paths"} <= set(body)


async def test_the_newest_issue_time_wins_whoever_made_it(market: Any, running: Any) -> None:
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    market.issue(model_name="kronos-base", issued_at=now - timedelta(hours=2))
    market.issue(model_name="baseline-rw", issued_at=now - timedelta(hours=1))

    async with running() as (client, _):
        assert (await client.get(BTC)).json()["model_name"] == "baseline-rw"
        assert (await client.get(f"{BTC}?model_name=kronos-base")).json()["model_name"] == "kronos-base"
        assert (await client.get(f"{BTC}?model=kronos-base&interval=1h")).json()["model_name"] == "kronos-base"


async def test_at_one_issue_time_the_champion_leads_then_any_model_then_the_baseline(market: Any, running: Any) -> None:
    for model_name in ("baseline-rw", "chronos-2", "kronos-base"):
        market.issue(model_name=model_name)

    async with running() as (client, front):
        assert (await client.get(BTC)).json()["model_name"] != "baseline-rw"
        market.register("chronos-2", "v1", "champion")
        await front.service.warm()
        assert (await client.get(BTC)).json()["model_name"] == "chronos-2"


async def test_where_no_model_spoke_the_random_walk_leads_its_rivals(market: Any, running: Any) -> None:
    for model_name in ("baseline-garch", "baseline-rw", "baseline-snaive"):  # the rivals are recorded last
        market.issue(model_name=model_name)

    async with running() as (client, _):
        assert (await client.get(BTC)).json()["model_name"] == "baseline-rw"
        listed = (await client.get("/showcase/instruments")).json()["instruments"]
        page = (await client.get("/")).text

    (hourly,) = next(item for item in listed if item["symbol"] == "BTCUSDT")["forecasts"]
    assert hourly["models"] == ["baseline-rw", "baseline-snaive", "baseline-garch"]  # the newest row first
    assert "<small>baseline-rw</small>" in page
    assert "<small>baseline-garch</small>" not in page, "it is only offered"


async def test_synthetic_replayed_and_late_forecasts_say_so_in_plain_words(market: Any, running: Any) -> None:
    long_ago = datetime(2024, 1, 1, tzinfo=UTC)
    market.issue("BTCUSDT", synthetic=True)
    market.issue("ETHUSDT", issued_at=long_ago, status="replay")
    market.issue("AAPL", issued_at=long_ago)  # recorded years after its first target: late

    async with running() as (client, _):
        synthetic = (await client.get(BTC)).json()
        replay = (await client.get("/showcase/ml-prediction/ETHUSDT")).json()
        late = (await client.get("/showcase/ml-prediction/AAPL")).json()
        page = (await client.get("/")).text

    assert synthetic["synthetic"]
    assert "random generator" in synthetic["notice"]
    assert (replay["status"], replay["stale"]) == ("replay", True)
    assert "after the fact" in replay["notice"]
    assert late["status"] == "late"
    assert "recorded late" in late["notice"]
    assert "random generator" in page
    assert "after the fact" in page


async def test_lower_case_symbols_are_understood(market: Any, running: Any) -> None:
    market.issue()

    async with running() as (client, _):
        assert (await client.get("/showcase/ml-prediction/btcusdt")).status_code == 200


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/showcase/ml-prediction/NOPE", 404, "unknown_symbol"),
        ("/showcase/ml-prediction/ETHUSDT", 404, "nothing_predicted"),
        (f"{BTC}?interval=1d", 404, "nothing_predicted"),
        (f"{BTC}?model_name=gpt", 404, "unknown_model"),
        (f"{BTC}?interval=5m", 422, "bad_parameter"),
        (f"{BTC}?intervall=1h", 422, "bad_parameter"),
        (f"{BTC}?interval=1h&interval=1d", 422, "bad_parameter"),
        (f"{BTC}?model=a&model_name=b", 422, "bad_parameter"),
        (f"{BTC}?model_name=", 422, "bad_parameter"),
        ("/showcase/performance?step=0", 422, "bad_parameter"),
        ("/showcase/performance?window=7d", 422, "bad_parameter"),
        ("/showcase/performance?symbol=NOPE", 404, "unknown_symbol"),
        ("/showcase/performance?model_name=gpt", 404, "unknown_model"),
        ("/showcase/instruments/", 404, "unknown_path"),
        ("/nowhere", 404, "unknown_path"),
        ("/assets/../settings.py", 404, "unknown_path"),
    ],
)
async def test_errors_are_problem_documents_that_say_what_to_do(
    market: Any, running: Any, address: str, status: int, code: str
) -> None:
    market.issue()

    async with running() as (client, front):
        before = front.service.database.n_queries
        answer = await client.get(address)
        n_queries = front.service.database.n_queries - before

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    problem = answer.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert len(problem["detail"]) > 20
    if code in ("unknown_symbol", "bad_parameter", "unknown_path"):
        assert n_queries <= 4, "only the watch may have looked"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_writing_is_refused_with_a_problem(market: Any, running: Any, method: str) -> None:
    async with running() as (client, _):
        answer = await client.request(method, BTC)

    assert answer.status_code == 405
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


async def test_head_is_a_get_without_its_body_and_options_opens_the_showcase(market: Any, running: Any) -> None:
    market.issue()

    async with running() as (client, _):
        get = await client.get(BTC)
        for _ in range(2):  # the framework's way, then the early one's
            head = await client.head(BTC)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == get.headers["content-length"]
        preflight = await client.options(BTC, headers={"origin": "https://example.org"})

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert preflight.headers["access-control-allow-methods"] == "GET, HEAD, OPTIONS"
    assert get.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in get.headers


async def test_the_first_and_the_later_answers_carry_the_same_headers(market: Any, running: Any) -> None:
    market.issue()

    async with running() as (client, _):
        first, second = await client.get(BTC), await client.get(BTC)  # through the framework, then early

    changing = {"age", "cache-control", "content-length", "x-request-id"}  # what is cached is sent without an id
    assert {k: v for k, v in first.headers.items() if k not in changing} == {
        k: v for k, v in second.headers.items() if k not in changing
    }
    assert first.headers["content-security-policy"].startswith("default-src 'none'")
    assert "unsafe" not in first.headers["content-security-policy"]


async def test_an_etag_saves_the_body_until_a_new_forecast_arrives(market: Any, running: Any) -> None:
    issued_at = market.issue(price=100.0)

    async with running() as (client, front):
        first = await client.get(BTC)
        for tag in (first.headers["etag"], f'"x", {first.headers["etag"]}', "*"):
            again = await client.get(BTC, headers={"if-none-match": tag})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
        market.issue(price=200.0, issued_at=issued_at + timedelta(hours=1))
        await front.service.watch.check()
        changed = await client.get(BTC, headers={"if-none-match": first.headers["etag"]})

    assert changed.status_code == 200
    assert changed.json()["last_close"] == 200.0


async def test_the_compressed_answer_unpacks_to_the_plain_one(market: Any, running: Any) -> None:
    market.issue(horizon=120)

    async with running() as (client, _):
        async with client.stream("GET", BTC, headers={"accept-encoding": "gzip"}) as answer:
            packed = b"".join([chunk async for chunk in answer.aiter_raw()])
            assert answer.headers["content-encoding"] == "gzip"
        plain = await client.get(BTC, headers={"accept-encoding": "identity"})

    assert "content-encoding" not in plain.headers
    assert len(packed) < len(plain.content) / 2
    unpacked = json.loads(gzip.decompress(packed))
    assert unpacked | {"age_seconds": 0} == plain.json() | {"age_seconds": 0}
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    stream.decompress(packed)
    assert stream.eof, "one gzip member, nothing behind it"
    assert stream.unused_data == b""


async def test_the_lists_name_every_instrument_and_every_model(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="baseline-rw")
    market.issue("BTCUSDT", model_name="kronos-base")
    market.issue("BTCUSDT", interval="1d", issued_at=datetime(2024, 1, 1, tzinfo=UTC), status="replay")
    market.register("kronos-base", "v1", "champion")
    market.register("never-spoke", "v9", "candidate")

    async with running() as (client, _):
        listed = (await client.get("/showcase/instruments")).json()["instruments"]
        models = (await client.get("/showcase/models")).json()["models"]

    assert [item["symbol"] for item in listed] == ["AAPL", "BTCUSDT", "ETHUSDT", "EURUSD", "SPY"]
    btc = listed[1]
    assert [outline["interval"] for outline in btc["forecasts"]] == ["1h", "1d"]
    hourly, daily = btc["forecasts"]
    assert (hourly["model_name"], hourly["models"]) == ("kronos-base", ["kronos-base", "baseline-rw"])
    assert (hourly["last_step"]["p10"], hourly["last_step"]["p90"]) == (96.0, 104.0)
    assert (hourly["stale"], daily["stale"], daily["status"]) == (False, True, "replay")
    assert listed[0]["forecasts"] == []
    by_name = {model["model_name"]: model for model in models}
    assert set(by_name) == {"baseline-rw", "kronos-base", "never-spoke"}
    assert by_name["kronos-base"]["state"] == "champion"
    assert by_name["kronos-base"]["forecasts"][0]["n_forecasts"] == 1
    assert by_name["never-spoke"]["forecasts"] == []
    assert by_name["baseline-rw"]["baseline"]


async def test_the_page_lists_instruments_without_inline_code_or_foreign_request(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", price=100.0, horizon=4)

    async with running() as (client, _):
        page = await client.get("/")
        style = await client.get(f"/assets/{VERSION}/page.css")

    html = page.text
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<script>" not in html
    assert html.count("<script") == html.count('<script type="module" src="/assets/')
    assert "style=" not in html
    assert "http://" not in html
    assert "https://" not in html
    assert "−1.00% to +1.00%" in html  # the next bar of a forecast of 99, 100, 101 from 100
    assert "/instrument/BTCUSDT?interval=1h" in html
    assert "BTCUSDT &lt;b&gt;" in html, "names are escaped"
    assert "No forecast yet" in html
    assert style.headers["content-type"] == "text/css; charset=utf-8"


async def test_the_track_record_can_be_asked_for_before_anything_is_scored(market: Any, running: Any) -> None:
    market.issue()

    async with running() as (client, _):
        answer = await client.get("/showcase/performance?symbol=btcusdt&interval=1h&step=1&window=30d&record=live")

    assert answer.status_code == 200
    assert answer.json()["rows"] == []
    assert answer.json()["filters"]["symbol"] == "BTCUSDT"


async def test_the_openapi_document_describes_every_route(market: Any, running: Any) -> None:
    async with running() as (client, _):
        document = (await client.get("/openapi.json")).json()

    assert set(document["paths"]) == {
        "/showcase/ml-prediction/{symbol}",
        "/showcase/instruments",
        "/showcase/models",
        "/showcase/performance",
        "/showcase/performance/verdicts",
        "/showcase/chart/{symbol}",
        "/showcase/evaluation",
        "/showcase/status",
        "/v1/predictions/{symbol}",
        "/v1/predictions/by-id/{prediction_id}",
        "/v1/performance",
        "/v1/ledger",
        "/v1/ledger/{model_name}/{interval}",
        "/v1/ledger/export",
        "/healthz",
        "/readyz",
        "/metrics",
        "/statusz",
    }
    responses = document["paths"]["/showcase/ml-prediction/{symbol}"]["get"]["responses"]
    assert set(responses) == {"200", "404", "422", "429", "503"}
    assert "application/problem+json" in responses["422"]["content"]
    assert set(document["components"]["schemas"]["PredictionAnswer"]["required"]) >= {"p10", "stale", "issued_at"}


async def test_the_metrics_count_by_route_and_result_and_never_repeat_what_a_client_wrote(
    market: Any, running: Any
) -> None:
    market.issue()

    async with running() as (client, _):
        for _ in range(3):
            await client.get(BTC)
        await client.get("/showcase/ml-prediction/EVIL-SYMBOL")
        await client.get("/evil-path")
        await client.request("EVILMETHOD", "/")
        text = (await client.get("/metrics")).text

    route = "/showcase/ml-prediction/{symbol}"
    assert f'gateway_http_requests_total{{code="200",method="GET",route="{route}"}} 3.0' in text
    assert f'gateway_http_requests_total{{code="404",method="GET",route="{route}"}} 1.0' in text
    assert f'gateway_http_request_duration_seconds_count{{route="{route}"}} 4.0' in text
    assert 'gateway_cache_requests_total{result="hit"} 3.0' in text
    assert 'gateway_breaker_open{dep="database"} 0.0' in text
    assert 'forecast_prediction_age_seconds{interval="1h",model="baseline-rw",symbol="BTCUSDT"}' in text
    for name in ("cache_entries", "cache_bytes", "db_pool_size", "db_pool_available", "db_pool_waiting"):
        assert f"gateway_{name} " in text
    assert "gateway_cache_refresh_total" in text
    assert "evil" not in text.lower()


HOSTILE = [
    "'; DROP TABLE candlecast.ml_predictions; --",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\x00",
    "BTCUSDT\x00",
    "BTCUSDT\n",
    "ＢＴＣＵＳＤＴ",
    "BTCUſDT",
    "A" * 10_000,
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "𝔅𝔗ℭ",
    "\ud7ff",
    "-1",
    "null",
    " ",
    "%s%n",
    "\u202eTDSUCTB",
]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_strings_are_refused_without_a_query(market: Any, running: Any, text: str) -> None:
    market.issue()

    async with running(poll_s=60.0) as (client, front):
        before = front.service.database.n_queries
        as_symbol = await client.get("/showcase/ml-prediction/" + quote(text, safe=""))
        parameters = ("model_name", "model", "interval")
        answers = [await client.get(BTC, params={name: text}) for name in parameters]
        filters = ("symbol", "interval", "model_name", "step", "window", "record")
        answers += [await client.get("/showcase/performance", params={name: text}) for name in filters]
        answers += [await client.get(BTC, params={text: "1"})]
        n_queries = front.service.database.n_queries - before

    assert as_symbol.status_code == 404
    for answer in answers:
        # "null" and "-1" are well-formed names of models that do not exist.
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/problem+json"
        assert len(answer.content) < 2000
    assert n_queries == 0
