"""`candlecast score --check`: every stored score comes out again, and one that was changed is named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from candlecast.store.score_checks import CheckReport
from jobs.score import score
from jobs.score_check import check, check_line
from tests.integration.scores.market import (
    add_bars,
    add_instruments,
    at,
    correct_bar,
    forecast,
    issue,
    random_walk,
    rows_of,
)

TABLE = "candlecast.prediction_scores_202503"


@pytest.fixture
def judged(engine: Engine) -> Engine:
    """Forecasts with paths and without, corrected and not, one bar corrected later, one target void."""
    add_instruments(engine)
    walk = random_walk(3, 60)
    add_bars(engine, {hour: close for hour, close in walk.items() if hour != 30})
    add_bars(engine, {30: walk[30]}, state="halt")
    rows = [forecast(hour, walk[hour]) for hour in range(40)]
    rows += [forecast(hour, walk[hour], model_name="kronos", factor=1.3, drift=0.002, seed=1) for hour in range(40)]
    rows += [forecast(hour, walk[hour], model_name="chronos", n_paths=None, factor=0.8) for hour in range(40)]
    issue(engine, rows)
    score(engine, "1h", as_of=at(50), pairs_per_chunk=37)
    correct_bar(engine, 12, walk[12] + 3.0, revised_at=at(51))
    score(engine, "1h", as_of=at(60))
    return engine


def tamper(engine: Engine, statement: str, table: str = TABLE, **parameters: Any) -> None:
    """What only the owner of the table can do, with the trigger out of the way."""
    with engine.begin() as conn:
        conn.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        conn.execute(text(statement), parameters)
        conn.exec_driver_sql(f"ALTER TABLE {table} ENABLE TRIGGER append_only")


def test_every_stored_score_comes_out_again(judged: Engine) -> None:
    report = check(judged, "1h")

    counts = rows_of(
        judged,
        "SELECT (SELECT count(*) FROM candlecast.prediction_scores) AS pairs, "
        "(SELECT count(*) FROM candlecast.path_scores) AS sets",
    )[0]
    # 120 forecasts of two steps; of each of three models two pairs end at hour 30, and two are judged twice.
    assert counts["pairs"] == 240 - 6 + 6
    assert counts["sets"] == 2 * (40 - 2)
    assert (report.n_checked, report.n_agree) == (240 + 76, 240 + 76)
    assert report.holds
    assert report.n_identical == report.n_checked  # on the machine that scored them
    assert (report.n_without_paths, report.differences) == (0, [])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("crps", "crps * 0.99"), ("pit", "0.5"), ("interval_score", "interval_score - 1e-9"), ("hit", "NOT hit"),
        ("outcome", "outcome + 0.01"), ("calibrated_crps", "NULL"), ("raw_width", "0"), ("inside", "NOT inside"),
        ("pinballs", "array_fill(0.1::float8, ARRAY[11])"), ("symbol", "'ETHUSDT'"), ("brier", "0.2"),
    ],
)  # fmt: skip
def test_a_score_that_was_changed_is_named(judged: Engine, column: str, value: str) -> None:
    (row,) = rows_of(
        judged,
        "SELECT prediction_id, step FROM candlecast.prediction_scores "
        "WHERE model_name = 'kronos' AND hit IS NOT NULL AND revision = 0 AND symbol = 'BTCUSDT' "
        "ORDER BY issued_at, step LIMIT 1 OFFSET 5",
    )
    pair = "prediction_id = :prediction_id AND step = :step"
    tamper(judged, f"UPDATE {TABLE} SET {column} = {value} WHERE {pair}", **row)

    report = check(judged, "1h")

    assert not report.holds
    assert {one.prediction_id for one in report.differences} == {row["prediction_id"]}
    (found,) = [one for one in report.differences if one.step]  # a set judged by another outcome is named beside
    assert found.step == row["step"]
    wanted = {"outcome", "log_return"} if column == "outcome" else {"key"} if column == "symbol" else {column}
    assert wanted <= set(found.columns)


def test_a_score_of_a_set_that_was_changed_is_named(judged: Engine) -> None:
    (row,) = rows_of(judged, "SELECT prediction_id FROM candlecast.path_scores ORDER BY prediction_id LIMIT 1")
    tamper(
        judged,
        "UPDATE candlecast.path_scores SET variogram = variogram + 1e-6 WHERE prediction_id = :prediction_id",
        "candlecast.path_scores",
        **row,
    )

    (found,) = check(judged, "1h").differences

    assert (found.prediction_id, found.step, found.columns) == (row["prediction_id"], 0, ("variogram",))


def test_a_score_that_was_taken_away_is_missed(judged: Engine) -> None:
    (row,) = rows_of(
        judged, "SELECT prediction_id, step FROM candlecast.prediction_scores WHERE target_at = :at LIMIT 1", at=at(20)
    )
    tamper(judged, f"DELETE FROM {TABLE} WHERE prediction_id = :prediction_id AND step = :step", **row)

    report = check(judged, "1h")

    assert (report.n_lost, report.holds) == (1, False)
    assert (report.differences[-1].prediction_id, report.differences[-1].columns) == (row["prediction_id"], ("gone",))


def test_a_score_of_a_forecast_that_was_never_issued_is_counted(judged: Engine) -> None:
    columns = [
        row["column_name"]
        for row in rows_of(
            judged,
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'prediction_scores_202503'",
        )
        if row["column_name"] != "prediction_id"
    ]
    names = ", ".join(columns)
    with judged.begin() as conn:
        conn.exec_driver_sql(
            f"INSERT INTO candlecast.prediction_scores (prediction_id, {names}) "
            f"SELECT gen_random_uuid(), {names} FROM candlecast.prediction_scores LIMIT 1"
        )

    report = check(judged, "1h")

    assert (report.n_unknown, report.n_different, report.holds) == (1, 0, False)


def test_without_its_paths_the_rest_of_a_score_is_made_anew(judged: Engine) -> None:
    with judged.begin() as conn:
        conn.exec_driver_sql("DELETE FROM candlecast.prediction_paths")

    report = check(judged, "1h")

    assert report.holds
    assert report.n_without_paths == report.n_checked - 80  # chronos had none to lose


def test_a_score_of_version_one_is_checked_for_what_it_says(judged: Engine) -> None:
    tamper(
        judged,
        f"UPDATE {TABLE} SET score_version = 1, z = NULL, pit = NULL, calibrated_pit = NULL, p_up = NULL, "
        "calibrated_p_up = NULL, brier = NULL, calibrated_brier = NULL, calibrated_crps = NULL, raw_inside = NULL, "
        "raw_below = NULL, raw_above = NULL, raw_interval_score = NULL, raw_width = NULL, calibrated_pinball = NULL, "
        "calibrated_pinballs = NULL WHERE model_name = 'baseline-rw'",
    )
    assert check(judged, "1h").holds

    one_bar = "model_name = 'baseline-rw' AND target_at = :at"
    tamper(judged, f"UPDATE {TABLE} SET crps = crps + 0.001 WHERE {one_bar}", at=at(9))

    assert {one.columns for one in check(judged, "1h").differences} == {("crps",)}


def test_the_command_says_what_holds_and_fails_where_something_does_not(judged: Engine, database_url: str) -> None:
    def run(*more: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("candlecast")
        env = {**os.environ, "COLUMNS": "200", "DATABASE_URL": database_url}
        return subprocess.run(
            [program, "score", "--check", *more], capture_output=True, text=True, env=env, check=False
        )

    good = run()
    tamper(judged, f"UPDATE {TABLE} SET crps = 0 WHERE crps > 0 AND step = 4")
    bad = run("--json")

    assert good.returncode == 0, good.stderr
    assert "316 of 316 stored scores come out again" in good.stdout
    assert bad.returncode == 1
    facts = json.loads(bad.stdout)
    assert facts["holds"] is False
    assert facts["n_different"] == len(facts["differences"]) > 0


def test_the_closing_line_names_at_most_twenty() -> None:
    report = CheckReport(n_checked=30, n_different=25)
    report.differences = [object()] * 25  # type: ignore[list-item]

    assert check_line("1h", report).count("\n") == 21
