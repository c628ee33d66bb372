"""Sharpe ratios of returns that do not overlap, such as those of the calendar-time portfolio.

A ratio of one year is known to about ± 1 whatever the number of bars in it, and the best of many ratios is high by
chance alone; both are said here.

References
----------
Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58: annualising, and the error by GMM.
Bailey and López de Prado (2012), The Sharpe Ratio Efficient Frontier, J. Risk 15; (2014), The Deflated Sharpe Ratio,
J. Portfolio Management 40.
Ledoit and Wolf (2008), Robust performance hypothesis testing with the Sharpe ratio, J. Empirical Finance 15.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from candlecast.statistics.estimate import Estimate
from candlecast.statistics.longrun import basis_count, cosine_transform, equal_weighted_cosines

Floats = NDArray[np.float64]
Numbers = NDArray[np.float64] | NDArray[np.int64]

# Cost of trading a full position once, as a share of it: none, a large account's, and a private one's.
COST_LEVELS: Final = (0.0, 0.0002, 0.001)

MIN_BARS: Final = 30


def annual_sharpe(returns: Floats, periods_per_year: float, overlap: int = 0) -> Estimate:
    """Mean over standard deviation of `returns` [T], per year, with an error that holds for dependent returns.

    periods_per_year : hourly bars 8,760 of crypto, 6,240 of currencies, 1,764 of US shares; daily 365, 260, 252
    overlap : lags over which returns correlate. Above 0, the ratio is annualised by `annual_factor` with as
        many autocorrelations in place of √q, and the error is read off longer periods

    The error is that of the mean of the ratio's influence, (r - μ)/σ - SR ((r - μ)²/σ² - 1)/2 (Lo's GMM), by cosines
    and t. No interval under 30 returns.
    """
    n = len(returns)
    if n < 2 or _is_flat(returns):
        return Estimate.unknown()
    ratio, influence = _influence(returns)
    factor = _annual_factor(returns, periods_per_year, overlap)
    if n < MIN_BARS:
        return Estimate.unknown(ratio * factor)
    error = equal_weighted_cosines(influence, overlap=max(1, overlap))
    return Estimate.of(ratio * factor, error.se * factor, error.dof)


def sharpe_of_sums(
    n_bars: Numbers,
    bar_return: Floats,
    bar_square: Floats,
    periods_per_year: float,
    overlap: float = 1.0,
    turnover: Floats | None = None,
    cost: float = 0.0,
) -> Estimate:
    """The same from sums over days [T]: number of bars, their returns, and their squared returns.

    turnover, cost : [T] sum of position changes per day, each paid with `cost`. A day's squares stay as they are: the
        cost changes the mean, and the variance by nothing that counts.
    overlap : days over which returns correlate

    Days of several instruments are those of a portfolio that holds each of their bars in turn.
    """
    n_bars = np.asarray(n_bars, dtype=np.float64)
    held = n_bars > 0.0
    n, total, square = n_bars[held], bar_return[held].astype(np.float64), bar_square[held]
    if turnover is not None:
        total = total - cost * turnover[held]
    n_all = float(n.sum())
    if n_all < 2.0:
        return Estimate.unknown()
    mean = float(total.sum()) / n_all
    variance = float(square.sum()) / n_all - mean**2
    if variance <= 1e-12 * float(square.sum()) / n_all:
        return Estimate.unknown()
    sigma, factor = math.sqrt(variance), math.sqrt(periods_per_year)
    ratio = mean / sigma
    n_basis = basis_count(len(n), overlap)
    if n_all < MIN_BARS or n_basis == 0:
        return Estimate.unknown(ratio * factor)
    around = square - 2.0 * mean * total + n * mean**2
    influence = (total - n * mean) / sigma - ratio / 2.0 * (around / variance - n)
    waves = cosine_transform(influence, n_basis)
    # The waves give the variance of a day's sum; the ratio's influence is the mean over all bars.
    se = math.sqrt(float(waves @ waves) / n_basis * len(n)) / n_all
    return Estimate.of(ratio * factor, se * factor, float(n_basis))


def sharpe_difference(returns: Floats, base_returns: Floats, periods_per_year: float, overlap: int = 0) -> Estimate:
    """Annual Sharpe ratio of `returns` minus that of `base_returns`, both [T] on the same bars (Ledoit and Wolf 2008).

    The error is that of the difference of both influences, so what the two have in common drops out.
    """
    if returns.shape != base_returns.shape:
        raise ValueError(f"returns must be of the same bars, not {returns.shape} and {base_returns.shape}")
    if len(returns) < 2 or _is_flat(returns) or _is_flat(base_returns):
        return Estimate.unknown()
    ratio, influence = _influence(returns)
    base_ratio, base_influence = _influence(base_returns)
    factor = math.sqrt(periods_per_year)
    if len(returns) < MIN_BARS:
        return Estimate.unknown((ratio - base_ratio) * factor)
    error = equal_weighted_cosines(influence - base_influence, overlap=max(1, overlap))
    return Estimate.of((ratio - base_ratio) * factor, error.se * factor, error.dof)


def annual_factor(autocorrelations: Floats, periods: float) -> float:
    """What a ratio per period is multiplied by for `periods` of them: Lo's η(q) = q / √(q + 2 Σ (q - k) ρ_k).

    autocorrelations : [L] ρ_1 to ρ_L, those beyond taken as 0; √q where they would leave no variance
    """
    k = np.arange(1, len(autocorrelations) + 1)
    spread = periods + 2.0 * float(np.sum((periods - k) * autocorrelations))
    return periods / math.sqrt(spread) if spread > 0.0 else math.sqrt(periods)


def probabilistic_sharpe(returns: Floats, benchmark: float = 0.0) -> float:
    """Probability that the true ratio per bar exceeds `benchmark` (per bar), given skew and fat tails.

    For independent returns; NaN under 30 of them, or where they do not vary. See `probability_above`.
    """
    from scipy import stats

    n = len(returns)
    if n < MIN_BARS or _is_flat(returns):
        return math.nan
    ratio = float(returns.mean() / returns.std(ddof=1))
    return probability_above(benchmark, ratio, n, float(stats.skew(returns)), float(stats.kurtosis(returns)) + 3.0)


def probability_above(benchmark: float, ratio: float, n: int, skew: float, kurtosis: float) -> float:
    """Φ((SR - SR*) √(n - 1) / √(1 - γ₃ SR + (γ₄ - 1)/4 · SR²)), ratios per bar; kurtosis is 3 for the normal law."""
    spread = 1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2
    return float(special.ndtr((ratio - benchmark) * math.sqrt(n - 1) / math.sqrt(spread)))


def expected_maximum(n_cells: int) -> float:
    """About the expected largest of `n_cells` independent standard normal values: 2.95 for 360.

    (1 - γ) Φ⁻¹(1 - 1/N) + γ Φ⁻¹(1 - 1/(N e)), with Euler's γ; 0 for one (Bailey and López de Prado 2014).
    """
    if n_cells < 1:
        raise ValueError(f"there must be a cell to have a largest one, not {n_cells}")
    if n_cells == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    tops = special.ndtri([1.0 - 1.0 / n_cells, 1.0 - 1.0 / (n_cells * math.e)])
    return float((1.0 - gamma) * tops[0] + gamma * tops[1])


def deflated_sharpe(returns: Floats, n_trials: int, var_trials: float | None = None) -> float:
    """Probability that the true ratio exceeds what the best of `n_trials` without skill would have shown.

    var_trials : variance of the ratios per bar over the trials; None for that of zero skill, 1 / (T - 1). NaN under
        30 returns.
    """
    if len(returns) < MIN_BARS:
        return math.nan
    variance = 1.0 / (len(returns) - 1) if var_trials is None else var_trials
    return probabilistic_sharpe(returns, math.sqrt(variance) * expected_maximum(n_trials))


def net_of_cost(returns: Floats, turnover: Floats, cost: float) -> Floats:
    """[T] returns after `cost` for each unit of position changed: `turnover` [T] is 2 where long became short."""
    net: Floats = returns - cost * turnover
    return net


def _influence(returns: Floats) -> tuple[float, Floats]:
    """The ratio per bar, and what each return adds to its error; the mean of the latter is 0."""
    sigma = float(returns.std())
    ratio = float(returns.mean()) / sigma
    z = (returns - returns.mean()) / sigma
    return ratio, z - ratio / 2.0 * (z * z - 1.0)


def _annual_factor(returns: Floats, periods_per_year: float, overlap: int) -> float:
    lags = min(overlap, len(returns) // 2, int(periods_per_year) - 1)
    if lags < 1:
        return math.sqrt(periods_per_year)
    from statsmodels.tsa.stattools import acf

    return annual_factor(acf(returns, nlags=lags, fft=True)[1:], periods_per_year)


def _is_flat(returns: Floats) -> bool:
    """Whether the returns vary by no more than rounding: a portfolio that never moved has no ratio."""
    return float(returns.var()) <= 1e-12 * float(np.mean(returns**2))
