"""The weekly report, from a real store: what it holds, and that it is that of its moment."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from candlecast.store.calendar import upsert_entries
from jobs.closing import score_line
from jobs.report.build import build, write_report
from jobs.report.five import event_days, surprises
from jobs.score import score
from tests.integration.scores.market import START, add_bars, add_instruments, at, correct_bar, forecast, issue
from tests.small_market import releases

HOURS = 24 * 60
AS_OF = at(HOURS) + timedelta(minutes=5)


@pytest.fixture
def record(engine: Engine) -> Engine:
    """Two instruments, the baseline and a model that is served wider than it is, every two hours for two months."""
    add_instruments(engine)
    rows = []
    for seed, symbol in enumerate(("BTCUSDT", "ETHUSDT")):
        steps = np.random.default_rng([7, seed]).standard_t(5, HOURS + 5) * 0.008
        closes = dict(enumerate((100 * np.exp(np.cumsum(steps))).tolist(), start=-1))
        add_bars(engine, closes, symbol)
        for hour in range(0, HOURS - 4, 2):
            rows.append(forecast(hour, closes[hour], symbol=symbol, seed=seed))
            rows.append(
                forecast(
                    hour, closes[hour], symbol=symbol, model_name="kronos", drift=0.0005, seed=seed + 5, factor=1.2
                )
            )
    issue(engine, rows)
    with engine.begin() as conn:
        upsert_entries(conn, releases(datetime(2022, 1, 1, tzinfo=UTC), AS_OF + timedelta(days=30)))
    assert score(engine, "1h", as_of=AS_OF).alarms == []
    return engine


def made(engine: Engine, as_of: datetime = AS_OF) -> dict[str, Any]:
    with engine.connect() as conn:
        return build(conn, as_of)


def cell(report: dict[str, Any], model_name: str, step: int, asset_class: str = "all") -> dict[str, Any]:
    (found,) = [
        one
        for one in report["cells"]
        if (one["model_name"], one["step"], one["asset_class"]) == (model_name, step, asset_class)
    ]
    return found


def test_each_number_is_what_the_scores_add_up_to(record: Engine) -> None:
    found = cell(made(record), "kronos", 4)

    with record.connect() as conn:
        mine = conn.execute(
            text(
                "SELECT count(*) AS n, avg(m.inside::int) AS inside, avg(m.raw_inside::int) AS raw_inside, "
                "1 - sum(m.crps) / sum(b.crps) AS crps_skill, "
                "1 - sum(m.interval_score) / sum(b.interval_score) AS interval_skill, "
                "avg(m.hit::int) AS hit_rate, avg(m.width) AS width, avg(m.calibrated_brier) AS brier "
                "FROM candlecast.prediction_scores AS m JOIN candlecast.prediction_scores AS b "
                "USING (symbol, issued_at, step) "
                "WHERE m.model_name = 'kronos' AND b.model_name = 'baseline-rw' AND step = 4 AND m.target_at < :day"
            ),
            {"day": AS_OF.replace(hour=0, minute=0)},
        ).one()
    assert found["n"] == found["n_common"] == mine.n
    assert found["coverage"]["inside"]["value"] == pytest.approx(float(mine.inside))
    assert found["raw_coverage"]["inside"]["value"] == pytest.approx(float(mine.raw_inside))
    assert found["coverage"]["inside"]["value"] > found["raw_coverage"]["inside"]["value"]
    assert found["crps_skill"]["value"] == pytest.approx(mine.crps_skill)
    assert found["interval_skill"]["value"] == pytest.approx(mine.interval_skill)
    assert found["hit_rate"]["value"] == pytest.approx(float(mine.hit_rate))
    assert (found["width"], found["brier"]) == pytest.approx((mine.width, mine.brier))
    assert (
        found["coverage"]["inside"]["low"] < found["coverage"]["inside"]["value"] < found["coverage"]["inside"]["high"]
    )


def test_a_corrected_bar_changes_no_report_of_a_moment_before_it(record: Engine) -> None:
    before = made(record)
    correct_bar(record, 700, 500.0, revised_at=AS_OF + timedelta(days=1))
    score(record, "1h", as_of=AS_OF + timedelta(days=2))

    assert made(record) == before
    with record.connect() as conn:
        revised = conn.execute(
            text("SELECT count(*) FROM candlecast.prediction_scores WHERE revision > 0")
        ).scalar_one()
        newest = conn.execute(text("SELECT max(scored_at) FROM candlecast.prediction_scores")).scalar_one()
    assert revised > 0
    assert made(record, newest + timedelta(days=1))["cells"] != before["cells"], "the correction is told from then on"


def test_a_day_that_is_not_over_and_what_came_later_is_not_told(record: Engine) -> None:
    early = made(record, START + timedelta(days=30, hours=12))

    assert {one["last_day"] for one in early["cells"]} == {str((START + timedelta(days=29)).date())}


def test_the_files_are_the_same_each_time_and_say_what_is_known(record: Engine, tmp_path: Path) -> None:
    first, second = (write_report(record, tmp_path / name, AS_OF).folder for name in ("a", "b"))

    names = sorted(path.name for path in first.iterdir())
    assert names == [
        "replay-coverage.png", "replay-pit.png", "replay-sharpe.png", "replay-skill.png", "report.json", "report.md",
    ]  # fmt: skip
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in names)
    report = json.loads((first / "report.json").read_text())
    words = (first / "report.md").read_text()
    assert report["records"] == ["replay"]
    assert "## Record: replay (made afterwards" in words
    assert "nan" not in words.lower()
    assert "NaN" not in (first / "report.json").read_text()
    assert "Not applicable" in words, "there is no ensemble and no event model here"


def test_sharpe_ratios_fall_with_costs_and_say_how_many_were_tried(record: Engine) -> None:
    cells = [one for one in made(record)["sharpe"] if one["model_name"] == "kronos" and one["asset_class"] == "all"]

    assert {one["step"] for one in cells} == {1, 4}
    for one in cells:
        gross, low, high = (one["sharpe"][cost]["value"] for cost in ("0", "0.0002", "0.001"))
        assert gross >= low >= high
        assert one["sharpe"]["0"]["se"] > 1.0, "two months say little about a year"
        assert one["n_trials"] == len(made(record)["sharpe"])


def test_the_verdicts_are_the_scorers_own(record: Engine) -> None:
    told = {(one["asset_class"], one["step"]): one for one in made(record)["verdicts"]}

    with record.connect() as conn:
        rows = conn.execute(text("SELECT * FROM candlecast.skill_verdicts WHERE model_name = 'kronos'")).all()
    assert len(rows) == len(told)
    for row in rows:
        mine = told[row.asset_class, row.step]
        assert (mine["verdict"], mine["n_days"], mine["e_value"]) == (
            row.verdict,
            row.n_days,
            pytest.approx(row.e_value),
        )


def test_a_band_that_is_too_good_raises_the_alarm(engine: Engine) -> None:
    add_instruments(engine)
    closes = dict(
        enumerate((100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, HOURS + 5)))).tolist(), -1)
    )
    add_bars(engine, closes)
    rows = []
    for hour in range(0, HOURS - 4, 2):
        rows.append(forecast(hour, closes[hour]))
        # It knows the next close and is narrow around it.
        drift = float(np.log(closes[hour + 1] / closes[hour]))
        rows.append(forecast(hour, closes[hour], model_name="kronos", drift=drift, seed=3, factor=0.5))
    issue(engine, rows)
    report = score(engine, "1h", as_of=AS_OF)

    assert any(one.startswith("kronos 1h step 1 (replay): its 80 % band is") for one in report.alarms)
    assert "LEAK ALARM" in score_line("score-signals-1h", report)
    alarmed = made(engine)["leak_alarms"]

    assert {(one["model_name"], one["step"]) for one in alarmed} >= {("kronos", 1)}
    assert all(one["best_baseline"] == "baseline-rw" for one in alarmed)


def test_events_and_surprises_are_those_of_the_calendar(record: Engine) -> None:
    from candlecast.store.calendar import read_calendar

    with record.connect() as conn:
        calendar = read_calendar(conn, as_of=AS_OF, since=START)

    assert np.datetime64("2025-03-13") in event_days(calendar)["CPI"]
    assert np.datetime64("2025-03-19") in event_days(calendar)["FOMC"]
    large = surprises(calendar)
    assert set(large["family"]) <= {"CPI", "NFP", "FOMC"}
    assert set(large["sign"]) == {-1.0, 1.0}


def test_an_empty_store_gives_a_report_that_says_so(engine: Engine, tmp_path: Path) -> None:
    add_instruments(engine)

    folder = write_report(engine, tmp_path, AS_OF).folder

    assert "Nothing has been judged yet." in (folder / "report.md").read_text()
