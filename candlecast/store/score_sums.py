"""The sums that the view is made of: per series, model and day, and over all time.

A series here is (symbol, record, step) of an interval. Two kinds of sums are kept: over pairs, which are added when a
pair is scored and taken back when a correction replaces it; and sums that need a whole day at once, the portfolio's
returns and the losses on rows that the baseline shares. The latter are made anew from the scores for every day that
new pairs were live on, and the difference to what the day holds is added. All in the caller's transaction.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from candlecast.portfolio import Bars, BarValues, Signals, calendar_time
from candlecast.scoring import VOID_REASONS, Scores, longest_span
from candlecast.store.arrays import Dates, Float8s, Int4s, Int8s, Timestamps, fetch_arrays
from candlecast.store.sql import load

BASELINE: Final = "baseline-rw"

# Columns of score_days and score_totals.
PAIR_SUMS: Final = (
    "n", "n_moves", "n_hits", "n_ups", "n_signals_up", "n_inside", "n_below", "n_above",
    "n_raw_inside", "n_raw_below", "n_raw_above", "n_crps", "n_brier",
    "pinball", "calibrated_pinball", "interval_score", "raw_interval_score", "width", "raw_width", "abs_error",
    "crps", "calibrated_crps", "brier", "calibrated_brier",
)  # fmt: skip
VOID_SUMS: Final = ("n_voids", *VOID_REASONS.values())
BAR_SUMS: Final = ("n_bars", "bar_return", "bar_square", "turnover")
COMMON_SUMS: Final = (
    "n_common", "common_pinball", "common_calibrated_pinball", "baseline_pinball", "pinball_gap_square",
    "common_interval_score", "baseline_interval_score",
    "n_common_crps", "common_crps", "common_calibrated_crps", "baseline_crps",
)  # fmt: skip
DAY_SUMS: Final = BAR_SUMS + COMMON_SUMS
SUMS: Final = PAIR_SUMS + VOID_SUMS + DAY_SUMS
SUMS_VERSION: Final = 2  # of the sums of whole days; those of version 1 have no turnover and no interval scores

SERIES: Final = ["symbol", "record", "step"]
KEY: Final = ["symbol", "model_name", "record", "step", "day"]

# When a bar comes or changes, the return of the bar after it changes too; that one closes within this time.
NEXT_BAR: Final = timedelta(days=7)

# Losses that a model's pairs and the baseline's are compared in.
COMPARED: Final = ("pinball", "calibrated_pinball", "crps", "calibrated_crps", "interval_score")

_DAY: Final = np.timedelta64(1, "D")
_NEVER: Final = np.datetime64("1970-01-01T00:00:00", "us")


def pair_sums(pairs: pd.DataFrame, scores: Scores, sign: int = 1) -> pd.DataFrame:
    """What `pairs` (symbol, model_name, record, step, target_at) with these scores add to each day.

    `sign` -1 takes them back. Columns of the result: KEY, last_target_at, PAIR_SUMS.
    """
    moved = scores.hit >= 0
    has_crps, has_brier = np.isfinite(scores.crps), np.isfinite(scores.brier)
    values: dict[str, NDArray[Any]] = {
        "n": np.ones(len(pairs), dtype=np.int64),
        "n_moves": moved,
        "n_hits": scores.hit == 1,
        "n_ups": moved & (scores.move > 0),
        "n_signals_up": moved & (scores.signal > 0),
        "n_inside": scores.inside,
        "n_below": scores.below,
        "n_above": scores.above,
        "n_raw_inside": scores.raw_inside,
        "n_raw_below": scores.raw_below,
        "n_raw_above": scores.raw_above,
        "n_crps": has_crps,
        "n_brier": has_brier,
        "pinball": scores.pinball,
        "calibrated_pinball": scores.calibrated_pinball,
        "interval_score": scores.interval_score,
        "raw_interval_score": scores.raw_interval_score,
        "width": scores.width,
        "raw_width": scores.raw_width,
        "abs_error": scores.abs_error,
        "crps": np.where(has_crps, scores.crps, 0.0),
        "calibrated_crps": np.where(has_crps, scores.calibrated_crps, 0.0),
        "brier": np.where(has_brier, scores.brier, 0.0),
        "calibrated_brier": np.where(has_brier, scores.calibrated_brier, 0.0),
    }
    frame = pairs[["symbol", "model_name", "record", "step", "target_at"]].assign(
        day=pairs["target_at"].to_numpy().astype("datetime64[D]").astype("datetime64[s]"),
        **{name: sign * (value.astype(np.int64) if name.startswith("n") else value) for name, value in values.items()},
    )
    grouped = frame.groupby(KEY, sort=False, observed=True)
    result: pd.DataFrame = grouped[list(PAIR_SUMS)].sum()
    result["last_target_at"] = grouped["target_at"].max()
    return result.reset_index()


def day_sums(conn: Connection, interval: str, touched: pd.DataFrame) -> pd.DataFrame:
    """What has to be added to the whole-day sums so that they agree with the scores.

    touched : symbol, record, step, first_at, last_at (datetime64): on the days from the one to the other, pairs of any
        model were live or bars changed. One row per series.
    """
    touched = touched.reset_index(drop=True)
    first_day = touched["first_at"].to_numpy().astype("datetime64[D]")
    last_day = touched["last_at"].to_numpy().astype("datetime64[D]")
    series = {
        "interval": interval,
        "symbol": touched["symbol"].tolist(),
        "record": touched["record"].tolist(),
        "step": Int4s(touched["step"].to_numpy()),
    }
    span = np.array([np.timedelta64(longest_span(interval, step), "us") for step in touched["step"]])
    bars, lanes = _bars(conn, interval, touched["symbol"], first_day, last_day)
    pairs = _newest_pairs(
        conn,
        {
            **series,
            # What is traded on the first bar depends on what was held over the bar before, maybe days earlier.
            "first_at": Timestamps(_bar_before(bars, lanes, first_day)),
            "until": Timestamps(last_day + _DAY),
            "latest_target_at": Timestamps((last_day + _DAY).astype("datetime64[us]") + span),
        },
    )
    parts = [_bar_sums(bars, lanes, first_day, last_day, pairs), _common_sums(pairs, first_day, last_day)]
    now = pd.concat(parts).groupby(["series", "model_name", "day"], sort=False)[list(DAY_SUMS)].sum()

    stored = fetch_arrays(
        conn, load("score_days_read"), {**series, "first_day": Dates(first_day), "last_day": Dates(last_day)}
    )
    if stored["series"] is not None:
        stored["day"] = stored["day"].astype("datetime64[s]")
        before = pd.DataFrame({name: stored[name] for name in ("series", "model_name", "day", *DAY_SUMS)})
        before["series"] -= 1
        now = now.sub(before.set_index(["series", "model_name", "day"]), fill_value=0)
    now = now[(now != 0).any(axis=1)].reset_index()
    for name in SERIES:
        now[name] = touched[name].to_numpy()[now["series"]]
    return now.drop(columns="series").assign(last_target_at=_NEVER)


def add_sums(conn: Connection, interval: str, *parts: pd.DataFrame) -> None:
    """Add the sums in `parts` (KEY, last_target_at and any of SUMS) to days and totals, in one statement."""
    whole = pd.concat(parts)
    if whole.empty:
        return
    grouped = whole.groupby(KEY, sort=True, observed=True)
    added = grouped[[name for name in SUMS if name in whole]].sum()
    added["last_target_at"] = grouped["last_target_at"].max()
    added = added.reset_index()
    parameters: dict[str, object] = {
        "interval": interval,
        "symbol": added["symbol"].tolist(),
        "model_name": added["model_name"].tolist(),
        "record": added["record"].tolist(),
        "step": Int4s(added["step"].to_numpy()),
        "day": Dates(added["day"].to_numpy()),
        "last_target_at": Timestamps(added["last_target_at"].to_numpy()),
    }
    for name in SUMS:
        values = added[name].to_numpy(dtype=np.float64) if name in added else np.zeros(len(added))
        parameters[name] = Int8s(np.rint(values)) if name.startswith("n") else Float8s(values)
    fetch_arrays(conn, load("score_days_add"), parameters)


def outdated_series(conn: Connection, interval: str) -> pd.DataFrame:
    """The series whose whole-day sums an older program made, as `day_sums` wants them; nearly always none."""
    rows = conn.execute(load("score_outdated"), {"interval": interval, "sums_version": SUMS_VERSION}).all()
    frame = pd.DataFrame([tuple(row) for row in rows], columns=[*SERIES, "first_at", "last_at"])
    for name in ("first_at", "last_at"):
        frame[name] = pd.to_datetime(frame[name]).astype("datetime64[us]")
    frame["last_at"] += NEXT_BAR
    return frame


def mark_updated(conn: Connection, interval: str) -> None:
    """Remember that the sums of the interval are as this program makes them."""
    conn.execute(load("score_updated"), {"interval": interval, "sums_version": SUMS_VERSION})


def _newest_pairs(conn: Connection, parameters: Mapping[str, object]) -> pd.DataFrame:
    """The pairs that have to do with the days asked for, each once; `series` counts from 0."""
    found = fetch_arrays(conn, load("score_overlapping"), parameters)
    columns = ("series", "model_name", "issued_at", "target_at", "revision", "signal", *COMPARED)
    if found["series"] is None:
        return pd.DataFrame({name: [] for name in columns}).astype({"series": np.int64, "model_name": object})
    pairs = pd.DataFrame({name: found[name] for name in columns})
    pairs["series"] -= 1
    if (pairs["revision"] > 0).any():
        pairs = pairs.sort_values("revision", kind="stable")
        pairs = pairs.drop_duplicates(["series", "model_name", "issued_at"], keep="last", ignore_index=True)
    return pairs


def _bars(
    conn: Connection,
    interval: str,
    symbols: "pd.Series[str]",
    first_day: NDArray[np.datetime64],
    last_day: NDArray[np.datetime64],
) -> tuple[Bars, NDArray[np.int64]]:
    """The bars of the days asked for and the two before, and for each series the lane of its symbol among them."""
    spans = pd.DataFrame(
        {
            "symbol": symbols,
            "first": first_day.astype("datetime64[us]"),
            "last": last_day.astype("datetime64[us]"),
        }
    )
    spans = spans.groupby("symbol", sort=False).agg(first=("first", "min"), last=("last", "max"))
    place = {symbol: lane for lane, symbol in enumerate(spans.index)}
    found = fetch_arrays(
        conn,
        load("score_bars"),
        {
            "interval": interval,
            "symbol": list(spans.index),
            "first_at": Timestamps(spans["first"].to_numpy()),
            "until": Timestamps(spans["last"].to_numpy() + _DAY),
        },
    )
    lanes = symbols.map(place).to_numpy(np.int64)
    if found["series"] is None:
        return Bars(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)), lanes
    return Bars(found["series"].astype(np.int64) - 1, _seconds(found["closed_at"]), found["close"]), lanes


def _bar_before(bars: Bars, lanes: NDArray[np.int64], first_day: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """For each series the close of its last bar before `first_day`, or that day where there is none."""
    start = _seconds(first_day)
    before = start.copy()
    for series, lane in enumerate(lanes):
        low, high = np.searchsorted(bars.series, [lane, lane + 1])
        place = low + np.searchsorted(bars.closed_at[low:high], start[series]) - 1
        if place >= low:
            before[series] = bars.closed_at[place]
    return before.astype("datetime64[s]").astype("datetime64[us]")


def _bar_sums(
    bars: Bars,
    lanes: NDArray[np.int64],
    first_day: NDArray[np.datetime64],
    last_day: NDArray[np.datetime64],
    pairs: pd.DataFrame,
) -> pd.DataFrame:
    """Sums of the portfolio's returns and trades over the bars of each day, from the pairs that were live on them."""
    if not len(bars.series) or pairs.empty:
        return pd.DataFrame({name: [] for name in ("series", "model_name", "day", *DAY_SUMS)})
    models, names = pd.factorize(pairs["model_name"])
    portfolio, keys = pd.factorize(pairs["series"].to_numpy(np.int64) * len(names) + models)
    series = keys // len(names)
    signals = Signals(
        portfolio.astype(np.int64),
        _seconds(pairs["issued_at"].to_numpy()),
        _seconds(pairs["target_at"].to_numpy()),
        pairs["signal"].to_numpy(np.int64),
        lanes[series],
    )
    whole = calendar_time(signals, bars)

    def frame(values: BarValues, **sums: NDArray[Any]) -> pd.DataFrame:
        day = values.closed_at.astype("datetime64[s]").astype("datetime64[D]")
        of_series = series[values.portfolio]
        model = np.asarray(names, dtype=object)[keys[values.portfolio] % len(names)]
        # A symbol's bars reach over the days of all its series; each series is told only its own.
        asked = (day >= first_day[of_series]) & (day <= last_day[of_series])
        columns = {"series": of_series, "model_name": model, "day": day.astype("datetime64[s]"), **sums}
        return pd.DataFrame(columns)[asked]

    earned = whole.returns.value
    return pd.concat(
        [
            frame(whole.returns, n_bars=np.ones(len(earned), np.int64), bar_return=earned, bar_square=earned**2),
            frame(whole.turnover, turnover=whole.turnover.value),
        ]
    )


def _common_sums(
    pairs: pd.DataFrame, first_day: NDArray[np.datetime64], last_day: NDArray[np.datetime64]
) -> pd.DataFrame:
    """Losses of each model beside the baseline's, over the pairs that both were scored on."""
    if pairs.empty:
        return pd.DataFrame({name: [] for name in ("series", "model_name", "day", *DAY_SUMS)})
    target_day = pairs["target_at"].to_numpy().astype("datetime64[D]")
    asked = (target_day >= first_day[pairs["series"]]) & (target_day <= last_day[pairs["series"]])
    pairs = pairs.assign(day=target_day.astype("datetime64[s]"))[asked]
    is_base = (pairs["model_name"] == BASELINE).to_numpy()
    base = pairs.loc[is_base, ["series", "issued_at", "target_at", *COMPARED]]
    both = pairs[~is_base].merge(base, on=["series", "issued_at", "target_at"], suffixes=("", "_base"))
    has_crps = (np.isfinite(both["crps"]) & np.isfinite(both["crps_base"])).to_numpy()
    return both[["series", "model_name", "day"]].assign(
        n_common=1,
        common_pinball=both["pinball"],
        common_calibrated_pinball=both["calibrated_pinball"],
        baseline_pinball=both["pinball_base"],
        pinball_gap_square=(both["pinball_base"] - both["pinball"]) ** 2,
        common_interval_score=both["interval_score"],
        baseline_interval_score=both["interval_score_base"],
        n_common_crps=has_crps.astype(np.int64),
        common_crps=np.where(has_crps, both["crps"], 0.0),
        common_calibrated_crps=np.where(has_crps, both["calibrated_crps"], 0.0),
        baseline_crps=np.where(has_crps, both["crps_base"], 0.0),
    )


def _seconds(instants: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return instants.astype("datetime64[s]").astype(np.int64)
