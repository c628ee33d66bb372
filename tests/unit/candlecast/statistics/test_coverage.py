import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.statistics.coverage import coverage_of_sums, share_of_sums
from candlecast.statistics.ratios import ratio_of_sums

RNG = np.random.default_rng(2)
N = np.full(60, 24)
BELOW = RNG.binomial(24, 0.1, 60)
ABOVE = RNG.binomial(24, 0.1, 60)


def test_the_three_shares_add_up_and_each_has_its_own_null() -> None:
    # 12 inside, 8 below, 4 above of 24 on each day, and a little noise that cancels
    wiggle = np.tile([1, -1], 30)
    found = coverage_of_sums(12 + wiggle, 8 - wiggle, np.full(60, 4), N, 1.0)

    assert (found.inside.value, found.below.value, found.above.value) == pytest.approx((1 / 2, 1 / 3, 1 / 6))
    assert found.inside.p_value < 0.05
    assert found.below.p_value < 0.05


def test_a_band_that_is_right_on_the_whole_and_wrong_on_each_side_is_found_by_its_sides() -> None:
    below, above = RNG.binomial(24, 0.17, 60), RNG.binomial(24, 0.03, 60)

    found = coverage_of_sums(N - below - above, below, above, N, 1.0)

    assert not found.inside.excludes(0.8)
    assert found.below.excludes(0.1)
    assert found.above.excludes(0.1)


def test_the_interval_on_the_logit_scale_by_hand() -> None:
    share, plain = share_of_sums(BELOW, N, 1.0, 0.1), ratio_of_sums(BELOW, N, 1.0)
    p, t = plain.value, (plain.high - plain.value) / plain.se  # days of equal n have the plain interval p ± t·se
    reach = t * plain.se / (p * (1 - p))

    for end, side in ((share.low, -1), (share.high, 1)):
        assert math.log(end / (1 - end)) == pytest.approx(math.log(p / (1 - p)) + side * reach)


def test_the_p_value_agrees_with_the_interval() -> None:
    share = share_of_sums(BELOW, N, 1.0, 0.1)

    for end in (share.low, share.high):
        assert share_of_sums(BELOW, N, 1.0, end).p_value == pytest.approx(0.05, rel=1e-6)


@given(st.lists(st.integers(0, 24), min_size=1, max_size=40), st.floats(0.1, 20.0))
def test_no_interval_of_a_share_leaves_0_to_1_but_the_whole_line(counts: list[int], overlap: float) -> None:
    share = share_of_sums(np.array(counts), np.full(len(counts), 24), overlap, 0.8)

    assert (share.low, share.high) == (-math.inf, math.inf) or 0.0 <= share.low <= share.value <= share.high <= 1.0


def test_no_miss_in_ten_spans_is_no_proof_of_no_misses() -> None:
    """Clopper and Pearson: 1 - 0.025^(1/10) = 0.308, and P(none of 10) = 0.9^10 when one of ten misses."""
    none = share_of_sums(np.zeros(50, int), np.full(50, 24), overlap=5.0, null=0.1)
    every = share_of_sums(np.full(50, 24), np.full(50, 24), overlap=5.0, null=0.8)

    assert (none.low, none.high) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert none.p_value == pytest.approx(2 * 0.9**10)
    assert (every.low, every.high) == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert every.p_value == pytest.approx(2 * 0.8**10)


def test_nothing_judged_has_no_coverage() -> None:
    assert math.isnan(share_of_sums(np.zeros(5), np.zeros(5), 1.0, 0.8).value)
