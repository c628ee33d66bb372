import math

import pytest
from scipy import stats

from candlecast.statistics.estimate import Estimate, critical_value, tail


@pytest.mark.parametrize(("dof", "table"), [(1.0, 12.706), (4.0, 2.776), (19.0, 2.093), (None, 1.960)])
def test_critical_values_are_those_of_the_tables(dof: float | None, table: float) -> None:
    assert critical_value(dof) == pytest.approx(table, abs=5e-4)


@pytest.mark.parametrize("dof", [1.0, 2.0, 7.0, 68.0])
def test_p_values_are_those_of_scipy(dof: float) -> None:
    assert tail(-2.3, dof) == pytest.approx(2.0 * stats.t.sf(2.3, dof), rel=1e-10)
    assert tail(2.3, None) == pytest.approx(2.0 * stats.norm.sf(2.3), rel=1e-10)


def test_the_interval_is_as_wide_as_student_says_and_the_p_value_speaks_of_the_null() -> None:
    estimate = Estimate.of(1.0, 0.5, 4.0, null=1.0)

    assert (estimate.low, estimate.high) == pytest.approx((1.0 - 2.776 * 0.5, 1.0 + 2.776 * 0.5), abs=1e-3)
    assert estimate.p_value == 1.0
    assert not estimate.excludes(0.0)
    assert estimate.excludes(-0.4)
    assert estimate.excludes(2.4)


@pytest.mark.parametrize("se", [0.0, math.inf, math.nan])
def test_an_error_that_is_not_known_leaves_the_whole_line(se: float) -> None:
    estimate = Estimate.of(0.3, se, 4.0)

    assert (estimate.value, estimate.low, estimate.high, estimate.p_value) == (0.3, -math.inf, math.inf, 1.0)
    assert not estimate.excludes(0.0)


def test_another_unit_changes_no_p_value() -> None:
    estimate = Estimate.of(1.0, 0.5, None)

    scaled = estimate.scaled(10.0)

    assert (scaled.value, scaled.se, scaled.low) == pytest.approx((10.0, 5.0, 10.0 * estimate.low))
    assert scaled.p_value == estimate.p_value
