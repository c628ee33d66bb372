"""Sharpe ratios of the calendar-time portfolio, gross and net, and of its variant that trades narrow bands only.

A portfolio holds, on each bar, the mean direction of the signals that are live on each instrument, with equal weights
over the instruments that have one. Its returns are added up to days, so that venues of different hours can be pooled.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection

from candlecast.portfolio import Bars, Signals, calendar_time
from candlecast.statistics.sharpe import COST_LEVELS, annual_sharpe, deflated_sharpe, net_of_cost
from candlecast.store.bars import read_closes
from jobs.report.cells import known, told
from jobs.verdicts import ALL, groups

DAYS_PER_YEAR: Final = {"crypto": 365.0, "forex_commodity": 260.0, "equity": 252.0, ALL: 365.0}
MIN_WIDTHS: Final = 20  # bands before the first that can be called narrow
KEYS: Final = ["interval", "record", "model_name", "step"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Daily:
    """A portfolio's days: return and turnover [T] of each, sums over its bars."""

    day: NDArray[np.datetime64]
    value: Floats
    turnover: Floats

    def net(self, cost: float) -> Floats:
        return net_of_cost(self.value, self.turnover, cost)


def narrow_only(signals: pd.DataFrame) -> pd.DataFrame:
    """The same signals, 0 where the band is wider than the median of that series' bands before it, or these are few."""
    series: list[Hashable] = [*KEYS, "symbol"]
    medians = signals.groupby(series, sort=False)["width"].expanding(MIN_WIDTHS).median().droplevel(series)
    # One place per series: the median of the bands before a band does not know it.
    before = signals.assign(median=medians).groupby(series, sort=False)["median"].shift(1)
    return signals.assign(signal=np.where(signals["width"] <= before, signals["signal"], 0))


def read_bars(conn: Connection, signals: pd.DataFrame, as_of: datetime) -> dict[tuple[str, str], tuple[Any, Floats]]:
    """(closed_at, close) of every (interval, symbol) with signals, as known at `as_of`, from its first issue on."""
    bars: dict[tuple[str, str], tuple[Any, Floats]] = {}
    for (interval,), group in groups(signals, ["interval"]):
        since = pd.Timestamp(group["issued_at"].min()).tz_localize("UTC").to_pydatetime() - timedelta(days=7)
        symbols = sorted(group["symbol"].unique())
        for symbol, found in read_closes(conn, symbols, interval, since=since, as_of=as_of).items():
            bars[interval, symbol] = found
    return bars


def daily(group: pd.DataFrame, bars: dict[tuple[str, str], tuple[Any, Floats]]) -> Daily:
    """The portfolio of one model, interval, record and step over all symbols of `group`."""
    interval = str(group["interval"].iloc[0])
    symbols = [symbol for symbol in sorted(group["symbol"].unique()) if (interval, symbol) in bars]
    place = {symbol: k for k, symbol in enumerate(symbols)}
    rows = group[group["symbol"].isin(symbols)]
    portfolio = rows["symbol"].map(place).to_numpy(np.int64)
    series = [bars[interval, symbol] for symbol in symbols]
    if not series:
        nothing = np.empty(0)
        return Daily(np.empty(0, "datetime64[D]"), nothing, nothing)
    made = calendar_time(
        Signals(
            portfolio,
            _seconds(rows["issued_at"]),
            _seconds(rows["target_at"]),
            rows["signal"].to_numpy(np.int64),
            np.arange(len(symbols), dtype=np.int64),
        ),
        Bars(
            np.concatenate([np.full(len(close), k) for k, (_, close) in enumerate(series)]).astype(np.int64),
            np.concatenate([at.astype("datetime64[s]").astype(np.int64) for at, _ in series]),
            np.concatenate([close for _, close in series]),
        ),
    )
    frame = pd.DataFrame({"at": made.returns.closed_at, "value": made.returns.value})
    traded = pd.DataFrame({"at": made.turnover.closed_at, "turnover": made.turnover.value})
    live = frame.groupby("at")["value"].agg(["mean", "size"])
    cost = traded.groupby("at")["turnover"].sum()
    # Equal weights: what is traded on a bar is shared by the instruments that are live on it.
    per_bar = pd.DataFrame({"value": live["mean"], "turnover": (cost / live["size"])}).fillna(0.0)
    days = per_bar.groupby(per_bar.index.to_numpy() // 86_400).sum()
    return Daily(days.index.to_numpy().astype("datetime64[D]"), days["value"].to_numpy(), days["turnover"].to_numpy())


def sharpe_cells(
    signals: pd.DataFrame, bars: dict[tuple[str, str], tuple[Any, Floats]], class_of: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Annual Sharpe ratios at each cost level and the deflated one, per model, interval, record, step and class."""
    pooled = pd.concat([signals.assign(asset_class=ALL), signals.assign(asset_class=signals["symbol"].map(class_of))])
    tried = list(groups(pooled, [*KEYS, "asset_class"]))
    cells = []
    for key, group in tried:
        days = daily(group, bars)
        periods = DAYS_PER_YEAR[key[4]]
        cells.append(
            dict(zip([*KEYS, "asset_class"], key, strict=True))
            | {
                "n_days": len(days.day),
                "turnover_per_day": float(days.turnover.mean()) if len(days.day) else None,
                "sharpe": {f"{cost:g}": told(annual_sharpe(days.net(cost), periods)) for cost in COST_LEVELS},
                "deflated": known(deflated_sharpe(days.value, len(tried))) if len(days.day) > 1 else None,
                "n_trials": len(tried),
            }
        )
    return cells


def _seconds(instants: pd.Series) -> NDArray[np.int64]:
    return instants.to_numpy().astype("datetime64[s]").astype(np.int64)
