"""Whether a model beats the baseline, from the sums in the database to the sentence on the page."""

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from candlecast.store.verdicts import read_behind, read_days
from candlecast.verdicts import Cell, judge
from gateway.answers import Moment
from gateway.content.overview import RENDER_EVERY_S
from jobs.score import score
from jobs.verdicts import ASSET_CLASSES, judged, refresh_verdicts
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, random_walk, rows_of

VERDICTS = "/showcase/performance/verdicts"
FIRST = date(2025, 1, 1)

AS_OF = datetime(2027, 1, 1, tzinfo=UTC)


def add_days(
    market: Any,
    losses: Sequence[float],
    baseline: float,
    *,
    symbol: str = "BTCUSDT",
    interval: str = "1h",
    model_name: str = "kronos-nano",
    record: str = "replay",
    step: int = 1,
    n: int = 20,
    first: date = FIRST,
) -> None:
    """What a series lost beside the baseline, in sigmas of a bar, on one day after another; n common pairs a day."""
    series = {"symbol": symbol, "interval": interval, "model_name": model_name, "record": record, "step": step}
    days = [
        {**series, "day": first + timedelta(days=place), "n": n, "loss": loss, "baseline": baseline}
        for place, loss in enumerate(losses)
    ]
    names = "n, n_common, n_common_crps, common_crps, baseline_crps"
    with market.engine.begin() as conn:
        conn.execute(
            text(
                f"INSERT INTO candlecast.score_days (symbol, interval, model_name, record, step, day, {names}) "
                "VALUES (:symbol, :interval, :model_name, :record, :step, :day, :n, :n, :n, :loss, :baseline)"
            ),
            days,
        )
        conn.execute(
            text(
                "INSERT INTO candlecast.score_totals "
                f"(symbol, interval, model_name, record, step, last_target_at, {names}) "
                "VALUES (:symbol, :interval, :model_name, :record, :step, :last, :n, :n, :n, :loss, :baseline)"
            ),
            {
                **series,
                "last": days[-1]["day"],
                "n": n * len(days),
                "loss": math.fsum(losses),
                "baseline": baseline * len(days),
            },
        )


def add_worse(market: Any) -> None:
    """Ninety days on which both steps lose about 4 % more; a step of 4 bars counts half of its loss."""
    add_days(market, [53.0, 55.0, 53.0] * 30, 50.0)
    add_days(market, [104.0, 102.0, 106.0] * 30, 100.0, symbol="ETHUSDT", step=4, n=10)


def refresh(market: Any, moment: datetime = AS_OF) -> None:
    with market.engine.begin() as conn:
        refresh_verdicts(conn, moment)


def pooled(answer: Any) -> list[dict[str, Any]]:
    return [one for one in answer.json()["verdicts"] if (one["asset_class"], one["step"]) == ("all", 0)]


async def test_the_verdict_pools_steps_and_instruments_in_units_of_their_span(market: Any, running: Any) -> None:
    add_worse(market)
    add_days(market, [0.0], 0.0, symbol="EURUSD", n=0, first=date(2020, 1, 1))  # voids alone: no day of the record
    refresh(market)

    async with running() as (client, _):
        answer = await client.get(VERDICTS)

    (verdict,) = pooled(answer)
    mean = (53 + 55 + 53) / 3 + (104 + 102 + 106) / 3 / 2
    assert verdict["crps_skill"] == pytest.approx(1 - mean / 100)
    assert (verdict["n_forecasts"], verdict["n_symbols"], verdict["n_pairs"]) == (20 * 90 + 10 * 90, 2, 30 * 90)
    assert (verdict["n_days"], verdict["first_day"], verdict["last_day"]) == (90, "2025-01-01", "2025-03-31")
    assert verdict["n_eff"] == pytest.approx(90 / (0.46 * (1 + 119 / 24)))  # the longest step of crypto takes 5 days
    assert verdict["n_cells"] == len(answer.json()["verdicts"]) == 4 * 5
    (alone,) = [one for one in answer.json()["verdicts"] if (one["asset_class"], one["step"]) == ("crypto", 4)]
    assert alone["crps_skill"] == pytest.approx(-0.04)
    assert (alone["n_pairs"], alone["n_forecasts"], alone["n_symbols"]) == (900, 900, 1)
    (empty,) = [one for one in answer.json()["verdicts"] if (one["asset_class"], one["step"]) == ("equity", 24)]
    assert (empty["verdict"], empty["n_days"], empty["crps_skill"]) == ("not_compared", 0, None)


async def test_a_verdict_is_that_of_the_cells_of_its_record_judged_together(market: Any, running: Any) -> None:
    add_worse(market)
    refresh(market)
    with market.engine.connect() as conn:
        days, behind = read_days(conn, AS_OF.date()), read_behind(conn)
    steps = days[days["step"] == 1]

    async with running() as (client, _):
        found = {(one["asset_class"], one["step"]): one for one in (await client.get(VERDICTS)).json()["verdicts"]}

    assert [(row["asset_class"], row["step"]) for row in judged(days, behind, AS_OF)] == list(
        dict.fromkeys((asset_class, step) for asset_class in ("all", *ASSET_CLASSES) for step in (0, 1, 4, 24, 120))
    )
    # The same days, twice: as the class and as all classes. Twenty cells in all, of which only six have days.
    one = Cell(steps["loss"].to_numpy(), steps["base"].to_numpy(), steps["n_pairs"].to_numpy(), 0.0)
    nothing = Cell(np.empty(0), np.empty(0), np.empty(0, np.int64), 0.0)
    alone = judge([one, one, *[nothing] * 18])[0]
    assert found["crypto", 1]["e_value"] == pytest.approx(alone.e_value)
    assert found["all", 1]["verdict"] == alone.verdict == "worse"
    assert (found["all", 1]["cs_low"], found["all", 1]["low"]) == pytest.approx((alone.cs_low, alone.low))


async def test_records_intervals_and_models_are_never_mixed(market: Any, running: Any) -> None:
    add_worse(market)
    add_days(market, [48.5, 47.5] * 50, 50.0, record="live")
    add_days(market, [10.0] * 4, 50.0, record="late", step=120)
    add_days(market, [200.0, 220.0] * 100, 50.0, interval="1d")
    add_days(market, [10.0, 11.0] * 50, 50.0, model_name="kronos-base", record="synthetic")
    refresh(market)

    async with running() as (client, _):
        answer = await client.get(VERDICTS)

    assert [
        (one["model_name"], one["interval"], one["record"], one["step"], one["verdict"], round(one["crps_skill"], 3))
        for one in answer.json()["verdicts"]
        if one["asset_class"] == "all" and one["n_days"] and one["step"] in (1, 120)
    ] == [
        ("kronos-base", "1h", "synthetic", 1, "better", 0.79),
        ("kronos-nano", "1h", "live", 1, "better", 0.04),
        ("kronos-nano", "1h", "late", 120, "undecided", 0.8),
        ("kronos-nano", "1h", "replay", 1, "worse", -0.073),
        ("kronos-nano", "1d", "replay", 1, "worse", -3.2),
    ]
    assert "random generator" in answer.json()["notice"]


async def test_a_day_that_is_not_over_is_not_judged(market: Any, running: Any) -> None:
    add_days(market, [90.0] * 9 + [900.0], 100.0)
    refresh(market, datetime(2025, 1, 10, 23, 59, tzinfo=UTC))

    async with running() as (client, _):
        (verdict,) = pooled(await client.get(VERDICTS))

    assert (verdict["n_days"], verdict["crps_skill"]) == (9, pytest.approx(0.1))


async def test_nothing_is_decided_by_fewer_than_thirty_outcomes_however_clear_they_look(
    market: Any, running: Any
) -> None:
    add_days(market, [50.0, 51.0] * 14, 100.0, step=1)
    refresh(market)

    async with running() as (client, _):
        found = {(one["asset_class"], one["step"]): one for one in (await client.get(VERDICTS)).json()["verdicts"]}

    assert found["crypto", 1]["n_eff"] == 28
    assert {one["verdict"] for one in found.values()} == {"undecided", "not_compared"}


async def test_the_verdict_is_what_the_scores_of_the_ledger_add_up_to(engine: Any, running: Any) -> None:
    add_instruments(engine)
    rows = []
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        add_bars(engine, random_walk(8 + seed, 200), symbol)
        rows += [forecast(hour, symbol=symbol, drift=0.001) for hour in range(0, 150, 2)]
        rows += [forecast(hour, symbol=symbol, model_name="kronos", scale=0.02, seed=1) for hour in range(50, 180)]
    issue(engine, rows)
    score(engine, "1h", as_of=at(200))

    async with running() as (client, _):
        (verdict,) = pooled(await client.get(VERDICTS))

    pairs = rows_of(
        engine,
        "SELECT a.target_at, step, a.crps AS model, b.crps AS base FROM candlecast.prediction_scores AS a "
        "JOIN candlecast.prediction_scores AS b USING (symbol, issued_at, step) "
        "WHERE a.model_name = 'kronos' AND b.model_name = 'baseline-rw'",
    )
    over = [pair for pair in pairs if pair["target_at"].astimezone(at(0).tzinfo).date() < at(200).date()]
    days = {pair["target_at"].astimezone(at(0).tzinfo).date() for pair in over}
    model, base = (sum(pair[name] / math.sqrt(pair["step"]) for pair in over) for name in ("model", "base"))
    assert verdict["n_pairs"] == len(over)
    assert verdict["n_forecasts"] == 2 * 50
    assert (verdict["first_day"], verdict["last_day"]) == (str(min(days)), str(max(days)))
    assert verdict["n_days"] == len(days)
    assert verdict["crps_skill"] == pytest.approx(1 - model / base)


async def test_the_page_says_it_when_a_model_does_not_beat_the_baseline(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    market.issue("BTCUSDT", model_name="baseline-rw")
    market.issue("BTCUSDT", interval="1d", model_name="kronos-nano")
    add_worse(market)
    add_days(market, [1.0] * 4, 50.0, model_name="kronos-retired")
    refresh(market)

    async with running() as (client, _):
        page = await client.get("/")
        daily = await client.get("/?interval=1d")

    assert "kronos-nano, hourly, replay: CRPS 5.7% worse than baseline-rw over 2,700 common forecasts" in page.text
    assert page.text.count("kronos-nano, hourly") == 1, "one sentence for the cell that pools"
    assert "kronos-nano, daily" not in page.text
    assert "kronos-nano, daily: not scored yet." in daily.text
    assert "baseline-rw, hourly" not in page.text
    assert "kronos-retired" not in page.text, "only models that are shown"
    assert "<script>" not in page.text
    assert "style=" not in page.text


async def test_the_page_is_drawn_with_the_newest_verdicts_though_no_forecast_came(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")

    async with running(poll_s=60.0) as (client, front):
        assert "kronos-nano, hourly: not scored yet." in (await client.get("/")).text
        add_worse(market)
        refresh(market)
        front.service.cache.drop(("verdicts",))
        await client.get(VERDICTS)
        board = front.service.cache.peek(("board", "", "")).value
        later = board.pick(None).at(Moment(front.service.moment().second + RENDER_EVERY_S, 0, None))

    assert "kronos-nano, hourly, replay: CRPS 5.7% worse" in later.body.decode()


async def test_before_anything_is_scored_the_page_says_so(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")

    async with running() as (client, _):
        page = await client.get("/")
        answer = await client.get(VERDICTS)

    assert "kronos-nano, hourly: not scored yet." in page.text
    assert answer.json()["verdicts"] == []


async def test_the_baseline_alone_is_compared_with_nothing(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="baseline-rw")

    async with running() as (client, _):
        assert "beat the baseline" not in (await client.get("/")).text


async def test_a_scored_model_without_common_rows_is_listed_without_numbers(market: Any, running: Any) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.score_totals "
                "(symbol, interval, model_name, record, step, last_target_at, n, n_common) VALUES "
                "('BTCUSDT', '1h', 'chronos-2', 'live', 1, '2025-01-01', 9, 7), "
                "('BTCUSDT', '1h', 'lonely', 'live', 1, '2025-01-01', 9, 0), "
                "('BTCUSDT', '1h', 'void', 'live', 1, '2025-01-01', 0, 0)"
            )
        )
        conn.execute(
            text(
                "INSERT INTO candlecast.score_days (symbol, interval, model_name, record, step, day, n, n_common) "
                "SELECT symbol, interval, model_name, record, step, '2025-01-01', n, n_common "
                "FROM candlecast.score_totals"
            )
        )
    refresh(market)

    async with running() as (client, _):
        verdicts = pooled(await client.get(VERDICTS))

    assert [(one["model_name"], one["verdict"], one["crps_skill"]) for one in verdicts] == [
        ("chronos-2", "not_compared", None),
        ("lonely", "not_compared", None),
    ]
    assert "no sample paths" in verdicts[0]["sentence"]
    assert "no forecast of baseline-rw" in verdicts[1]["sentence"]


async def test_readers_of_page_and_verdicts_cost_no_query(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    add_worse(market)
    refresh(market)

    async with running(poll_s=60.0) as (client, front):
        before = front.service.database.n_queries
        for _ in range(20):
            assert (await client.get("/")).status_code == 200
            assert (await client.get(VERDICTS)).status_code == 200
        assert front.service.database.n_queries == before


async def test_where_the_scores_cannot_be_read_the_forecasts_are_served_without_them(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    with market.engine.begin() as conn:
        conn.execute(text("REVOKE SELECT ON candlecast.skill_verdicts FROM candlecast_reader"))

    async with running() as (client, _):
        page = await client.get("/")
        answer = await client.get(VERDICTS)

    assert page.status_code == 200
    assert "The scores cannot be read at the moment." in page.text
    assert "/instrument/BTCUSDT?interval=1h" in page.text
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


async def test_verdicts_are_described_and_unknown_parameters_refused(market: Any, running: Any) -> None:
    add_worse(market)
    refresh(market)

    async with running() as (client, _):
        document = (await client.get("/openapi.json")).json()
        refused = await client.get(f"{VERDICTS}?model_name=kronos-nano")
        answer = await client.get(VERDICTS)

    route = document["paths"][VERDICTS]["get"]["responses"]
    assert route["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/VerdictsAnswer")
    schemas = document["components"]["schemas"]
    assert set(schemas["VerdictsAnswer"]["required"]) == set(answer.json())
    assert set(schemas["VerdictAnswer"]["required"]) == set(answer.json()["verdicts"][0])
    assert refused.status_code == 422
