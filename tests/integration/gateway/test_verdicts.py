"""Whether a model beats the baseline, from the sums in the database to the sentence on the page."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from candlecast.scoring import effective_sample
from gateway.answers import Moment
from gateway.overview import RENDER_EVERY_S
from jobs.score import score
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, random_walk, rows_of

VERDICTS = "/showcase/performance/verdicts"
FIRST = date(2025, 1, 1)

WORSE = (
    "kronos-nano, hourly, replay: CRPS 4.0% worse than baseline-rw over 120 common forecasts of 2 instruments "
    "(skill −4.0%, 95% interval −5.8% to −2.2%): it does not beat the baseline."
)


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
    """Four days; a step of 4 bars counts half of its loss: 53 + 100 / 2 beside 50 + 100 / 2, then 55 + 50."""
    add_days(market, [53.0, 55.0, 53.0, 55.0], 50.0)
    add_days(market, [100.0] * 4, 100.0, symbol="ETHUSDT", step=4, n=10)


async def test_the_verdict_pools_steps_and_instruments_in_units_of_their_span(market: Any, running: Any) -> None:
    add_worse(market)
    add_days(market, [0.0], 0.0, symbol="EURUSD", n=0, first=date(2020, 1, 1))  # voids alone: no day of the record

    async with running() as (client, _):
        answer = await client.get(VERDICTS)

    (verdict,) = answer.json()["verdicts"]
    assert verdict["crps_skill"] == pytest.approx(1 - 416 / 400)
    assert (verdict["low"], verdict["high"]) == pytest.approx((-0.0583716, -0.0216284), abs=1e-6)
    assert (verdict["n_forecasts"], verdict["n_symbols"], verdict["n_pairs"]) == (120, 2, 120)
    assert verdict["n_eff"] == pytest.approx((effective_sample(80, 1) + effective_sample(40, 4)) / 2)
    assert (verdict["n_blocks"], verdict["first_day"], verdict["last_day"]) == (4, "2025-01-01", "2025-01-04")
    assert (verdict["verdict"], verdict["sentence"]) == ("worse", WORSE)


async def test_records_intervals_and_models_are_never_mixed(market: Any, running: Any) -> None:
    add_worse(market)
    add_days(market, [48.5, 47.5] * 2, 50.0, record="live")
    add_days(market, [10.0] * 4, 50.0, record="late", step=120)
    add_days(market, [200.0] * 4, 50.0, interval="1d")
    add_days(market, [10.0] * 4, 50.0, model_name="kronos-base", record="synthetic")

    async with running() as (client, _):
        answer = (await client.get(VERDICTS)).json()

    assert [
        (
            one["model_name"],
            one["interval"],
            one["record"],
            one["verdict"],
            round(one["crps_skill"], 6),
            one["n_blocks"],
        )
        for one in answer["verdicts"]
    ] == [
        ("kronos-base", "1h", "synthetic", "better", 0.8, 4),
        ("kronos-nano", "1h", "live", "better", 0.04, 4),
        ("kronos-nano", "1h", "late", "undecided", 0.8, 1),
        ("kronos-nano", "1h", "replay", "worse", -0.04, 4),
        ("kronos-nano", "1d", "replay", "worse", -3.0, 2),
    ]
    assert "random generator" in answer["notice"]


@pytest.mark.parametrize(
    ("interval", "step", "n_days", "n_blocks"),
    [
        ("1h", 1, 7, 7),
        ("1h", 1, 100, 20),  # never more than 20
        ("1h", 24, 19, 3),  # 24 bars of a share take 4.8 days
        ("1h", 120, 47, 1),  # 24 days
        ("1h", 120, 48, 2),
        ("1d", 20, 83, 2),  # 28 days
    ],
)
async def test_a_block_is_as_long_as_the_longest_step(
    market: Any, running: Any, interval: str, step: int, n_days: int, n_blocks: int
) -> None:
    add_days(market, [90.0] * n_days, 100.0, interval=interval, step=step, n=100)

    async with running() as (client, _):
        (verdict,) = (await client.get(VERDICTS)).json()["verdicts"]

    assert verdict["n_blocks"] == n_blocks
    assert (verdict["low"] is None) == (n_blocks == 1)


async def test_neighbouring_days_of_a_long_step_are_one_block(market: Any, running: Any) -> None:
    add_days(market, [100.0] * 24 + [110.0] * 24, 100.0, step=120, n=100)

    async with running() as (client, _):
        (verdict,) = (await client.get(VERDICTS)).json()["verdicts"]

    # Two blocks of 24 days: residuals 120 and -120, error sqrt(2 * 2 * 120²) / 4800 = 0.05, t with one degree 12.706
    assert (verdict["low"], verdict["high"]) == pytest.approx((-0.05 - 0.6353, -0.05 + 0.6353))
    assert verdict["verdict"] == "undecided"


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
        (verdict,) = (await client.get(VERDICTS)).json()["verdicts"]

    pairs = rows_of(
        engine,
        "SELECT a.target_at, step, a.crps AS model, b.crps AS base FROM candlecast.prediction_scores AS a "
        "JOIN candlecast.prediction_scores AS b USING (symbol, issued_at, step) "
        "WHERE a.model_name = 'kronos' AND b.model_name = 'baseline-rw'",
    )
    days: dict[Any, list[float]] = {}
    for pair in pairs:
        day = days.setdefault(pair["target_at"].astimezone(at(0).tzinfo).date(), [0.0, 0.0])
        day[0] += pair["model"] / math.sqrt(pair["step"])
        day[1] += pair["base"] / math.sqrt(pair["step"])
    model, base = (sum(day[place] for day in days.values()) for place in (0, 1))
    assert verdict["n_forecasts"] == 2 * 50
    assert verdict["n_pairs"] == len(pairs) == 2 * 2 * 50
    assert (verdict["first_day"], verdict["last_day"]) == (str(min(days)), str(max(days)))
    assert verdict["n_blocks"] == len(days) == 5
    assert verdict["crps_skill"] == pytest.approx(1 - model / base)
    squares = sum((model / base * day[1] - day[0]) ** 2 for day in days.values())
    half = 2.776 * math.sqrt(5 / 4 * squares) / base  # t with 4 degrees
    assert verdict["high"] - verdict["low"] == pytest.approx(2 * half)


async def test_the_page_says_it_when_a_model_does_not_beat_the_baseline(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    market.issue("BTCUSDT", model_name="baseline-rw")
    market.issue("BTCUSDT", interval="1d", model_name="kronos-nano")
    add_worse(market)
    add_days(market, [1.0] * 4, 50.0, model_name="kronos-retired")

    async with running() as (client, _):
        page = await client.get("/")

    assert WORSE in page.text
    assert "kronos-nano, daily: not scored yet." in page.text
    assert "baseline-rw, hourly" not in page.text
    assert "kronos-retired" not in page.text, "only models that are shown"
    assert "<script" not in page.text
    assert "style=" not in page.text


async def test_the_page_is_drawn_with_the_newest_verdicts_though_no_forecast_came(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")

    async with running(poll_s=60.0) as (client, front):
        assert "kronos-nano, hourly: not scored yet." in (await client.get("/")).text
        add_worse(market)
        front.service.cache.drop(("verdicts",))
        await client.get(VERDICTS)
        overview = front.service.cache.peek(("overview",)).value
        later = overview.pick("page").at(Moment(front.service.moment().second + RENDER_EVERY_S, 0, None))

    assert WORSE in later.body.decode()


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

    async with running() as (client, _):
        verdicts = (await client.get(VERDICTS)).json()["verdicts"]

    assert [(one["model_name"], one["verdict"], one["crps_skill"]) for one in verdicts] == [
        ("chronos-2", "not_compared", None),
        ("lonely", "not_compared", None),
    ]
    assert "no sample paths" in verdicts[0]["sentence"]
    assert "no forecast of baseline-rw" in verdicts[1]["sentence"]


async def test_readers_of_page_and_verdicts_cost_no_query(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    add_worse(market)

    async with running(poll_s=60.0) as (client, front):
        before = front.service.database.n_queries
        for _ in range(20):
            assert (await client.get("/")).status_code == 200
            assert (await client.get(VERDICTS)).status_code == 200
        assert front.service.database.n_queries == before


async def test_where_the_scores_cannot_be_read_the_forecasts_are_served_without_them(market: Any, running: Any) -> None:
    market.issue("BTCUSDT", model_name="kronos-nano")
    with market.engine.begin() as conn:
        conn.execute(text("REVOKE SELECT ON candlecast.score_days FROM candlecast_reader"))

    async with running() as (client, _):
        page = await client.get("/")
        answer = await client.get(VERDICTS)

    assert page.status_code == 200
    assert "The scores cannot be read at the moment." in page.text
    assert "/showcase/ml-prediction/BTCUSDT?interval=1h" in page.text
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


async def test_verdicts_are_described_and_unknown_parameters_refused(market: Any, running: Any) -> None:
    add_worse(market)

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
