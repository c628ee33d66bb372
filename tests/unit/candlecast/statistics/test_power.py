import math

import pytest
from scipy import stats

from candlecast.statistics.power import days_needed


def test_days_needed_by_hand() -> None:
    """Skill of two errors after 90 days; 1.96 + 0.84 = 2.80 are needed, so 90 · 1.4² days."""
    assert days_needed(0.02, 0.01, 90) == pytest.approx(90 * (2.8016 / 2) ** 2, rel=1e-4)


def test_after_that_many_days_the_interval_excludes_zero_with_the_stated_probability() -> None:
    days = days_needed(0.01, 0.02, 90, power=0.9)
    se = 0.02 * math.sqrt(90 / days)

    assert stats.norm.sf(1.96 - 0.01 / se) == pytest.approx(0.9, abs=1e-4)


def test_being_worse_takes_as_long_to_show_as_being_better() -> None:
    assert days_needed(-0.02, 0.01, 90) == days_needed(0.02, 0.01, 90)


@pytest.mark.parametrize(
    ("skill", "se", "days"), [(0.0, 0.01, 90), (0.01, math.inf, 90), (math.nan, 0.01, 90), (0.01, 0.01, 0)]
)
def test_nothing_to_show_takes_for_ever(skill: float, se: float, days: float) -> None:
    assert days_needed(skill, se, days) == math.inf
