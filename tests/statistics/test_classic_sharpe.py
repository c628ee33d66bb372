"""Sharpe ratios without skill: forecasting.md §3.6."""

import numpy as np
import pytest

from candlecast.statistics.sharpe import annual_sharpe, deflated_sharpe, expected_maximum, sharpe_of_sums
from tests.statistics.classic_worlds import LOOKBACK, day_sums, rate, zero_skill

YEAR = 8760
QUARTER = 90 * 24


def test_overlapping_trades_counted_by_the_hour_inflate_the_ratio_by_the_root_of_the_step() -> None:
    """A spread of 7.4 at h = 24 after 90 days, and of 1.5 when annualised by days, where one return per bar has 2.0.

    By the arcsine law of signs the variance of momentum's trades is inflated by 12 at h = 24, so that the spread is
    √(12 · 365/90) = 6.98. 1,000 worlds know it to ± 2.2 %, the table perhaps to 3.5 %; 10 % are allowed for it.
    """
    world = zero_skill(np.random.default_rng(74), 1000, QUARTER, 24)
    trades = (world.signal * world.outcome)[..., 0]
    ratio = trades.mean(axis=1) / trades.std(axis=1)
    # Each bar holds the average of the signals of the last 24 bars.
    sums = np.cumsum(np.pad(world.signal[..., 0], ((0, 0), (1, 0))), axis=1)
    held = (sums[:, 24:-1] - sums[:, :-25]) / 24
    portfolio = held * world.bar[:, 24:, 0]
    by_bar = np.sqrt(YEAR) * portfolio.mean(axis=1) / portfolio.std(axis=1)

    assert LOOKBACK == 24
    assert np.sqrt(YEAR) * ratio.std() == pytest.approx(np.sqrt(12 * 365 / 90), rel=0.06)
    assert np.sqrt(YEAR) * ratio.std() == pytest.approx(7.4, rel=0.1)
    assert np.sqrt(YEAR / 24) * ratio.std() == pytest.approx(1.5, rel=0.1)
    assert by_bar.std() == pytest.approx(np.sqrt(YEAR / (QUARTER - 24)), rel=0.08)

    estimates = [annual_sharpe(returns, YEAR) for returns in portfolio]
    assert 0.03 <= rate([estimate.excludes() for estimate in estimates]) <= 0.08
    days = portfolio[:, : 88 * 24, None]
    by_day = [
        sharpe_of_sums(np.full(88, 24), total, square, YEAR)
        for total, square in zip(day_sums(days, 24), day_sums(days**2, 24), strict=True)
    ]
    assert 0.03 <= rate([estimate.excludes() for estimate in by_day]) <= 0.08


def test_the_interval_of_the_ratio_covers_a_true_one() -> None:
    """Skill of 2 a year, fat tails; 1,000 years of 365 daily returns know 95 % to ± 0.7 points."""
    true = 2.0
    returns = np.random.default_rng(3).standard_t(5, (1000, 365)) / np.sqrt(5 / 3) + true / np.sqrt(365)

    covered = rate([not annual_sharpe(row, 365).excludes(true) for row in returns])

    assert covered == pytest.approx(0.95, abs=0.02)


def test_serial_correlation_is_in_the_annual_ratio_and_in_its_error() -> None:
    """A moving average of 5 returns without skill: by √q it is found to have some far too often."""
    noise = np.random.default_rng(8).standard_normal((500, 1004))
    sums = np.cumsum(np.pad(noise, ((0, 0), (1, 0))), axis=1)
    smoothed = (sums[:, 5:] - sums[:, :-5]) / 5

    independent = np.abs(smoothed.mean(axis=1) / smoothed.std(axis=1)) * np.sqrt(1000) > 1.96
    estimates = [annual_sharpe(row, 252, overlap=5) for row in smoothed]

    assert np.mean(independent) > 0.3
    assert 0.03 <= rate([estimate.excludes() for estimate in estimates]) <= 0.08
    # Lo's factor takes the inflation back: a year of the smoothed returns has the ratio of a year of the noise.
    assert np.std([estimate.value for estimate in estimates]) == pytest.approx(np.sqrt(252 / 1000), rel=0.15)


def test_the_best_of_360_cells_without_skill() -> None:
    """E[max z] = 2.95, which is a ratio of 3.0 after a year and 5.9 after 90 days.

    The largest of 360 has a spread of 0.40: 4,000 draws know the mean to 0.006, 25 of the ratio to 0.16.
    """
    rng = np.random.default_rng(360)
    largest = rng.standard_normal((4000, 360), dtype=np.float32).max(axis=1)
    assert largest.mean() == pytest.approx(2.95, abs=0.02)
    assert expected_maximum(360) == pytest.approx(largest.mean(), abs=0.03)

    best, deflated = [], []
    for _ in range(25):
        returns = rng.standard_t(5, (360, QUARTER))
        ratios = np.sqrt(YEAR) * returns.mean(axis=1) / returns.std(axis=1)
        winner = returns[ratios.argmax()]
        best.append(annual_sharpe(winner, YEAR).value)
        deflated.append(deflated_sharpe(winner, 360))
    assert np.mean(best) == pytest.approx(5.9, abs=0.5)
    assert expected_maximum(360) * np.sqrt(365 / 90) == pytest.approx(5.9, abs=0.1)
    # One by one they look like proof; told of the 360, about half have no more than chance gives.
    assert rate([p > 0.95 for p in deflated]) <= 0.2
