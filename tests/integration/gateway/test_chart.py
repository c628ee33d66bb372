"""What a chart is drawn from, on a real database: bars, fan as served, what then happened, and what was known when."""

import asyncio
import math
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from candlecast.calendar import WITHDRAWN
from tests.integration.scores.market import HOUR, add_bars, at, correct_bar, forecast, issue

BTC = "/showcase/chart/BTCUSDT"
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def instant(moment: str) -> datetime:
    return datetime.fromisoformat(moment)


def add_vintage(
    market: Any,
    entry_id: str,
    known_at: datetime,
    ts: datetime,
    *,
    family: str | None = "CPI",
    impact: str = "High",
    actual: float | None = None,
    forecast: float | None = None,
) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.economic_calendar "
                "(entry_id, known_at, ts, currency, family, event, impact, forecast, actual, source) "
                "VALUES (:entry_id, :known_at, :ts, 'USD', :family, :entry_id, :impact, :forecast, :actual, 'test')"
            ),
            {
                "entry_id": entry_id,
                "known_at": known_at,
                "ts": ts,
                "family": family,
                "impact": impact,
                "forecast": forecast,
                "actual": actual,
            },
        )


async def charts(running: Any, *addresses: str) -> Sequence[Any]:
    async with running() as (client, _):
        answers = [await client.get(address) for address in addresses]
    assert [answer.status_code for answer in answers] == [200] * len(answers), answers[-1].text
    return [answer.json() for answer in answers]


async def test_the_fan_is_the_one_that_was_served_at_all_levels(market: Any, running: Any) -> None:
    issue(market.engine, [forecast(0, factor=2.0, model_name="kronos-nano"), forecast(0)])

    corrected, raw, newest = await charts(
        running, f"{BTC}?model=kronos-nano", f"{BTC}?model_name=baseline-rw", "/showcase/ml-prediction/BTCUSDT"
    )

    # forecast() draws level p at 100 exp(0.05 (p - 0.5)); the correction doubles the distance from the median.
    levels = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
    assert corrected["forecast"]["levels"] == levels
    assert len(corrected["forecast"]["fan"]) == corrected["forecast"]["horizon"] == 4
    for step in corrected["forecast"]["fan"]:
        assert step == pytest.approx([100 * math.exp(0.10 * (level - 0.5)) for level in levels])
    assert raw["forecast"]["fan"][0] == pytest.approx([100 * math.exp(0.05 * (level - 0.5)) for level in levels])
    assert (corrected["forecast"]["corrected"], raw["forecast"]["corrected"]) == (True, False)
    assert [step[1] for step in corrected["forecast"]["fan"]] == newest["p10"]
    assert [step[9] for step in corrected["forecast"]["fan"]] == newest["p90"]
    assert corrected["models"] == ["kronos-nano", "baseline-rw"]


async def test_the_last_240_bars_stand_before_the_issue_time_and_what_followed_up_to_the_horizon_behind(
    market: Any, running: Any
) -> None:
    add_bars(market.engine, {hour: 1000.0 + hour for hour in range(-299, 10)})
    issue(market.engine, [forecast(0)])

    (chart,) = await charts(running, BTC)

    assert chart["bars"]["close"] == [1000.0 + hour for hour in range(-239, 1)]
    assert instant(chart["bars"]["closed_at"][-1]) == at(0)
    assert chart["after"]["close"] == [1001.0, 1002.0, 1003.0, 1004.0]
    assert instant(chart["after"]["closed_at"][-1]) == at(4)
    assert {len(column) for column in chart["bars"].values()} == {240}


async def test_a_daily_chart_has_daily_bars_only(market: Any, running: Any) -> None:
    market.issue(interval="1d", issued_at=at(0), price=50.0)
    add_bars(market.engine, {0: 99.0, 1: 99.0})
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.ohlcv_1d (symbol, ts, closed_at, open, high, low, close, volume, source, "
                "first_seen) SELECT 'BTCUSDT', day - interval '1 day', day, 1, 4, 1, 2, 3, 'test', day "
                "FROM unnest(CAST(:days AS timestamptz[])) AS day"
            ),
            {"days": [at(0), at(24)]},
        )

    (chart,) = await charts(running, f"{BTC}?interval=1d")

    assert [(chart[side]["close"], chart[side]["volume"]) for side in ("bars", "after")] == [([2.0], [3.0])] * 2


async def test_an_earlier_band_is_judged_by_the_closes_that_are_known_its_ends_included(
    market: Any, running: Any
) -> None:
    market.issue(issued_at=at(0), price=100.0, horizon=4, status="replay")  # bands of 100 ± 1, ± 2, ± 3, ± 4
    market.issue(issued_at=at(2), price=100.0, horizon=4, status="replay")
    add_bars(market.engine, {1: 101.0, 2: 102.5, 4: 96.0})  # on its end, outside, none yet, on its end

    (chart,) = await charts(running, BTC)

    (earlier,) = chart["previous"]
    assert (earlier["n_judged"], earlier["n_inside"]) == (3, 2)
    assert instant(earlier["issued_at"]) == at(0)
    assert earlier["p10"] == [99.0, 98.0, 97.0, 96.0]


async def test_earlier_fans_share_half_a_horizon_at_most_and_are_of_the_same_kind(market: Any, running: Any) -> None:
    issue(market.engine, [forecast(hour) for hour in range(20)])  # a horizon of 4
    issue(market.engine, [forecast(hour, replay=False) for hour in range(20, 24)])
    issue(market.engine, [forecast(19, model_name="kronos-nano")])

    replay_id = forecast(19).prediction_id
    replayed, live = await charts(running, f"{BTC}?prediction_id={replay_id}", f"{BTC}?model_name=baseline-rw")

    assert [instant(one["issued_at"]) for one in replayed["previous"]] == [at(17 - 2 * n) for n in range(6)]
    assert [instant(one["issued_at"]) for one in live["previous"]] == [at(21)]


async def test_a_chart_by_id_shows_the_bars_that_had_arrived_with_the_values_they_had(
    market: Any, running: Any
) -> None:
    add_bars(market.engine, {-3: 100.0, -2: 100.0, -1: 100.0, 0: 100.0}, origin=NOW)
    issue(market.engine, [forecast(0, replay=False, origin=NOW)])
    later = datetime.now(UTC) + timedelta(hours=1)
    with market.engine.begin() as conn:  # one bar arrives after the forecast was recorded, one is corrected
        conn.execute(
            text("UPDATE candlecast.ohlcv_1h SET first_seen = :later WHERE closed_at = :closed_at"),
            {"later": later, "closed_at": NOW - 2 * HOUR},
        )
    correct_bar(market.engine, int((NOW - at(0)) / HOUR) - 1, 107.0, revised_at=later)

    prediction_id = forecast(0, replay=False, origin=NOW).prediction_id
    seen, today = await charts(running, f"{BTC}?prediction_id={prediction_id}", BTC)

    assert seen["bars"]["close"] == [100.0, 100.0, 100.0]
    assert [instant(moment) for moment in seen["bars"]["closed_at"]] == [NOW - 3 * HOUR, NOW - HOUR, NOW]
    assert today["bars"]["close"] == [100.0, 100.0, 107.0, 100.0]
    assert seen["seen_at"] == seen["forecast"]["generated_at"]
    assert "had arrived" in seen["note"]


async def test_a_replay_by_id_shows_the_values_of_its_slot_though_it_was_recorded_later(
    market: Any, running: Any
) -> None:
    add_bars(market.engine, {-1: 100.0, 0: 100.0, 1: 100.0})
    correct_bar(market.engine, -1, 90.0, revised_at=at(-0.5))  # before the slot
    correct_bar(market.engine, 0, 107.0, revised_at=at(30))  # after it, long before the replay was made
    correct_bar(market.engine, 1, 109.0, revised_at=at(30))  # what then happened is told as it is known today
    issue(market.engine, [forecast(0)])

    (seen,) = await charts(running, f"{BTC}?prediction_id={forecast(0).prediction_id}")

    assert seen["bars"]["close"] == [90.0, 100.0]
    assert seen["after"]["close"] == [109.0]
    assert "replayed later" in seen["note"]


async def test_releases_are_those_known_when_the_forecast_was_seen(market: Any, running: Any) -> None:
    add_bars(market.engine, {-5: 100.0, 0: 100.0}, origin=NOW)
    issue(market.engine, [forecast(0, replay=False, origin=NOW)])
    listed, future = NOW - timedelta(days=60), datetime.now(UTC) + timedelta(hours=1)
    add_vintage(market, "cpi out", listed, NOW - 3 * HOUR, forecast=2.5)
    add_vintage(market, "cpi out", NOW - 3 * HOUR, NOW - 3 * HOUR, forecast=2.5, actual=2.4)
    add_vintage(market, "fomc ahead", listed, NOW + 3 * HOUR, family="FOMC")
    add_vintage(market, "fomc ahead", future, NOW + 3 * HOUR, family="FOMC", actual=4.5)
    add_vintage(market, "moved away", listed, NOW + 2 * HOUR)
    add_vintage(market, "moved away", NOW - HOUR, NOW + timedelta(days=9))
    add_vintage(market, "withdrawn", listed, NOW + 2 * HOUR)
    add_vintage(market, "withdrawn", NOW - HOUR, NOW + 2 * HOUR, impact=WITHDRAWN)
    add_vintage(market, "announced too late", future, NOW + 2 * HOUR)
    add_vintage(market, "gdp", listed, NOW + 2 * HOUR, family="GDP")
    add_vintage(market, "before the first bar", listed, NOW - 6 * HOUR)
    add_vintage(market, "beyond the last target", listed, NOW + 5 * HOUR)

    prediction_id = forecast(0, replay=False, origin=NOW).prediction_id
    (chart,) = await charts(running, f"{BTC}?prediction_id={prediction_id}")

    told = [(one["event"], one["family"], one["actual"], one["forecast"], one["scheduled"]) for one in chart["events"]]
    assert told == [("cpi out", "CPI", 2.4, 2.5, False), ("fomc ahead", "FOMC", None, None, True)]
    assert [instant(one["at"]) for one in chart["events"]] == [NOW - 3 * HOUR, NOW + 3 * HOUR]


async def test_a_superseded_forecast_keeps_its_address_and_is_not_called_stale(market: Any, running: Any) -> None:
    issue(market.engine, [forecast(0)])
    by_id = f"{BTC}?prediction_id={forecast(0).prediction_id}"

    async with running() as (client, _):
        alone = (await client.get(by_id)).json()
        await client.get(BTC)
        issue(market.engine, [forecast(1)])
        newest: Any = None
        for _ in range(500):  # the watch looks every 50 ms
            newest, older = (await client.get(BTC)).json(), (await client.get(by_id)).json()
            if instant(newest["forecast"]["issued_at"]) == at(1) and not older["newest"]:
                break
            await asyncio.sleep(0.02)

    assert (alone["newest"], alone["stale"]) == (True, True)  # it is of 2025, and nothing came after it
    assert alone["stale_reason"].startswith("overdue")
    assert (older["newest"], older["stale"], older["stale_reason"], older["expected_next_at"]) == (
        False, False, None, None,
    )  # fmt: skip
    assert older["age_seconds"] > 0
    assert older["forecast"]["href"] == f"/instrument/BTCUSDT?interval=1h&prediction_id={forecast(0).prediction_id}"
    assert instant(newest["forecast"]["issued_at"]) == at(1)


async def test_an_id_of_nothing_or_of_something_else_is_not_found(market: Any, running: Any) -> None:
    issue(market.engine, [forecast(0), forecast(0, symbol="ETHUSDT"), forecast(0, model_name="kronos-nano")])
    market.issue(interval="1d", issued_at=at(0))
    mine = forecast(0).prediction_id

    async with running() as (client, front):
        wrong = [
            await client.get(f"{BTC}?prediction_id={uuid.uuid4()}"),
            await client.get(f"{BTC}?prediction_id={forecast(0, symbol='ETHUSDT').prediction_id}"),
            await client.get(f"{BTC}?interval=1d&prediction_id={mine}"),
            await client.get(f"{BTC}?model_name=kronos-nano&prediction_id={mine}"),
        ]
        n_cached = len(front.service.cache)
        nothing = await client.get("/showcase/chart/AAPL")
        unknown = [await client.get("/showcase/chart/NOPE"), await client.get(f"{BTC}?model_name=gpt")]
        bad = await client.get(f"{BTC}?prediction_id=12")

        assert [(one.status_code, one.json()["code"]) for one in wrong] == [(404, "unknown_prediction")] * 4
        assert str(mine) in wrong[2].json()["detail"]
        assert (nothing.status_code, nothing.json()["code"]) == (404, "nothing_predicted")
        assert [one.json()["code"] for one in unknown] == ["unknown_symbol", "unknown_model"]
        assert bad.status_code == 422
        assert len(front.service.cache) == n_cached  # nobody fills the cache with ids of nothing
        assert not any(key[0] == "chart" for key in front.service.cache.all_keys())


async def test_one_load_serves_many_cold_readers(market: Any, running: Any) -> None:
    issue(market.engine, [forecast(0)])

    async with running(poll_s=60) as (client, front):
        before = front.service.database.n_queries
        answers = await asyncio.gather(*(client.get(BTC) for _ in range(50)))
        assert {answer.status_code for answer in answers} == {200}
        assert front.service.database.n_queries - before == 4


async def test_a_slow_chart_is_waited_for_while_the_database_answers(
    market: Any, running: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue(market.engine, [forecast(0)])

    async with running() as (client, front):
        database = front.service.database
        read = database.rows

        async def slowly(query: str, **parameters: Any) -> Any:
            if query == "gateway_chart_bars":
                await asyncio.sleep(0.5)
            return await read(query, **parameters)

        monkeypatch.setattr(database, "rows", slowly)
        answer = await client.get(BTC)

    assert answer.status_code == 200


async def test_without_a_database_a_seen_chart_stays_and_another_is_refused_at_once(
    market: Any, running: Any, proxy: Any, proxied_url: str
) -> None:
    issue(market.engine, [forecast(0), forecast(0, symbol="ETHUSDT")])

    async with running(proxied_url) as (client, _):
        assert (await client.get(BTC)).status_code == 200
        proxy.mode = "swallow"
        cold_at = asyncio.get_running_loop().time()
        cold = await client.get("/showcase/chart/ETHUSDT")
        waited_s = asyncio.get_running_loop().time() - cold_at
        warm = await client.get(BTC)

    assert (cold.status_code, warm.status_code) == (503, 200)
    assert waited_s < 0.25
    assert int(cold.headers["retry-after"]) >= 1
    assert cold.headers["content-type"] == "application/problem+json"
