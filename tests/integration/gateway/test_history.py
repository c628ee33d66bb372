"""The forecasts on record, page by page and one by one, and the whole track record, for holders of a key."""

import asyncio
import math
import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from sqlalchemy import text

from jobs.score import score
from tests.integration.scores.market import HOUR, add_bars, at, forecast, issue, rows_of

KEY = "Hq3-history-Zk81_wTz70pLmQv2xYs9"
BTC = "/v1/predictions/BTCUSDT"
Opened = Callable[..., Any]


@pytest.fixture
def opened(running: Any) -> Opened:
    """`async with opened() as (client, front)`: a gateway, and a client that holds a key."""

    @asynccontextmanager
    async def run(*url: str, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
        async with running(*url, showcase_api_key=KEY, **settings) as (client, front):
            client.headers["x-api-key"] = KEY
            yield client, front

    return run


def instant(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def z(moment: datetime) -> str:
    return quote(moment.isoformat())


async def follow(client: httpx.AsyncClient, address: str | None, between: Callable[[], None] = lambda: None) -> Any:
    """Everything from the first page to the last."""
    found: list[Any] = []
    while address is not None:
        answer = await client.get(address)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page["forecasts"] if "forecasts" in page else page["rows"]
        address = page["next"]
        between()
    return found


def on_record(market: Any, symbol: str = "BTCUSDT") -> list[str]:
    """The ids of an instrument's hourly forecasts in the promised order, by a plain query."""
    query = (
        "SELECT prediction_id::text AS id FROM candlecast.ml_predictions WHERE symbol = :symbol AND interval = '1h' "
        "ORDER BY issued_at DESC, recorded_at DESC, prediction_id DESC"
    )
    return [row["id"] for row in rows_of(market.engine, query, symbol=symbol)]


async def test_pages_together_hold_every_forecast_once_while_others_arrive(market: Any, opened: Opened) -> None:
    rng = random.Random(5)
    hours, models = list(range(400)), ("baseline-rw", "kronos-nano", "kronos-base")
    rng.shuffle(hours)

    def arrive() -> None:
        """Newer ones, replays of slots long past, and other instruments'."""
        issue(
            market.engine,
            [
                forecast(hour, model_name=rng.choice(models), n_paths=None, symbol=symbol)
                for hour in [hours.pop() for _ in range(rng.randrange(4)) if hours]
                for symbol in ("BTCUSDT", "ETHUSDT")
            ],
        )

    issue(
        market.engine, [forecast(hour, model_name=model, n_paths=None) for hour in range(400, 408) for model in models]
    )
    for _ in range(8):
        arrive()
    async with opened() as (client, _):
        for limit in (1, 2, 3, 7, 50, 200):
            whole = on_record(market)
            told = await follow(client, f"{BTC}?limit={limit}", arrive)
            assert [one["prediction_id"] for one in told] == whole
        assert len(whole) > 30

    assert set(on_record(market)) > set(whole)  # others did arrive while the last one was read


async def test_a_page_can_be_read_again_and_followed_later(market: Any, opened: Opened) -> None:
    issue(market.engine, [forecast(hour) for hour in (0, 2, 4)])

    async with opened() as (client, _):
        first = (await client.get(f"{BTC}?limit=1")).json()
        second = await client.get(first["next"])
        issue(market.engine, [forecast(hour) for hour in (1, 3, 5)])
        again = await client.get(first["next"])
        rest = await follow(client, second.json()["next"])

    assert second.content == again.content
    assert [instant(one["issued_at"]) for one in rest] == [at(0)]


async def test_the_answer_about_a_past_moment_never_changes(market: Any, opened: Opened) -> None:
    issue(market.engine, [forecast(0), forecast(5)])
    moment = rows_of(market.engine, "SELECT clock_timestamp() AS now")[0]["now"]
    address = f"{BTC}?as_of={z(moment)}"

    async with opened() as (client, _):
        before = await client.get(address)
        issue(market.engine, [forecast(3), forecast(9), forecast(5, model_name="kronos-nano")])
        after = await client.get(address)
        unbounded = (await client.get(BTC)).json()
        ahead = (await client.get(f"{BTC}?as_of=9999-12-31T23:59:59Z")).json()

    assert before.content == after.content
    assert [instant(one["issued_at"]) for one in after.json()["forecasts"]] == [at(5), at(0)]
    assert unbounded["n_forecasts"] == ahead["n_forecasts"] == 5


async def test_filters_select_by_issue_time_status_model_and_interval(market: Any, opened: Opened) -> None:
    issue(market.engine, [forecast(hour) for hour in (0, 1, 2, 3)])
    issue(market.engine, [forecast(2, model_name="kronos-nano", replay=False)])
    market.issue(interval="1d", issued_at=at(0))

    async with opened() as (client, _):

        async def told(filters: str) -> list[tuple[str, float]]:
            page = (await client.get(f"{BTC}?{filters}")).json()
            return [(one["model_name"], (instant(one["issued_at"]) - at(0)) / HOUR) for one in page["forecasts"]]

        assert await told(f"since={z(at(1))}&until={z(at(3))}&model_name=baseline-rw") == [
            ("baseline-rw", 2.0),
            ("baseline-rw", 1.0),
        ]
        assert await told("status=late") == [("kronos-nano", 2.0)]
        assert await told("status=replay&limit=2") == [("baseline-rw", 3.0), ("baseline-rw", 2.0)]
        assert await told("interval=1d") == [("baseline-rw", 0.0)]
        assert await told(f"since={z(at(3))}&until={z(at(1))}") == []
        assert await told("since=0001-01-01T00:00:00%2B23:59&until=9999-12-31T23:59:59Z&status=on_time") == []


async def test_an_item_says_what_was_served_and_what_to_know_about_it(market: Any, opened: Opened) -> None:
    issue(market.engine, [forecast(0, factor=2.0, model_name="kronos-nano", horizon=3)])

    async with opened() as (client, _):
        answer = await client.get("/v1/predictions/btcusdt")
        newest = (await client.get("/showcase/ml-prediction/BTCUSDT")).json()

    (item,) = answer.json()["forecasts"]
    # forecast() draws level p at 100 exp(0.05 (p - 0.5)); the correction doubles the distance from the median.
    assert item["p10"] == pytest.approx([100 * math.exp(-0.04)] * 3)
    assert item["p90"] == pytest.approx([100 * math.exp(0.04)] * 3)
    shared = (
        "prediction_id",
        "p10",
        "p50",
        "p90",
        "target_at",
        "issued_at",
        "generated_at",
        "notice",
        "status",
        "scale",
    )
    assert {name: item[name] for name in shared} == {name: newest[name] for name in shared}
    assert (item["corrected"], item["synthetic"], item["status"]) == (True, False, "replay")
    assert "replay" in item["notice"]
    assert answer.headers["cache-control"] == "private, no-store"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (f"{BTC}?cursor=abc", "bad_parameter"),
        (f"{BTC}?limit=0", "bad_parameter"),
        (f"{BTC}?limit=201", "bad_parameter"),
        (f"{BTC}?as_of=2025-07-01", "bad_parameter"),
        (f"{BTC}?as_of=2025-07-01T00:00:00", "bad_parameter"),
        (f"{BTC}?as_of=1751328000", "bad_parameter"),
        (f"{BTC}?status=good", "bad_parameter"),
        (f"{BTC}?horizon=3", "bad_parameter"),
        ("/v1/predictions/by-id/12", "bad_parameter"),
        (f"/v1/predictions/by-id/{uuid.UUID(int=1)}?paths=1", "bad_parameter"),
        ("/v1/predictions/NOPE", "unknown_symbol"),
        (f"{BTC}?model_name=gpt", "unknown_model"),
        (f"/v1/predictions/by-id/{uuid.UUID(int=1)}", "unknown_prediction"),
        ("/v1/performance?step=0", "bad_parameter"),
        ("/v1/performance?asset_class=bonds", "bad_parameter"),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_a_sentence(
    market: Any, opened: Opened, address: str, code: str
) -> None:
    market.issue()

    async with opened() as (client, _):
        answer = await client.get(address)

    assert (answer.status_code, answer.json()["code"]) == (422 if code == "bad_parameter" else 404, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Value error" not in answer.text


async def test_a_cursor_belongs_to_its_question(market: Any, opened: Opened) -> None:
    issue(market.engine, [forecast(hour, symbol=symbol) for hour in (0, 1) for symbol in ("BTCUSDT", "ETHUSDT")])

    async with opened() as (client, _):
        following = (await client.get(f"{BTC}?limit=1")).json()["next"]
        cursor = following.split("cursor=")[1]
        foreign = [
            f"/v1/predictions/ETHUSDT?limit=1&cursor={cursor}",
            f"{BTC}?limit=1&status=replay&cursor={cursor}",
            f"{BTC}?limit=1&interval=1d&cursor={cursor}",
            f"{BTC}?limit=1&cursor={cursor[:-1]}",
            f"/v1/performance?cursor={cursor}",
        ]
        answers = [await client.get(address) for address in foreign]
        longer = await client.get(following.replace("limit=1", "limit=9"))  # how much is read at once is no filter

    assert [answer.status_code for answer in answers] == [422] * len(foreign)
    assert "`next`" in answers[0].json()["detail"]
    assert longer.json()["n_forecasts"] == 1


async def test_one_forecast_is_told_with_all_that_is_on_record(market: Any, opened: Opened) -> None:
    row = forecast(0, factor=2.0, model_name="kronos-nano", horizon=4, n_paths=20)
    issue(market.engine, [forecast(-1, model_name="kronos-nano", n_paths=None), row])
    add_bars(market.engine, {0: 100.0, 1: 101.0, 4: 130.0})
    score(market.engine, "1h", as_of=at(5))
    (sealed,) = rows_of(
        market.engine, "SELECT * FROM candlecast.ml_predictions WHERE prediction_id = :id", id=row.prediction_id
    )

    async with opened() as (client, _):
        address = f"/v1/predictions/by-id/{row.prediction_id}"
        told, with_paths = (await client.get(address)).json(), (await client.get(f"{address}?paths=true")).json()
        with market.engine.begin() as conn:
            conn.execute(text("DELETE FROM candlecast.prediction_paths"))
        retired = (await client.get(f"{address}?paths=true")).json()

    levels = np.array(told["levels"])
    for step in range(4):
        assert told["raw_fan"][step] == pytest.approx(100 * np.exp(0.05 * (levels - 0.5)))
        assert told["fan"][step] == pytest.approx(100 * np.exp(0.10 * (levels - 0.5)))
    assert told["calibration"] == {"steps": [1], "factors": [[2.0] * 5 + [1.0] + [2.0] * 5], "n_eff": [100.0]}
    for name in ("row_hash", "prev_hash", "data_hash", "paths_hash"):
        assert told[name] == sealed[name].hex()
    assert (told["chain_seq"], told["newest"], told["stale"]) == (2, True, True)
    # Step 1 closed inside the corrected band (96.1 to 104.1), step 4 above it; the model's own was 98.0 to 102.0.
    scores = {one["step"]: one for one in told["scores"]}
    assert {step: (one["outcome"], one["inside"], one["raw_inside"]) for step, one in scores.items()} == {
        1: (101.0, True, True),
        4: (130.0, False, False),
    }
    assert scores[1]["log_return"] == pytest.approx(math.log(1.01))
    assert told["paths"] is None
    assert "?paths=true" in told["paths_note"]
    assert row.paths is not None
    np.testing.assert_array_equal(np.array(with_paths["paths"], dtype=np.float32), row.paths)
    assert retired["paths"] is None
    assert "no longer kept" in retired["paths_note"]
    assert retired["paths_hash"] == told["paths_hash"]


async def test_a_forecast_without_paths_and_with_a_void_says_so(market: Any, opened: Opened) -> None:
    row = forecast(0, n_paths=None)
    issue(market.engine, [row])
    score(market.engine, "1h", as_of=at(24 * 30))  # no bar came for seven days

    async with opened() as (client, _):
        told = (await client.get(f"/v1/predictions/by-id/{row.prediction_id}?paths=true")).json()

    assert "without any" in told["paths_note"]
    assert [(one["step"], one["void_reason"], one["outcome"]) for one in told["scores"]] == [
        (1, "no bar", None),
        (4, "no bar", None),
    ]


async def test_the_newest_score_of_a_step_counts(market: Any, opened: Opened) -> None:
    row = forecast(0, horizon=1)
    issue(market.engine, [row])
    add_bars(market.engine, {1: 101.0})
    score(market.engine, "1h", as_of=at(2))
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.prediction_scores SELECT (jsonb_populate_record(score, "
                "jsonb_build_object('revision', 1, 'outcome', 99))).* FROM candlecast.prediction_scores AS score"
            )
        )

    async with opened() as (client, _):
        told = (await client.get(f"/v1/predictions/by-id/{row.prediction_id}")).json()

    assert [(one["revision"], one["outcome"]) for one in told["scores"]] == [(1, 99.0)]


async def test_the_track_record_goes_on_past_every_page(market: Any, opened: Opened) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.score_totals (symbol, interval, model_name, record, step, last_target_at, n) "
                "SELECT symbol, '1h', 'kronos-nano', record, step, :at, 10 "
                "FROM unnest(ARRAY['BTCUSDT', 'ETHUSDT', 'AAPL']) AS symbol, "
                "unnest(ARRAY['live', 'replay']) AS record, generate_series(1, 400) AS step"
            ),
            {"at": at(0)},
        )
        conn.execute(text("REFRESH MATERIALIZED VIEW candlecast.signal_performance"))
    market.issue(model_name="kronos-nano")
    key = ("record", "symbol", "interval", "model_name", "step", "window")

    async with opened() as (client, _):
        pages = {limit: await follow(client, f"/v1/performance?limit={limit}") for limit in (700, 2000)}
        live = await follow(client, "/v1/performance?limit=333&record=live&window=all&asset_class=crypto")
        apple = await follow(client, "/v1/performance?limit=100&symbol=aapl&step=7&window=all")
        first = (await client.get("/v1/performance?limit=2&window=all")).json()

    expected = rows_of(market.engine, "SELECT * FROM candlecast.signal_performance")
    assert len(expected) >= 2400
    for told in pages.values():
        assert len(told) == len(expected)
        assert {tuple(row[name] for name in key) for row in told} == {
            tuple(row[name] for name in key) for row in expected
        }
    assert {(row["record"], row["window"], row["asset_class"]) for row in live} == {("live", "all", "crypto")}
    assert len(live) == 800
    assert [(row["record"], row["step"]) for row in apple] == [("live", 7), ("replay", 7)]
    assert (first["n_rows"], first["truncated"]) == (2, True)


async def test_without_a_database_a_reader_is_told_at_once(
    market: Any, opened: Opened, proxy: Any, proxied_url: str
) -> None:
    issue(market.engine, [forecast(0)])
    addresses = [
        BTC,
        f"/v1/predictions/by-id/{forecast(0).prediction_id}",
        "/v1/performance",
        "/v1/ledger",
        "/v1/ledger/baseline-rw/1h",
        "/v1/ledger/export",
        "/v1/ledger/export?format=parquet",
    ]

    async with opened(proxied_url) as (client, _):
        assert (await client.get(BTC)).status_code == 200
        proxy.mode = "swallow"
        for address in addresses:
            began = asyncio.get_running_loop().time()
            answer = await client.get(address)
            waited_s = asyncio.get_running_loop().time() - began
            assert (answer.status_code, answer.json()["code"]) == (503, "not_ready"), address
            assert int(answer.headers["retry-after"]) >= 1
            assert waited_s < 0.25, address


async def test_a_slow_page_is_waited_for_while_the_database_answers(
    market: Any, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is slow is one query, not the database: half a second of it is no reason to refuse."""
    issue(market.engine, [forecast(0)])

    async with opened() as (client, front):
        database = front.service.database
        read = database.rows

        async def slowly(query: str, **parameters: Any) -> Any:
            if query == "gateway_history":
                await asyncio.sleep(0.5)
            return await read(query, **parameters)

        monkeypatch.setattr(database, "rows", slowly)
        answer = await client.get(BTC)

    assert (answer.status_code, answer.json()["n_forecasts"]) == (200, 1)


async def test_nobody_reads_without_a_key(market: Any, running: Any) -> None:
    market.issue()
    addresses = [BTC, f"/v1/predictions/by-id/{uuid.UUID(int=1)}", "/v1/performance", "/v1/ledger", "/v1/ledger/export"]

    async with running(showcase_api_key=KEY) as (client, _):
        assert (await client.get(BTC, headers={"x-api-key": KEY})).status_code == 200
        for address in [*addresses, "/v1/ledger/baseline-rw/1h"]:  # also what a key has opened a moment ago
            assert (await client.get(address)).status_code == 401
            assert (await client.head(address)).status_code == 401
