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

from candlecast.portfolio import Bars, Signals, calendar_time_returns
from candlecast.scoring import Scores, longest_span
from candlecast.store.arrays import Dates, Float8s, Int4s, Int8s, Timestamps, fetch_arrays
from candlecast.store.sql import load

BASELINE: Final = "baseline-rw"

# Columns of score_days and score_totals.
PAIR_SUMS: Final = (
    "n", "n_moves", "n_hits", "n_ups", "n_inside", "n_below", "n_above", "n_crps",
    "pinball", "interval_score", "width", "abs_error", "crps",
)  # fmt: skip
BAR_SUMS: Final = ("n_bars", "bar_return", "bar_square")
COMMON_SUMS: Final = (
    "n_common", "common_pinball", "baseline_pinball", "pinball_gap_square",
    "n_common_crps", "common_crps", "baseline_crps",
)  # fmt: skip
DAY_SUMS: Final = BAR_SUMS + COMMON_SUMS
SUMS: Final = (*PAIR_SUMS, "n_voids", *DAY_SUMS)

SERIES: Final = ["symbol", "record", "step"]
KEY: Final = ["symbol", "model_name", "record", "step", "day"]

# When a bar comes or changes, the return of the bar after it changes too; that one closes within this time.
NEXT_BAR: Final = timedelta(days=7)

_DAY: Final = np.timedelta64(1, "D")
_NEVER: Final = np.datetime64("1970-01-01T00:00:00", "us")


def pair_sums(pairs: pd.DataFrame, scores: Scores, sign: int = 1) -> pd.DataFrame:
    """What `pairs` (symbol, model_name, record, step, target_at) with these scores add to each day.

    `sign` -1 takes them back. Columns of the result: KEY, last_target_at, PAIR_SUMS.
    """
    moved = scores.hit >= 0
    has_crps = np.isfinite(scores.crps)
    values: dict[str, NDArray[Any]] = {
        "n": np.ones(len(pairs), dtype=np.int64),
        "n_moves": moved,
        "n_hits": scores.hit == 1,
        "n_ups": moved & (scores.move > 0),
        "n_inside": scores.inside,
        "n_below": scores.below,
        "n_above": scores.above,
        "n_crps": has_crps,
        "pinball": scores.pinball,
        "interval_score": scores.interval_score,
        "width": scores.width,
        "abs_error": scores.abs_error,
        "crps": np.where(has_crps, scores.crps, 0.0),
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
    pairs = _newest_pairs(
        conn,
        {
            **series,
            "first_at": Timestamps(first_day),
            "until": Timestamps(last_day + _DAY),
            "latest_target_at": Timestamps((last_day + _DAY).astype("datetime64[us]") + span),
        },
    )
    parts = [_bar_sums(conn, interval, touched, first_day, last_day, pairs), _common_sums(pairs, last_day)]
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


def _newest_pairs(conn: Connection, parameters: Mapping[str, object]) -> pd.DataFrame:
    """The pairs that have to do with the days asked for, each once; `series` counts from 0."""
    found = fetch_arrays(conn, load("score_overlapping"), parameters)
    columns = ("series", "model_name", "issued_at", "target_at", "revision", "signal", "pinball", "crps")
    if found["series"] is None:
        return pd.DataFrame({name: [] for name in columns}).astype({"series": np.int64, "model_name": object})
    pairs = pd.DataFrame({name: found[name] for name in columns})
    pairs["series"] -= 1
    if (pairs["revision"] > 0).any():
        pairs = pairs.sort_values("revision", kind="stable")
        pairs = pairs.drop_duplicates(["series", "model_name", "issued_at"], keep="last", ignore_index=True)
    return pairs


def _bar_sums(
    conn: Connection,
    interval: str,
    touched: pd.DataFrame,
    first_day: NDArray[np.datetime64],
    last_day: NDArray[np.datetime64],
    pairs: pd.DataFrame,
) -> pd.DataFrame:
    """Sums of the portfolio's returns over the bars of each day, from the pairs that were live on them."""
    spans = touched.assign(first=first_day.astype("datetime64[us]"), last=last_day.astype("datetime64[us]"))
    spans = spans.groupby("symbol", sort=False).agg(first=("first", "min"), last=("last", "max"))
    symbols = list(spans.index)
    found = fetch_arrays(
        conn,
        load("score_bars"),
        {
            "interval": interval,
            "symbol": symbols,
            "first_at": Timestamps(spans["first"].to_numpy()),
            "until": Timestamps(spans["last"].to_numpy() + _DAY),
        },
    )
    if found["series"] is None or pairs.empty:
        return pd.DataFrame({name: [] for name in ("series", "model_name", "day", *DAY_SUMS)})
    bars = Bars(found["series"].astype(np.int64) - 1, _seconds(found["closed_at"]), found["close"])

    models, names = pd.factorize(pairs["model_name"])
    portfolio, keys = pd.factorize(pairs["series"].to_numpy(np.int64) * len(names) + models)
    series = keys // len(names)
    symbol_of = {symbol: place for place, symbol in enumerate(symbols)}
    series_of = touched["symbol"].map(symbol_of).to_numpy(np.int64)[series]
    signals = Signals(
        portfolio.astype(np.int64),
        _seconds(pairs["issued_at"].to_numpy()),
        _seconds(pairs["target_at"].to_numpy()),
        pairs["signal"].to_numpy(np.int64),
        series_of,
    )
    returns = calendar_time_returns(signals, bars)
    frame = pd.DataFrame(
        {
            "series": series[returns.portfolio],
            "model_name": np.asarray(names, dtype=object)[keys[returns.portfolio] % len(names)],
            "day": returns.closed_at.astype("datetime64[s]").astype("datetime64[D]").astype("datetime64[s]"),
            "n_bars": np.ones(len(returns.value), dtype=np.int64),
            "bar_return": returns.value,
            "bar_square": returns.value**2,
        }
    )
    # A symbol's bars reach over the days of all its series; each series is told only its own.
    day = frame["day"].to_numpy().astype("datetime64[D]")
    asked = (day >= first_day[frame["series"]]) & (day <= last_day[frame["series"]])
    return frame[asked]


def _common_sums(pairs: pd.DataFrame, last_day: NDArray[np.datetime64]) -> pd.DataFrame:
    """Losses of each model beside the baseline's, over the pairs that both were scored on."""
    if pairs.empty:
        return pd.DataFrame({name: [] for name in ("series", "model_name", "day", *DAY_SUMS)})
    target_day = pairs["target_at"].to_numpy().astype("datetime64[D]")
    pairs = pairs.assign(day=target_day.astype("datetime64[s]"))[target_day <= last_day[pairs["series"]]]
    is_base = (pairs["model_name"] == BASELINE).to_numpy()
    base = pairs.loc[is_base, ["series", "issued_at", "target_at", "pinball", "crps"]]
    both = pairs[~is_base].merge(base, on=["series", "issued_at", "target_at"], suffixes=("", "_base"))
    has_crps = (np.isfinite(both["crps"]) & np.isfinite(both["crps_base"])).to_numpy()
    return both[["series", "model_name", "day"]].assign(
        n_common=1,
        common_pinball=both["pinball"],
        baseline_pinball=both["pinball_base"],
        pinball_gap_square=(both["pinball_base"] - both["pinball"]) ** 2,
        n_common_crps=has_crps.astype(np.int64),
        common_crps=np.where(has_crps, both["crps"], 0.0),
        baseline_crps=np.where(has_crps, both["crps_base"], 0.0),
    )


def _seconds(instants: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return instants.astype("datetime64[s]").astype(np.int64)
