"""From the sums of days to a verdict for each cell: a model on an interval, class and step, beside the baseline.

All cells of one record are judged together, whatever their number, so that the badges on a page hold for the page.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from candlecast.calibration import leak_alarm
from candlecast.scoring import SCORED_STEPS
from candlecast.statistics.comparison import skill_of_sums
from candlecast.statistics.overlap import span_days
from candlecast.store.verdicts import SERIES, Behind, read_behind, read_days, write_verdicts
from candlecast.verdicts import Cell, judge, overlap_in_days

ALL: Final = "all"
ASSET_CLASSES: Final = ("crypto", "forex_commodity", "equity")
POOLED: Final = 0  # the step that stands for all steps

# Bars of the venue with the fewest, per day on which the class has any; of all classes a day is one of seven.
BARS_PER_DAY: Final = {
    "1h": {"crypto": 24.0, "forex_commodity": 23.0, "equity": 7.0, ALL: 5.0},
    "1d": {"crypto": 1.0, "forex_commodity": 1.0, "equity": 1.0, ALL: 5 / 7},
}

# The same per week of the calendar.
BARS_PER_WEEK: Final[dict[str, dict[str, float]]] = {
    "1h": {"crypto": 168.0, "forex_commodity": 115.0, "equity": 35.0, ALL: 35.0},
    "1d": {"crypto": 7.0, "forex_commodity": 5.0, "equity": 5.0, ALL: 5.0},
}

SUMS: Final = ["n_common", "n_pairs", "loss", "base"]


def refresh_verdicts(conn: Connection, moment: datetime) -> list[str]:
    """Judge every cell anew by the days that were over at `moment`, in the caller's transaction.

    Gives a sentence for each cell whose served band is too good to be honest.
    """
    days = read_days(conn, moment.astimezone(UTC).date())
    write_verdicts(conn, judged(days, read_behind(conn), moment))
    return alarms(days)


def groups(frame: pd.DataFrame, names: Sequence[str]) -> Iterator[tuple[Any, pd.DataFrame]]:
    """The rows of each value of `names`, in their order; steps are plain integers."""
    for key, group in frame.groupby(list(names), sort=True):
        yield tuple(one.item() if isinstance(one, np.generic) else one for one in key), group


def alarms(days: pd.DataFrame) -> list[str]:
    """Cells of a model and step whose served band beats the best baseline's by more than its sampling error explains.

    Each is measured by baseline-rw on the rows it has in common with it; the best baseline is the one that gains most.
    The report compares on the rows in common with each baseline itself.
    """
    keys = ["interval", "record", "step"]
    compared = days[days["n_common"] > 0].groupby([*keys, "model_name", "day"], as_index=False)
    found: list[str] = []
    for (interval, record, step), group in groups(compared[["band_loss", "band_base"]].sum(), keys):
        best, models = 1.0, {}
        for (name,), rows in groups(group, ["model_name"]):
            mine, theirs = (rows[column].to_numpy(np.float64) for column in ("band_loss", "band_base"))
            if name.startswith("baseline-") and theirs.sum() > 0.0:
                best = min(best, float(mine.sum() / theirs.sum()))
            else:
                models[name] = skill_of_sums(mine, theirs, span_days(step, BARS_PER_WEEK[interval][ALL]))
        found += [
            f"{name} {interval} step {step} ({record}): its 80 % band is {gain.value - (1 - best):.1%} better than "
            "the best baseline's, look for a leak"
            for name, gain in models.items()
            if leak_alarm(1.0 - gain.value, best, gain.se / best)
        ]
    return found


def judged(days: pd.DataFrame, behind: Behind, moment: datetime) -> list[dict[str, Any]]:
    """A row of `skill_verdicts` for each cell, from `read_days` and `read_behind`."""
    rows: list[dict[str, Any]] = []
    for record, of_record in with_pooled(days).groupby("record", sort=True):
        # Every class and step of a model that was scored at all, also those without a pair: their number is fixed.
        models = sorted({(str(i), str(m)) for i, m in zip(of_record["interval"], of_record["model_name"], strict=True)})
        keys = [
            (interval, model_name, asset_class, step)
            for interval, model_name in models
            for asset_class in (ALL, *ASSET_CLASSES)
            for step in (POOLED, *SCORED_STEPS[interval])
        ]
        by_cell = of_record.groupby(["interval", "model_name", "asset_class", "step"])
        groups: dict[Hashable, pd.DataFrame] = dict(iter(by_cell))
        none = of_record.iloc[:0]
        cells = [_cell(key, groups.get(key, none), groups) for key in keys]
        for key, verdict in zip(keys, judge(cells), strict=True):
            interval, model_name, asset_class, step = key
            group = groups.get(key, none)
            with_crps = group["day"][group["n_pairs"] > 0]
            counted = (interval, model_name, record, asset_class, step)
            n_forecasts, n_symbols = behind.get(counted, (0, 0))
            rows.append(
                {
                    "record": record,
                    "interval": interval,
                    "model_name": model_name,
                    "asset_class": asset_class,
                    "step": step,
                    **{name: value for name, value in asdict(verdict).items() if name not in ("e_better", "e_worse")},
                    "n_common": int(group["n_common"].sum()),
                    "n_forecasts": n_forecasts,
                    "n_symbols": n_symbols,
                    "n_cells": len(cells),
                    "first_day": _date(with_crps.iloc[0]) if len(with_crps) else None,
                    "last_day": _date(with_crps.iloc[-1]) if len(with_crps) else None,
                    "as_of": moment,
                }
            )
    return rows


def with_pooled(days: pd.DataFrame) -> pd.DataFrame:
    """`days` with the sums over steps, each in sigmas over its own span, and over classes, sorted by day."""
    steps = days.assign(**{name: days[name] / np.sqrt(days["step"].astype(float)) for name in ("loss", "base")})
    steps = _sum(steps.assign(step=POOLED))
    both = pd.concat([days, steps])
    return pd.concat([both, _sum(both.assign(asset_class=ALL))]).sort_values("day", kind="stable")


def _sum(days: pd.DataFrame) -> pd.DataFrame:
    return days.groupby([*SERIES, "day"], sort=False, as_index=False)[SUMS].sum()


def _cell(key: tuple[str, str, str, int], group: pd.DataFrame, groups: dict[Hashable, pd.DataFrame]) -> Cell:
    interval, model_name, asset_class, step = key
    if asset_class == ALL:
        present = list(_classes(interval, model_name, step, groups))
        # The days of one class alone are its own: no class with fewer bars is there to stretch the overlap.
        asset_class = present[0] if len(present) == 1 else ALL
    longest = step or max(SCORED_STEPS[interval])
    return Cell(
        loss=group["loss"].to_numpy(dtype=np.float64),
        base=group["base"].to_numpy(dtype=np.float64),
        n_pairs=group["n_pairs"].to_numpy(dtype=np.int64),
        overlap=overlap_in_days(longest, BARS_PER_DAY[interval][asset_class]),
    )


def _classes(interval: str, model_name: str, step: int, groups: dict[Hashable, pd.DataFrame]) -> Iterator[str]:
    return (name for name in ASSET_CLASSES if (interval, model_name, name, step) in groups)


def _date(day: Any) -> Any:
    return np.datetime64(day, "D").astype(object)
