"""What overlapping forecasts are worth in independent ones.

Forecasts of h bars that are issued on every bar share most of what they are judged on. The mean of n such hits, or
of n such insides of an 80 % band, varies as much as the mean of n / D independent ones; D was simulated to be about
0.46 h (D = 11 at h = 24 and 55 at h = 120).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

INFLATION_PER_STEP: Final = 0.46  # candlecast.scoring holds the same number for the view; a test keeps them equal


def variance_inflation(step: int, spacing_bars: float = 1.0) -> float:
    """Variance of the mean of overlapping hits over that of independent ones, never below 1.

    spacing_bars : bars from one forecast to the next; a forecast on every fourth bar overlaps a fourth as often
    """
    return max(1.0, INFLATION_PER_STEP * step / spacing_bars)


def effective_sample(n: float, step: int, spacing_bars: float = 1.0) -> float:
    """How many independent outcomes `n` pairs of one series are worth: n over the inflation of the variance.

    Instruments that move together are worth less than their sum; what this gives is then an upper bound.
    """
    return n / variance_inflation(step, spacing_bars)


def span_days(step: int, bars_per_week: float) -> float:
    """Calendar days that `step` bars take on average: 120 hourly bars are 5 days of crypto and 24 of US shares.

    bars_per_week : hourly 168 around the clock, 120 for currencies, 35 for shares; daily 7 or 5
    """
    return step * 7.0 / bars_per_week


def measured_inflation(x: NDArray[np.float64], overlap: int) -> float:
    """Variance of the mean of `x` [n] over that of independent values, by its autocorrelations below lag `overlap`.

    1 + 2 Σ (1 - k/n) ρ_k for k < overlap; NaN where `x` does not vary. For judging the constant above on real hits.
    """
    from statsmodels.tsa.stattools import acf

    if np.ptp(x) == 0.0:
        return float("nan")
    n = len(x)
    lags = np.arange(1, min(overlap, n))
    rho = acf(x, nlags=len(lags), fft=True)[1:]
    return float(1.0 + 2.0 * np.sum((1.0 - lags / n) * rho))
