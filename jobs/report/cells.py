"""A cell of the report: how a model did on an interval, class and step of one record, each number with its error.

Everything comes from sums over days (candlecast.store.reports), which clusters by time: instruments that are judged on
one day count as that day.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.calibration import leak_alarm
from candlecast.statistics.comparison import skill_of_sums
from candlecast.statistics.coverage import coverage_of_sums
from candlecast.statistics.direction import hit_rate_of_sums, hits_above_naive, pesaran_timmermann_of_sums
from candlecast.statistics.estimate import Estimate
from candlecast.statistics.overlap import INFLATION_PER_STEP, span_days
from candlecast.store.reports import CELL
from candlecast.verdicts import overlap_in_days
from jobs.verdicts import ALL, BARS_PER_DAY, BARS_PER_WEEK, groups

BASELINE: Final = "baseline-rw"


def told(estimate: Estimate) -> dict[str, float | None]:
    """An estimate as JSON: what is not known is null."""
    return {name: known(value) for name, value in asdict(estimate).items()}


def known(value: float | None) -> float | None:
    """The number, or None where there is none."""
    return value if value is not None and math.isfinite(value) else None


def with_all_classes(days: pd.DataFrame) -> pd.DataFrame:
    """`days` and, under the class `all`, their sums over the classes."""
    keys = [*CELL, "day"]
    pooled = days.assign(asset_class=ALL).groupby(keys, sort=False, as_index=False).sum()
    return pd.concat([days, pooled]).sort_values("day", kind="stable")


def cells_of(days: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The numbers of every cell, from `with_all_classes` of the days judged beside the baseline."""
    classes = only_classes(days)
    for key, group in groups(days, CELL):
        yield (
            dict(zip(CELL, key, strict=True))
            | _numbers(key[0], key[3], key[4], group)
            | {"n_eff": effective_days(key[0], classes.get(key, key[3]), key[4], len(group))}
        )


def overlap_of(interval: str, asset_class: str, step: int) -> float:
    """Calendar days over which the outcomes of a cell overlap."""
    return span_days(step, BARS_PER_WEEK[interval][asset_class])


def only_classes(frame: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """By `CELL`, the class that a cell of all classes consists of where it is one alone."""
    single = frame[frame["asset_class"] != ALL]
    found: dict[tuple[Any, ...], str] = {}
    for (interval, record, model_name, step), group in groups(single, [name for name in CELL if name != "asset_class"]):
        names = group["asset_class"].unique()
        if len(names) == 1:
            found[interval, record, model_name, ALL, step] = str(names[0])
    return found


def effective_days(interval: str, asset_class: str, step: int, n_days: int) -> float:
    """Independent outcomes that so many judged days are worth by overlap alone, as the verdicts count them."""
    span = 1.0 + overlap_in_days(step, BARS_PER_DAY[interval][asset_class])
    return n_days / max(1.0, INFLATION_PER_STEP * span)


def _numbers(interval: str, asset_class: str, step: int, group: pd.DataFrame) -> dict[str, Any]:
    overlap = overlap_of(interval, asset_class, step)

    def column(name: str) -> NDArray[np.float64]:
        return group[name].to_numpy(dtype=np.float64)

    n, moves = column("n"), column("n_moves")
    total = float(n.sum())
    common, common_crps = float(group["n_common"].sum()), float(group["n_common_crps"].sum())
    served = coverage_of_sums(column("n_inside"), column("n_below"), column("n_above"), n, overlap)
    raw = coverage_of_sums(column("n_raw_inside"), column("n_raw_below"), column("n_raw_above"), n, overlap)
    hits, ups, signals_up = column("n_hits"), column("n_ups"), column("n_signals_up")
    n_brier = float(group["n_brier"].sum())
    return {
        "n": int(total),
        "n_days": len(group),
        "first_day": str(np.datetime64(group["day"].iloc[0], "D")),
        "last_day": str(np.datetime64(group["day"].iloc[-1], "D")),
        "coverage": {name: told(value) for name, value in _parts(served)},
        "raw_coverage": {name: told(value) for name, value in _parts(raw)},
        "width": float(group["width"].sum()) / total,
        "interval_score": float(group["interval_score"].sum()) / total,
        "raw_interval_score": float(group["raw_interval_score"].sum()) / total,
        "interval_skill": told(skill_of_sums(column("common_interval_score"), column("base_interval_score"), overlap)),
        "interval_gain": told(skill_of_sums(column("interval_score"), column("raw_interval_score"), overlap)),
        "pinball_skill": told(skill_of_sums(column("common_pinball"), column("base_pinball"), overlap)),
        "crps_skill": told(skill_of_sums(column("common_crps"), column("base_crps"), overlap)),
        "calibrated_crps_skill": told(skill_of_sums(column("common_calibrated_crps"), column("base_crps"), overlap)),
        "n_common": int(common),
        "n_common_crps": int(common_crps),
        "brier": float(group["brier"].sum()) / n_brier if n_brier else None,
        "hit_rate": told(hit_rate_of_sums(moves, hits, overlap)),
        "hits_above_naive": told(hits_above_naive(moves, hits, ups, overlap)),
        "pesaran_timmermann": told(pesaran_timmermann_of_sums(moves, hits, signals_up, ups, overlap)),
    }


def _parts(coverage: Any) -> Iterator[tuple[str, Estimate]]:
    return ((name, getattr(coverage, name)) for name in ("inside", "below", "above"))


def alarms(by_baseline: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Cells whose served band is better than the best baseline's by more than is honest.

    by_baseline : `with_all_classes` of the days beside each baseline. The best is the one whose interval score on the
        rows in common with the model is the lowest.
    """
    best: dict[tuple[Any, ...], tuple[float, float, float, str]] = {}
    for baseline, days in by_baseline.items():
        for key, group in groups(days[~days["model_name"].str.startswith("baseline-")], CELL):
            n = float(group["n_common"].sum())
            if not n:
                continue
            mine, theirs = (
                group[name].to_numpy(np.float64) for name in ("common_interval_score", "base_interval_score")
            )
            skill = skill_of_sums(mine, theirs, overlap_of(key[0], key[3], key[4]))
            found = (float(theirs.sum()) / n, float(mine.sum()) / n, skill.se, baseline)
            if key not in best or found[0] < best[key][0]:
                best[key] = found
    return [
        dict(zip(CELL, key, strict=True)) | {"interval_score": mine, "best_baseline": name, "baseline_score": theirs}
        for key, (theirs, mine, se, name) in best.items()
        if leak_alarm(mine, theirs, se)
    ]
