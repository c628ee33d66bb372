"""The five tests of the original system's evaluation plan, each with an interval.

1 the band is wider on event days; 2 the median moves the way that a surprise should move it; 3 on quiet days the event
model is no worse than its base; 4 a portfolio that trades narrow bands only; 5 the ensemble against the best single
model. A gate is `passed` or `failed` only where the interval leaves the gate out, else `undecided`; a test whose models
have no rows says so.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from candlecast.calendar import FirstPrints, Schedule, first_prints
from candlecast.statistics.comparison import skill_of_sums
from candlecast.statistics.estimate import Estimate
from candlecast.statistics.sharpe import sharpe_difference
from jobs.report.cells import overlap_of, told
from jobs.report.portfolios import DAYS_PER_YEAR, Daily
from jobs.verdicts import ALL, groups

Days = NDArray[np.datetime64]
DAY: Final = np.timedelta64(1, "D")

FAMILIES: Final = ("FOMC", "CPI", "NFP")
WINDOW_DAYS: Final = 7
WIDER: Final = 1.5
SURPRISE_Z: Final = 0.5
RIGHT_WAY: Final = 0.6
NO_WORSE: Final = -0.02
ENSEMBLE_GAIN: Final = 0.1
EVENT_MODEL, BASE_MODEL, ENSEMBLE = "kronos-event", "kronos-base", "ensemble"

# Which way a surprise above 0 (more inflation, more jobs, a tighter bank) is expected to move each class; currencies
# by the side the dollar is on.
EXPECTED: Final[dict[str, dict[str, int]]] = {
    "CPI": {"crypto": -1, "equity": -1, "forex_commodity": -1},
    "NFP": {"crypto": -1, "equity": 1, "forex_commodity": -1},
    "FOMC": {"crypto": -1, "equity": -1, "forex_commodity": -1},
}
DOLLAR_FIRST: Final = ("USDJPY", "USDCHF", "USDCAD", "DXY")  # these rise with the dollar


def event_days(calendar: pd.DataFrame) -> dict[str, Days]:
    """[n] days of each family's releases, as the newest vintage has them."""
    schedule = Schedule.of(calendar)
    schedule = schedule.where(schedule.known_to == schedule.known_to.max()) if len(schedule.ts) else schedule
    return {
        family: np.unique(schedule.of_family(family).ts.astype("datetime64[s]").astype("datetime64[D]"))
        for family in FAMILIES
    }


def envelope(days: pd.DataFrame, events: dict[str, Days]) -> list[dict[str, Any]]:
    """Test 1, per model, interval, record and family: width of the next bar's band on event days over quiet ones.

    The quiet days are those within a week on which no family had a release. Widths are in sigmas at issue, so what the
    market's own volatility does is out of it. One ratio per event; mean of their logarithms, Student's t over events.
    """
    releases = np.unique(np.concatenate([np.empty(0, "datetime64[D]"), *events.values()]))
    found = []
    next_bar = days[(days["asset_class"] == ALL) & (days["step"] == 1)]
    for key, group in groups(next_bar, ["interval", "record", "model_name"]):
        day = group["day"].to_numpy().astype("datetime64[D]")
        width = (group["width"] / group["n"]).to_numpy(np.float64)
        quiet = ~np.isin(day, releases)
        for family, when in events.items():
            ratios = []
            for at in when[np.isin(when, day)]:
                around = quiet & (np.abs(day - at) <= WINDOW_DAYS * DAY)
                if around.any():
                    ratios.append(np.log(width[day == at].mean() / width[around].mean()))
            estimate = _exponential(_mean(np.array(ratios)))
            found.append(
                dict(zip(("interval", "record", "model_name"), key, strict=True))
                | {"family": family, "n_events": len(ratios), "ratio": told(estimate), "gate": _gate(estimate, WIDER)}
            )
    return found


def surprises(calendar: pd.DataFrame) -> pd.DataFrame:
    """family, released_at (epoch seconds) and sign of every surprise of more than half a sigma."""
    prints = first_prints(calendar)
    parts = []
    for family in FAMILIES:
        told_of = FirstPrints.rate_changes(prints) if family == "FOMC" else FirstPrints.surprises(prints, family)
        large = told_of.told & (np.abs(told_of.value) > SURPRISE_Z)
        parts.append(
            pd.DataFrame(
                {"family": family, "released_at": told_of.visible_at[large], "sign": np.sign(told_of.value[large])}
            )
        )
    return pd.concat(parts, ignore_index=True)


def direction(shifts: pd.DataFrame, large: pd.DataFrame) -> list[dict[str, Any]]:
    """Test 2, per model, interval, record and step: how often the median moved the way the surprise should move it.

    Instruments that answer to one release are one observation, their mean; Student's t over releases.
    """
    shifts = shifts.assign(released_at=_epoch(shifts["released_at"])).merge(large, on="released_at")
    shift = shifts["drift_after"] - shifts["drift_before"]
    usable = np.isfinite(shift) & (shift != 0)
    shifts, shift = shifts[usable], shift[usable]
    expected = np.array(
        [
            EXPECTED[family][asset_class]
            for family, asset_class in zip(shifts["family"], shifts["asset_class"], strict=True)
        ]
    )
    expected = np.where(shifts["symbol"].isin(DOLLAR_FIRST), -expected, expected) if len(shifts) else expected
    right = (np.sign(shift) == expected * shifts["sign"]).astype(float) if len(shifts) else pd.Series(dtype=float)
    found = []
    for key, group in groups(shifts.assign(right=right), ["interval", "record", "model_name", "step"]):
        by_release = group.groupby("released_at")["right"].mean().to_numpy()
        estimate = _mean(by_release, null=0.5)
        found.append(
            dict(zip(("interval", "record", "model_name", "step"), key, strict=True))
            | {
                "n_events": len(by_release),
                "n": len(group),
                "share": told(estimate),
                "gate": _gate(estimate, RIGHT_WAY),
            }
        )
    return found


def quiet_days(days_beside_base: pd.DataFrame, events: dict[str, Days]) -> list[dict[str, Any]]:
    """Test 3, per interval, record and step: error of the median of the event model beside its base on quiet days."""
    releases = np.unique(np.concatenate([np.empty(0, "datetime64[D]"), *events.values()]))
    mine = days_beside_base[
        (days_beside_base["model_name"] == EVENT_MODEL)
        & (days_beside_base["asset_class"] == ALL)
        & (days_beside_base["n_common"] > 0)
    ]
    mine = mine[~np.isin(mine["day"].to_numpy().astype("datetime64[D]"), releases)]
    found = []
    for key, group in groups(mine, ["interval", "record", "step"]):
        gain = skill_of_sums(
            group["common_abs_error"].to_numpy(np.float64),
            group["base_abs_error"].to_numpy(np.float64),
            overlap_of(key[0], ALL, key[2]),
        )
        found.append(
            {
                "interval": key[0],
                "record": key[1],
                "step": key[2],
                "gain": told(gain),
                "gate": _gate(gain, NO_WORSE),
            }
        )
    return found


def against(
    portfolios: dict[tuple[Any, ...], Daily], model_name: str, others: Sequence[str], gain: float
) -> list[dict[str, Any]]:
    """Tests 4 and 5: the model's annual Sharpe ratio minus that of the best of the others, on days that both have.

    portfolios : by (interval, record, model_name, step). The best is chosen by its ratio on the same days, which makes
        it look better than it is: what passes does so in spite of it.
    """
    found = []
    for (interval, record, name, step), mine in sorted(portfolios.items()):
        if name != model_name:
            continue
        best: tuple[Estimate, str] | None = None
        for other in others:
            theirs = portfolios.get((interval, record, other, step))
            if theirs is None:
                continue
            both, here, there = np.intersect1d(mine.day, theirs.day, return_indices=True)
            if len(both) < 2:
                continue
            gap = sharpe_difference(mine.value[here], theirs.value[there], DAYS_PER_YEAR[ALL])
            if best is None or gap.value < best[0].value:
                best = (gap, other)
        if best is not None:
            found.append(
                {"interval": interval, "record": record, "step": step, "against": best[1], "gain": told(best[0])}
                | {"gate": _gate(best[0], gain)}
            )
    return found


def _mean(values: NDArray[np.float64], null: float = 0.0) -> Estimate:
    n = len(values)
    if n < 2 or np.ptp(values) == 0.0:
        return Estimate.unknown(float(values.mean()) if n else float("nan"))
    return Estimate.of(float(values.mean()), float(stats.sem(values)), float(n - 1), null)


def _exponential(log: Estimate) -> Estimate:
    value = float(np.exp(log.value))
    return Estimate(value, value * log.se, float(np.exp(log.low)), float(np.exp(log.high)), log.dof, log.p_value)


def _gate(estimate: Estimate, gate: float) -> str:
    if estimate.low >= gate:
        return "passed"
    return "failed" if estimate.high < gate else "undecided"


def _epoch(instants: pd.Series) -> NDArray[np.int64]:
    return pd.DatetimeIndex(instants).as_unit("s").asi8 if len(instants) else np.empty(0, np.int64)
