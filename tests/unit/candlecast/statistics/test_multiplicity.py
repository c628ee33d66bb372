import numpy as np
import pytest

from candlecast.statistics.multiplicity import e_bh, false_discoveries


def test_e_bh_rejects_the_largest_k_whose_smallest_reaches_the_number_of_cells_over_k_levels() -> None:
    """Five cells at 5 %: 100 for one, 50 for each of two, 33.3 for each of three. 40 passes as third, not as second."""
    assert e_bh(np.log([60.0, 40.0, 1.0, 34.0, 0.5])).tolist() == [True, True, False, True, False]
    assert e_bh(np.log([60.0, 40.0, 1.0, 33.0, 0.5])).tolist() == [False, False, False, False, False]
    assert e_bh(np.log([101.0, 40.0, 1.0, 33.0, 0.5])).tolist() == [True, False, False, False, False]


def test_an_e_value_of_zero_is_never_rejected() -> None:
    assert e_bh(np.array([-np.inf, 1000.0])).tolist() == [False, True]


def test_each_row_is_a_page_of_its_own() -> None:
    assert e_bh(np.log([[41.0, 1.0], [39.0, 1.0]])).tolist() == [[True, False], [False, False]]


def test_no_cells_are_no_discoveries() -> None:
    assert e_bh(np.empty((3, 0))).shape == (3, 0)
    assert false_discoveries(np.empty(0)).shape == (0,)


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg_over_the_cells_that_have_one() -> None:
    """By hand, four cells: 0.01 * 4 / 1, 0.02 * 4 / 2, 0.04 * 4 / 3 and 0.2 * 4 / 4."""
    adjusted = false_discoveries([0.04, np.nan, 0.01, 0.2, 0.02])

    assert adjusted == pytest.approx([0.04 * 4 / 3, np.nan, 0.04, 0.2, 0.04], nan_ok=True)


def test_an_adjusted_p_value_is_not_above_that_of_a_larger_p_value() -> None:
    assert false_discoveries([0.03, 0.04]) == pytest.approx([0.04, 0.04])
