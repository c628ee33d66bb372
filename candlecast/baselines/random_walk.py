"""The random walk that every model has to beat: today's volatility, yesterday's surprises, no drift.

Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper 1999) with the drift taken out.
Returns r of one bar are divided by the volatility expected just before them; the residuals z of the whole
lookback, each with both signs, are the pool. A step ahead is sigma times a draw from the pool, a horizon of
h steps the sum of h draws, with sigma the volatility expected at issue and held flat, as an exponentially weighted
variance expects it to stay.
"""

import hashlib
from typing import Final

from candlecast.baselines.own_lookback import Moves, OwnLookback
from candlecast.baselines.sums import CELLS_PER_SCALE, REACH, sample_sums, sum_quantiles
from candlecast.baselines.volatility import DECAY, Filtered
from candlecast.forecasts import LEVELS, ModelInfo, Series

MIN_BARS: Final = 64  # fewer bars than this hold too few residuals for a 5 % quantile

_DEFINITION: Final = (
    f"baseline-rw|rule 1|decay {DECAY}|min bars {MIN_BARS}|cells {CELLS_PER_SCALE}|reach {REACH}|levels {LEVELS}"
)


class RandomWalk(OwnLookback):
    """`baseline-rw`."""

    info = ModelInfo(
        name="baseline-rw",
        version=hashlib.sha256(_DEFINITION.encode()).hexdigest(),
        max_context=None,
        takes_events=False,
        determinism="bitwise",
        description="zero-drift random walk: EWMA volatility (0.97) times the lookback's standardised residuals",
        gives_quantiles=True,
    )
    min_bars = MIN_BARS

    def moves(self, series: Series, split: Filtered, *, horizon: int, n_paths: int, seed: int) -> Moves:  # noqa: ARG002
        """Sums of draws from the residuals; the fan is exact, no seed in it."""
        fan = split.scale * sum_quantiles(split.residuals, horizon)
        paths = split.scale * sample_sums(split.residuals, horizon, n_paths, seed) if n_paths > 0 else None
        return Moves(fan, paths)
