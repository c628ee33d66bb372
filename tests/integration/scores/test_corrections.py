"""A corrected bar scores anew what it answered; what was scored before stays on record."""

import numpy as np
import pytest
from sqlalchemy import Engine

from jobs.score import score
from tests.integration.scores.ledger import assert_sums_are_right
from tests.integration.scores.market import (
    HOUR,
    add_bars,
    add_instruments,
    at,
    correct_bar,
    forecast,
    issue,
    random_walk,
    rows_of,
)


@pytest.fixture
def market(engine: Engine) -> Engine:
    add_instruments(engine)
    return engine


def test_a_corrected_bar_appends_a_revision_and_moves_the_sums(market: Engine) -> None:
    add_bars(market, random_walk(5, 40))
    issue(market, [forecast(hour, model_name=name) for hour in range(30) for name in ("baseline-rw", "kronos")])
    score(market, "1h", as_of=at(40))

    correct_bar(market, 10, 500.0, revised_at=at(41))
    report = score(market, "1h", as_of=at(42))

    # Two models, and forecasts of one step from hour 9 and of four steps from hour 6.
    assert (report.n_scored, report.n_revised) == (0, 4)
    rows = rows_of(
        market, "SELECT revision, outcome FROM candlecast.prediction_scores WHERE target_at = :at ORDER BY 1", at=at(10)
    )
    assert [row["revision"] for row in rows] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert {row["outcome"] for row in rows if row["revision"] == 1} == {500.0}
    assert_sums_are_right(market)


@pytest.mark.parametrize(("model_name", "factor"), [("baseline-rw", None), ("kronos", 1.4)])
def test_a_revision_is_judged_from_the_sealed_forecast_and_its_paths(
    market: Engine, model_name: str, factor: float | None
) -> None:
    add_bars(market, {0: 100.0, 1: 101.0})
    add_bars(market, {0: 100.0, 1: 99.0}, "ETHUSDT")
    issue(market, [forecast(0, symbol=one, model_name=model_name, factor=factor) for one in ("BTCUSDT", "ETHUSDT")])
    score(market, "1h", as_of=at(1))

    correct_bar(market, 1, 99.0, revised_at=at(2))
    score(market, "1h", as_of=at(2))

    columns = (
        "log_return, z, hit, pinball, pinballs, calibrated_pinballs, interval_score, raw_interval_score, width, "
        "raw_width, abs_error, crps, calibrated_crps, p_up, calibrated_p_up, brier, calibrated_brier"
    )
    query = f"SELECT {columns} FROM candlecast.prediction_scores WHERE symbol = :symbol ORDER BY revision DESC LIMIT 1"
    revised, first = (rows_of(market, query, symbol=symbol)[0] for symbol in ("BTCUSDT", "ETHUSDT"))
    assert revised == first  # the same forecast, and now the same outcome


def test_a_correction_is_followed_once(market: Engine) -> None:
    add_bars(market, random_walk(6, 20))
    issue(market, [forecast(hour) for hour in range(10)])
    score(market, "1h", as_of=at(20))
    correct_bar(market, 5, 300.0, revised_at=at(21))

    counts = [score(market, "1h", as_of=at(22 + hour)).n_revised for hour in range(3)]

    assert counts == [2, 0, 0]


def test_a_correction_that_leaves_the_close_alone_changes_nothing(market: Engine) -> None:
    add_bars(market, random_walk(6, 20))
    issue(market, [forecast(hour) for hour in range(10)])
    score(market, "1h", as_of=at(20))
    close = random_walk(6, 20)[5]
    correct_bar(market, 5, close, revised_at=at(21))

    assert score(market, "1h", as_of=at(22)).n_revised == 0


def test_a_run_as_of_before_a_correction_scores_what_was_known_then(market: Engine) -> None:
    add_bars(market, {0: 100.0, 1: 101.0})
    correct_bar(market, 1, 102.0, revised_at=at(5))
    correct_bar(market, 1, 103.0, revised_at=at(7))
    issue(market, [forecast(0)])

    def outcomes() -> list[float]:
        rows = rows_of(market, "SELECT outcome FROM candlecast.prediction_scores ORDER BY revision")
        return [row["outcome"] for row in rows]

    score(market, "1h", as_of=at(2))
    assert outcomes() == [101.0]
    score(market, "1h", as_of=at(6))
    assert outcomes() == [101.0, 102.0]
    score(market, "1h", as_of=at(8))
    assert outcomes() == [101.0, 102.0, 103.0]
    assert_sums_are_right(market)


@pytest.mark.parametrize("seed", range(3))
def test_the_sums_follow_any_sequence_of_corrections(market: Engine, seed: int) -> None:
    rng = np.random.default_rng(seed)
    add_bars(market, random_walk(seed, 60))
    issue(
        market,
        [forecast(hour, model_name=name, horizon=24) for hour in range(50) for name in ("baseline-rw", "kronos")],
    )
    now = 20
    for _ in range(6):
        now += int(rng.integers(1, 20))
        for hour in rng.choice(np.arange(1, 60), 3, replace=False).tolist():
            now += 1
            correct_bar(market, hour, float(rng.integers(50, 150)), revised_at=at(now) - HOUR / 2)
        score(market, "1h", as_of=at(now), pairs_per_chunk=int(rng.integers(2, 40)))
        assert_sums_are_right(market)
