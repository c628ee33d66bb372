import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from candlecast.statistics.longrun import basis_count, cosine_transform, equal_weighted_cosines, newey_west

X = np.random.default_rng(5).standard_normal(200).cumsum() * 0.1 + 1.0


@pytest.mark.parametrize("lags", [0, 3, 48])
def test_newey_west_is_that_of_a_regression_on_a_constant(lags: int) -> None:
    fit = sm.OLS(X, np.ones(len(X))).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": True})

    estimate = newey_west(X, lags)

    assert (estimate.value, estimate.se) == pytest.approx((fit.params[0], fit.bse[0]), rel=1e-10)
    assert estimate.p_value == pytest.approx(fit.pvalues[0], rel=1e-8)


def test_weights_on_cosines_follow_their_formula() -> None:
    """√(2/n) Σ x_t cos(π j (t - ½)/n), t from 1 (Lazarus et al. 2018)."""
    n, t = len(X), np.arange(1, len(X) + 1)
    expected = [math.sqrt(2 / n) * float(np.sum(X * np.cos(np.pi * j * (t - 0.5) / n))) for j in (1, 2, 3)]

    assert cosine_transform(X, 3) == pytest.approx(expected)


def test_the_error_of_the_mean_is_the_mean_square_of_the_weights() -> None:
    estimate = equal_weighted_cosines(X, n_basis=6)

    omega = float(np.mean(cosine_transform(X, 6) ** 2))
    assert estimate.se == pytest.approx(math.sqrt(omega / 200))
    assert estimate.dof == 6.0
    assert estimate.high - estimate.value == pytest.approx(2.447 * estimate.se, rel=1e-3)  # t with 6 degrees


def test_two_values_have_one_cosine_and_the_error_of_their_difference() -> None:
    """√(2/2) (1 cos(π/4) + 3 cos(3π/4)) = -√2, so the variance of the mean is 2 / 2."""
    assert equal_weighted_cosines(np.array([1.0, 3.0]), n_basis=1).se == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("n", "overlap", "expected"),
    [
        (2160, 1, 68),  # 0.41 · 2160^(2/3)
        (2160, 24, 36),  # 0.4 · 90 spans
        (2160, 120, 7),
        (90, 5, 7),
        (64, 17.1, 2),  # 3.7 spans: the fewest
        (59, 17.1, 0),
        (7, 1, 0),
        (8, 0.04, 2),
    ],
)
def test_how_many_cosines_a_record_bears(n: int, overlap: float, expected: int) -> None:
    assert basis_count(n, overlap) == expected


@given(st.integers(0, 5000), st.floats(0.01, 500.0))
def test_more_overlap_never_gives_more_cosines(n: int, overlap: float) -> None:
    assert basis_count(n, overlap * 1.5) <= basis_count(n, overlap) <= max(2, n - 1)


@pytest.mark.parametrize("x", [np.empty(0), np.ones(3), np.array([0.5, 0.7, 0.1]), np.full(100, 0.3)])
def test_a_short_or_a_constant_sample_has_no_interval(x: np.ndarray) -> None:
    for estimate in (equal_weighted_cosines(x), newey_west(x, 2)):
        assert (estimate.low, estimate.high, estimate.p_value) == (-math.inf, math.inf, 1.0)


@given(st.floats(-100.0, 100.0))
def test_a_shift_moves_the_interval_and_not_its_width(shift: float) -> None:
    moved, there = equal_weighted_cosines(X + shift, overlap=4), equal_weighted_cosines(X, overlap=4)

    assert moved.value - shift == pytest.approx(there.value, abs=1e-9)
    assert moved.se == pytest.approx(there.se, rel=1e-9)
