"""A fan, with the distances of its levels from the median made wider or narrower.

Axes: H steps, G anchor steps, Q the 11 levels of a fan, S sample paths. Distances are logarithmic, ln(value / median),
where every price of a step is positive, else differences of price.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MEDIAN: Final = LEVELS.index(0.5)
P10: Final = LEVELS.index(0.1)
P90: Final = LEVELS.index(0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """What turned the raw fan of one forecast into the one that was served.

    steps : [G] anchors, rising; between them factors are interpolated in log(step), beyond them held
    factors : [G, Q] times the distance from the median, 1 at the median
    n_eff : [G] how many independent outcomes stood behind the factors
    """

    steps: tuple[int, ...]
    factors: Floats
    n_eff: Floats

    def to_json(self) -> dict[str, Any]:
        """Plain lists; floats come back from JSON bit for bit."""
        return {"steps": list(self.steps), "factors": self.factors.tolist(), "n_eff": self.n_eff.tolist()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The correction that `to_json` wrote."""
        factors = np.asarray(document["factors"], dtype=np.float64).reshape(-1, len(LEVELS))
        return cls(tuple(document["steps"]), factors, np.asarray(document["n_eff"], dtype=np.float64))

    def along(self, steps: NDArray[np.int64]) -> Floats:
        """[len(steps), Q] the factors at other steps."""
        anchors, at = np.log(np.asarray(self.steps, dtype=np.float64)), np.log(steps.astype(np.float64))
        logs = [np.interp(at, anchors, column) for column in np.log(self.factors).T]
        factors: Floats = np.exp(np.stack(logs, axis=1))
        return factors


def corrected(fan: Floats, last_close: float, correction: Correction) -> Floats:
    """[H, Q] the fan of steps 1 to H with its distances from the median times the factors, rising along the levels.

    p10 and p90 get their factors whatever their neighbours want: where factors would make levels cross, the levels
    between the band and the median are held inside the band, and those beyond the band outside. A value whose factor
    is 1 stays as it is, bit for bit.
    """
    return widened(fan, correction.along(np.arange(1, len(fan) + 1)), logarithmic=last_close > 0.0)


def widened(fan: Floats, factors: Floats, *, logarithmic: bool = True) -> Floats:
    """[N, Q] rows of fans with distances from the median times `factors` [N, Q]; see `corrected`."""
    positive = np.asarray((fan > 0.0).all(axis=1, keepdims=True) & logarithmic)
    middle = fan[:, MEDIAN, None]
    distance = distances(fan, middle, positive)
    with np.errstate(over="ignore"):
        wanted = distance * factors
    for outward in (slice(MEDIAN, None), slice(MEDIAN, None, -1)):
        half, sign = wanted[:, outward], 1.0 if outward.step is None else -1.0
        half *= sign
        band = half[:, P90 - MEDIAN, None]
        half[:, : P90 - MEDIAN] = np.minimum(half[:, : P90 - MEDIAN], band)
        half[:] = np.maximum.accumulate(half, axis=1) * sign
    moved = _prices(middle, wanted, positive)
    moved = np.where(wanted == distance, fan, moved)
    # The logarithm of a price and its exponential need not be inverse in the last bit; order is a promise.
    moved[:, MEDIAN:] = np.maximum.accumulate(moved[:, MEDIAN:], axis=1)
    moved[:, MEDIAN::-1] = np.minimum.accumulate(moved[:, MEDIAN::-1], axis=1)
    return moved


def corrected_paths(paths: NDArray[np.floating[Any]], fan: Floats, corrected_fan: Floats) -> NDArray[np.floating[Any]]:
    """[S, H] paths moved as their fan was: `paths` [S, H], `fan` and `corrected_fan` [H, Q], all of the same steps.

    Between two levels linear in the distance from the median, beyond the outermost level with that level's factor; so
    ranks stay, and a path on a level lands on the corrected level. A step whose fan was not corrected keeps its paths.
    """
    moved = paths.copy()
    steps = np.flatnonzero((fan != corrected_fan).any(axis=1))
    if not len(steps):
        return moved
    values = np.ascontiguousarray(paths.T[steps]).astype(np.float64)  # [K, S] of the K steps that were corrected
    before, after = fan[steps], corrected_fan[steps]
    positive = np.asarray((values.min(axis=1) > 0.0) & (before > 0.0).all(axis=1) & (after > 0.0).all(axis=1))[:, None]
    middle = before[:, MEDIAN, None]
    x, before, after = (distances(each, middle, positive) for each in (values, before, after))
    rise = np.diff(before, axis=1)
    within = np.divide(np.diff(after, axis=1), rise, out=np.zeros_like(rise), where=rise > 0.0)
    left, right = (
        np.divide(after[:, end], before[:, end], out=np.ones(len(steps)), where=before[:, end] != 0.0)[:, None]
        for end in (0, -1)
    )
    slope = np.concatenate([left, within, right], axis=1)  # [K, Q + 1] of each gap between levels
    below = np.zeros(x.shape, dtype=np.int8)  # how many levels lie at a path or below it
    for level in range(before.shape[1]):
        below += x >= before[:, level, None]
    gap = below.astype(np.intp)
    knot = np.maximum(gap - 1, 0)
    along = x - np.take_along_axis(before, knot, axis=1)
    y = np.take_along_axis(after, knot, axis=1) + np.take_along_axis(slope, gap, axis=1) * along
    moved[:, steps] = _prices(middle, y, positive).T
    return moved


def distances(values: Floats, middle: Floats, positive: Bools) -> Floats:
    """Signed distances of `values` from `middle`: logarithmic where `positive`, else differences of price."""
    # Not ln of the ratio, which may leave the number line; and differences of prices may, too.
    if positive.all():  # nearly always, and a third of the work
        return np.log(values) - np.log(middle)
    with np.errstate(over="ignore"):
        apart = values - middle
    return np.where(positive, np.log(np.where(positive, values, 1.0)) - np.log(np.where(positive, middle, 1.0)), apart)


def _prices(middle: Floats, distance: Floats, positive: Bools) -> Floats:
    """The prices at signed distances from `middle`, held where the number line ends."""
    if positive.all():
        with np.errstate(over="ignore", under="ignore"):
            grown = middle * np.exp(distance)
        return np.clip(grown, np.finfo(np.float64).tiny, np.finfo(np.float64).max)
    with np.errstate(over="ignore", under="ignore"):
        multiplied = np.maximum(middle * np.exp(np.where(positive, distance, 0.0)), np.finfo(np.float64).tiny)
        added = middle + np.where(positive, 0.0, distance)
    largest = np.finfo(np.float64).max
    return np.clip(np.where(positive, multiplied, added), -largest, largest)
