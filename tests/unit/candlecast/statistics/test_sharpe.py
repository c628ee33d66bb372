import math

import numpy as np
import pytest
from scipy import stats

from candlecast.statistics.longrun import equal_weighted_cosines
from candlecast.statistics.sharpe import (
    annual_factor,
    annual_sharpe,
    deflated_sharpe,
    expected_maximum,
    net_of_cost,
    probabilistic_sharpe,
    probability_above,
    sharpe_difference,
    sharpe_of_sums,
)

RNG = np.random.default_rng(4)
RETURNS = RNG.standard_t(5, 720) * 0.01 + 0.0005


def test_the_ratio_is_mean_over_deviation_times_the_root_of_the_year() -> None:
    assert annual_sharpe(RETURNS, 8760).value == pytest.approx(RETURNS.mean() / RETURNS.std() * math.sqrt(8760))


def test_for_independent_normal_returns_the_error_is_the_one_of_lo() -> None:
    """√((1 + SR²/2) / T) per period; with T = 40,000 there are 479 cosines, which know it to 3 %."""
    returns = np.random.default_rng(1).standard_normal(40_000) + 1.0

    estimate = annual_sharpe(returns, 1.0)

    assert estimate.se == pytest.approx(math.sqrt(1.5 / 40_000), rel=0.1)


def test_los_factor_by_hand() -> None:
    """η(2) = 2 / √(2 + 2·1·ρ): 2/√3 for ρ = 0.5; √q without correlation; more than it where returns turn back."""
    assert annual_factor(np.array([0.5]), 2) == pytest.approx(2 / math.sqrt(3))
    assert annual_factor(np.zeros(5), 252) == pytest.approx(math.sqrt(252))
    assert annual_factor(np.array([-0.2]), 12) > math.sqrt(12)
    assert annual_factor(np.array([-0.9, -0.9]), 12) == math.sqrt(12)  # no law has these: no variance would be left


def test_a_first_order_autoregression_has_the_factor_that_lo_gives() -> None:
    """η(q) = √q / √(1 + 2ρ/(1 - ρ) · (1 - (1 - ρ^q)/(q (1 - ρ)))), Lo (2002), for ρ = 0.3 and q = 12."""
    rho, q = 0.3, 12
    expected = math.sqrt(q) / math.sqrt(1 + 2 * rho / (1 - rho) * (1 - (1 - rho**q) / (q * (1 - rho))))

    assert annual_factor(rho ** np.arange(1, q), q) == pytest.approx(expected)


def test_sums_over_days_give_the_ratio_of_the_bars() -> None:
    days, squares = RETURNS.reshape(30, 24).sum(axis=1), (RETURNS**2).reshape(30, 24).sum(axis=1)

    by_day, by_bar = sharpe_of_sums(np.full(30, 24), days, squares, 8760), annual_sharpe(RETURNS, 8760)

    assert by_day.value == pytest.approx(by_bar.value)
    assert by_day.dof == 3.0  # 0.41 · 30^(2/3): days that may each be one shock


def test_days_of_one_bar_have_the_error_of_the_bars() -> None:
    by_day, by_bar = sharpe_of_sums(np.ones(720), RETURNS, RETURNS**2, 8760), annual_sharpe(RETURNS, 8760)

    assert (by_day.se, by_day.dof) == pytest.approx((by_bar.se, by_bar.dof))


def test_days_of_unequal_length_add_up_what_each_bar_tells_of_the_error() -> None:
    """A bar tells (r - μ)/σ - SR ((r - μ)²/σ² - 1)/2; the ratio's error is that of the mean of these, by day."""
    returns = RETURNS + 0.02  # a ratio of 1.6 a bar, so that the second part counts
    starts = np.arange(0, 720, 24) + np.tile([0, 10, -6], 10) * (np.arange(30) > 0)
    z = (returns - returns.mean()) / returns.std()
    told = z - returns.mean() / returns.std() / 2 * (z**2 - 1)
    per_day = np.add.reduceat(told, starts)

    estimate = sharpe_of_sums(
        np.diff(np.r_[starts, 720]), np.add.reduceat(returns, starts), np.add.reduceat(returns**2, starts), 1.0
    )

    assert estimate.se == pytest.approx(equal_weighted_cosines(per_day).se * 30 / 720)


def test_costs_take_what_was_traded() -> None:
    """From flat to long, stay, then to short: 1, 0 and 2 units at a tenth of a percent."""
    net = net_of_cost(np.array([0.01, 0.02, -0.01]), np.array([1.0, 0.0, 2.0]), 0.001)

    assert net == pytest.approx([0.009, 0.02, -0.012])


def test_costs_of_sums_are_those_of_the_bars_but_for_their_variance() -> None:
    turnover = np.abs(RNG.normal(0.0, 0.1, 720))
    day = [x.reshape(30, 24).sum(axis=1) for x in (RETURNS, RETURNS**2, turnover)]

    by_day = sharpe_of_sums(np.full(30, 24), day[0], day[1], 8760, turnover=day[2], cost=0.001)

    by_bar = annual_sharpe(net_of_cost(RETURNS, turnover, 0.001), 8760)
    assert by_day.value == pytest.approx(by_bar.value, rel=0.01)
    assert by_day.value < annual_sharpe(RETURNS, 8760).value


def test_the_worked_example_of_the_deflated_ratio() -> None:
    """Bailey and López de Prado (2014): an annual 2.5 over 1,250 days, skew -3, kurtosis 10, the best of 100 trials
    whose annual ratios vary by ½: the threshold is 0.1132 a day and the probability 0.9004."""
    threshold = math.sqrt(0.5 / 250) * expected_maximum(100)

    assert threshold == pytest.approx(0.1132, abs=5e-5)
    assert probability_above(threshold, 2.5 / math.sqrt(250), 1250, -3.0, 10.0) == pytest.approx(0.9004, abs=5e-5)


def test_the_largest_of_360_is_2_95_and_of_one_is_0() -> None:
    assert expected_maximum(360) == pytest.approx(2.95, abs=0.005)
    assert expected_maximum(1) == 0.0
    with pytest.raises(ValueError, match="there must be a cell"):
        expected_maximum(0)


def test_the_probabilistic_ratio_is_the_formula_on_the_moments() -> None:
    ratio = RETURNS.mean() / RETURNS.std(ddof=1)
    skew, kurtosis = stats.skew(RETURNS), stats.kurtosis(RETURNS, fisher=False)
    z = ratio * math.sqrt(719) / math.sqrt(1 - skew * ratio + (kurtosis - 1) / 4 * ratio**2)

    assert probabilistic_sharpe(RETURNS) == pytest.approx(stats.norm.cdf(z))
    assert probabilistic_sharpe(RETURNS, benchmark=ratio) == pytest.approx(0.5)


def test_more_trials_leave_less() -> None:
    probabilities = [deflated_sharpe(RETURNS, n) for n in (1, 10, 360)]

    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[0] == probabilistic_sharpe(RETURNS)


def test_a_difference_of_ratios_drops_what_both_have_in_common() -> None:
    market = RNG.normal(0.0, 0.01, 720)
    a, b = market + RNG.normal(0.0005, 0.002, 720), market + RNG.normal(0.0, 0.002, 720)

    difference = sharpe_difference(a, b, 8760)

    first, second = annual_sharpe(a, 8760), annual_sharpe(b, 8760)
    assert difference.value == pytest.approx(first.value - second.value)
    assert difference.se < 0.5 * math.hypot(first.se, second.se)
    assert sharpe_difference(b, b, 8760).p_value == 1.0


@pytest.mark.parametrize("returns", [np.empty(0), np.zeros(100), np.full(100, 0.01), RETURNS[:1]])
def test_a_portfolio_that_never_moved_has_no_ratio(returns: np.ndarray) -> None:
    assert math.isnan(annual_sharpe(returns, 8760).value)
    assert math.isnan(probabilistic_sharpe(returns))
    assert math.isnan(sharpe_of_sums(np.ones(len(returns)), returns, returns**2, 8760).value)


def test_under_30_bars_there_is_a_ratio_and_no_interval() -> None:
    for estimate in (
        annual_sharpe(RETURNS[:29], 8760),
        sharpe_of_sums(np.ones(29), RETURNS[:29], RETURNS[:29] ** 2, 8760),
    ):
        assert math.isfinite(estimate.value)
        assert (estimate.low, estimate.high) == (-math.inf, math.inf)
    assert math.isnan(deflated_sharpe(RETURNS[:29], 10))


def test_returns_of_other_bars_are_refused() -> None:
    with pytest.raises(ValueError, match="same bars"):
        sharpe_difference(RETURNS, RETURNS[:-1], 8760)
