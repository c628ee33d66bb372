"""Leaders: other markets' bars beside the bars of an instrument, aligned by closing time.

A row sees the leader's bar that closed last within the row's own time `(opened, closed]`: a close that has happened,
never the forming bar. Where none closed, the leader's market was closed (or its bar is missing), and the row is 0:
nothing is carried forward, so each of the leader's bars is seen once on its own grid.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from candlecast.calendar import Floats, Seconds

LEVEL_BARS: Final = 252  # a year of daily bars
MIN_LEVELS: Final = 20
MAX_LEVEL_Z: Final = 10.0
# A return over more than a long weekend spans an outage and is not one bar's.
MAX_GAP_S: Final = 5 * 86_400


@dataclass(frozen=True, slots=True, eq=False)
class LeaderBars:
    """Closing times [n] in epoch seconds, rising, and one value for each."""

    closed: Seconds
    value: Floats

    @classmethod
    def of(cls, closed_at: NDArray[np.datetime64], close: Floats) -> "LeaderBars":
        """Bars in order of their closing times, the first of each; closes that are not numbers are dropped."""
        closed = np.asarray(closed_at).astype("datetime64[s]").astype(np.int64)
        values = np.asarray(close, dtype=np.float64)
        usable = np.isfinite(values)
        closed, first = np.unique(closed[usable], return_index=True)
        return cls(closed, values[usable][first])

    def closing_within(self, opened: Seconds, closed: Seconds) -> Floats:
        """For each row the value of the newest bar that closed in `(opened, closed]`, 0 where none did."""
        if len(self.closed) == 0:
            return np.zeros(len(closed))
        newest = np.searchsorted(self.closed, closed, side="right") - 1
        found = (newest >= 0) & (self.closed[newest] > opened)
        return np.where(found, self.value[newest], 0.0)


_NONE: Final = LeaderBars(np.zeros(0, dtype=np.int64), np.zeros(0))


def log_returns(bars: LeaderBars | None) -> LeaderBars:
    """One-bar log returns; 0 for the first bar, after an outage, and where a close is not positive."""
    if bars is None or len(bars.closed) == 0:
        return _NONE
    before, after = bars.value[:-1], bars.value[1:]
    one_bar = (before > 0.0) & (after > 0.0) & (np.diff(bars.closed) <= MAX_GAP_S)
    ratio = np.divide(after, before, out=np.ones_like(after), where=one_bar)
    return LeaderBars(bars.closed, np.r_[0.0, np.log(ratio)])


def level_z(bars: LeaderBars | None) -> LeaderBars:
    """How many standard deviations each close lies above the mean of the 252 closes before it, clipped to ±10.

    Mean and (n - 1) standard deviation do not include the close itself. Fewer than 20 closes before, or 20 equal
    ones, give 0. A window is summed on its own, so that where the series starts changes no later value.
    """
    if bars is None or len(bars.closed) == 0:
        return _NONE
    close = bars.value
    z = np.zeros(len(close))
    for at in range(MIN_LEVELS, min(LEVEL_BARS, len(close))):
        z[at] = _z(close[at : at + 1], close[None, :at])[0]
    if len(close) > LEVEL_BARS:
        z[LEVEL_BARS:] = _z(close[LEVEL_BARS:], sliding_window_view(close[:-1], LEVEL_BARS))
    return LeaderBars(bars.closed, z)


def _z(close: Floats, windows: Floats) -> Floats:
    sigma = windows.std(axis=1, ddof=1)
    above = close - windows.mean(axis=1)
    z = np.divide(above, sigma, out=np.zeros_like(above), where=sigma > 0.0)
    clipped: Floats = np.clip(z, -MAX_LEVEL_Z, MAX_LEVEL_Z)
    return clipped
