"""Sets of paths: scored once every judged step has matured, once, and never where a step is void."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
import scoringrules
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from candlecast.calibration import Correction, corrected, corrected_paths
from candlecast.store.path_scores import PathCursor, score_path_chunk
from candlecast.store.predictions import PredictionRow
from jobs.score import score
from tests.integration.scores.market import add_bars, add_instruments, at, correct_bar, forecast, issue, rows_of


@pytest.fixture
def market(engine: Engine) -> Engine:
    add_instruments(engine)
    return engine


def sets_of(engine: Engine) -> list[dict[str, Any]]:
    return rows_of(engine, "SELECT * FROM candlecast.path_scores ORDER BY prediction_id")


def waiting(engine: Engine) -> int:
    return int(rows_of(engine, "SELECT count(*) AS n FROM candlecast.path_pending")[0]["n"])


def by_library(row: PredictionRow, paths: np.ndarray, outcome: list[float]) -> tuple[float, float]:
    """Energy and variogram score of a forecast from 100 with a sigma of 1 %, at steps 1 and 4."""
    steps = np.array([1, 4])
    unit = 0.01 * np.sqrt(steps)
    vectors = np.log(paths[:, steps - 1].astype(np.float64) / 100.0) / unit
    came = np.log(np.array(outcome) / 100.0) / unit
    assert row.scale == 0.01
    return (
        float(scoringrules.es_ensemble(came, vectors, estimator="fair")),
        float(scoringrules.vs_ensemble(came, vectors, p=0.5, estimator="fair")),
    )


def test_a_set_is_scored_when_its_last_step_is(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0, 2: 99.0, 3: 98.0})
    row = forecast(0)
    issue(market, [row])

    early = score(market, "1h", as_of=at(3))
    add_bars(market, {4: 97.0})
    late = score(market, "1h", as_of=at(4))

    assert (early.n_path_sets, late.n_path_sets, waiting(market)) == (0, 1, 0)
    (stored,) = sets_of(market)
    assert row.paths is not None
    energy, variogram = by_library(row, row.paths, [101.0, 97.0])
    assert (stored["n_steps"], stored["score_version"]) == (2, 2)
    assert (stored["energy"], stored["variogram"]) == pytest.approx((energy, variogram), rel=1e-12)
    assert (stored["calibrated_energy"], stored["calibrated_variogram"]) == (stored["energy"], stored["variogram"])


def test_paths_are_scored_as_served_too(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0, 4: 97.0})
    row = forecast(0, model_name="kronos", factor=1.8)
    issue(market, [row])

    score(market, "1h", as_of=at(4))

    (stored,) = sets_of(market)
    assert row.paths is not None
    assert row.calibration is not None
    fan = np.asarray(row.fan)
    moved = corrected_paths(row.paths, fan, corrected(fan, 100.0, Correction.from_json(row.calibration)))
    energy, variogram = by_library(row, moved, [101.0, 97.0])
    assert (stored["calibrated_energy"], stored["calibrated_variogram"]) == pytest.approx((energy, variogram), rel=1e-9)
    assert stored["energy"] == pytest.approx(by_library(row, row.paths, [101.0, 97.0])[0], rel=1e-12)


def test_a_set_with_a_void_step_is_given_up(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0})
    add_bars(market, {4: 97.0}, state="halt")
    issue(market, [forecast(0)])

    report = score(market, "1h", as_of=at(4))

    assert (report.n_path_sets, waiting(market), sets_of(market)) == (0, 0, [])


def test_a_forecast_without_paths_or_with_one_has_no_set(market: Engine) -> None:
    issue(market, [forecast(0, n_paths=None), forecast(1, n_paths=1)])

    assert waiting(market) == 0


def test_sets_are_scored_once_in_chunks_of_any_size(market: Engine) -> None:
    add_bars(market, {hour: 100.0 + hour % 7 for hour in range(40)})
    rows = [forecast(hour, n_paths=20 if hour % 3 else 7, horizon=4 if hour % 2 else 24) for hour in range(10)]
    issue(market, rows)
    score(market, "1h", as_of=at(9))  # some are ready and some wait

    n_first = len(sets_of(market))
    score(market, "1h", as_of=at(39))
    with market.begin() as conn:
        chunk = score_path_chunk(conn, "1h", at(39), PathCursor(), 3)

    assert n_first == 3  # those of hours 1, 3 and 5 end by then; the even hours wait for their 24th bar
    assert (len(sets_of(market)), waiting(market), chunk.n_scored, chunk.after) == (10, 0, 0, None)
    assert {row["n_steps"] for row in sets_of(market)} == {2, 3}


def test_a_chunk_looks_at_no_more_than_it_is_told_and_says_where_to_go_on(market: Engine) -> None:
    add_bars(market, {hour: 100.0 + hour % 7 for hour in range(20)})
    issue(market, [forecast(hour) for hour in range(7)])

    with market.begin() as conn:
        chunk = score_path_chunk(conn, "1h", at(20), PathCursor(), 3)

    # Nothing of these is judged yet, so nothing is taken; the place to go on is behind the third, of hour 2.
    assert (chunk.n_scored, waiting(market)) == (0, 7)
    assert chunk.after is not None
    assert chunk.after.last_target_at == at(6)


def test_a_later_correction_of_a_bar_leaves_the_set_as_it_was_judged(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0, 4: 97.0})
    issue(market, [forecast(0)])
    score(market, "1h", as_of=at(4))
    before = sets_of(market)

    correct_bar(market, 4, 120.0, revised_at=at(5))
    report = score(market, "1h", as_of=at(6))

    assert (report.n_revised, report.n_path_sets) == (1, 0)
    assert sets_of(market) == before


@pytest.mark.parametrize("change", ["UPDATE {} SET energy = 0", "DELETE FROM {}", "TRUNCATE {}"])
def test_scores_of_sets_are_append_only(market: Engine, change: str) -> None:
    add_bars(market, {0: 100.0, 1: 101.0, 4: 97.0})
    issue(market, [forecast(0)])
    score(market, "1h", as_of=at(4) + timedelta(days=1))

    with pytest.raises(DBAPIError, match="append-only"), market.begin() as conn:
        conn.exec_driver_sql(change.format("candlecast.path_scores"))
