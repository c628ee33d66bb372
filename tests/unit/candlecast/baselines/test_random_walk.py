from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast.baselines import (
    CELLS_PER_SCALE,
    MIN_BARS,
    RandomWalk,
    ewma_scale,
    filtered,
    sample_sums,
    sum_quantiles,
)
from candlecast.forecasts import LEVELS, Forecast, Refusal, Series

ISSUED = datetime(2025, 3, 1, tzinfo=UTC)
UPPER = [level for level in LEVELS if level > 0.5]


def series(closes: np.ndarray, horizon: int = 24, symbol: str = "BTCUSDT") -> Series:
    hours = np.datetime64("2025-01-01T00:00:00") + np.arange(len(closes) + horizon) * np.timedelta64(3600, "s")
    bars = np.column_stack([closes] * 4 + [np.ones_like(closes)] * 2)
    return Series(symbol, "1h", ISSUED, bars, hours[: len(closes)], hours[len(closes) :])


def walk(seed: int, n_bars: int = 512, df: float = 5.0, vol: float = 0.01) -> np.ndarray:
    steps = np.random.default_rng(seed).standard_t(df, n_bars) * vol / np.sqrt(df / (df - 2))
    return 100.0 * np.exp(np.cumsum(steps))


def issue(one: Series, n_paths: int = 0, base_seed: int = 0) -> Forecast:
    (made,) = RandomWalk().forecast([one], horizon=len(one.target_opened_at), n_paths=n_paths, base_seed=base_seed)
    assert isinstance(made, Forecast), made
    return made


# -- volatility --------------------------------------------------------------------------------------


def test_volatility_starts_at_the_mean_square_and_forgets_three_percent_a_bar() -> None:
    closes = np.exp(np.array([0.0, 0.1, -0.1]))  # returns 0.1 and -0.2: mean square 0.025
    after_one = 0.97 * 0.025 + 0.03 * 0.01
    after_two = 0.97 * after_one + 0.03 * 0.04

    split = filtered(closes)

    assert split.logarithmic
    assert split.scale == pytest.approx(np.sqrt(after_two), rel=1e-12)
    assert split.residuals == pytest.approx([0.1 / np.sqrt(0.025), -0.2 / np.sqrt(after_one)], rel=1e-12)


def test_prices_that_are_not_all_positive_are_differenced() -> None:
    split = filtered(np.array([2.0, 0.0, -3.0]))  # oil in April 2020 went through zero

    assert not split.logarithmic
    assert split.scale == pytest.approx(np.sqrt(0.97 * (0.97 * 6.5 + 0.03 * 4.0) + 0.03 * 9.0))
    assert ewma_scale(np.array([2.0, 0.0, -3.0])) == split.scale


def test_a_volatility_needs_two_closes() -> None:
    with pytest.raises(ValueError, match="two closes"):
        ewma_scale(np.array([1.0]))


# -- law of the sum ----------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 3, 4])
@pytest.mark.parametrize(
    "residuals", [[1.0, 0.3, 0.1, 2.5], [1.0, 1.0, 1.0], [0.0, 0.0, 0.7], [0.2, 0.5, 0.9, 1.1, 40.0], [1e-9, 2e-9]]
)
def test_quantiles_of_short_sums_equal_those_of_every_sum_written_out(residuals: list[float], steps: int) -> None:
    z = np.array(residuals)
    every = np.sort(np.abs([sum(draw) for draw in product(np.concatenate([z, -z]), repeat=steps)]))
    rms = np.sqrt(np.mean(z * z))
    cell = min(np.quantile(z, 0.6827), rms) * np.sqrt(steps) / CELLS_PER_SCALE or rms / CELLS_PER_SCALE

    upper = sum_quantiles(z, steps)[-1, 6:]

    for level, value in zip(UPPER, upper, strict=True):
        # An atom is spread over neighbouring cells, so ask with that much slack on either side.
        assert np.mean(every <= value + 2 * steps * cell) >= 2 * level - 1 - 1e-9
        assert np.mean(every < value - 2 * steps * cell) <= 2 * level - 1 + 1e-9


def test_quantiles_of_two_steps_of_a_real_sized_pool_equal_those_of_every_pair() -> None:
    z = np.random.default_rng(3).standard_t(4, 400)
    pool = np.concatenate([z, -z])
    every = np.abs((pool[:, None] + pool).ravel())

    upper = sum_quantiles(z, 2)[1, 6:]

    assert upper == pytest.approx(np.quantile(every, [2 * level - 1 for level in UPPER]), abs=2e-3)


@pytest.mark.parametrize("steps", [7, 24, 120])
def test_quantiles_of_long_sums_agree_with_a_million_simulated_ones(steps: int) -> None:
    z = np.random.default_rng(5).standard_t(3, 200)
    n = 1_000_000
    rng = np.random.default_rng(6)
    pool = np.concatenate([z, -z])
    total = np.zeros(n)
    for _ in range(steps):
        total += pool[rng.integers(0, len(pool), n)]

    upper = sum_quantiles(z, steps)[-1, 6:]

    for level, value in zip(UPPER, upper, strict=True):
        share = float(np.mean(np.abs(total) <= value))
        assert abs(share - (2 * level - 1)) < 5 * np.sqrt(0.25 / n)


def test_long_sums_of_normal_residuals_are_normal() -> None:
    from scipy.stats import norm

    z = norm.ppf((np.arange(1, 2001) - 0.5) / 2000)
    fan = sum_quantiles(z, 120)

    for step in (4, 24, 120):
        assert fan[step - 1] == pytest.approx(norm.ppf(LEVELS) * np.sqrt(step * np.mean(z * z)), abs=2e-3 * step**0.5)


def test_one_huge_residual_does_not_blur_the_rest() -> None:
    calm = np.random.default_rng(8).standard_normal(500)

    with_shock = sum_quantiles(np.append(calm, 400.0), 3)
    without = sum_quantiles(calm, 3)

    # The shock takes part in 3 of 501 draws; it moves the inner quantiles by that share at most.
    assert with_shock[:, 2:9] == pytest.approx(without[:, 2:9], abs=0.06)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-50, 50)), st.integers(1, 130))
def test_any_law_gives_a_mirrored_rising_fan_within_reach_of_its_draws(z: np.ndarray, horizon: int) -> None:
    fan = sum_quantiles(z, horizon)

    assert fan.shape == (horizon, 11)
    assert (np.diff(fan, axis=1) >= 0).all()
    assert (fan == -fan[:, ::-1]).all()
    assert (fan[:, -1] <= np.abs(z).max() * np.arange(1, horizon + 1) * 1.2 + 1e-12).all()


@settings(max_examples=30, deadline=None)
@given(st.floats(0.001, 1000.0))
def test_a_sum_of_scaled_residuals_is_the_scaled_sum(factor: float) -> None:
    z = np.random.default_rng(2).standard_t(5, 100)

    assert sum_quantiles(z * factor, 30) == pytest.approx(sum_quantiles(z, 30) * factor, rel=1e-6, abs=1e-9)


def test_sampled_paths_follow_the_same_law_as_the_fan() -> None:
    z = np.random.default_rng(4).standard_t(4, 300)
    n = 40_000

    sums = sample_sums(z, 40, n, seed=11)
    fan = sum_quantiles(z, 40)

    for step in (1, 2, 10, 40):
        below = (sums[:, step - 1, None] <= fan[step - 1]).mean(axis=0)
        assert below == pytest.approx(np.array(LEVELS), abs=5 * np.sqrt(0.25 / n))


# -- forecasts ---------------------------------------------------------------------------------------


def test_the_median_is_the_last_close_and_bands_widen_with_every_step() -> None:
    one = series(walk(1), horizon=120)

    made = issue(one)

    assert (made.p50 == one.last_close).all()
    assert (np.diff(made.p90 - made.p10) > 0).all()
    assert np.log(made.p90 / one.last_close) == pytest.approx(-np.log(made.p10 / one.last_close), rel=1e-9)


def test_the_width_of_the_band_grows_with_the_square_root_of_time() -> None:
    made = issue(series(walk(1), horizon=120))
    width = np.log(made.p90 / made.p10)

    assert width[119] / width[29] == pytest.approx(2.0, rel=0.02)


def test_a_price_in_another_currency_has_the_same_fan_in_that_currency() -> None:
    one, other = series(walk(1)), series(walk(1) * 150.0)

    assert issue(other).fan == pytest.approx(issue(one).fan * 150.0, rel=1e-9)


def test_negative_prices_are_forecast_in_differences() -> None:
    closes = np.cumsum(np.random.default_rng(9).standard_normal(200)) - 5.0

    made = issue(series(closes))

    assert closes.min() < 0 < made.fan.max() - made.fan.min()
    assert made.p90 - closes[-1] == pytest.approx(closes[-1] - made.p10, abs=1e-9)


def test_heavier_residuals_give_heavier_tails_for_the_same_middle() -> None:
    def tail(df: float) -> float:
        step = np.log(issue(series(walk(12, n_bars=4000, df=df))).fan[0] / walk(12, n_bars=4000, df=df)[-1])
        return float(step[LEVELS.index(0.95)] / step[LEVELS.index(0.7)])

    # Normal 1.645 / 0.524 = 3.14, Student with 3 degrees of freedom 2.353 / 0.584 = 4.03.
    assert tail(200.0) == pytest.approx(3.14, rel=0.1)
    assert tail(3.0) == pytest.approx(4.03, rel=0.12)


@pytest.mark.parametrize("df", [4.0, 200.0])
def test_bands_cover_what_they_claim_in_simulated_worlds(df: float) -> None:
    n_worlds, horizon = 600, 24
    inside = np.zeros((n_worlds, horizon), dtype=bool)
    for world in range(n_worlds):
        closes = walk(world, n_bars=300 + horizon, df=df)
        made = issue(series(closes[:300], horizon=horizon))
        inside[world] = (made.p10 <= closes[300:]) & (closes[300:] <= made.p90)

    coverage = inside.mean(axis=0)

    assert coverage[[0, 3, 23]] == pytest.approx([0.8, 0.8, 0.8], abs=0.05)  # standard error 0.016


def test_the_same_series_gets_the_same_bytes_in_any_company_and_memory_layout() -> None:
    crowd = [series(walk(seed), symbol=f"S{seed}") for seed in range(5)]
    column_major = replace(crowd[2], ohlcv=np.asfortranarray(crowd[2].ohlcv))

    together = list(RandomWalk().forecast(crowd, horizon=24, n_paths=10))[2]
    reverse = list(RandomWalk().forecast(crowd[::-1], horizon=24, n_paths=10))[2]
    alone = issue(column_major, n_paths=10)

    for made in (together, reverse):
        assert isinstance(made, Forecast)
        assert made.fan.tobytes() == alone.fan.tobytes()
        assert made.paths is not None
        assert alone.paths is not None
        assert made.paths.tobytes() == alone.paths.tobytes()


def test_a_path_is_the_same_however_many_are_asked_for_and_another_with_another_seed() -> None:
    one = series(walk(1))

    few, many, other = issue(one, 10), issue(one, 100), issue(one, 10, base_seed=1)

    assert few.paths is not None
    assert many.paths is not None
    assert other.paths is not None
    assert few.paths.tobytes() == many.paths[:10].tobytes()
    assert few.paths.tobytes() != other.paths.tobytes()
    assert few.fan.tobytes() == other.fan.tobytes()  # the fan is exact, no seed in it


def test_no_paths_are_made_when_none_are_asked_for() -> None:
    assert issue(series(walk(1))).paths is None


def test_one_series_that_cannot_be_forecast_is_refused_and_the_others_are_not() -> None:
    good = walk(1)
    crowd = [
        series(good),
        series(good[: MIN_BARS - 1]),
        series(np.full(100, 3.5)),
        series(np.where(np.arange(512) == 5, np.nan, good)),
        series(good),
    ]

    made = list(RandomWalk().forecast(crowd, horizon=24, n_paths=0))

    assert [one.code if isinstance(one, Refusal) else "ok" for one in made] == [
        "ok",
        "too_few_bars",
        "no_movement",
        "not_finite",
        "ok",
    ]
    assert "63 bars" in made[1].message


def test_a_price_that_would_leave_the_number_line_is_refused() -> None:
    closes = np.where(np.arange(100) % 2 == 0, 1e-300, 1e300)

    (made,) = RandomWalk().forecast([series(closes)], horizon=24, n_paths=0)

    assert isinstance(made, Refusal)
    assert made.code == "out_of_range"


def test_the_shortest_lookback_is_enough() -> None:
    assert issue(series(walk(1, n_bars=MIN_BARS))).fan.shape == (24, 11)


def test_cancelling_stops_before_the_next_series() -> None:
    answers = iter([False, True])

    made = list(RandomWalk().forecast([series(walk(1))] * 3, horizon=24, n_paths=0, cancel=lambda: next(answers)))

    assert len(made) == 1
