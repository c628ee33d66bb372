"""The error of a mean of values that depend on their neighbours.

`overlap` is over how many neighbours they do: the step of a forecast that is issued on every bar, or the days that
a step takes where the values are sums over days. Everything takes the values as equally spaced in time.

References
----------
Newey and West (1987), A Simple, Positive Semi-Definite, Heteroskedasticity and Autocorrelation Consistent Covariance
Matrix, Econometrica 55.
Lazarus, Lewis, Stock and Watson (2018), HAR Inference: Recommendations for Practice, J. Business & Economic
Statistics 36: equal-weighted cosines, t with as many degrees of freedom as cosines, and 0.41 n^(2/3) of them.
Müller (2004), A theory of robust long-run variance estimation, J. Econometrics 141 (2007): the cosines.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from candlecast.statistics.estimate import Estimate

Floats = NDArray[np.float64]

COSINES: Final = 0.41  # times n^(2/3), Lazarus et al. (2018)

# Outcomes of h bars have no power at period h, so the variance is read off periods that are much longer: with B
# cosines the shortest is 2n/B. At B = 0.4 n/h it is 5 h, where the power has fallen by an eighth; over all B, by 5 %.
# Simulated zero skill is then rejected in 4 to 7 % of worlds at h = 1, 24 and 120 (tests/statistics).
COSINES_PER_SPAN: Final = 0.4

MIN_COSINES: Final = 2
MIN_SPANS: Final = 3.5  # less than this many spans of `overlap`, and nothing is said
MIN_VALUES: Final = 8


def basis_count(n: float, overlap: float = 1.0) -> int:
    """How many cosines to read the long-run variance of `n` values off; 0 where the sample is too short to tell.

    The smaller of 0.41 n^(2/3) and 0.4 n / overlap, at least 2. Few cosines cost power, through the wide tails of t
    with so many degrees of freedom; too many cost size.
    """
    overlap = max(1.0, overlap)
    if n < MIN_VALUES or n < MIN_SPANS * overlap:
        return 0
    return max(MIN_COSINES, int(min(COSINES * n ** (2.0 / 3.0), COSINES_PER_SPAN * n / overlap)))


def cosine_transform(x: Floats, n_basis: int) -> Floats:
    """[..., B] weights of `x` [..., n] on the first B cosines, √(2/n) Σ x_t cos(π j (t - ½) / n).

    The cosines sum to 0, so the mean of `x` does not matter. Each weight has about the variance n·var(mean of x).
    """
    # An orthonormal cosine transform has exactly these weights, after that of the constant.
    weights: Floats = dct(x, type=2, norm="ortho", axis=-1)[..., 1 : n_basis + 1]
    return weights


def equal_weighted_cosines(x: Floats, n_basis: int | None = None, overlap: float = 1.0, null: float = 0.0) -> Estimate:
    """The mean of `x` [n], its long-run variance the mean square of B cosine weights, t with B degrees of freedom.

    n_basis : B; None for `basis_count`. No interval where that is 0.
    """
    n = len(x)
    if n == 0:
        return Estimate.unknown()
    mean = float(x.mean())
    n_cosines = min(basis_count(n, overlap) if n_basis is None else n_basis, n - 1)
    if n_cosines < 1 or is_constant(x):
        return Estimate.unknown(mean)
    omega = float(np.mean(cosine_transform(x, n_cosines) ** 2))
    return Estimate.of(mean, math.sqrt(omega / n), float(n_cosines), null)


def newey_west(x: Floats, lags: int, null: float = 0.0) -> Estimate:
    """The mean of `x` [n] with Bartlett weights over `lags` autocovariances, and the normal law.

    For outcomes of h bars that overlap, take 2h lags: h - 1 reject a true null twice as often as they say. Even 2h
    reject too often where n is not many times h; `equal_weighted_cosines` is what this package uses by default.
    """
    from statsmodels.stats.sandwich_covariance import S_hac_simple

    n = len(x)
    if n < MIN_VALUES or lags >= n or is_constant(x):
        return Estimate.unknown(float(x.mean()) if n else math.nan)
    mean = float(x.mean())
    total = float(S_hac_simple(x - mean, nlags=lags)[0, 0]) * n / (n - 1)
    return Estimate.of(mean, math.sqrt(total) / n, None, null)


def is_constant(x: Floats) -> bool:
    """Whether `x` varies by no more than rounding: no error can be read off it."""
    return float(np.ptp(x)) <= 1e-12 * float(np.abs(x).max())
