"""The predict job on a real database: what it reads, what it writes, and that a slot can be run again."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text

import jobs.predict
from candlecast.baselines import RandomWalk
from candlecast.forecasts import LEVELS, Result, Series
from candlecast.instruments import load_instruments
from candlecast.store.instruments import upsert_instruments
from candlecast.store.predictions import PredictionRow
from candlecast.store.runs import Item
from jobs.forecasters import HttpForecaster
from jobs.predict import BASELINE, Request, UnknownSymbols, predict
from jobs.run import Terminated
from jobs.servers import started
from tests.small_market import LEADERS, SLOT, SYMBOLS, Market, crowd, random_bars

HOURLY = Request(interval="1h", slot=SLOT, model_name=BASELINE, horizon=24, lookback=200, n_paths=20, replay=True)
DAILY = replace(HOURLY, interval="1d", slot=SLOT.replace(hour=5, minute=45))


def run(market: Market, request: Request, forecaster: HttpForecaster | None = None) -> list[Item]:
    items: list[Item] = []
    predict(market.engine, request, forecaster=forecaster, run=None, deadline_s=60, on_item=items.append)
    return items


def rows(market: Market) -> list[dict[str, object]]:
    columns = (
        "symbol, interval, model_name, model_version, issued_at, horizon, target_at, last_close, scale, p10, p50, p90, "
        "fan, seed, n_paths, lookback_start, lookback_end, data_hash, event_context, synthetic, status"
    )
    with market.engine.connect() as conn:
        found = conn.execute(
            text(f"SELECT {columns} FROM candlecast.ml_predictions ORDER BY interval, symbol, issued_at")
        )
        return [dict(row) for row in found.mappings()]


def test_every_instrument_of_every_class_gets_a_row_with_its_own_targets(market: Market) -> None:
    items = run(market, HOURLY)

    assert {(item.symbol, item.outcome) for item in items} == {(symbol, "ok") for symbol in SYMBOLS}
    by_symbol = {row["symbol"]: row for row in rows(market)}
    # The slot is 15:55Z: crypto's newest closed bar ended 15:00Z, New York's (13:30, 14:30, …) ended 15:30Z.
    assert by_symbol["BTCUSDT"]["issued_at"] == SLOT.replace(hour=15, minute=0)
    assert by_symbol["SPY"]["issued_at"] == SLOT.replace(hour=15, minute=30)
    spy_targets = by_symbol["SPY"]["target_at"]
    assert isinstance(spy_targets, list)
    # 16:30 to 19:30, the half hour to the close at 20:00, then the next morning.
    assert [at.strftime("%d %H:%M") for at in spy_targets[:6]] == [
        "02 16:30", "02 17:30", "02 18:30", "02 19:30", "02 20:00", "03 14:30",
    ]  # fmt: skip


def test_a_row_carries_what_is_needed_to_make_it_again(market: Market) -> None:
    run(market, HOURLY)

    row = next(row for row in rows(market) if row["symbol"] == "EURUSD")
    assert row["model_version"] == RandomWalk().info.version
    assert row["status"] == "replay"
    assert row["synthetic"] is False
    assert row["n_paths"] == 20
    assert len(row["fan"]) == 24 * len(LEVELS)
    assert len(row["data_hash"]) == 32
    assert row["lookback_end"] == row["issued_at"]
    assert row["event_context"]["events"]["channels"] == "events-20"


def test_running_a_slot_again_changes_no_row(market: Market) -> None:
    run(market, HOURLY)
    before = rows(market)

    items = run(market, HOURLY)

    assert {item.outcome for item in items} == {"exists"}
    assert rows(market) == before


def test_a_late_start_sees_the_same_bars(market: Market) -> None:
    run(market, HOURLY)
    before = rows(market)

    # The database already holds bars that closed after the slot; a process that starts at 16:50 has them too.
    items = run(market, replace(HOURLY, slot=SLOT))

    assert {item.outcome for item in items} == {"exists"}
    assert rows(market) == before


def test_one_broken_instrument_does_not_stop_the_others(market: Market) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text("DELETE FROM candlecast.ohlcv_1h WHERE symbol = 'ETHUSDT' AND extract(hour FROM ts) IN (3, 4, 5)")
        )
        conn.execute(text("DELETE FROM candlecast.ohlcv_1h WHERE symbol = 'XAUUSD'"))

    outcomes = {item.symbol: (item.outcome, (item.reason or "").partition(":")[0]) for item in run(market, HOURLY)}

    assert outcomes == {
        "BTCUSDT": ("ok", ""),
        "ETHUSDT": ("refused", "holes"),
        "SPY": ("ok", ""),
        "EURUSD": ("ok", ""),
        "XAUUSD": ("refused", "no_bars"),
    }


def test_a_feed_that_stopped_is_refused_with_the_bar_that_is_missing(market: Market) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text("DELETE FROM candlecast.ohlcv_1h WHERE symbol = 'BTCUSDT' AND ts >= :ts"),
            {"ts": SLOT.replace(hour=13, minute=0)},
        )

    refused = next(item for item in run(market, HOURLY) if item.symbol == "BTCUSDT")

    assert refused.outcome == "refused"
    assert refused.reason is not None
    assert (
        "newest 1h bar closed 2025-06-02T13:00Z, but the one that closed 2025-06-02T14:00Z is missing" in refused.reason
    )


def test_a_constant_price_has_no_scale_and_is_refused_alone(market: Market) -> None:
    with market.engine.begin() as conn:
        conn.execute(
            text("UPDATE candlecast.ohlcv_1h SET open = 5, high = 5, low = 5, close = 5 WHERE symbol = 'EURUSD'")
        )

    outcomes = {item.symbol: item.outcome for item in run(market, HOURLY)}

    assert outcomes.pop("EURUSD") == "refused"
    assert set(outcomes.values()) == {"ok"}


def test_a_forecast_that_cannot_be_put_on_record_does_not_stop_its_neighbours(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = jobs.predict.row_of

    def crossed_for_spy(*arguments: Any) -> PredictionRow:
        row = honest(*arguments)
        return replace(row, p10=row.p90, p90=row.p10) if row.symbol == "SPY" else row

    monkeypatch.setattr(jobs.predict, "row_of", crossed_for_spy)

    outcomes = {item.symbol: (item.outcome, (item.reason or "").partition(":")[0]) for item in run(market, HOURLY)}

    assert outcomes.pop("SPY") == ("refused", "bad_forecast")
    assert set(outcomes.values()) == {("ok", "")}
    assert {row["symbol"] for row in rows(market)} == set(SYMBOLS) - {"SPY"}


def test_a_server_that_is_down_costs_the_model_its_rows_and_the_baseline_none(market: Market) -> None:
    with HttpForecaster("http://127.0.0.1:1", "kronos-base", sleep=lambda seconds: None) as forecaster:
        items = run(market, replace(HOURLY, model_name="kronos-base"), forecaster)

    outcomes = {(item.symbol, item.model_name): (item.outcome, (item.reason or "")[:8]) for item in items}
    assert all(outcomes[symbol, BASELINE] == ("ok", "") for symbol in SYMBOLS)
    assert all(outcomes[symbol, "kronos-base"] == ("skipped", "gpu_down") for symbol in SYMBOLS)
    assert {row["model_name"] for row in rows(market)} == {BASELINE}


class Ends(HttpForecaster):
    """Gives three forecasts of the baseline; then the process is told to end."""

    info = RandomWalk.info

    def forecast(self, series: Sequence[Series], **asked: Any) -> Iterator[Result]:
        asked = {name: asked[name] for name in ("horizon", "n_paths", "base_seed")}
        yield from RandomWalk().forecast(series[:3], **asked)
        raise Terminated


def test_what_was_answered_before_the_process_is_told_to_end_is_kept(market: Market) -> None:
    with Ends("http://127.0.0.1:1", BASELINE) as forecaster, pytest.raises(Terminated):
        run(market, HOURLY, forecaster)

    assert len(rows(market)) == 3


@pytest.mark.parametrize("through_a_server", [True, False])
def test_the_number_of_queries_does_not_grow_with_the_number_of_instruments(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, through_a_server: bool
) -> None:
    monkeypatch.setattr(jobs.predict, "COMMIT_S", 3600.0)  # a slow machine commits more often
    with engine.begin() as conn:
        upsert_instruments(conn, load_instruments())
    generated = crowd(Market(engine, (), SLOT), 55)
    statements: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def count(conn: object, cursor: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    def n_queries(symbols: tuple[str, ...], forecaster: HttpForecaster | None) -> int:
        statements.clear()
        items = run(generated, replace(HOURLY, symbols=symbols), forecaster)
        assert [item.outcome for item in items] == ["ok"] * len(symbols)
        return len(statements)

    with ExitStack() as stack:
        forecaster = None
        if through_a_server:
            url = stack.enter_context(started("inference server", "inference_server", [], tmp_path))
            forecaster = stack.enter_context(HttpForecaster(url, BASELINE))
        few = n_queries(generated.symbols[:5], forecaster)
        many = n_queries(generated.symbols[5:], forecaster)

    assert few == many
    assert few < 20


def test_an_unknown_symbol_is_named_with_those_that_are_known(market: Market) -> None:
    with pytest.raises(UnknownSymbols, match=r"not among the forecast instruments: DXY, NOPE; known are BTCUSDT, "):
        run(market, replace(HOURLY, symbols=("DXY", "BTCUSDT", "NOPE")))


def test_a_dry_run_writes_nothing(market: Market) -> None:
    items = run(market, replace(HOURLY, dry_run=True))

    assert {item.outcome for item in items} == {"skipped"}
    assert rows(market) == []


def test_a_row_made_before_its_first_target_closes_is_on_time_and_later_ones_are_late(engine: Engine) -> None:
    from candlecast.clock import utc_now

    now = utc_now()
    with engine.begin() as conn:
        upsert_instruments(conn, load_instruments())
    live = Market(engine, ("BTCUSDT",), now)
    live.store("1h", {s: random_bars(s, "1h", now - timedelta(days=20), now + timedelta(hours=1), 1) for s in LEADERS})
    request = replace(HOURLY, slot=now, symbols=("BTCUSDT",), replay=False)

    run(live, request)
    run(live, replace(request, slot=now - timedelta(hours=3)))

    statuses = {row["issued_at"]: row["status"] for row in rows(live)}
    newest = max(statuses)
    assert statuses.pop(newest) == "on_time"
    assert set(statuses.values()) == {"late"}
    assert newest <= now < newest + timedelta(hours=1, minutes=1)


@pytest.mark.parametrize("request_", [HOURLY, DAILY], ids=["1h", "1d"])
def test_bands_open_from_the_last_close(market: Market, request_: Request) -> None:
    run(market, request_)

    for row in rows(market):
        p10, p50, p90 = (row[name] for name in ("p10", "p50", "p90"))
        assert p10[0] < row["last_close"] < p90[0]
        assert p90[-1] - p10[-1] > p90[0] - p10[0]
        assert p50[0] == pytest.approx(row["last_close"], rel=1e-9)  # no drift


def test_a_moment_of_the_past_reads_only_what_had_closed(market: Market) -> None:
    run(market, HOURLY)

    for row in rows(market):
        issued: datetime = row["issued_at"]  # type: ignore[assignment]
        assert issued <= SLOT
        assert row["target_at"][0] > SLOT - timedelta(minutes=1)
