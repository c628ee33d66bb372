"""What the evaluation page is drawn from: the report's own numbers, stored whole or not at all."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from candlecast.store.embedded import Role
from candlecast.store.evaluations import replace_evaluations
from candlecast.store.predictions import Fence, LeaseLost
from jobs.evaluation import JOB, run_evaluation
from jobs.report.build import build
from jobs.score import score
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, rows_of

HOURS = 24 * 20
AS_OF = at(HOURS) + timedelta(minutes=5)
SYMBOLS = ("BTCUSDT", "ETHUSDT", "EURUSD")  # two classes


def fill(engine: Engine, *, n_paths: int | None = 20, replay: bool = True) -> None:
    """Three instruments of two classes, the baseline and a model that is served wider than it is."""
    add_instruments(engine)
    rows = []
    for seed, symbol in enumerate(SYMBOLS):
        steps = np.random.default_rng([5, seed]).standard_t(5, HOURS + 5) * 0.008
        closes = dict(enumerate((100 * np.exp(np.cumsum(steps))).tolist(), start=-1))
        add_bars(engine, closes, symbol)
        for hour in range(0, HOURS - 4, 3):
            own = {"symbol": symbol, "n_paths": n_paths, "replay": replay}
            rows.append(forecast(hour, closes[hour], seed=seed, **own))
            rows.append(forecast(hour, closes[hour], model_name="kronos", seed=seed + 5, factor=1.2, **own))
    issue(engine, rows)
    score(engine, "1h", as_of=AS_OF)


def stored(engine: Engine) -> dict[tuple[str, str], dict[str, Any]]:
    return {
        (row["record"], row["interval"]): json.loads(row["body"])
        for row in rows_of(engine, "SELECT * FROM candlecast.evaluations")
    }


def evaluate(engine: Engine) -> dict[str, Any]:
    run_evaluation(engine, as_of=AS_OF, deadline_s=60)
    (document,) = stored(engine).values()
    return document


def only(rows: list[dict[str, Any]], **place: Any) -> dict[str, Any]:
    (found,) = [row for row in rows if all(row[name] == value for name, value in place.items())]
    return found


def test_an_outcome_under_a_level_of_the_band_is_one_below_the_band(engine: Engine) -> None:
    fill(engine, n_paths=None)  # then the place of an outcome is told by the fan alone, as for the band
    document = evaluate(engine)

    assert len(document["cells"]) == 2 * 2 * 3  # models, steps 1 and 4, two classes and all
    for cell in document["cells"]:
        place = {name: cell[name] for name in ("model_name", "asset_class", "step")}
        found = only(document["reliability"], **place)
        for points, coverage in (("points", "coverage"), ("raw_points", "raw_coverage")):
            under = {point["nominal"]: point for point in found[points]}
            below, above = cell[coverage]["below"], cell[coverage]["above"]
            assert (under[0.1]["observed"], under[0.1]["low"], under[0.1]["high"]) == pytest.approx(
                (below["value"], below["low"], below["high"]), abs=1e-5
            )
            assert 1 - under[0.9]["observed"] == pytest.approx(above["value"], abs=1e-5)
        shares = [point["observed"] for point in found["points"]]
        assert shares == sorted(shares)
    wide, raw = (
        only(document["reliability"], model_name="kronos", asset_class="all", step=1)[k]
        for k in ("points", "raw_points")
    )
    assert wide[1]["observed"] < raw[1]["observed"], "a wider band leaves fewer outcomes below it"


def test_the_classes_add_up_to_all(engine: Engine) -> None:
    fill(engine)
    pits = evaluate(engine)["pit"]

    whole = only(pits, model_name="kronos", asset_class="all", step=4)
    parts = [only(pits, model_name="kronos", asset_class=name, step=4) for name in ("crypto", "forex_commodity")]

    assert whole["n"] == sum(part["n"] for part in parts)
    for shares in ("shares", "raw_shares"):
        counts = np.sum([part["n"] * np.array(part[shares]) for part in parts], axis=0)
        assert np.array(whole[shares]) == pytest.approx(counts / whole["n"], abs=2e-5)
        assert sum(whole[shares]) == pytest.approx(1.0, abs=1e-4)


def test_the_page_gets_the_reports_numbers(engine: Engine) -> None:
    fill(engine)
    document = evaluate(engine)

    with engine.connect() as conn:
        report = build(conn, AS_OF)
    cells = [cell for cell in report["cells"] if cell["interval"] == "1h"]
    assert len(cells) == len(document["cells"]) > 0
    for mine, theirs in zip(document["cells"], cells, strict=True):
        assert mine["crps_skill"]["value"] == pytest.approx(theirs["crps_skill"]["value"], rel=1e-5)
        assert mine["n"] == theirs["n"]
    assert document["models"] == ["kronos", "baseline-rw"]
    assert (document["classes"], document["steps"]) == (["all", "crypto", "forex_commodity"], [1, 4])
    assert document["as_of"] == "2025-03-21T00:05:00Z"
    assert {cell["last_day"] for cell in document["cells"]} == {"2025-03-20"}, "the running day is not told"


def test_what_the_days_are_worth_is_what_the_verdict_says(engine: Engine) -> None:
    fill(engine)
    document = evaluate(engine)

    verdicts = rows_of(engine, "SELECT * FROM candlecast.skill_verdicts WHERE step > 0 AND n_days > 0")
    assert len(verdicts) == 2 * 3
    for verdict in verdicts:
        place = {name: verdict[name] for name in ("model_name", "asset_class", "step")}
        cell = only(document["cells"], **place)
        assert (cell["n_days"], cell["n_eff"]) == pytest.approx((verdict["n_days"], verdict["n_eff"]), rel=1e-5)


def test_records_are_kept_apart(engine: Engine) -> None:
    fill(engine)
    made_up = [forecast(hour, 100.0, model_name="other", synthetic=True) for hour in range(6, 246, 24)]
    issue(engine, made_up)
    score(engine, "1h", as_of=AS_OF)

    run_evaluation(engine, as_of=AS_OF, deadline_s=60)

    documents = stored(engine)
    assert set(documents) == {("replay", "1h"), ("synthetic", "1h")}
    assert documents["replay", "1h"]["models"] == ["kronos", "baseline-rw"]
    synthetic = documents["synthetic", "1h"]
    assert synthetic["models"] == ["other"]
    assert only(synthetic["cells"], asset_class="all", step=4)["n"] == len(made_up)
    for (record, _), document in documents.items():
        for name in ("cells", "sharpe"):
            assert {row["record"] for row in document[name]} == {record}


def test_an_evaluation_replaces_the_one_before_and_leaves_its_run_on_record(
    engine: Engine, engine_as: Callable[[Role], Engine]
) -> None:
    fill(engine)
    writer = engine_as("writer")
    run_evaluation(writer, as_of=AS_OF - timedelta(days=5), deadline_s=60)
    run_evaluation(writer, as_of=AS_OF, deadline_s=60)
    first = stored(engine)
    run_evaluation(writer, as_of=AS_OF, deadline_s=60)

    assert stored(engine) == first
    assert {document["as_of"] for document in first.values()} == {"2025-03-21T00:05:00Z"}
    runs = rows_of(engine, "SELECT * FROM candlecast.job_runs WHERE job = 'evaluate-daily' ORDER BY run_id")
    assert [run["status"] for run in runs] == ["ok"] * 3
    assert runs[0]["details"]["records"] == [["replay", "1h"]]
    assert rows_of(engine_as("reader"), "SELECT record FROM candlecast.evaluations") == [{"record": "replay"}]


def test_whoever_lost_the_lease_changes_nothing(engine: Engine) -> None:
    fill(engine)
    before = {("replay", "1h"): evaluate(engine)}

    with pytest.raises(LeaseLost), engine.begin() as conn:
        replace_evaluations(conn, [], Fence(JOB, 99))

    assert stored(engine) == before


def test_a_store_without_scores_is_evaluated_to_nothing(engine: Engine) -> None:
    add_instruments(engine)

    found = run_evaluation(engine, deadline_s=60)

    assert (found.records, found.n_cells) == ([], 0)
    with engine.connect() as conn:
        assert conn.execute(text("SELECT count(*) FROM candlecast.evaluations")).scalar_one() == 0
