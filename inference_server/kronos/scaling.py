"""Bars to the numbers that the model sees, and back: a z-score per series and column over its own lookback.

Axes: L bars, 6 columns (open, high, low, close, volume, amount).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference_server.kronos.errors import RolloutError

Floats = NDArray[np.float64]
Scaling = Literal["upstream", "exact"]
EPSILON, CLIP = 1e-5, 5.0
N_PRICES, VOLUME, AMOUNT = 4, 4, 5


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """x [L, 6] float32 z-scores clipped to ±5; `mean`, `spread` [6] lead back: bar = x · spread + mean."""

    x: NDArray[np.float32]
    mean: NDArray[np.floating]
    spread: NDArray[np.floating]

    def see(self, bars: Floats) -> NDArray[np.float32]:
        """Other bars [n, 6] of the same series as the model would see them: same scale, clipped to ±5."""
        seen: NDArray[np.float32] = np.clip((bars - self.mean) / self.spread, -CLIP, CLIP).astype(np.float32)
        return seen

    def restore(self, x: NDArray[np.float32]) -> NDArray[np.floating]:
        """Bars [..., 6] in the unit of the series; nothing is clipped or put in order."""
        bars: NDArray[np.floating] = x * self.spread + self.mean
        return bars


def complete_bars(bars: Floats) -> Floats:
    """[L, 6] with an amount: volume · mean of the four prices where only the amount is absent (all zero).

    Without volume the amount means nothing to the model and becomes zero, as upstream has it.
    """
    filled = np.array(bars, dtype=np.float64)
    if not filled[:, VOLUME].any():
        filled[:, AMOUNT] = 0.0
    elif not filled[:, AMOUNT].any():
        filled[:, AMOUNT] = filled[:, VOLUME] * filled[:, :N_PRICES].mean(axis=1)
    return filled


def scale_bars(bars: NDArray[np.floating], scaling: Scaling = "exact") -> Scaled:
    """The model's view of a lookback [L, 6], all columns filled.

    "upstream" gives its float32 numbers bit for bit: statistics in float32 along columns, 1e-5 added to the
    standard deviation (ddof 0) whatever the price's size. It turns a constant price of 60000.1 into −1 and
    squashes prices near 1e-5. "exact" is the same formula in float64, small columns brought above 1 by a power of
    ten first, and a constant column at exactly 0.

    Raises
    ------
    RolloutError : wrong shape, or values that are not finite.
    """
    if bars.ndim != 2 or bars.shape[1] != 6 or len(bars) == 0:
        raise RolloutError(f"bars have shape {bars.shape}, needed is [bars ≥ 1, 6]")
    if not np.isfinite(bars).all():
        raise RolloutError(f"{int((~np.isfinite(bars)).sum())} of {bars.size} values of the lookback are not finite")
    if scaling == "upstream":
        columns = np.asfortranarray(bars, dtype=np.float32)  # numpy's pairwise sums differ between the two orders
        mean, spread = columns.mean(axis=0), columns.std(axis=0) + np.float32(EPSILON)
        return Scaled(np.ascontiguousarray(np.clip((columns - mean) / spread, -CLIP, CLIP)), mean, spread)
    exact = np.asarray(bars, dtype=np.float64)
    size = np.abs(exact).max(axis=0)
    size[:N_PRICES] = size[:N_PRICES].max()  # one unit for the four prices
    unit = np.minimum(1.0, 10.0 ** np.floor(np.log10(np.where(size > 0, size, 1.0))))
    center, deviation = exact.mean(axis=0), exact.std(axis=0)
    constant = exact.min(axis=0) == exact.max(axis=0)
    center = np.where(constant, exact[0], center)
    wide = np.where(constant, 0.0, deviation) + EPSILON * unit
    return Scaled(np.clip((exact - center) / wide, -CLIP, CLIP).astype(np.float32), center, wide)


def calendar_fields(opened_at: NDArray[np.datetime64]) -> NDArray[np.float32]:
    """[n, 5] minute, hour, weekday (Monday = 0), day, month of opening times on their own wall clock."""
    minutes = opened_at.astype("datetime64[m]").astype(np.int64)
    days = minutes // 1440
    months = opened_at.astype("datetime64[M]")
    day = (opened_at.astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64) + 1
    fields = (minutes % 60, minutes // 60 % 24, (days + 3) % 7, day, months.astype(np.int64) % 12 + 1)
    return np.stack(fields, axis=-1).astype(np.float32)
