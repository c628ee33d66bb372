"""Where outcomes fell in what was forecast: the PIT histogram, and how often they lay under each level.

Both come from the same counts, outcomes per day and twentieth of the forecast distribution. Every level of a fan is a
multiple of a twentieth, so the share of outcomes under a level is a sum of whole bins.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.forecasts import LEVELS
from candlecast.statistics.coverage import share_of_sums
from candlecast.statistics.uniformity import uniformity_of_counts
from candlecast.store.reports import CELL
from jobs.report.cells import effective_days, known, only_classes, overlap_of
from jobs.verdicts import ALL, groups

N_BINS: Final = 20
KINDS: Final = (("served", "n"), ("raw", "n_raw"))

Counts = NDArray[np.int64]


def with_all_pits(pits: pd.DataFrame) -> pd.DataFrame:
    """`pits` and, under the class `all`, their sums over the classes."""
    if pits.empty:
        return pits
    keys = [*CELL, "day", "bin"]
    pooled = pits.assign(asset_class=ALL).groupby(keys, sort=False, as_index=False)[["n", "n_raw"]].sum()
    return pd.concat([pits, pooled], ignore_index=True)


def pit_cells(pits: pd.DataFrame) -> list[dict[str, Any]]:
    """The PIT histogram of each cell, served and raw, with the band that chance alone stays in, and both tests."""
    cells = []
    for cell, overlap, counts in _counted(pits):
        for name, days in counts.items():
            even = uniformity_of_counts(days, overlap)
            cell[name] = {
                "n": even.n,
                "shares": [round(float(share), 6) for share in even.shares],
                "low": [known(float(value)) for value in even.low],
                "high": [known(float(value)) for value in even.high],
                "ks": even.ks,
                "ks_p": even.ks_p,
                "cvm": even.cvm,
                "cvm_p": even.cvm_p,
            }
        cells.append(cell)
    return cells


def reliability_cells(pits: pd.DataFrame) -> list[dict[str, Any]]:
    """How often outcomes lay under each level of each cell, served and raw; days are what the intervals count."""
    return [
        cell | {name: _points(days, overlap) for name, days in counts.items()}
        for cell, overlap, counts in _counted(pits)
    ]


def _points(days: Counts, overlap: float) -> list[dict[str, float | None]]:
    """`nominal` is the level, `observed` the share of outcomes under it, with its 95 % interval."""
    under, n = np.cumsum(days, axis=1), days.sum(axis=1)
    points: list[dict[str, float | None]] = []
    for level in LEVELS:
        share = share_of_sums(under[:, round(level * N_BINS) - 1], n, overlap, level)
        ends = {"low": known(share.low), "high": known(share.high)}
        points.append({"nominal": level, "observed": known(share.value)} | ends)
    return points


def _counted(pits: pd.DataFrame) -> Iterator[tuple[dict[str, Any], float, dict[str, Counts]]]:
    """Each cell with its days, the calendar days over which its outcomes overlap, and its counts [T, 20] per day."""
    classes = only_classes(pits)
    for key, group in groups(pits, CELL):
        day, place = np.unique(group["day"].to_numpy(), return_inverse=True)
        bins = group["bin"].to_numpy(np.int64)
        counts = {name: _table(place, bins, group[column].to_numpy(np.int64), len(day)) for name, column in KINDS}
        cell = dict(zip(CELL, key, strict=True)) | {
            "n": int(counts["served"].sum()),
            "n_days": len(day),
            "n_eff": effective_days(key[0], classes.get(key, key[3]), key[4], len(day)),
        }
        yield cell, overlap_of(key[0], key[3], key[4]), counts


def _table(day: NDArray[np.intp], bins: Counts, n: Counts, n_days: int) -> Counts:
    flat = np.bincount(day * N_BINS + bins, weights=n, minlength=n_days * N_BINS)
    return flat.astype(np.int64).reshape(n_days, N_BINS)
