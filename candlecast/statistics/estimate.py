"""A number with what is known of its error."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

CONFIDENCE = 0.95


def tail(statistic: float, dof: float | None) -> float:
    """Two-sided p-value of a statistic that is Student's t with `dof`, or standard normal for None."""
    size = -abs(statistic)
    return float(2.0 * (special.ndtr(size) if dof is None else special.stdtr(dof, size)))


def critical_value(dof: float | None, confidence: float = CONFIDENCE) -> float:
    """What |t| exceeds by chance with probability 1 - `confidence`: 1.96 for None, 2.78 with 4 degrees of freedom."""
    level = 0.5 + confidence / 2.0
    return float(special.ndtri(level) if dof is None else special.stdtrit(dof, level))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value, its standard error, and its 95 % interval.

    value : NaN where nothing was observed
    se : infinite where the sample is too short, or varies too little, to tell
    low, high : ends of the 95 % interval; infinite where there is none, and possibly not symmetric about `value`
    dof : degrees of freedom of Student's t behind interval and p-value; None for the normal law or a bootstrap
    p_value : two-sided, against 0 or the null that the function names; 1 where there is no interval
    """

    value: float
    se: float
    low: float
    high: float
    dof: float | None
    p_value: float

    @classmethod
    def of(cls, value: float, se: float, dof: float | None, null: float = 0.0) -> Self:
        """The symmetric interval value ± t·se; none at all unless `se` is finite and above 0."""
        if not (math.isfinite(value) and math.isfinite(se) and se > 0.0):
            return cls.unknown(value)
        reach = critical_value(dof) * se
        return cls(value, se, value - reach, value + reach, dof, tail((value - null) / se, dof))

    @classmethod
    def unknown(cls, value: float = math.nan) -> Self:
        """A value of which nothing can be said: its interval is the whole line."""
        return cls(value, math.inf, -math.inf, math.inf, None, 1.0)

    def excludes(self, null: float = 0.0) -> bool:
        """Whether the 95 % interval leaves `null` out."""
        return not self.low <= null <= self.high

    def scaled(self, factor: float) -> "Estimate":
        """The same estimate in another unit; `factor` above 0, and the null is 0 in both."""
        return Estimate(
            self.value * factor, self.se * factor, self.low * factor, self.high * factor, self.dof, self.p_value
        )
