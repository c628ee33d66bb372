"""Windows to learn from: a lookback that sets the scale, and the bars after it as the model would meet them.

Axes: B windows, n bars of a window, L_i bars of its lookback (differs between windows), 6 columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from candlecast.forecasts import CLOSE
from inference_server.kronos.scaling import calendar_fields, scale_bars
from inference_server.pretraining.histories import History

SHORTEST_FUTURE, LONGEST_FUTURE = 24, 256


@dataclass(frozen=True, slots=True)
class Batch:
    """x [B, n, 6] scaled bars, stamps [B, n, 5], lookback [B] how many of the n bars set the scale, and
    bar_sigma [B] the typical move of the close from bar to bar within the lookback, in scaled units."""

    x: Tensor
    stamps: Tensor
    lookback: Tensor
    bar_sigma: Tensor

    def shards(self, n: int) -> list["Batch"]:
        """The same windows in `n` parts of equal size."""
        fields = (each.chunk(n) for each in (self.x, self.stamps, self.lookback, self.bar_sigma))
        return [Batch(*parts) for parts in zip(*fields, strict=True)]

    def to(self, device: torch.device) -> "Batch":
        return Batch(*(each.to(device) for each in (self.x, self.stamps, self.lookback, self.bar_sigma)))


@dataclass(frozen=True, slots=True)
class Place:
    """Which window: its history, first bar, number of bars, and how many of them are the lookback."""

    history: History
    start: int
    length: int
    lookback: int


def cut(places: Sequence[Place]) -> Batch:
    """The windows at `places`, each scaled by its own lookback alone, as a forecast scales it."""
    xs, stamps, sigmas = [], [], []
    for place in places:
        window = slice(place.start, place.start + place.length)
        bars = place.history.bars[window]
        x = scale_bars(bars[: place.lookback]).see(bars)
        xs.append(x)
        stamps.append(calendar_fields(place.history.opened_at[window]))
        sigmas.append(_bar_sigma(x[: place.lookback]))
    return Batch(
        torch.from_numpy(np.stack(xs)),
        torch.from_numpy(np.stack(stamps)),
        torch.tensor([place.lookback for place in places]),
        torch.tensor(sigmas, dtype=torch.float32),
    )


def _bar_sigma(x: NDArray[np.float32]) -> float:
    """Root mean square of the close's moves; 1 where nothing moved, so that dividing by it is safe."""
    moves = np.diff(x[:, CLOSE].astype(np.float64))
    sigma = float(np.sqrt(np.mean(moves * moves)))
    return sigma if sigma > 1e-4 else 1.0


class Windows:
    """Random windows of `length` bars; batch k is a function of (seed, k) alone, so training can resume anywhere.

    Asset class and interval are drawn first, so that ten coins do not outvote eight shares: each class equally,
    hourly bars twice as often as daily ones; then a history by the square root of its length, then a place.
    """

    def __init__(self, histories: Sequence[History], *, length: int, seed: int) -> None:
        usable = [one for one in histories if len(one.bars) > length]
        if not usable:
            raise ValueError(f"no history has more than {length} bars")
        self._length, self._seed = length, seed
        weight = {"1h": 2.0, "1d": 1.0}
        strata: dict[tuple[str, str], list[History]] = {}
        for one in usable:
            strata.setdefault((one.asset_class, one.interval), []).append(one)
        self._histories = usable
        chance = np.array(
            [
                weight[one.interval]
                * len(one.bars) ** 0.5
                / sum(len(other.bars) ** 0.5 for other in strata[one.asset_class, one.interval])
                for one in usable
            ]
        )
        self._chance = chance / chance.sum()

    def batch(self, index: int, size: int) -> Batch:
        """Batch number `index` of `size` windows."""
        rng = np.random.default_rng((self._seed, index))
        places = []
        for which in rng.choice(len(self._histories), size=size, p=self._chance):
            history = self._histories[which]
            start = int(rng.integers(0, len(history.bars) - self._length + 1))
            future = int(rng.integers(SHORTEST_FUTURE, min(LONGEST_FUTURE, self._length - 2) + 1))
            places.append(Place(history, start, self._length, self._length - future))
        return cut(places)


def held_out(
    histories: Sequence[History],
    *,
    first: np.datetime64,
    last: np.datetime64,
    length: int,
    future: int,
    per_history: int,
) -> list[Place]:
    """Evenly spread windows whose last `future` bars all open in [first, last): what validation looks at."""
    places = []
    for history in histories:
        lowest = max(history.first_from(first) - (length - future), 0)
        highest = history.first_from(last) - length
        if highest >= lowest:
            for start in np.unique(np.linspace(lowest, highest, per_history).astype(int)):
                places.append(Place(history, int(start), length, length - future))
    return places
