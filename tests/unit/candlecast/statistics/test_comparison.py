import math

import numpy as np
import pytest

from candlecast.statistics.comparison import diebold_mariano, skill_of_sums
from candlecast.statistics.longrun import equal_weighted_cosines, newey_west

RNG = np.random.default_rng(3)
BASE = RNG.gamma(5.0, 1.0, 120)
LOSS = 0.95 * BASE + RNG.normal(0.0, 0.3, 120)


def test_the_factor_of_harvey_leybourne_and_newbold_by_hand() -> None:
    """n = 8 and h = 2: autocovariances at 0 and 1, factor √((8 + 1 - 4 + 2/8) / 8), t with 7 degrees of freedom."""
    gap = np.array([1.0, 2.0, 2.0, 3.0, 3.0, 1.0, 0.0, 0.0])
    centred = gap - 1.5
    gamma_0, gamma_1 = float(centred @ centred) / 8, float(centred[1:] @ centred[:-1]) / 8
    variance = (gamma_0 + 2 * gamma_1) / 8
    expected = 1.5 / math.sqrt(variance) * math.sqrt(5.25 / 8)

    estimate = diebold_mariano(np.zeros(8), gap, step=2, method="hln")

    assert estimate.value / estimate.se == pytest.approx(expected)
    assert estimate.dof == 7


def test_a_truncated_sum_that_is_negative_says_nothing() -> None:
    gap = np.array([1.0, -1.0] * 8) + 0.1

    assert diebold_mariano(np.zeros(16), gap, step=2, method="hln").p_value == 1.0


def test_newey_west_takes_twice_the_step() -> None:
    assert diebold_mariano(LOSS, BASE, 6, "nw") == newey_west(BASE - LOSS, 12)


def test_a_better_forecaster_has_a_positive_difference_and_a_positive_skill() -> None:
    assert diebold_mariano(0.9 * BASE, BASE, 1).low > 0.0
    assert skill_of_sums(LOSS, BASE, 1.0).low > 0.0
    assert skill_of_sums(BASE, LOSS, 1.0).high < 0.0


def test_instruments_are_averaged_bar_by_bar_first() -> None:
    """Two instruments, one of them without a pair on some bars, and a bar that neither has."""
    loss, base = np.zeros((40, 2)), np.column_stack([BASE[:40], BASE[40:80]])
    base[3:9, 1] = np.nan
    base[20] = np.nan
    gaps = [float(np.nanmean(row)) for i, row in enumerate(base) if i != 20]

    assert diebold_mariano(loss, base, 2) == equal_weighted_cosines(np.array(gaps), overlap=2)


def test_skill_is_one_minus_the_ratio_of_the_sums() -> None:
    estimate = skill_of_sums(LOSS, BASE, 1.0)

    assert estimate.value == pytest.approx(1.0 - LOSS.sum() / BASE.sum())
    assert estimate.low < estimate.value < estimate.high


def test_the_p_value_of_skill_is_that_of_diebold_and_mariano_on_the_days() -> None:
    skill, mean = skill_of_sums(LOSS, BASE, 5.0), diebold_mariano(LOSS, BASE, 5)

    assert skill.p_value == pytest.approx(mean.p_value)
    assert skill.excludes(0.0) == mean.excludes(0.0)


def test_the_interval_of_skill_shrinks_with_the_root_of_the_record() -> None:
    """A quarter of the days, twice the error; the means of 4 and of 16 errors are known to 7 % together."""
    rng = np.random.default_rng(9)
    base = rng.gamma(20.0, 1.0, 4000)
    loss = base + rng.normal(0.0, 1.0, 4000)

    def mean_error(n_records: int) -> float:
        records = zip(np.split(loss, n_records), np.split(base, n_records), strict=True)
        return float(np.mean([skill_of_sums(a, b, 1.0).se for a, b in records]))

    assert mean_error(16) / mean_error(4) == pytest.approx(2.0, rel=0.2)


def test_losses_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        diebold_mariano(LOSS, BASE[:-1], 1)
    with pytest.raises(ValueError, match="not finite"):
        diebold_mariano(LOSS, np.r_[np.nan, BASE[1:]], 1)


def test_no_pairs_have_no_skill_and_no_error() -> None:
    estimate = skill_of_sums(np.zeros(30), np.zeros(30), 1.0)

    assert math.isnan(estimate.value)
    assert not estimate.excludes(0.0)
    assert diebold_mariano(np.full((5, 2), np.nan), np.full((5, 2), np.nan), 1).p_value == 1.0
