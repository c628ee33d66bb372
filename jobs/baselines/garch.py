"""GARCH(1,1) with Student's t: volatility that clusters and returns, fitted to the lookback of each series alone.

r_t = sigma_t e_t, sigma_t^2 = omega + alpha r_{t-1}^2 + beta sigma_{t-1}^2, e_t Student's t of unit variance, no mean
(Bollerslev 1987, A conditionally heteroskedastic time series model for speculative prices and rates of return). Fitted
by maximum likelihood with the package `arch`. The next bar's quantiles are those of the t in closed form; further
ones have none and are read off simulated paths, both signs of each, since the law is symmetric.

A fit that does not converge is no forecast: a random walk under this name would win where the walk wins.
"""

import hashlib
import warnings
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from candlecast.baselines import CannotSpeak, Filtered, Moves, OwnLookback
from candlecast.forecasts import CLOSE, LEVELS, ModelInfo, Series

Floats = NDArray[np.float64]

MIN_BARS: Final = 200  # four parameters; with fewer bars the likelihood is flat in alpha and beta
N_SIMULATED: Final = 4096  # a quantile at 0.9 is then right to about 1 % of its distance from the median
MAX_ITERATIONS: Final = 200

_UPPER: Final = np.array([2.0 * level - 1.0 for level in LEVELS if level > 0.5])  # P(|move| <= quantile)


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted law, in units of the lookback's root mean square return.

    variance : of the next bar
    freedom : degrees of the t, above 2
    """

    omega: float
    alpha: float
    beta: float
    freedom: float
    variance: float


class Garch(OwnLookback):
    """`baseline-garch`."""

    min_bars = MIN_BARS

    def __init__(self) -> None:
        # The package's starting values and bounds decide where a likelihood as flat as this one ends.
        definition = (
            f"baseline-garch|rule 1|GARCH(1,1)-t, zero mean|arch {version('arch')}|min bars {MIN_BARS}"
            f"|simulated {N_SIMULATED}|iterations {MAX_ITERATIONS}|levels {LEVELS}"
        )
        self.info = ModelInfo(
            name="baseline-garch",
            version=hashlib.sha256(definition.encode()).hexdigest(),
            max_context=None,
            takes_events=False,
            determinism="bitwise",
            description="zero-drift GARCH(1,1) with Student's t, fitted to the lookback by maximum likelihood",
            gives_quantiles=True,
        )

    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:
        """Simulated sums; the paths are the first of those that the fan was read off."""
        closes = np.ascontiguousarray(series.ohlcv[:, CLOSE])
        returns = np.diff(np.log(closes) if split.logarithmic else closes)
        unit = float(np.sqrt(np.mean(returns * returns)))
        found = fit(returns / unit)
        sums = unit * simulated(found, horizon, max(n_paths, N_SIMULATED), seed)
        upper = np.quantile(np.abs(sums[:N_SIMULATED]), _UPPER, axis=0, method="weibull").T
        upper[0] = unit * next_bar(found)
        upper = np.maximum.accumulate(upper, axis=1)
        fan = np.concatenate([-upper[:, ::-1], np.zeros((horizon, 1)), upper], axis=1)
        return Moves(fan, sums[:n_paths] if n_paths > 0 else None)


def fit(returns: Floats) -> Fit:
    """The most likely law of `returns` [n], whose mean square is about 1.

    Raises
    ------
    CannotSpeak : `not_converged`, the search ended without a maximum.
    """
    # Half a second, and only a run that gets here pays for it.
    from arch.univariate import GARCH, StudentsT, ZeroMean

    model = ZeroMean(returns, volatility=GARCH(p=1, q=1), distribution=StudentsT(), rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of what the flag below says
        result = model.fit(disp="off", show_warning=False, options={"maxiter": MAX_ITERATIONS})
    numbers = np.asarray(result.params, dtype=np.float64)
    if result.convergence_flag != 0 or not np.isfinite(numbers).all():
        raise CannotSpeak(
            "not_converged",
            f"the likelihood of a GARCH(1,1)-t found no maximum on {len(returns)} returns "
            f"({result.optimization_result.message}), so there is no such forecast",
        )
    omega, alpha, beta, freedom = (float(number) for number in numbers)
    last = float(result.conditional_volatility[-1])
    return Fit(omega, alpha, beta, freedom, omega + alpha * float(returns[-1]) ** 2 + beta * last * last)


def next_bar(law: Fit) -> Floats:
    """[levels above the median] quantiles of the next return: those of a t, whose variance is f / (f - 2)."""
    unit = np.sqrt(law.variance * (law.freedom - 2.0) / law.freedom)
    levels = [level for level in LEVELS if level > 0.5]
    return np.asarray(unit * student.ppf(levels, law.freedom), dtype=np.float64)


def simulated(law: Fit, horizon: int, n_paths: int, seed: int) -> Floats:
    """[S, H] running sums of returns; path s is the same however many are asked for."""
    draws = np.random.Generator(np.random.PCG64(seed)).standard_t(law.freedom, size=(n_paths, horizon))
    draws *= np.sqrt((law.freedom - 2.0) / law.freedom)
    variance = np.full(n_paths, law.variance)
    for step in range(horizon):
        draws[:, step] *= np.sqrt(variance)
        variance = law.omega + law.alpha * draws[:, step] ** 2 + law.beta * variance
    return np.cumsum(draws, axis=1)
