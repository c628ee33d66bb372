"""How wide paths are: a checkpoint's own correction, measured on bars that its training had not seen.

A model that predicts the next bar well may still drift too wide or too narrow over a hundred of them. The
correction moves every path away from the middle of all, or towards it, by one factor per step; ranks stay, and the
median too. Axes: S paths, H steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from candlecast.errors import CandlecastError
from candlecast.instruments import load_instruments
from inference_server.kronos.errors import WeightsError

Floats = NDArray[np.float64]
ANY = "any"
"""The asset class of a symbol that the instruments file does not name."""


@dataclass(frozen=True, slots=True)
class Spread:
    """factors : by (interval, asset class), the factor at each of `steps`; between them linear in log step."""

    steps: tuple[int, ...] = (1,)
    factors: Mapping[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Self:
        """From `{"steps": [1, 4], "factors": {"1h": {"crypto": [1.1, 1.0]}}}`.

        Raises
        ------
        WeightsError : it is not of that form, or a factor is not above 0.
        """
        try:
            steps = tuple(int(step) for step in stored["steps"])
            factors = {
                (interval, asset_class): tuple(float(each) for each in row)
                for interval, by_class in stored["factors"].items()
                for asset_class, row in by_class.items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WeightsError(f"the spread of a checkpoint has no steps and factors by interval ({error})") from error
        rising = all(a < b for a, b in zip((0, *steps), steps, strict=False))
        if not rising or any(len(row) != len(steps) or not min(row) > 0 for row in factors.values()):
            raise WeightsError(f"the spread of a checkpoint needs rising steps and {len(steps)} factors above 0 each")
        return cls(steps, factors)

    def to_dict(self) -> dict[str, Any]:
        """The form that `of` reads."""
        by_interval: dict[str, dict[str, list[float]]] = {}
        for (interval, asset_class), row in sorted(self.factors.items()):
            by_interval.setdefault(interval, {})[asset_class] = [round(each, 4) for each in row]
        return {"steps": list(self.steps), "factors": by_interval}

    def along(self, interval: str, asset_class: str, horizon: int) -> Floats:
        """[H] factors of a series; 1 where nothing was measured for its interval."""
        row = self.factors.get((interval, asset_class)) or self.factors.get((interval, ANY))
        if row is None:
            return np.ones(horizon)
        return np.exp(np.interp(np.log(np.arange(1, horizon + 1)), np.log(self.steps), np.log(row)))


def asset_class_of(symbol: str) -> str:
    """The class of a symbol in the instruments file, `any` for others."""
    return _classes().get(symbol, ANY)


def spread_out(closes: NDArray[np.floating], factors: Floats) -> Floats:
    """Closes [S, H] with the distance of each from the median path multiplied by `factors` [H].

    Distances are logarithmic where all prices are positive, else differences.
    """
    logarithmic = closes.min() > 0
    places = np.log(closes, dtype=np.float64) if logarithmic else closes.astype(np.float64)
    middle = np.median(places, axis=0)
    moved: Floats = middle + factors * (places - middle)
    return np.exp(moved) if logarithmic else moved


@cache
def _classes() -> dict[str, str]:
    try:
        return {one.symbol: one.asset_class for one in load_instruments()}
    except CandlecastError:
        return {}  # a broken file of one's own is reported where it is read; here it only means: class unknown
