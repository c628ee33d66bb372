import math
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.statistics.longrun import equal_weighted_cosines
from candlecast.statistics.ratios import ratio_of_sums

RNG = np.random.default_rng(11)
BOTTOM = RNG.gamma(5.0, 1.0, 90)
TOP = 0.9 * BOTTOM + RNG.normal(0.0, 0.4, 90)


def test_both_ends_of_the_interval_are_just_rejected() -> None:
    estimate = ratio_of_sums(TOP, BOTTOM, overlap=5.0)

    for end in (estimate.low, estimate.high):
        assert ratio_of_sums(TOP, BOTTOM, overlap=5.0, null=end).p_value == pytest.approx(0.05, rel=1e-6)
        # and that test is the one of a mean: of the residuals at that ratio
        residuals = equal_weighted_cosines(TOP - end * BOTTOM, overlap=5.0)
        assert residuals.p_value == pytest.approx(0.05, rel=1e-6)


def test_over_constant_days_the_interval_is_that_of_a_mean() -> None:
    ratio, mean = ratio_of_sums(TOP, np.full(90, 4.0), overlap=1.0), equal_weighted_cosines(TOP / 4.0, overlap=1.0)

    assert astuple(ratio)[:4] == pytest.approx(astuple(mean)[:4])
    assert ratio.p_value == pytest.approx(mean.p_value)


def test_days_without_pairs_change_nothing_but_how_long_a_span_is() -> None:
    """Two of seven days are 0: 12 calendar days of overlap are 8.7 of those that remain, and 90 days bear 4 cosines."""
    calendar = np.flatnonzero(np.arange(126) % 7 < 5)
    top, bottom = np.zeros(126), np.zeros(126)
    top[calendar], bottom[calendar] = TOP, BOTTOM

    zeros, absent = ratio_of_sums(top, bottom, overlap=12.0), ratio_of_sums(TOP, BOTTOM, overlap=12.0 * 90 / 124)

    assert astuple(zeros) == astuple(absent)
    assert zeros.dof == 4.0
    assert ratio_of_sums(TOP, BOTTOM, overlap=12.0).dof == 3.0


def test_an_outage_is_no_weekend() -> None:
    """10 days, 80 without pairs, 10 days: the ten days before and after bear no span of 24 days."""
    gap = np.r_[np.ones(10), np.zeros(80), np.ones(10)]
    bottom = BOTTOM[:1].repeat(100) * gap

    assert ratio_of_sums(RNG.random(100) * gap, bottom, overlap=24.0).se == math.inf


@pytest.mark.parametrize(("days", "overlap"), [(0, 1.0), (1, 1.0), (7, 1.0), (90, 30.0)])
def test_a_short_record_has_a_value_and_no_interval(days: int, overlap: float) -> None:
    estimate = ratio_of_sums(TOP[:days], BOTTOM[:days], overlap)

    assert math.isnan(estimate.value) == (days == 0)
    assert (estimate.se, estimate.low, estimate.high, estimate.p_value) == (math.inf, -math.inf, math.inf, 1.0)


def test_a_ratio_that_never_varied_has_no_error_to_read() -> None:
    assert ratio_of_sums(0.9 * BOTTOM, BOTTOM, 1.0).low == -math.inf


def test_a_ratio_over_a_sum_that_may_be_nothing_can_be_anything() -> None:
    noise = RNG.standard_normal(80)
    noise -= noise.mean() - 0.01

    estimate = ratio_of_sums(TOP[:80], noise, overlap=1.0)

    assert (estimate.low, estimate.high) == (-math.inf, math.inf)


@given(st.floats(0.01, 100.0), st.floats(0.01, 100.0))
def test_units_of_both_sums_only_scale_the_ratio(a: float, b: float) -> None:
    there, scaled = ratio_of_sums(TOP, BOTTOM, 3.0, null=0.9), ratio_of_sums(a * TOP, b * BOTTOM, 3.0, null=0.9 * a / b)

    assert astuple(scaled.scaled(b / a))[:4] == pytest.approx(astuple(there)[:4], rel=1e-6)
    assert scaled.p_value == pytest.approx(there.p_value, rel=1e-6)


def test_what_was_not_judged_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        ratio_of_sums(np.array([1.0, np.nan]), np.array([1.0, 1.0]), 1.0)
    with pytest.raises(ValueError, match="equal length"):
        ratio_of_sums(TOP[:3], BOTTOM, 1.0)
