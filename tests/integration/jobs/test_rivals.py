"""The rivals of the baseline in a run: issued last, on the same rows, and no trouble of theirs is anybody else's."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

import jobs.predict
from candlecast.baselines import RandomWalk
from candlecast.forecasts import Refusal, Result, Series, refuse
from candlecast.settings import BASELINES, BadSetting, JobSettings
from candlecast.store.runs import Item
from jobs.baselines import baseline
from jobs.batch import run_batch
from jobs.closing import batch_line
from jobs.forecasters import HttpForecaster
from jobs.predict import BASELINE, Report, Request, predict
from jobs.replay import replay
from tests.small_market import SLOT, SYMBOLS, Market

RIVALS = tuple(name for name in BASELINES if name != "rw")
NAMES = tuple(f"baseline-{name}" for name in RIVALS)
HOURLY = Request(
    interval="1h", slot=SLOT, model_name=BASELINE, horizon=24, lookback=200, n_paths=20, replay=True, rivals=RIVALS
)
NOBODY = JobSettings(inference_url="http://127.0.0.1:1", horizon=24, lookback=200, n_paths=20)


def run(market: Market, request: Request, deadline_s: float = 60, **options: Any) -> tuple[Report, list[Item]]:
    items: list[Item] = []
    asked = {"forecaster": None, "run": None, **options}
    return predict(market.engine, request, deadline_s=deadline_s, on_item=items.append, **asked), items


def query(market: Market, statement: str) -> list[tuple[Any, ...]]:
    with market.engine.connect() as conn:
        return [tuple(row) for row in conn.execute(text(statement))]


class Model(HttpForecaster):
    """A model of another name, always there."""

    info = replace(RandomWalk.info, name="kronos-base")

    def forecast(self, series: Sequence[Series], **asked: Any) -> Iterator[Result]:
        asked = {name: asked[name] for name in ("horizon", "n_paths", "base_seed")}
        for made in RandomWalk().forecast(series, **asked):
            assert not isinstance(made, Refusal)
            yield replace(made, model_name="kronos-base")


def test_every_rival_speaks_about_the_rows_of_the_baseline_after_it_and_after_the_model(market: Market) -> None:
    with Model("http://127.0.0.1:1", "kronos-base") as model:
        report, items = run(market, replace(HOURLY, model_name="kronos-base"), forecaster=model)

    order = list(dict.fromkeys(item.model_name for item in items))
    assert order == [BASELINE, "kronos-base", *NAMES]
    assert report.n_written == 2 * len(SYMBOLS)
    assert report.rivals == {name: {"ok": len(SYMBOLS)} for name in NAMES}
    same = "issued_at, target_at, last_close, scale, data_hash, lookback_start, lookback_end, horizon, n_paths, status"
    rows = query(market, f"SELECT count(DISTINCT model_name), count(DISTINCT ({same})) FROM candlecast.ml_predictions "
                         "GROUP BY symbol")  # fmt: skip
    assert rows == [(6, 1)] * len(SYMBOLS)
    versions = dict(query(market, "SELECT DISTINCT model_name, model_version FROM candlecast.ml_predictions"))
    assert all(versions[f"baseline-{name}"] == baseline(name).info.version for name in BASELINES)
    assert set(versions) <= {name for (name,) in query(market, "SELECT model_name FROM candlecast.model_versions")}


def test_running_again_computes_no_rival_again_and_changes_no_row(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(market, HOURLY)
    before = query(market, "SELECT prediction_id, row_hash FROM candlecast.ml_predictions ORDER BY 1")
    monkeypatch.setattr(jobs.predict, "baseline", lambda name: pytest.fail(f"{name} was made again"))

    report, _ = run(market, HOURLY)

    assert report.rivals == {name: {"exists": len(SYMBOLS)} for name in NAMES}
    assert query(market, "SELECT prediction_id, row_hash FROM candlecast.ml_predictions ORDER BY 1") == before


class Refuses(RandomWalk):
    """Finds no maximum for SPY and dies of EURUSD."""

    info = replace(RandomWalk.info, name="baseline-garch")

    def forecast(self, series: Sequence[Series], **asked: Any) -> Iterator[Result]:
        for one in series:
            if one.symbol == "EURUSD":
                raise FloatingPointError("overflow in a likelihood")
            if one.symbol == "SPY":
                yield refuse(one, "not_converged", "no maximum")
            else:
                for made in super().forecast([one], **asked):
                    assert not isinstance(made, Refusal)
                    yield replace(made, model_name="baseline-garch")


def test_a_rival_that_refuses_or_dies_is_recorded_and_costs_nobody_else_a_row(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.predict, "baseline", lambda name: Refuses() if name == "garch" else baseline(name))
    settings = replace(NOBODY, baselines=("rw", "garch", "snaive"))

    ran, report, slot = run_batch(
        market.engine, settings, "kronos-batch-1h", interval="1h", model_name=BASELINE, as_of=SLOT
    )

    assert ran is not None
    assert (ran.status, ran.exit_code) == ("ok", 0)
    assert report.refusals == []
    assert report.rivals == {"baseline-garch": {"ok": 3, "refused": 2}, "baseline-snaive": {"ok": 5}}
    reasons = dict(
        query(
            market,
            "SELECT symbol, reason FROM candlecast.job_items "
            "WHERE model_name = 'baseline-garch' AND outcome = 'refused'",
        )
    )
    assert reasons["SPY"] == "not_converged: SPY: no maximum"
    assert reasons["EURUSD"].startswith("model_error: EURUSD: the model failed (FloatingPointError: overflow")
    assert "rivals: baseline-garch 3 written and 2 refused, baseline-snaive 5 written" in batch_line("j", slot, report)


def test_a_rival_whose_package_is_missing_is_recorded_as_failed(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'arch'")

    monkeypatch.setattr(jobs.predict, "baseline", absent)

    report, items = run(market, replace(HOURLY, rivals=("garch",)))

    assert report.n_written == len(SYMBOLS)
    assert report.rivals == {"baseline-garch": {"failed": len(SYMBOLS)}}
    assert {item.reason for item in items if item.model_name != BASELINE} == {"No module named 'arch'"}


def test_without_time_left_rivals_are_skipped_and_the_baseline_is_there(market: Market) -> None:
    report, _ = run(market, HOURLY, deadline_s=0.0)

    assert report.n_written == len(SYMBOLS)
    assert report.rivals == {name: {"skipped": len(SYMBOLS)} for name in NAMES}
    assert query(market, "SELECT DISTINCT model_name FROM candlecast.ml_predictions") == [(BASELINE,)]


def test_a_replay_issues_the_rivals_that_the_settings_name(market: Market) -> None:
    settings = replace(NOBODY, baselines=("rw", "hourweek"))

    report = replay(market.engine, settings, interval="1h", model_name=BASELINE, start=SLOT, end=SLOT)

    assert report.rivals == {"baseline-hourweek": {"ok": len(SYMBOLS)}}
    statuses = query(market, "SELECT DISTINCT model_name, status FROM candlecast.ml_predictions ORDER BY 1")
    assert statuses == [("baseline-hourweek", "replay"), ("baseline-rw", "replay")]


def test_a_dry_run_tries_the_rivals_and_writes_nothing(market: Market) -> None:
    report, _ = run(market, replace(HOURLY, rivals=("hourweek",), dry_run=True))

    assert report.rivals == {"baseline-hourweek": {"skipped": len(SYMBOLS)}}
    assert query(market, "SELECT count(*) FROM candlecast.ml_predictions") == [(0,)]


def test_the_setting_takes_names_in_any_order_and_names_those_that_exist() -> None:
    assert JobSettings.from_env({}).baselines == ("rw", "hourweek", "snaive", "garch", "lgbm")
    assert JobSettings.from_env({"BASELINES": " lgbm, rw ,HOURWEEK"}).baselines == ("rw", "hourweek", "lgbm")
    with pytest.raises(BadSetting, match="BASELINES is 'rw,arima'.*a list of rw, hourweek, snaive, garch, lgbm"):
        JobSettings.from_env({"BASELINES": "rw,arima"})
