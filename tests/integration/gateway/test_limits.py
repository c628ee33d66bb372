"""Who asks too often is told when to come back, whatever he writes into his headers."""

from typing import Any

import httpx
import pytest

BTC = "/showcase/ml-prediction/BTCUSDT"
KEY_HEADERS = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP")


def refused(answer: httpx.Response) -> bool:
    """Whether an answer is a 429 that says when to come back."""
    return (
        answer.status_code == 429
        and answer.headers["content-type"] == "application/problem+json"
        and 1 <= int(answer.headers["retry-after"]) <= 60
        and answer.json()["code"] == "too_many_requests"
        and answer.headers["x-content-type-options"] == "nosniff"
    )


def test_as_many_requests_as_the_rate_says_are_answered_and_not_one_more(
    market: Any, reader_url: str, serve: Any
) -> None:
    market.issue()

    with serve(reader_url, rate="30/minute") as (client, front):
        statuses = [client.get(BTC).status_code for _ in range(30)]
        assert statuses == [200] * 30
        assert refused(client.get(BTC))
        assert refused(client.get("/showcase/ml-prediction/NOPE"))
        assert refused(client.get("/nothing/here"))
        assert refused(client.get("/metrics"))
        assert refused(client.post("/mcp", json={}))
        assert client.head(BTC).status_code == 429
        assert client.get(BTC, headers={"connection": "close"}).status_code == 429
        for address in ("/healthz", "/readyz", "/favicon.ico"):
            assert client.get(address).status_code == 200
        assert front._metrics.requests["limited", "GET", "429"] == 5


@pytest.mark.parametrize("header", KEY_HEADERS)
def test_a_client_that_changes_its_headers_is_the_same_client(
    market: Any, reader_url: str, serve: Any, header: str
) -> None:
    market.issue()

    with serve(reader_url, rate="20/minute") as (client, _):
        answers = [client.get(BTC, headers={header: f"203.0.113.{number}"}) for number in range(50)]

    assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 30


def test_behind_a_trusted_proxy_clients_are_told_apart_by_x_real_ip(market: Any, reader_url: str, serve: Any) -> None:
    market.issue()

    with serve(reader_url, rate="5/minute", trusted_proxies=("127.0.0.1",)) as (client, _):
        first = [client.get(BTC, headers={"X-Real-IP": "192.0.2.1"}).status_code for _ in range(6)]
        other = client.get(BTC, headers={"X-Real-IP": "192.0.2.2"}).status_code

    assert first == [200] * 5 + [429]
    assert other == 200


def test_the_holder_of_a_key_has_an_allowance_of_his_own_and_a_wrong_key_has_none(
    market: Any, reader_url: str, serve: Any
) -> None:
    market.issue()
    key = "a-showcase-key-of-more-than-32-characters"

    with serve(reader_url, rate="5/minute", key_rate="9/minute", showcase_api_key=key) as (client, _):
        with_key = [client.get(BTC, headers={"X-API-Key": key}).status_code for _ in range(10)]
        guessed = [client.get(BTC, headers={"X-API-Key": f"guess-{number}"}).status_code for number in range(6)]

    assert guessed == [200] * 5 + [429]
    assert with_key == [200] * 9 + [429]
