from datetime import UTC, datetime

import numpy as np
import pytest

from candlecast.baselines import RandomWalk
from candlecast.forecasts import CLOSE
from inference_server.pretraining.evaluation import HORIZON, STEPS, common, forecast_all, origins
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL
from tests.unit.inference_server.pretraining.generated import history


def test_an_origin_knows_the_bars_up_to_its_issue_and_its_outcomes_are_the_closes_that_came() -> None:
    one = history(n=700)  # hourly from 2024-12-20, so 288 bars before 2025 and 412 in it
    asked = origins([one], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=5)
    assert len(asked) == 5
    first = asked[0]
    assert first.series.issued_at == datetime(2025, 1, 1, tzinfo=UTC)
    assert first.series.opened_at[-1] == TRAIN_UNTIL - np.timedelta64(1, "h")
    assert first.series.target_opened_at[0] == TRAIN_UNTIL
    np.testing.assert_array_equal(first.series.ohlcv, one.bars[88:288])
    np.testing.assert_array_equal(first.outcome, one.bars[287 + np.array(STEPS), CLOSE])


def test_steps_without_a_bar_have_no_outcome_and_no_row() -> None:
    asked = origins([history(n=700)], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=5)
    newest = asked[-1]  # the fifth of five from bar 287 to bar 698, so issued after bar 615 with 84 bars to come
    assert np.isfinite(newest.outcome).tolist() == [step <= 84 for step in STEPS]
    table = forecast_all(RandomWalk(), asked, n_paths=20)
    assert len(table.step) == sum(int(np.isfinite(one.outcome).sum()) for one in asked)


def test_outcomes_after_the_held_out_time_are_not_looked_at() -> None:
    last = TRAIN_UNTIL + np.timedelta64(100, "h")
    asked = origins([history(n=700)], first=TRAIN_UNTIL, last=last, lookback=200, per_history=3)
    assert np.isfinite(asked[0].outcome).tolist() == [step <= 100 for step in STEPS]


def test_daily_origins_begin_a_horizon_earlier_but_only_outcomes_of_the_held_out_time_count() -> None:
    one = history(n=900, start="2023-01-01", interval="1d")
    asked = origins([one], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=4)
    begin = asked[0]
    assert begin.series.target_opened_at[HORIZON - 1] == TRAIN_UNTIL - np.timedelta64(0, "D")
    assert np.isfinite(begin.outcome).tolist() == [step == HORIZON for step in STEPS]


def test_returns_are_logarithmic_in_the_baselines_sigma_of_the_horizon() -> None:
    one = history(n=700)
    asked = origins([one], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=1)
    table = forecast_all(RandomWalk(), asked, n_paths=4000)
    closes = one.bars[:, CLOSE]
    row = int(np.flatnonzero(table.step == 4)[0])
    assert table.actual[row] == pytest.approx(np.log(closes[291] / closes[287]) / (asked[0].scale * 2.0), rel=1e-6)
    # The generator's volatility is constant, so the baseline's paths have σ√h for a standard deviation, about.
    np.testing.assert_allclose(table.paths.std(axis=1), 1.0, atol=0.12)


def test_only_pairs_that_both_models_answered_are_compared() -> None:
    asked = origins([history(n=700)], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=6)
    whole, part = forecast_all(RandomWalk(), asked, n_paths=20), forecast_all(RandomWalk(), asked[2:], n_paths=20)
    mine, theirs = common(whole, part)
    np.testing.assert_array_equal(mine.actual, part.actual)
    np.testing.assert_array_equal(mine.paths, theirs.paths)


def test_instruments_are_asked_at_moments_of_their_own() -> None:
    both = [history("BTCUSDT", n=700), history("ETHUSDT", n=700)]
    asked = origins(both, first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=200, per_history=5)
    assert len({one.series.issued_at for one in asked}) == 10
