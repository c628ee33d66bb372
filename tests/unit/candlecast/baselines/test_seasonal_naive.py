from dataclasses import replace

import numpy as np
import pytest

from candlecast.baselines import SeasonalNaive
from candlecast.baselines.seasonal_naive import season
from candlecast.forecasts import LEVELS, Refusal
from tests.baseline_series import DAY, HOUR, MONDAY, issue, series, walk


def test_each_step_says_the_close_of_its_hour_a_day_ago() -> None:
    closes = walk(1)

    made = issue(SeasonalNaive(), series(closes, horizon=50))

    assert made.p50[:24] == pytest.approx(closes[-24:])
    assert made.p50[24:48] == pytest.approx(closes[-24:])  # the last day that is known, once more
    assert made.p50[48:] == pytest.approx(closes[-24:-22])


def test_bands_are_the_quantiles_of_past_moves_over_a_day() -> None:
    # 103 closes, so 79 moves over a day; made to be 0.001, 0.002, … 0.079 in some order.
    moves = np.random.default_rng(2).permutation(np.arange(1, 80)) * 0.001
    log_closes = np.random.default_rng(3).normal(0, 0.01, 24).tolist()
    for move in moves:
        log_closes.append(log_closes[-24] + move)

    made = issue(SeasonalNaive(), series(np.exp(log_closes)))

    # P(|error| <= q) = 0.8 at p90: rank 0.8 of 80 gaps is the 64th, 0.064; p95 the 72nd, p60 the 16th.
    assert np.log(made.p90 / made.p50) == pytest.approx(np.full(24, 0.064))
    assert np.log(made.p50 / made.p10) == pytest.approx(np.full(24, 0.064))
    assert np.log(made.fan[0] / made.p50[0])[[0, 10]] == pytest.approx([-0.072, 0.072])
    assert np.log(made.fan[0] / made.p50[0])[6] == pytest.approx(0.016)


def test_four_days_ahead_the_band_is_twice_as_wide_as_one_day_ahead() -> None:
    made = issue(SeasonalNaive(), series(walk(1), horizon=96))
    width = np.log(made.p90 / made.p10)

    assert width[:24] == pytest.approx(np.full(24, width[0]))
    assert width[72:] == pytest.approx(np.full(24, 2 * width[0]))


@pytest.mark.parametrize(
    ("interval", "n_in_period", "period"),
    [("1h", 24, DAY), ("1h", 7, DAY), ("1d", 5, 7 * DAY), ("1d", 7, 7 * DAY)],
    ids=["crypto hours", "exchange hours", "weekdays", "every day"],
)
def test_a_season_has_as_many_bars_as_the_market_trades_in_it(
    interval: str, n_in_period: int, period: np.timedelta64
) -> None:
    step = HOUR if interval == "1h" else DAY
    periods = MONDAY + np.arange(9) * period
    opened = np.concatenate([start + np.arange(n_in_period) * step for start in periods])

    assert season(opened, interval) == n_in_period
    assert season(np.delete(opened, [3, 20]), interval) == n_in_period  # holes are the exception


def test_prices_below_zero_are_differenced() -> None:
    closes = np.cumsum(np.random.default_rng(9).standard_normal(200)) - 5.0

    made = issue(SeasonalNaive(), series(closes))

    assert made.p50 == pytest.approx(closes[-24:])
    assert made.p90 - made.p50 == pytest.approx(made.p50 - made.p10)


def test_paths_follow_the_fan_and_run_on_from_step_to_step() -> None:
    made = issue(SeasonalNaive(), series(walk(4)), n_paths=4000)

    assert made.paths is not None
    below = (made.paths[:, :, None] <= made.fan).mean(axis=0)
    assert below == pytest.approx(np.tile(LEVELS, (24, 1)), abs=5 * np.sqrt(0.25 / 4000))
    ranks = np.argsort(np.argsort(made.paths, axis=0), axis=0)
    # The random walk's own: neighbours at step k share k of k + 1 draws, so correlate by sqrt(k / (k + 1)).
    assert np.corrcoef(ranks[:, 19], ranks[:, 20])[0, 1] == pytest.approx(np.sqrt(20 / 21), abs=0.02)


def test_too_few_errors_are_refused_with_what_is_needed() -> None:
    (made,) = SeasonalNaive().forecast([series(walk(1, 87))], horizon=24, n_paths=0)

    assert isinstance(made, Refusal)
    assert made.code == "too_few_bars"
    assert "87 bars in the lookback, baseline-snaive needs 88" in made.message
    assert issue(SeasonalNaive(), series(walk(1, 88))).fan.shape == (24, 11)


def test_other_targets_change_nothing_since_a_season_is_counted_in_bars() -> None:
    one = series(walk(1))
    later = replace(one, target_opened_at=one.target_opened_at + 48 * HOUR)

    assert issue(SeasonalNaive(), later).fan.tobytes() == issue(SeasonalNaive(), one).fan.tobytes()
