"""The spread of a checkpoint: the factor at which its 80 % band holds four outcomes of five."""

import numpy as np

from inference_server.kronos.spread import ANY, Spread
from inference_server.pretraining.evaluation import Floats, Table

FITTED_STEPS = (1, 4, 24, 120)
"""Steps of the stored spread; between them it is interpolated. Outcomes of neighbouring steps are nearly the same
outcomes, so pooling them adds little and was measured to put the band at the step itself further from 80 %."""
NARROWEST, WIDEST = 0.4, 2.5
LEVEL = 0.8


def fit_spread(table: Table) -> Spread:
    """Factors by interval, class and step from pairs whose paths were not yet corrected."""
    factors = {}
    for interval in np.unique(table.interval):
        rows = table.interval == interval
        factors[str(interval), ANY] = _factors(table.where(rows))
        for asset_class in np.unique(table.asset_class[rows]):
            some = rows & (table.asset_class == asset_class)
            factors[str(interval), str(asset_class)] = _factors(table.where(some))
    return Spread(FITTED_STEPS, factors)


def _factors(table: Table) -> tuple[float, ...]:
    needed = needed_factor(table)
    found = []
    for step in FITTED_STEPS:
        rows = table.step == step
        found.append(float(np.clip(np.quantile(needed[rows], LEVEL), NARROWEST, WIDEST)) if rows.any() else 1.0)
    return tuple(found)


def needed_factor(table: Table) -> Floats:
    """[N] by how much the half of the band on the outcome's side must grow to just reach the outcome."""
    low, high = table.band()
    middle = np.median(table.paths, axis=1)
    above = table.actual >= middle
    room = np.where(above, high - middle, middle - low)
    return np.abs(table.actual - middle) / np.maximum(room, 1e-12)


def spread_factors(spread: Spread, table: Table) -> Floats:
    """[N] the factor that `spread` gives to each pair."""
    found = np.ones(len(table.step))
    horizon = int(table.step.max())
    for interval in np.unique(table.interval):
        for asset_class in np.unique(table.asset_class):
            rows = (table.interval == interval) & (table.asset_class == asset_class)
            if rows.any():
                found[rows] = spread.along(str(interval), str(asset_class), horizon)[table.step[rows] - 1]
    return found
