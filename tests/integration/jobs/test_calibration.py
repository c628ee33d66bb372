"""Promise 1 for the calibrator, and what is served: through the whole job and a real database."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

import jobs.calibration
from candlecast.calibration import Correction, corrected
from candlecast.forecasts import LEVELS, Result, Series
from candlecast.store.instruments import read_instruments
from candlecast.store.ledger import verify
from jobs.calibration import calibrator
from jobs.predict import BASELINE, Report, Request, predict, read_series
from jobs.run import Terminated, open_run
from tests.overconfident import NAME, Overconfident
from tests.small_market import Market, fill

# So far ahead that the database's clock calls a forecast on time; New York and crypto close at different minutes.
JUNE = datetime(datetime.now(UTC).year + 1, 6, 8, 19, 55, tzinfo=UTC)
LAST = JUNE - timedelta(days=JUNE.weekday())  # a Monday
N_SLOTS = 12
SLOTS = [LAST - timedelta(hours=back) for back in reversed(range(N_SLOTS))]
SYMBOLS = ("BTCUSDT", "SPY", "EURUSD")
REQUEST = Request(
    interval="1h", slot=LAST, model_name=NAME, horizon=24, lookback=100, n_paths=20, symbols=SYMBOLS, replay=False
)


@pytest.fixture
def future(engine: Engine) -> Market:
    return fill(engine, LAST)


def issue(market: Market, request: Request) -> Report:
    with Overconfident() as forecaster:
        return predict(market.engine, request, forecaster=forecaster, run=None, deadline_s=600)


def rows(market: Market, model_name: str = NAME) -> list[dict[str, Any]]:
    columns = "symbol, issued_at, last_close, p10, p50, p90, fan, calibration, feed, status, scale"
    query = text(f"SELECT {columns} FROM candlecast.ml_predictions WHERE model_name = :name ORDER BY issued_at, symbol")
    with market.engine.connect() as conn:
        return [dict(row) for row in conn.execute(query, {"name": model_name}).mappings()]


def test_a_replay_serves_the_numbers_that_were_served_live_whatever_is_cached(future: Market) -> None:
    """Live: bars come in hour by hour, nothing later exists. Replayed: all bars are there, and no snapshot."""
    later = "FROM candlecast.ohlcv_1h WHERE closed_at > :slot"
    with future.engine.begin() as conn:
        conn.execute(text(f"CREATE TABLE later_bars AS SELECT * {later}"), {"slot": SLOTS[0]})
        conn.execute(text(f"DELETE {later}"), {"slot": SLOTS[0]})
    for slot in SLOTS:
        with future.engine.begin() as conn:
            arrived = "closed_at > :before AND closed_at <= :slot"
            conn.execute(
                text(f"INSERT INTO candlecast.ohlcv_1h SELECT * FROM later_bars WHERE {arrived}"),
                {"before": slot - timedelta(hours=1), "slot": slot},
            )
        assert issue(future, replace(REQUEST, slot=slot)).not_calibrated == []
    live = rows(future)
    with future.engine.begin() as conn:
        assert conn.execute(text("SELECT count(*) FROM candlecast.calibration_states")).scalar_one() > 1
        assert verify(conn).ok
        conn.execute(
            text("INSERT INTO candlecast.ohlcv_1h SELECT * FROM later_bars WHERE closed_at > :last"), {"last": LAST}
        )
    put_away_forecasts(future)

    for slot in SLOTS:
        with future.engine.begin() as conn:
            conn.execute(text("DELETE FROM candlecast.calibration_states"))
        issue(future, replace(REQUEST, slot=slot, replay=True))
    replayed = rows(future)

    assert {row.pop("status") for row in live} == {"on_time"}
    assert {row.pop("status") for row in replayed} == {"replay"}
    assert replayed == live
    # Something was learned, and it is what was served.
    newest = {row["symbol"]: row for row in live}
    assert {row["issued_at"].minute for row in newest.values()} == {0, 30}
    for row in newest.values():
        correction = Correction.from_json(row["calibration"])
        assert correction.n_eff[0] > 0
        assert correction.factors[0, 1] > 1.0
        served = corrected(np.reshape(row["fan"], (-1, len(LEVELS))), row["last_close"], correction)
        assert row["p10"] == served[:, 1].tolist()
        assert row["p50"] == served[:, 5].tolist()
        assert row["p90"] == served[:, 9].tolist()
        assert row["p10"][0] < row["fan"][1]
        assert row["p90"][0] > row["fan"][9]


def put_away_forecasts(market: Market) -> None:
    tables = ("prediction_paths", "score_pending", "path_pending", "forecast_steps", "ml_predictions", "ledger_heads")
    with market.engine.begin() as conn:
        for table in tables:
            conn.execute(text(f"ALTER TABLE candlecast.{table} DISABLE TRIGGER USER"))
            conn.execute(text(f"DELETE FROM candlecast.{table}"))
            conn.execute(text(f"ALTER TABLE candlecast.{table} ENABLE TRIGGER USER"))


# What nobody could know at :as_of: later bars, arrivals, forecasts about them, and what was made of those.
POISON = (
    "UPDATE candlecast.ohlcv_1h AS bar SET open = :price, high = :price, low = :price, close = :price "
    "FROM candlecast.instruments AS instrument WHERE instrument.symbol = bar.symbol "
    "AND greatest(bar.closed_at + make_interval(secs => settle_s), first_seen) > :as_of",
    "UPDATE candlecast.forecast_steps SET fan = array_fill(7.0, '{11}') WHERE target_at > :as_of",
    "UPDATE candlecast.calibration_states SET state = '{}' WHERE known_until > :as_of",
)


def poisoned(market: Market, slot: datetime, as_of: datetime) -> list[dict[Any, Any]]:
    """The corrections of the slot when everything later than `as_of` is far too high or too low, made anew as well."""
    found = []
    for price, snapshots in ((1e9, True), (1e-9, False), (1e9, False)):
        with market.engine.begin() as conn:
            if not snapshots:
                conn.execute(text("DELETE FROM candlecast.calibration_states"))
            conn.execute(text("ALTER TABLE candlecast.forecast_steps DISABLE TRIGGER USER"))
            for statement in POISON:
                conn.execute(text(statement), {"as_of": as_of, "price": price})
            conn.execute(text("ALTER TABLE candlecast.forecast_steps ENABLE TRIGGER USER"))
        found.append(corrections(market, slot))
    return found


def corrections(market: Market, slot: datetime) -> dict[Any, Any]:
    """What the forecasts of a slot would be corrected by."""
    request = replace(REQUEST, slot=slot)
    with market.engine.connect() as conn:
        prepared, _ = read_series(conn, request, read_instruments(conn))
    wanted = [one for one in prepared if one.series.symbol in SYMBOLS]
    found = calibrator(market.engine, "1h", NAME, wanted, store=False)
    assert found.failures == []
    return {asked: correction.to_json() for asked, correction in found.corrections.items()}


def test_poisoning_everything_that_became_known_later_changes_no_correction(future: Market) -> None:
    with future.engine.begin() as conn:
        conn.execute(text("UPDATE candlecast.instruments SET settle_s = 0"))
    for slot in SLOTS[-8:]:
        issue(future, replace(REQUEST, slot=slot, replay=True))
    moment = SLOTS[-4]
    before = corrections(future, moment)
    first, last = (edge(asked.moment.at for asked in before) for edge in (min, max))
    assert first < last

    assert poisoned(future, moment, last) == [before, before, before]

    # Two hours before the first is issued, the poison reaches all of them.
    after = poisoned(future, moment, first - timedelta(hours=2))
    assert all(any(one[asked] != before[asked] for one in after) for asked in before)


def test_no_baseline_is_corrected_and_every_row_names_its_feed(future: Market) -> None:
    for slot in SLOTS[-3:]:
        issue(future, replace(REQUEST, slot=slot, rivals=("snaive",)))

    for model_name in (BASELINE, "baseline-snaive"):
        yardsticks = rows(future, model_name)
        assert yardsticks
        for row in yardsticks:
            assert row["calibration"] is None
            assert row["p90"] == np.reshape(row["fan"], (-1, len(LEVELS)))[:, 9].tolist()
            assert row["feed"] == "test"
    assert {row["feed"] for row in rows(future)} == {"test"}
    assert all(row["calibration"] for row in rows(future))


def test_a_calibration_that_fails_costs_no_forecast_and_the_run_says_so(
    future: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise ZeroDivisionError("no bars")

    monkeypatch.setattr(jobs.calibration, "read_corrections", broken)
    with open_run(future.engine, "kronos-batch-1h", LAST, deadline_s=600) as run, Overconfident() as forecaster:
        report = predict(future.engine, REQUEST, forecaster=forecaster, run=run, deadline_s=600)

    assert report.n_written == 2 * len(SYMBOLS)
    sentence = f"{NAME} 1h is served as the model gives it, the calibration failed: ZeroDivisionError: no bars"
    assert report.not_calibrated == [sentence]
    assert run.exit_code == 1
    with future.engine.connect() as conn:
        stored = conn.execute(text("SELECT status, details FROM candlecast.job_runs")).one()
    assert stored.status == "partial"
    assert stored.details["not_calibrated"] == [sentence]
    for row in rows(future):
        assert row["calibration"] is None
        assert row["p10"] == np.reshape(row["fan"], (-1, len(LEVELS)))[:, 1].tolist()


def test_a_correction_that_breaks_one_forecast_leaves_the_others_corrected(
    future: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = corrected

    def crossed_for_spy(fan: Any, last_close: float, correction: Correction) -> Any:
        served = honest(fan, last_close, correction)
        return served[:, ::-1] if last_close == of_spy else served

    monkeypatch.setattr(jobs.calibration, "corrected", crossed_for_spy)
    with future.engine.connect() as conn:
        prepared, _ = read_series(conn, REQUEST, read_instruments(conn))
    of_spy = next(one.series.last_close for one in prepared if one.series.symbol == "SPY")

    report = issue(future, REQUEST)

    assert report.n_written == 2 * len(SYMBOLS)
    assert [sentence.partition(" ")[0] for sentence in report.not_calibrated] == ["SPY"]
    assert {row["symbol"]: row["calibration"] is None for row in rows(future)} == {
        "BTCUSDT": False, "EURUSD": False, "SPY": True,
    }  # fmt: skip


class Ends(Overconfident):
    """Gives one forecast; then the process is told to end."""

    def forecast(self, series: Sequence[Series], **asked: Any) -> Iterator[Result]:
        yield from super().forecast(series[:1], **asked)
        raise Terminated


def test_a_run_that_is_ended_and_repeated_serves_what_one_run_would_have(future: Market) -> None:
    for slot in SLOTS[-4:-1]:
        issue(future, replace(REQUEST, slot=slot))
    wanted = {asked.symbol: made for asked, made in corrections(future, LAST).items()}

    with Ends() as forecaster, pytest.raises(Terminated):
        predict(future.engine, REQUEST, forecaster=forecaster, run=None, deadline_s=600)
    assert issue(future, REQUEST).n_exists == len(SYMBOLS) + 1

    newest = {row["symbol"]: row["calibration"] for row in rows(future)}
    assert newest == wanted
    assert any(made["n_eff"][0] > 0 for made in wanted.values())


def test_a_dry_run_stores_no_snapshot(future: Market) -> None:
    issue(future, replace(REQUEST, slot=SLOTS[-2]))
    issue(future, replace(REQUEST, dry_run=True))

    with future.engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM candlecast.calibration_states")).scalar_one() == 0
