"""Readers keep getting answers while the database is stopped, frozen, cut off, or slow, and afterwards the new ones."""

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text

from candlecast.store.embedded import processes_in
from candlecast.store.engine import create_engine
from candlecast.store.sql import load
from gateway.database import Database
from gateway.problems import Problem
from gateway.service import Target
from gateway.settings import GatewaySettings

BTC = "/showcase/ml-prediction/BTCUSDT"
ETH = "/showcase/ml-prediction/ETHUSDT"
KEY = ("forecasts", "BTCUSDT", "1h")


def unavailable(answer: httpx.Response) -> bool:
    """Whether an answer is a 503 that says when to come back."""
    return (
        answer.status_code == 503
        and answer.headers["content-type"] == "application/problem+json"
        and int(answer.headers["retry-after"]) >= 1
        and answer.json()["code"] == "not_ready"
    )


async def test_a_thousand_cold_readers_of_one_key_cost_one_query(market: Any, running: Any) -> None:
    market.issue()

    async with running(poll_s=60.0) as (client, front):
        front.service.cache.drop(KEY)
        before = front.service.database.n_queries
        answers = await asyncio.gather(*(client.get(BTC) for _ in range(1000)))
        n_queries = front.service.database.n_queries - before

    assert {answer.status_code for answer in answers} == {200}
    assert n_queries == 1


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the queries that were executed."""
    names: list[str] = []
    execute = Database._execute

    async def noted(database: Database, query: str, parameters: Any) -> Any:
        names.append(query)
        return await execute(database, query, parameters)

    monkeypatch.setattr(Database, "_execute", noted)
    return names


async def test_the_start_loads_every_forecast_by_one_query(market: Any, running: Any, queries: list[str]) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "EURUSD", "AAPL"):
        for interval in ("1h", "1d"):
            market.issue(symbol, interval)

    async with running(poll_s=60.0) as (client, _):
        assert queries.count("gateway_newest") == 1
        n_queries = len(queries)
        for symbol in ("BTCUSDT", "ETHUSDT", "EURUSD", "AAPL"):
            assert (await client.get(f"/showcase/ml-prediction/{symbol}?interval=1d")).status_code == 200
        assert len(queries) == n_queries


async def test_the_newest_forecast_is_found_by_its_index_however_long_the_history(market: Any) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    market.issue_many([start + timedelta(hours=hour) for hour in range(3000)])
    statement = "EXPLAIN (COSTS OFF) " + load("gateway_newest").text
    with market.engine.begin() as conn:
        conn.execute(text("ANALYZE candlecast.ml_predictions"))
        rows = conn.execute(text(statement), {"symbols": ["BTCUSDT"], "intervals": ["1h"], "max_rows": None})
        plan = "\n".join(row[0] for row in rows)

    assert "Seq Scan on ml_predictions" not in plan
    assert "ml_predictions_symbol_interval_model_name_issued_at" in plan


async def test_a_new_forecast_is_seen_without_anyone_asking_for_it(market: Any, running: Any) -> None:
    issued_at = market.issue(price=100.0)

    async with running() as (client, _):
        assert (await client.get(BTC)).json()["last_close"] == 100.0
        assert (await client.get(ETH)).status_code == 404
        market.issue(price=101.0, issued_at=issued_at + timedelta(hours=1))
        market.issue("ETHUSDT", price=7.0)
        async with asyncio.timeout(30):
            while (await client.get(BTC)).json()["last_close"] != 101.0:
                await asyncio.sleep(0.02)
            while (await client.get(ETH)).status_code != 200:
                await asyncio.sleep(0.02)
            while "7.0000" not in (await client.get("/")).text:
                await asyncio.sleep(0.02)


async def test_what_left_the_cache_is_not_sent_again_within_the_second(market: Any, running: Any) -> None:
    market.issue(price=100.0)

    async with running(poll_s=60.0) as (client, front):
        for _ in range(3):
            assert (await client.get(BTC)).status_code == 200
            before = front.service.database.n_queries
            front.service.cache.drop(KEY)
            assert (await client.get(BTC)).status_code == 200
            assert front.service.database.n_queries == before + 1


async def test_with_the_usual_settings_a_new_forecast_is_served_within_ten_seconds_of_its_commit(
    market: Any, running: Any
) -> None:
    issued_at = market.issue(price=100.0)

    async with running(poll_s=GatewaySettings().poll_s) as (client, _):
        assert (await client.get(BTC)).json()["last_close"] == 100.0
        market.issue(price=101.0, issued_at=issued_at + timedelta(hours=1))
        async with asyncio.timeout(10):
            while (await client.get(BTC)).json()["last_close"] != 101.0:
                await asyncio.sleep(0.05)


async def test_a_commit_during_a_load_is_not_lost(market: Any, running: Any) -> None:
    issued_at = market.issue(price=100.0)

    async with running(poll_s=60.0) as (client, front):
        front.service.cache.drop(KEY)
        with market.engine.connect() as conn:  # hold the load back after the watch has seen the old state
            conn.execute(text("LOCK TABLE candlecast.model_versions IN ACCESS EXCLUSIVE MODE"))
            assert unavailable(await client.get(BTC))
            market.issue(price=101.0, issued_at=issued_at + timedelta(hours=1))
            await front.service.renew([("BTCUSDT", "1h")])
            conn.rollback()
        async with asyncio.timeout(30):
            while (answer := await client.get(BTC)).status_code != 200 or answer.json()["last_close"] != 101.0:
                await asyncio.sleep(0.02)


async def test_random_symbols_and_addresses_grow_nothing_and_ask_nothing(market: Any, running: Any) -> None:
    market.issue()

    async with running(poll_s=60.0) as (client, front):
        await client.get(BTC)
        before = (front.service.database.n_queries, len(front.service.cache), len(front._known))
        for number in range(3000):
            assert (await client.get(f"/showcase/ml-prediction/X{number}")).status_code == 404
        after = (front.service.database.n_queries, len(front.service.cache), len(front._known))

    assert after == before


async def test_filters_that_nobody_thought_of_push_out_no_forecast_and_reach_the_database_within_limits(
    market: Any, running: Any, queries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.service.NEW_QUESTIONS", "60/minute")
    for symbol in ("BTCUSDT", "ETHUSDT", "EURUSD", "AAPL"):
        market.issue(symbol)

    async with running(poll_s=60.0, cache_entries=40) as (client, front):
        kept = {key for key in front.service.cache.all_keys() if key[0] in ("forecasts", "overview", "models")}
        assert len(kept) == 6
        answers = [await client.get(f"/showcase/performance?step={1 + number % 1024}") for number in range(300)]
        answers += [await client.get(f"/showcase/chart/BTCUSDT?prediction_id={uuid.uuid4()}") for _ in range(100)]
        assert kept < set(front.service.cache.all_keys())
        assert len(front.service.cache) <= 40

    filtered = [answer for answer in answers[:300] if not unavailable(answer)]
    assert [answer.status_code for answer in filtered] == [200] * 60
    assert queries.count("gateway_performance") == 61  # with the whole track record
    assert {answer.status_code for answer in answers[300:] if not unavailable(answer)} <= {404}
    assert queries.count("gateway_chart_forecast") <= 60


@pytest.mark.slow
async def test_a_million_random_symbols_cost_no_query_and_no_memory(market: Any, running: Any) -> None:
    market.issue()

    async with running(poll_s=600.0) as (_, front):
        service = front.service
        before = (service.database.n_queries, len(service.cache), service.cache.n_bytes)
        process, held = psutil.Process(), 0
        for number in range(1_000_000):
            with contextlib.suppress(Problem):
                await service.forecast(Target("", ("forecasts", f"X{number}", "1h")))
                raise AssertionError("it is unknown")
            if number == 100_000:
                held = process.memory_info().rss
        after = (service.database.n_queries, len(service.cache), service.cache.n_bytes)
        grown = process.memory_info().rss - held

    assert after == before
    assert grown < 5e6


async def test_the_remembered_addresses_are_bounded(market: Any, running: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.front.MAX_ADDRESSES", 3)
    market.issue(model_name="baseline-rw")

    async with running() as (client, front):
        for query in ("interval=1h", "model=baseline-rw", "model_name=baseline-rw", "interval=1h&model=baseline-rw"):
            for _ in range(2):
                assert (await client.get(f"{BTC}?{query}")).status_code == 200
        assert len(front._known) == 3


async def test_connections_that_the_server_closed_are_replaced_without_an_error(
    postgres: Any, market: Any, running: Any
) -> None:
    market.issue()
    admin = create_engine(postgres.url(market.engine.url.database, "superuser"), application_name="test")

    async with running(poll_s=60.0) as (client, front):
        for _ in range(3):
            with admin.begin() as conn:
                ended = conn.execute(
                    text(
                        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                        "WHERE application_name = 'candlecast-gateway' AND datname = current_database()"
                    )
                ).scalar_one()
            assert ended >= 1
            front.service.cache.drop(KEY)
            async with asyncio.timeout(30):
                while (await client.get(BTC)).status_code != 200:
                    await asyncio.sleep(0.05)
            assert front.service.database.reachable
    admin.dispose()


def test_with_the_database_stopped_warm_readers_are_served_and_cold_ones_told_when_to_return(
    own_postgres: Any, own_market: Any, serve: Any, until: Any
) -> None:
    issued_at = own_market.issue(price=100.0)

    with serve(own_postgres.url(role="reader")) as (client, _):
        fresh = client.get(BTC)
        assert not fresh.json()["stale"]
        own_market.engine.dispose()
        own_postgres.stop()

        until(lambda: client.get(BTC).json()["stale"], "the answer says that it cannot be confirmed")
        warm = client.get(BTC)
        assert warm.status_code == 200
        assert warm.json()["stale_reason"].startswith("unconfirmed: the database has not been reachable since 20")
        assert warm.json()["p50"] == fresh.json()["p50"]
        assert warm.headers["etag"] != fresh.headers["etag"]
        assert unavailable(client.get(ETH))
        assert client.get("/showcase/performance").status_code == 200
        assert unavailable(client.get("/showcase/performance?symbol=ETHUSDT"))
        assert client.get("/showcase/ml-prediction/NOPE").status_code == 404
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz").json()["database"] == "unreachable"
        assert 'gateway_breaker_open{dep="database"} 1.0' in client.get("/metrics").text
        until(lambda: "cannot be reached" in client.get("/").text, "the page says so too")

        own_postgres.ensure()
        own_market.issue(price=200.0, issued_at=issued_at + timedelta(hours=1))
        until(lambda: client.get(BTC).json()["last_close"] == 200.0, "the new forecast is served")
        until(lambda: not client.get(BTC).json()["stale"], "and is not doubted any more")
        until(lambda: client.get(ETH).status_code == 404, "the cold key is known to have nothing")


def test_with_the_database_frozen_readers_do_not_freeze(
    own_postgres: Any, own_market: Any, serve: Any, until: Any
) -> None:
    own_market.issue(price=100.0)

    with serve(own_postgres.url(role="reader")) as (client, front):
        assert client.get(BTC).status_code == 200
        pids = processes_in(own_postgres.home / "data")
        assert pids, "the server's processes are found"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert unavailable(client.get(ETH))
            assert front.service.cache.n_loading == 1, "the reader left while the query hangs on"
            assert client.get(BTC).json()["last_close"] == 100.0
            until(lambda: client.get(BTC).json()["stale"], "the answer says that it cannot be confirmed")
            assert unavailable(client.get(ETH))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        until(lambda: not client.get(BTC).json()["stale"], "the database is heard again")
        until(lambda: client.get(ETH).status_code == 404, "cold keys are loaded again")


def test_a_path_that_swallows_every_byte_holds_no_reader_and_heals(
    market: Any, proxy: Any, proxied_url: str, serve: Any, until: Any
) -> None:
    market.issue(price=100.0)

    with serve(proxied_url) as (client, front):
        assert client.get(BTC).json()["last_close"] == 100.0
        proxy.mode = "swallow"
        assert unavailable(client.get(ETH))
        assert front.service.cache.n_loading == 1, "the reader left while the query hangs on"
        for _ in range(5):
            assert unavailable(client.get(ETH))
            assert client.get(BTC).status_code == 200
        until(lambda: front.service.database.reachable is False, "the loss is noticed")
        assert unavailable(client.get(ETH))
        assert client.get(BTC).status_code == 200
        proxy.mode = "pass"
        until(lambda: client.get(ETH).status_code == 404, "the path is used again")
        market.issue("ETHUSDT", price=5.0)
        until(lambda: client.get(ETH).status_code == 200, "and the new forecast is seen")


def test_a_database_that_answers_five_seconds_late_delays_nobody(
    market: Any, proxy: Any, proxied_url: str, serve: Any, until: Any
) -> None:
    market.issue(price=100.0)

    with serve(proxied_url) as (client, _):
        assert client.get(BTC).status_code == 200
        proxy.mode = "slow"
        for _ in range(5):
            cold = client.get(ETH)
            assert unavailable(cold)
            assert cold.elapsed < timedelta(milliseconds=250)
        warm = [client.get(BTC) for _ in range(200)]
        assert {answer.status_code for answer in warm} == {200}
        assert sorted(answer.elapsed for answer in warm)[197] < timedelta(milliseconds=200)
        proxy.mode = "pass"
        until(lambda: client.get(ETH).status_code == 404, "cold keys are loaded again")
        until(lambda: not client.get(BTC).json()["stale"], "and nothing is doubted")


def test_a_gateway_that_starts_without_its_database_serves_once_it_is_there(
    market: Any, proxy: Any, proxied_url: str, serve: Any, until: Any
) -> None:
    market.issue(price=100.0)
    proxy.mode = "refuse"

    with serve(proxied_url) as (client, front):
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        for address in (BTC, "/", "/showcase/instruments", "/showcase/models", "/showcase/performance?symbol=AAPL"):
            assert unavailable(client.get(address)), address
        assert front.service.cache.retry_after_s(("models",)) > 0
        proxy.mode = "pass"
        until(lambda: client.get("/readyz").status_code == 200, "it is ready")
        assert front.service.cache.retry_after_s(("models",)) == 0, "nobody is held off any more"
        assert client.get(BTC).json()["last_close"] == 100.0


def test_a_database_that_was_never_migrated_is_not_ready_and_stays_alive(
    postgres: Any, empty_database: str, serve: Any
) -> None:
    with serve(postgres.url(empty_database, "reader")) as (client, _):
        assert client.get("/readyz").status_code == 503
        assert unavailable(client.get("/showcase/instruments"))


def test_a_reader_who_hangs_up_takes_nothing_from_the_others(
    market: Any, reader_url: str, serve: Any, until: Any
) -> None:
    market.issue(price=100.0)

    with serve(reader_url, poll_s=60.0) as (client, front):
        front.service.cache.drop(KEY)
        before = front.service.database.n_queries
        with market.engine.connect() as conn:
            conn.execute(text("LOCK TABLE candlecast.model_versions IN ACCESS EXCLUSIVE MODE"))
            with socket.create_connection((client.base_url.host, client.base_url.port)) as first:
                first.sendall(f"GET {BTC} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                until(lambda: front.service.database.n_queries > before, "its load has begun")
            conn.rollback()
        until(lambda: client.get(BTC).status_code == 200, "the next reader is served")
        assert front.service.database.n_queries == before + 1
