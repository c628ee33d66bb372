"""The random walk with a week in it: markets are loud at some hours and quiet at others, and the hours ahead are known.

The size of a return of one bar is base volatility times the factor of the bar's hour of the week (of its weekday for
daily bars); the base follows the same exponentially weighted variance as `baseline-rw`, of returns divided by their
factors. A step ahead draws a residual, multiplied by the factor of the scheduled hour that it will have.

Factors are means of |residual| over the overall mean, shrunk towards 1 by how much of their spread is noise
(DerSimonian and Laird 1986, Meta-analysis in clinical trials: the moment estimate of a variance between groups).
First those of the 24 hours, then those of the 7 days, then what is particular to one of the 168 hours of the week, of
which a lookback of 392 bars holds two or three each. A market without a profile so gets the random walk back.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.baselines.own_lookback import Moves, OwnLookback
from candlecast.baselines.sums import CELLS_PER_SCALE, REACH, sample_sums, weighted_sum_quantiles
from candlecast.baselines.volatility import DECAY, Filtered, filtered_returns
from candlecast.forecasts import CLOSE, LEVELS, ModelInfo, Series

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MIN_BARS: Final = 128  # the shortest lookback that holds five days of a market round the clock
PASSES: Final = 3  # the base volatility needs the factors and the factors need it; a third pass moves them little
MOST: Final = 5.0  # a factor stays within 1/5 and 5

_DEFINITION: Final = (
    f"baseline-hourweek|rule 1|decay {DECAY}|min bars {MIN_BARS}|passes {PASSES}|most {MOST}|levels of cells 24 7 168"
    f"|cells {CELLS_PER_SCALE}|reach {REACH}|levels {LEVELS}"
)


class HourWeek(OwnLookback):
    """`baseline-hourweek`."""

    info = ModelInfo(
        name="baseline-hourweek",
        version=hashlib.sha256(_DEFINITION.encode()).hexdigest(),
        max_context=None,
        takes_events=False,
        determinism="bitwise",
        description="zero-drift random walk whose volatility follows the hour of the week, daily bars the weekday",
        gives_quantiles=True,
    )
    min_bars = MIN_BARS

    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:
        """Sums of draws, each times the factor of its target's hour; the fan is exact, no seed in it."""
        closes = np.ascontiguousarray(series.ohlcv[:, CLOSE])
        returns = np.diff(np.log(closes) if split.logarithmic else closes)
        base, ahead = deseasonalised(returns, series.opened_at[1:], series.target_opened_at, series.interval)
        fan = base.scale * weighted_sum_quantiles(base.residuals, ahead)
        paths = base.scale * sample_sums(base.residuals, horizon, n_paths, seed, ahead) if n_paths > 0 else None
        return Moves(fan, paths)


def deseasonalised(
    returns: Floats, opened_at: NDArray[np.datetime64], target_opened_at: NDArray[np.datetime64], interval: str
) -> tuple[Filtered, Floats]:
    """Volatility and residuals of `returns` [n] without their profile, and the factors of the targets [H].

    opened_at : [n] openings of the bars whose closes end the returns
    """
    behind, ahead = (_cells(times, interval) for times in (opened_at, target_opened_at))
    own, coming = np.ones(len(returns)), np.ones(len(target_opened_at))
    for _ in range(PASSES):
        base = filtered_returns(returns / own)
        sizes = np.abs(base.residuals) * own  # of the return, in units of the base volatility
        own, coming = np.ones(len(returns)), np.ones(len(target_opened_at))
        for level, n_cells in enumerate(_N_CELLS[interval]):
            factors = shrunk_factors(sizes / own, behind[level], n_cells)
            own, coming = own * factors[behind[level]], coming * factors[ahead[level]]
        own, coming = np.clip(own, 1.0 / MOST, MOST), np.clip(coming, 1.0 / MOST, MOST)
    return filtered_returns(returns / own), coming


def shrunk_factors(sizes: Floats, cells: Ints, n_cells: int) -> Floats:
    """[n_cells] the mean of `sizes` [n] in each cell over their overall mean, shrunk towards 1; 1 where none fell.

    Cells that spread no further than noise would spread them all get 1. `sizes` are not negative, one is positive.
    """
    counts = np.bincount(cells, minlength=n_cells)
    seen = counts > 0
    ratios = np.ones(n_cells)
    ratios[seen] = np.bincount(cells, sizes, n_cells)[seen] / counts[seen] / sizes.mean()
    freedom = len(sizes) - int(seen.sum())
    if freedom < 1 or seen.sum() < 2:
        return np.ones(n_cells)
    within = sizes / sizes.mean() - ratios[cells]
    noise = float(within @ within) / freedom / counts[seen]  # variance of each ratio, if there were no profile
    if not (noise > 0.0).all():
        return ratios
    weights = 1.0 / noise
    gaps = ratios[seen] - 1.0
    excess = float(weights @ (gaps * gaps)) - (len(gaps) - 1)
    between = max(0.0, excess / float(weights.sum() - (weights @ weights) / weights.sum()))
    factors = np.ones(n_cells)
    factors[seen] += gaps * between / (between + noise)
    return factors


# Levels of cells, the coarse first: hours of the day, days of the week, hours of the week; days of the week alone.
_N_CELLS: Final = {"1h": (24, 7, 168), "1d": (7,)}


def _cells(opened_at: NDArray[np.datetime64], interval: str) -> tuple[Ints, ...]:
    """For each level the cell of each bar, by the UTC hour and day in which it opens."""
    hours = opened_at.astype("datetime64[h]").astype(np.int64)
    days = (hours // 24 + 3) % 7  # 1970 began on a Thursday; Monday is 0
    return (hours % 24, days, 24 * days + hours % 24) if interval == "1h" else (days,)
