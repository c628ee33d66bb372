"""How the whole thing is, as readers, operators and Prometheus are told it."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from candlecast.clock import SCHEDULES, slot_at
from candlecast.store import runs, tables
from candlecast.store.checks import note_check
from candlecast.store.embedded import Role
from candlecast.store.runs import Item
from gateway.schemas.status import OperatorsAnswer, StatusAnswer

from .conftest import Market, Proxy, this_hour

BATCH, SEAL = "kronos-batch-1h", "seal-ledger"
KEY = "a-key-of-the-showcase-deployment-0123456789"
SECRET = "http://gpu.internal.example:8200 refused the connection"


def newest(job: str) -> datetime:
    return slot_at(SCHEDULES[job], datetime.now(UTC))


def ran(
    engine: Engine,
    job: str,
    slot: datetime,
    status: runs.RunStatus = "ok",
    *,
    items: tuple[Item, ...] = (),
    error: str | None = None,
    **details: Any,
) -> None:
    """Put a run on record, in the way that jobs do it."""
    with engine.begin() as conn:
        token = runs.claim_lease(conn, job, owner="host/1/2", slot=slot, ttl_s=20)
        assert token is not None
        run_id = runs.start_run(conn, job, slot=slot, owner="host/1/2", fence=token, deadline_s=60, details={})
        runs.finish_run(conn, run_id, status, items=items, error=error, details=details)
        runs.release_lease(conn, job, token=token)


def of(document: dict[str, Any], job: str) -> dict[str, Any]:
    (found,) = [one for one in document["jobs"] if one["job"] == job]
    return found


async def test_jobs_are_told_by_the_ledger_of_runs(market: Market, running: Callable[..., Any]) -> None:
    slot = newest(BATCH)
    with market.engine.begin() as conn:
        runs.record_missed(conn, BATCH, [slot - timedelta(hours=2), slot - timedelta(days=9)], owner="x")
    items = (Item("BTCUSDT", "m", "ok"), Item("ETHUSDT", "m", "refused", "holes"), Item("SPY", "m", "skipped"))
    ran(market.engine, BATCH, slot - timedelta(hours=1), server={"answered": False}, model="kronos")
    ran(market.engine, BATCH, slot, "partial", items=items, server={"answered": True}, model="kronos")
    async with running() as (client, _):
        document = (await client.get("/showcase/status")).json()

    StatusAnswer.model_validate(document)
    assert [one["job"] for one in document["jobs"]] == list(SCHEDULES)
    job = of(document, BATCH)
    assert [one["status"] for one in job["slots"]] == ["partial", "ok", "missed", "missed"]
    assert job["n_missed_7d"] == 1, "the other one is older than a week"
    assert (job["last"]["n_ok"], job["last"]["n_failed"], job["last"]["n_skipped"]) == (1, 1, 1)
    assert datetime.fromisoformat(job["next_at"]) == slot + timedelta(hours=1)
    assert datetime.fromisoformat(job["last_success_at"]) < datetime.fromisoformat(job["last"]["finished_at"])
    assert of(document, SEAL)["last"] is None
    assert document["server"]["ready"] is True, "the newest job that asked it got an answer"
    assert (document["server"]["configured"], document["server"]["models"]) == (True, ["kronos"])


async def test_a_run_whose_process_is_gone_is_interrupted_before_anybody_writes_so(
    market: Market, running: Callable[..., Any]
) -> None:
    slot = newest(BATCH)
    with market.engine.begin() as conn:
        token = runs.claim_lease(conn, BATCH, owner="gone/1/2", slot=slot, ttl_s=-1)
        assert token is not None
        runs.start_run(conn, BATCH, slot=slot, owner="gone/1/2", fence=token, deadline_s=60, details={})
    async with running() as (client, _):
        document = (await client.get("/showcase/status")).json()

    assert of(document, BATCH)["last"]["status"] == "interrupted"


async def test_the_ledger_stands_with_its_heads_its_seal_and_who_last_checked_it(
    market: Market, running: Callable[..., Any]
) -> None:
    market.issue()
    market.issue("ETHUSDT")
    ran(market.engine, SEAL, newest(SEAL), **{"2026-03-01": "ab" * 32, "2026-03-02": "cd" * 32, "n_missed": 0})
    assert note_check(market.engine, "verify-ledger", holds=True, seconds=1.5, details={"n_rows": 2})
    assert note_check(market.engine, "score-check-1h", holds=False, seconds=1.5, details={"n_checked": 7})
    async with running() as (client, _):
        document = (await client.get("/showcase/status")).json()

    (chain,) = document["ledger"]
    with market.engine.connect() as conn:
        head = conn.execute(text("SELECT row_hash FROM candlecast.ml_predictions ORDER BY chain_seq DESC")).first()
    assert head is not None
    assert (chain["n_rows"], chain["head"]) == (2, bytes(head.row_hash).hex())
    assert (chain["sealed_day"], chain["sealed_root"]) == ("2026-03-02", "cd" * 32)
    assert (document["verified"]["status"], document["verified"]["n_rows"]) == ("ok", 2)
    assert [(one["interval"], one["status"], one["n_rows"]) for one in document["scores_checked"]] == [
        ("1h", "failed", 7)
    ]
    assert document["sealed"]["day"] == "2026-03-02"


def test_verify_leaves_what_it_found_on_record(market: Market, database_url: str) -> None:
    market.issue()
    candlecast = Path(sys.executable).with_name("candlecast")
    done = subprocess.run(
        [candlecast, "verify"],
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "The ledger is whole: 1 forecasts" in done.stdout
    with market.engine.connect() as conn:
        (row,) = conn.execute(text("SELECT job, status, details FROM candlecast.job_runs")).all()
    assert tuple(row) == ("verify-ledger", "ok", {"n_rows": 1, "n_chains": 1, "n_breaks": 0})


def test_a_check_that_may_not_be_put_on_record_is_no_failure(engine_as: Callable[[Role], Engine]) -> None:
    assert note_check(engine_as("writer"), "verify-ledger", holds=True, seconds=0.1, details={})
    assert not note_check(engine_as("reader"), "verify-ledger", holds=True, seconds=0.1, details={})


async def test_forecasts_are_fresh_or_stale_by_their_own_schedule(market: Market, running: Callable[..., Any]) -> None:
    market.issue("BTCUSDT")
    market.issue("ETHUSDT", issued_at=this_hour() - timedelta(hours=4))
    async with running() as (client, _):
        rows = (await client.get("/showcase/status")).json()["freshness"]
        listed = (await client.get("/showcase/instruments")).json()["instruments"]

    stale = {row["symbol"]: row["stale"] for row in rows}
    assert stale == {"BTCUSDT": False, "ETHUSDT": True}
    outlines = {item["symbol"]: item["forecasts"][0] for item in listed if item["forecasts"]}
    for row in rows:
        for name in ("issued_at", "expected_next_at", "stale", "stale_reason", "model_name", "status", "synthetic"):
            assert row[name] == outlines[row["symbol"]][name]


async def test_what_an_error_said_is_for_operators_only(market: Market, running: Callable[..., Any]) -> None:
    ran(market.engine, BATCH, newest(BATCH), "failed", error=SECRET, server={"answered": False}, note=SECRET)
    async with running(showcase_api_key=KEY) as (client, _):
        public = await client.get("/showcase/status")
        closed = await client.get("/statusz")
        open_ = await client.get("/statusz", headers={"x-api-key": KEY})

    assert "gpu.internal" not in public.text
    assert "host/1/2" not in public.text
    assert public.json()["server"]["ready"] is False
    assert closed.status_code == 401
    document = open_.json()
    OperatorsAnswer.model_validate(document)
    assert document["runs"][0]["error"] == SECRET
    assert document["gateway"]["cached"]["status"] == 1
    assert "no-store" in open_.headers["cache-control"]


async def test_what_an_error_said_is_not_kept_in_the_snapshot(
    market: Market, running: Callable[..., Any], tmp_path: Path
) -> None:
    market.issue()
    ran(market.engine, BATCH, newest(BATCH), "failed", error=SECRET)
    kept = tmp_path / "snapshot"
    async with running(showcase_api_key=KEY, snapshot=kept) as (client, _):
        told = await client.get("/statusz", headers={"x-api-key": KEY})
        await client.get("/showcase/models")

    assert "gpu.internal" in told.text
    assert b"baseline-rw" in kept.read_bytes()
    assert b"gpu.internal" not in kept.read_bytes()


async def test_it_is_told_while_the_database_is_away_and_since_when(
    market: Market, proxy: Proxy, proxied_url: str, running: Callable[..., Any]
) -> None:
    ran(market.engine, BATCH, newest(BATCH))
    async with running(proxied_url) as (client, front):
        before = (await client.get("/showcase/status")).json()
        proxy.close()
        for _ in range(200):
            if front.service.database.reachable is False:
                break
            await asyncio.sleep(0.05)
        answer = await client.get("/showcase/status")
        ready = await client.get("/readyz")

    document = answer.json()
    assert answer.status_code == 200
    assert before["database"] == {"reachable": True, "since": None}
    assert document["database"]["reachable"] is False
    assert document["database"]["since"] is not None
    assert of(document, BATCH) == of(before, BATCH)
    assert ready.status_code == 200, "warm readers are served on"


async def test_it_is_told_where_the_database_was_never_there(running: Callable[..., Any]) -> None:
    async with running("postgresql://reader@127.0.0.1:1/nowhere", showcase_api_key=KEY) as (client, _):
        answer = await client.get("/showcase/status")
        operators = await client.get("/statusz", headers={"x-api-key": KEY})

    document = answer.json()
    StatusAnswer.model_validate(document)
    assert (document["database"]["reachable"], document["jobs"], document["ledger"]) == (False, [], [])
    assert operators.json()["runs"] == []


def samples(page: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


async def test_prometheus_is_told_what_the_ledger_of_runs_says(market: Market, running: Callable[..., Any]) -> None:
    slot = newest(BATCH)
    with market.engine.begin() as conn:
        runs.record_missed(conn, BATCH, [slot - timedelta(days=30), slot - timedelta(hours=2)], owner="x")
    ran(market.engine, BATCH, slot - timedelta(hours=1))
    ran(market.engine, BATCH, slot, "failed", items=(Item("BTCUSDT", "m", "failed"),), server={"answered": False})
    async with running() as (client, _):
        told = samples((await client.get("/metrics")).text)
        status = of((await client.get("/showcase/status")).json(), BATCH)

    job = ("job", BATCH)
    success = datetime.fromisoformat(status["last_success_at"]).timestamp()
    assert told["forecast_job_last_success_timestamp_seconds", (job,)] == success
    assert told["forecast_job_last_run_status", (job,)] == 0.0
    assert told["forecast_job_items", (job, ("status", "failed"))] == 1.0
    assert told["forecast_job_slots_missed_total", (job,)] == 2.0
    assert told["forecast_job_duration_seconds", (job,)] == status["last"]["seconds"]
    assert told["gateway_breaker_open", (("dep", "inference"),)] == 1.0


async def test_a_scrape_of_a_full_house_is_quick_and_small(market: Market, running: Callable[..., Any]) -> None:
    symbols = [f"COIN{number}" for number in range(23)]
    with market.engine.begin() as conn:
        conn.execute(
            tables.instruments.insert(),
            [
                {"symbol": symbol, "name": symbol, "asset_class": "crypto", "calendar": "24/7", "provider": "test"}
                | {"provider_symbol": symbol, "quote_asset": "USD", "forecast": True}
                for symbol in symbols
            ],
        )
    for model_name in ("baseline-rw", "kronos", "chronos-2"):
        rows = [
            market._row(symbol, interval, model_name, None, 100.0, 4, False, "on_time", "v1")
            for symbol in symbols
            for interval in ("1h", "1d")
        ]
        with market.engine.begin() as conn:
            conn.execute(tables.ml_predictions.insert(), rows)
    for job in SCHEDULES:
        ran(market.engine, job, newest(job))
    async with running(poll_s=300.0) as (client, front):
        page = await client.get("/metrics")
        before = front.service.database.n_queries
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            await client.get("/metrics")
            seconds.append(time.perf_counter() - started)
        asked = front.service.database.n_queries - before

    told = samples(page.text)
    assert len([name for name, _ in told if name == "forecast_prediction_stale"]) == 23 * 2
    assert len(page.content) < 200_000
    assert min(seconds) < 0.020
    assert asked == 0, "a scrape tells what is cached"
    labels = {label for _, labels in told for label, _ in labels}
    assert labels <= {
        "symbol",
        "model",
        "interval",
        "job",
        "status",
        "route",
        "method",
        "code",
        "result",
        "outcome",
        "dep",
        "le",
        "client",
        "kind",
        "reason",
    }
