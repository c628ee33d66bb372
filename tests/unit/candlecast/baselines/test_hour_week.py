from dataclasses import replace

import numpy as np
import pytest

from candlecast.baselines import HourWeek, RandomWalk
from candlecast.baselines.hour_week import MIN_BARS, deseasonalised, shrunk_factors
from candlecast.forecasts import LEVELS, Refusal
from tests.baseline_series import HOUR, MONDAY, issue, series, walk


def loud_afternoons(seed: int, n_bars: int, loud: float) -> np.ndarray:
    """[n_bars] closes round the clock whose returns are `loud` times as large from 12:00 to 18:00 UTC."""
    hours = np.arange(n_bars) % 24
    sizes = np.where((hours >= 12) & (hours < 18), loud, 1.0)
    steps = np.random.default_rng(seed).standard_t(6, n_bars) * np.sqrt(4 / 6) * 0.005 * sizes
    return 100.0 * np.exp(np.cumsum(steps))


def test_a_known_profile_is_found_again() -> None:
    closes = loud_afternoons(1, 24 * 7 * 12, loud=3.0)
    times = MONDAY + np.arange(len(closes) + 168) * HOUR

    _, ahead = deseasonalised(np.diff(np.log(closes)), times[1 : len(closes)], times[len(closes) :], "1h")

    hours = times[len(closes) :].astype("datetime64[h]").astype(int) % 24
    loud = (hours >= 12) & (hours < 18)
    # 12 returns in an hour of the week, 84 in an hour of the day: each ratio is good to a tenth or so.
    assert ahead[loud].mean() / ahead[~loud].mean() == pytest.approx(3.0, rel=0.1)
    assert ahead[loud] / ahead[~loud].mean() == pytest.approx(np.full(42, 3.0), rel=0.35)


def test_weekends_are_found_apart_from_the_same_hours_of_other_days() -> None:
    n = 24 * 7 * 16
    times = MONDAY + np.arange(n + 168) * HOUR
    weekend = np.arange(n + 168) // 24 % 7 >= 5
    steps = np.random.default_rng(3).standard_normal(n) * np.where(weekend[:n], 0.25, 1.0)

    _, ahead = deseasonalised(steps, times[:n], times[n:], "1h")

    assert ahead[weekend[n:]].mean() / ahead[~weekend[n:]].mean() == pytest.approx(0.25, rel=0.15)


def test_daily_bars_know_weekdays() -> None:
    n = 7 * 60
    days = np.datetime64("2024-01-01") + np.arange(n + 7).astype("timedelta64[D]")  # a Monday
    sizes = np.array([3.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5])
    steps = np.random.default_rng(5).standard_normal(n) * np.tile(sizes, 60)

    _, ahead = deseasonalised(steps, days[:n].astype("datetime64[s]"), days[n:].astype("datetime64[s]"), "1d")

    assert ahead / ahead[1:5].mean() == pytest.approx(sizes, rel=0.25)


def test_without_a_profile_the_factors_stay_near_one() -> None:
    spreads = []
    for seed in range(20):
        closes = walk(seed)
        times = MONDAY + np.arange(len(closes) + 168) * HOUR
        _, ahead = deseasonalised(np.diff(np.log(closes)), times[1 : len(closes)], times[len(closes) :], "1h")
        spreads.append(ahead.std())

    # Two returns in each hour of the week: their mean size alone would spread by about half.
    assert np.mean(spreads) < 0.1


def test_shrinking_takes_the_share_of_the_spread_that_is_noise() -> None:
    # Two cells of three sizes, means 1 and 3 over an overall mean of 2: ratios 1/2 and 3/2.
    sizes, cells = np.array([0.8, 1.0, 1.2, 2.8, 3.0, 3.2]), np.array([0, 0, 0, 1, 1, 1])
    noise = (4 * 0.1**2) / 4 / 3  # squared gaps within over 6 - 2 degrees, per cell of three
    between = (2 * 0.5**2 / noise - 1) / (2 / noise - 1 / noise)

    factors = shrunk_factors(sizes, cells, 3)

    kept = between / (between + noise)
    assert factors == pytest.approx([1 - 0.5 * kept, 1 + 0.5 * kept, 1.0])


def test_a_cell_that_the_lookback_never_saw_counts_as_an_ordinary_hour() -> None:
    sizes = np.random.default_rng(2).exponential(1.0, 50)

    assert shrunk_factors(sizes, np.zeros(50, dtype=np.int64), 24) == pytest.approx(np.ones(24))


def test_a_band_over_a_loud_hour_is_wider_than_one_over_a_quiet_hour() -> None:
    closes = loud_afternoons(7, 24 * 16, loud=4.0)  # ends at midnight: the next 12 hours are quiet
    made = issue(HourWeek(), series(closes))
    variance = np.diff(np.log(made.p90 / made.p10) ** 2, prepend=0.0)

    assert np.sqrt(variance[12:18].mean() / variance[:12].mean()) == pytest.approx(4.0, rel=0.4)
    assert (made.p50 == closes[-1]).all()


def test_the_scheduled_hours_decide_and_not_the_next_ones_on_the_clock() -> None:
    one = series(loud_afternoons(7, 24 * 16, loud=4.0), horizon=3)
    noon = replace(one, target_opened_at=one.target_opened_at + 12 * HOUR)

    night, day = issue(HourWeek(), one), issue(HourWeek(), noon)

    assert (np.log(day.p90 / day.p10) > 2 * np.log(night.p90 / night.p10)).all()


def test_paths_follow_the_fan() -> None:
    made = issue(HourWeek(), series(loud_afternoons(7, 24 * 16, loud=4.0)), n_paths=4000)

    assert made.paths is not None
    below = (made.paths[:, :, None] <= made.fan).mean(axis=0)
    assert below == pytest.approx(np.tile(LEVELS, (24, 1)), abs=5 * np.sqrt(0.25 / 4000))


def test_it_beats_the_random_walk_where_there_is_a_profile_and_costs_little_where_there_is_none() -> None:
    def mean_loss(model: HourWeek | RandomWalk, loud: float) -> float:
        levels, losses = np.array(LEVELS), []
        for seed in range(120):  # each ends at another hour
            closes = loud_afternoons(seed, 392 + seed % 24 + 1, loud)
            made = issue(model, series(closes[:-1], horizon=1))
            short = np.log(closes[-1] / made.fan[0])
            losses.append(np.maximum(levels * short, (levels - 1) * short).mean())
        return float(np.mean(losses))

    # The gain has a standard error of 3 %, the cost one of 0.3 %.
    assert mean_loss(HourWeek(), 4.0) < 0.97 * mean_loss(RandomWalk(), 4.0)
    assert mean_loss(HourWeek(), 1.0) < 1.01 * mean_loss(RandomWalk(), 1.0)


def test_a_lookback_that_is_too_short_for_a_week_is_refused() -> None:
    (made,) = HourWeek().forecast([series(walk(1, MIN_BARS - 1))], horizon=24, n_paths=0)

    assert isinstance(made, Refusal)
    assert made.code == "too_few_bars"
    assert "127 bars in the lookback, baseline-hourweek needs 128" in made.message
