"""The value of a season ago: a yardstick of other fields, here so that figures can be compared with theirs.

A season is a day of hourly bars and a week of daily ones, in bars of the market's own calendar: as many as most days
(weeks) of the lookback have. Step k says the close of the same place in the last season. The error of this a season
ahead is the move over one season, of which the lookback holds one per bar; a step j seasons ahead spreads sqrt(j)
times as far (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., table 5.2). Errors are taken
with both signs: no drift. A price has no season of this kind, so every model should beat it.
"""

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.baselines.copula import carried_over
from candlecast.baselines.own_lookback import CannotSpeak, Moves, OwnLookback
from candlecast.baselines.sums import CELLS_PER_SCALE, REACH, sample_sums, sum_quantiles
from candlecast.baselines.volatility import DECAY, Filtered
from candlecast.forecasts import CLOSE, LEVELS, ModelInfo, Series

MIN_ERRORS: Final = 64  # as many as the random walk asks for residuals

_UPPER: Final = np.array([2.0 * level - 1.0 for level in LEVELS if level > 0.5])
_DEFINITION: Final = (
    f"baseline-snaive|rule 1|min errors {MIN_ERRORS}|levels {LEVELS}"
    f"|paths decay {DECAY}|cells {CELLS_PER_SCALE}|reach {REACH}"
)


class SeasonalNaive(OwnLookback):
    """`baseline-snaive`."""

    info = ModelInfo(
        name="baseline-snaive",
        version=hashlib.sha256(_DEFINITION.encode()).hexdigest(),
        max_context=None,
        takes_events=False,
        determinism="bitwise",
        description="seasonal naive: the close a day (daily bars: a week) ago, as wide as its errors in the lookback",
        gives_quantiles=True,
    )
    min_bars = MIN_ERRORS

    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:
        """Bands around the last season; paths take their ranks from the random walk's."""
        closes = np.ascontiguousarray(series.ohlcv[:, CLOSE])
        values = np.log(closes) if split.logarithmic else closes
        n = season(series.opened_at, series.interval)
        if len(values) - n < MIN_ERRORS:
            raise CannotSpeak(
                "too_few_bars", f"{len(values)} bars in the lookback, {self.info.name} needs {n + MIN_ERRORS}"
            )
        steps = np.arange(horizon)
        middle = values[len(values) - n + steps % n] - values[-1]
        errors = np.quantile(np.abs(values[n:] - values[:-n]), _UPPER, method="weibull")
        wide = np.concatenate([-errors[::-1], [0.0], errors])
        fan = middle[:, None] + np.sqrt(1 + steps // n)[:, None] * wide
        if n_paths == 0:
            return Moves(fan, None)
        walk = sum_quantiles(split.residuals, horizon)
        return Moves(fan, carried_over(sample_sums(split.residuals, horizon, n_paths, seed), walk, fan))


def season(opened_at: NDArray[np.datetime64], interval: str) -> int:
    """Bars in a season: the number that most days (hourly bars) or weeks (daily bars) hold, the larger of two."""
    days = opened_at.astype("datetime64[D]").astype(np.int64)
    periods = days if interval == "1h" else (days + 3) // 7  # weeks begin on Monday
    sizes, n = np.unique(np.unique(periods, return_counts=True)[1], return_counts=True)
    return int(sizes[len(n) - 1 - np.argmax(n[::-1])])
