"""A store that was scored by version 1: its sums are completed once, its scores stay, readers take both."""

from typing import Any

import pytest
from sqlalchemy import Engine

from candlecast.store import migrate
from jobs.score import score
from tests.integration.scores.ledger import assert_sums_are_right, stored_days, stored_totals
from tests.integration.scores.market import add_bars, add_instruments, at, correct_bar, forecast, issue, random_walk
from tests.integration.scores.market import rows_of as rows

NEW = (
    "z", "calibrated_pinball", "calibrated_pinballs", "raw_inside", "raw_below", "raw_above", "raw_interval_score",
    "raw_width", "calibrated_crps", "pit", "calibrated_pit", "p_up", "calibrated_p_up", "brier", "calibrated_brier",
)  # fmt: skip


@pytest.fixture
def scored_before(engine: Engine, database_url: str) -> Engine:
    """A store as version 1 leaves it, brought to head: scored by this program, then taken down to 0003 and up again."""
    add_instruments(engine)
    walk = random_walk(4, 80)
    add_bars(engine, {hour: close for hour, close in walk.items() if hour != 20})
    issue(
        engine,
        [
            forecast(hour, walk[hour], model_name=name, drift=drift, horizon=24, seed=seed)
            for hour in range(50)
            for seed, (name, drift) in enumerate({"baseline-rw": 0.0, "kronos": 0.002, "chronos": -0.001}.items())
        ],
    )
    score(engine, "1h", as_of=at(240))
    with engine.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE candlecast.prediction_scores_202503 DISABLE TRIGGER append_only")
        conn.exec_driver_sql("UPDATE candlecast.prediction_scores_202503 SET score_version = 1")
        conn.exec_driver_sql("ALTER TABLE candlecast.prediction_scores_202503 ENABLE TRIGGER append_only")
    engine.dispose()
    migrate.downgrade(database_url, "0003")
    migrate.upgrade(database_url)
    return engine


def test_scores_of_version_one_have_nothing_in_the_new_columns(scored_before: Engine) -> None:
    (row,) = rows(
        scored_before,
        f"SELECT count(*) AS n, count(*) FILTER (WHERE num_nulls({', '.join(NEW)}) = {len(NEW)}) AS n_null "
        "FROM candlecast.prediction_scores",
    )

    assert row["n"] == row["n_null"] > 0


def test_the_next_run_completes_the_sums_once(scored_before: Engine) -> None:
    def totals(name: str) -> float:
        return sum(sums[name] for sums in stored_totals(scored_before).values())

    n_voids, before = totals("n_voids_no_bar"), totals("turnover")
    score(scored_before, "1h", as_of=at(240))

    assert (before, n_voids) == (0.0, 6.0)  # steps 1 and 4 of three models ended in the hole; step 24 begins too late
    assert totals("turnover") > 0.0
    assert_sums_are_right(scored_before)
    days = stored_days(scored_before)
    with scored_before.begin() as conn:
        (version,) = conn.exec_driver_sql("SELECT sums_version FROM candlecast.score_marks").scalars()
    assert version == 2
    score(scored_before, "1h", as_of=at(240))
    assert stored_days(scored_before) == days


def test_a_correction_of_a_score_of_version_one_is_scored_by_version_two(scored_before: Engine) -> None:
    correct_bar(scored_before, 30, 150.0, revised_at=at(241))

    report = score(scored_before, "1h", as_of=at(242))

    found: list[dict[str, Any]] = rows(
        scored_before, "SELECT DISTINCT revision, score_version FROM candlecast.prediction_scores ORDER BY 1"
    )
    assert report.n_revised == 9
    assert found == [{"revision": 0, "score_version": 1}, {"revision": 1, "score_version": 2}]
    assert_sums_are_right(scored_before)
