"""How long a record has to be before it can decide."""

import math

from scipy import special

from candlecast.statistics.estimate import CONFIDENCE

POWER = 0.8


def days_needed(skill: float, se: float, n_days: float, power: float = POWER) -> float:
    """Length in days of a record that would show `skill`, were skill and noise to stay as they are.

    The 95 % interval excludes 0 with probability `power` when the standard error has fallen to |skill| / 2.80 (1.96
    + 0.84); it falls with the root of time, from `se` after `n_days`. Infinite where there is no skill or no error.
    """
    if not (math.isfinite(skill) and math.isfinite(se)) or skill == 0.0 or n_days <= 0.0:
        return math.inf
    reach = float(special.ndtri(0.5 + CONFIDENCE / 2.0) + special.ndtri(power))
    return n_days * (reach * se / skill) ** 2
