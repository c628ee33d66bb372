"""Returns in sigmas: the unit of every loss.

A return is logarithmic, ln(price / last close); where the last close, the outcome or a forecast price is not positive
it is the difference of prices instead. A forecast whose prices are all positive has a logarithmic scale; if then the
market goes below zero, that scale is turned into money by multiplying it with the last close.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """How the returns of N forecasts are measured: logarithms or differences, and the sigma of one bar."""

    last_close: Floats
    logarithmic: Bools
    sigma: Floats

    def returns(self, price: NDArray[Any]) -> Floats:
        """The returns of `price` [N, ...], not scaled."""
        beside = (slice(None), *(None,) * (price.ndim - 1))
        last, logarithmic = self.last_close[beside], self.logarithmic[beside]
        if self.logarithmic.all():
            moved: Floats = np.log(price / last)
            return moved
        ratio = np.where(logarithmic, price / np.where(last == 0.0, 1.0, last), 1.0)
        return np.where(logarithmic, np.log(ratio), price - last)


def unit(last_close: Floats, scale: Floats, was_positive: Bools, outcome: Floats) -> Unit:
    """The unit of N forecasts. `was_positive` [N]: every price of it, the last close included, was above zero."""
    logarithmic = was_positive & (outcome > 0.0)
    sigma = np.where(was_positive & ~logarithmic, scale * np.abs(last_close), scale)
    return Unit(last_close, logarithmic, sigma)
