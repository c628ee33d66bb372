"""Cheap forecasts that need no weights: what a model has to beat, each learned from the lookback of its own series.

`baseline-rw` is the yardstick of every score and always issued. Its rivals here ask for numpy alone; those that ask
for a package, `baseline-garch` and `baseline-lgbm`, live with the jobs that run them.
"""

from candlecast.baselines.copula import carried_over
from candlecast.baselines.hour_week import HourWeek
from candlecast.baselines.own_lookback import CannotSpeak, Moves, OwnLookback
from candlecast.baselines.random_walk import MIN_BARS, RandomWalk
from candlecast.baselines.seasonal_naive import SeasonalNaive
from candlecast.baselines.sums import CELLS_PER_SCALE, sample_sums, sum_quantiles, weighted_sum_quantiles
from candlecast.baselines.volatility import DECAY, Filtered, ewma_scale, filtered

__all__ = [
    "CELLS_PER_SCALE",
    "DECAY",
    "MIN_BARS",
    "CannotSpeak",
    "Filtered",
    "HourWeek",
    "Moves",
    "OwnLookback",
    "RandomWalk",
    "SeasonalNaive",
    "carried_over",
    "ewma_scale",
    "filtered",
    "sample_sums",
    "sum_quantiles",
    "weighted_sum_quantiles",
]
