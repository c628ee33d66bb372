"""The evaluation as readers get it: the stored document, what else there is, and the scorer's verdicts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from gateway.schemas.evaluation import EvaluationAnswer

from .conftest import Market, Proxy

AS_OF = datetime(2025, 7, 1, tzinfo=UTC)
EMPTY_LISTS = ("models", "classes", "steps", "cells", "reliability", "pit", "sharpe", "voids", "leak_alarms")


def store(market: Market, record: str, interval: str, **body: Any) -> None:
    """Put an evaluation on record, as the job does."""
    empty = {name: [] for name in EMPTY_LISTS} | {"five_tests": {}}
    document = {"as_of": "2025-07-01T00:00:00Z", "record": record, "interval": interval} | empty | body
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.evaluations (record, interval, as_of, n_models, body) "
                "VALUES (:record, :interval, :as_of, 2, :body)"
            ),
            {"record": record, "interval": interval, "as_of": AS_OF, "body": json.dumps(document)},
        )


def judge(market: Market, record: str, interval: str = "1h") -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.skill_verdicts (record, interval, model_name, asset_class, step, verdict, "
                "skill, e_value, n_common, n_forecasts, n_symbols, n_pairs, n_days, n_eff, days_to_decision, n_cells, "
                "as_of) VALUES (:record, :interval, 'kronos', 'all', 0, 'undecided', 0.02, 1, 40, 10, 2, 40, 12, 3.5, "
                "80, 4, now())"
            ),
            {"record": record, "interval": interval},
        )


async def test_a_store_that_was_never_evaluated_is_answered_with_empty_lists_and_the_reason(
    market: Market, running: Callable[..., Any]
) -> None:
    async with running() as (client, _):
        answer = await client.get("/showcase/evaluation")

    assert answer.status_code == 200
    document = answer.json()
    EvaluationAnswer.model_validate(document)
    assert all(document[name] == [] for name in (*EMPTY_LISTS, "available", "verdicts"))
    assert "candlecast evaluate" in document["notice"]


async def test_the_live_record_comes_first_then_late_replay_and_synthetic(
    market: Market, running: Callable[..., Any]
) -> None:
    for record in ("synthetic", "replay", "live"):
        store(market, record, "1h", models=[record])
    store(market, "replay", "1d")
    async with running() as (client, _):
        first = (await client.get("/showcase/evaluation")).json()
        daily = (await client.get("/showcase/evaluation", params={"interval": "1d"})).json()
        named = (await client.get("/showcase/evaluation", params={"record": "synthetic"})).json()
        missing = (await client.get("/showcase/evaluation", params={"record": "late", "interval": "1d"})).json()

    assert [(one["record"], one["interval"]) for one in first["available"]] == [
        ("live", "1h"), ("replay", "1h"), ("replay", "1d"), ("synthetic", "1h"),
    ]  # fmt: skip
    assert (first["record"], first["models"], first["notice"]) == ("live", ["live"], None)
    assert (daily["record"], daily["interval"]) == ("replay", "1d")
    assert "replay" in daily["notice"]
    assert (named["record"], named["models"]) == ("synthetic", ["synthetic"])
    assert "synthetic" in named["notice"]
    assert (missing["record"], missing["cells"], len(missing["available"])) == ("late", [], 4)
    assert "no evaluation of a late record of 1d" in missing["notice"]


async def test_the_verdicts_of_that_record_and_interval_are_beside_the_numbers(
    market: Market, running: Callable[..., Any]
) -> None:
    store(market, "replay", "1h")
    for record, interval in (("replay", "1h"), ("replay", "1d"), ("live", "1h")):
        judge(market, record, interval)
    async with running() as (client, _):
        document = (await client.get("/showcase/evaluation")).json()
        everywhere = (await client.get("/showcase/performance/verdicts")).json()["verdicts"]

    assert document["verdicts"] == [one for one in everywhere if (one["record"], one["interval"]) == ("replay", "1h")]
    assert len(document["verdicts"]) == 1
    assert document["verdicts"][0]["days_to_decision"] == 80.0


async def test_what_was_stored_is_sent_as_it_is(market: Market, running: Callable[..., Any]) -> None:
    cells = [{"model_name": "kronos", "note": '≥ 1 — ünïcode " \\ </script>', "value": 0.123456}]
    store(market, "replay", "1h", cells=cells)
    async with running() as (client, _):
        answer = await client.get("/showcase/evaluation")
        again = await client.get("/showcase/evaluation", headers={"if-none-match": answer.headers["etag"]})

    assert answer.json()["cells"] == cells
    assert again.status_code == 304


async def test_a_wrong_record_is_refused_and_a_misspelt_parameter_too(
    market: Market, running: Callable[..., Any]
) -> None:
    async with running() as (client, _):
        wrong = await client.get("/showcase/evaluation", params={"record": "paper"})
        misspelt = await client.get("/showcase/evaluation", params={"records": "live"})

    assert [answer.json()["code"] for answer in (wrong, misspelt)] == ["bad_parameter"] * 2


async def test_it_is_served_while_the_database_is_away(
    market: Market, proxy: Proxy, proxied_url: str, running: Callable[..., Any]
) -> None:
    store(market, "replay", "1h", models=["kronos"])
    async with running(proxied_url) as (client, _):
        await client.get("/showcase/evaluation")
        proxy.mode = "refuse"
        answer = await client.get("/showcase/evaluation")

    assert (answer.status_code, answer.json()["models"]) == (200, ["kronos"])
