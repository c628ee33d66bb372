"""The event tensor by its definitions, one bar and one entry after the other: slow, and easy to check by eye.

Written apart from the encoder, to hold it against: the two share only the names of families and headline series.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from candlecast.calendar import HEADLINES, WITHDRAWN
from candlecast.events import CHANNELS

AT = {one.name: one.index for one in CHANNELS}
Leader = tuple[np.ndarray, np.ndarray]
DAY_S = 86_400


def encode_plain(
    frame: pd.DataFrame,
    leaders: Mapping[str, Leader],
    elapsed: Callable[[str, np.ndarray], np.ndarray],
    symbol: str,
    calendar: str,
    opened: list[int],
    closed: list[int],
    n_lookback: int,
    issued: int,
) -> np.ndarray:
    """[T, 20] of bars given by epoch seconds; the first `n_lookback` of them lie behind the issue."""
    entries = _entries(frame)
    prints = _prints(entries)
    tensor = np.zeros((len(closed), 20))
    for row in range(len(closed)):
        behind = row < n_lookback
        knows = closed[row] if behind else issued
        since = opened[0] if row == 0 else closed[row - 1]
        seen = [one for one in (_as_of(vintages, knows) for vintages in entries) if one is not None]
        _flags(tensor[row], seen, symbol, since, opened[row], closed[row])
        tensor[row, AT["session_elapsed"]] = elapsed(calendar, np.array([closed[row]], "datetime64[s]"))[0]
        if behind:
            for channel, visible_at, value in prints:
                if since <= visible_at < closed[row]:
                    tensor[row, AT[channel]] = value
            for name, (closed_at, close) in leaders.items():
                channel = "vix_level_z" if name == "VIX" else f"{name.lower()}_log_return"
                tensor[row, AT[channel]] = _leader(name, closed_at, close, opened[row], closed[row])
    return tensor


def _entries(frame: pd.DataFrame) -> list[list[dict[str, Any]]]:
    """Each entry's vintages, oldest first, instants in epoch seconds."""
    entries: dict[str, list[dict[str, Any]]] = {}
    for one in frame.to_dict("records"):
        one["known"], one["ts"] = one["known_at"].timestamp(), one["ts"].timestamp()
        entries.setdefault(str(one["entry_id"]), []).append(one)
    return [sorted(vintages, key=lambda one: one["known"]) for _, vintages in sorted(entries.items())]


def _as_of(vintages: list[dict[str, Any]], knows: float) -> dict[str, Any] | None:
    newest = [one for one in vintages if one["known"] <= knows]
    return newest[-1] if newest and newest[-1]["impact"] != WITHDRAWN else None


def _flags(line: np.ndarray, seen: list[dict[str, Any]], symbol: str, since: int, opened: int, closed: int) -> None:
    next_at = {"fomc": math.inf, "cpi": math.inf}
    for one in seen:
        family = str(one["family"]).lower()
        if family == "earnings":
            if one["symbol"] == symbol and one["ts"] // DAY_S == opened // DAY_S:
                line[AT["is_earnings"]] = 1.0
            continue
        if since <= one["ts"] < closed:
            if f"is_{family}" in AT:
                line[AT[f"is_{family}"]] = 1.0
            if family in ("fomc", "rate"):
                line[AT["is_rate_decision"]] = 1.0
        if family in next_at and one["ts"] >= closed:
            next_at[family] = min(next_at[family], one["ts"])
        if one["impact"] == "High" and closed <= one["ts"] < closed + DAY_S:
            line[AT["high_impact_ahead"]] += 0.25
    line[AT["high_impact_ahead"]] = min(line[AT["high_impact_ahead"]], 3.0)
    for family, ts in next_at.items():
        if ts < math.inf:
            angle = 2 * math.pi * min((ts - closed) / DAY_S, 45) / 45
            line[AT[f"days_to_{family}_sin"]], line[AT[f"days_to_{family}_cos"]] = math.sin(angle), math.cos(angle)


def _prints(entries: list[list[dict[str, Any]]]) -> list[tuple[str, float, float]]:
    """(channel, when it could be read, value) of each first print, in the order in which they could be read."""
    series: dict[str, list[tuple[float, float]]] = {"CPI": [], "NFP": []}
    values: list[tuple[str, float, float]] = []
    for vintages in entries:
        printed = next((one for one in vintages if np.isfinite(one["actual"])), None)
        family = printed["family"] if printed else None
        if printed is None or family not in HEADLINES or printed["event"].lower() not in HEADLINES[family]:
            continue
        visible_at = max(printed["known"], printed["ts"])
        if family == "FOMC":
            tone = (printed["actual"] - printed["previous"]) * 100 / 25
            values.append(("fomc_hawkish_score", visible_at, min(max(tone, -1.0), 1.0) if np.isfinite(tone) else 0.0))
            continue
        before = [
            one["forecast"]
            for one in vintages
            if np.isfinite(one["forecast"]) and one["known"] < printed["ts"] and one["known"] <= printed["known"]
        ]
        forecast = before[-1] if before else printed["forecast"]
        if np.isfinite(forecast):
            series[family].append((visible_at, printed["actual"] - forecast))
    for family, surprises in series.items():
        for visible_at, surprise in sorted(surprises, key=lambda one: one[0]):
            past = [one for at, one in sorted(surprises, key=lambda one: one[0]) if at < visible_at][-20:]
            z = surprise / np.std(past, ddof=1) if len(past) >= 5 else 0.0
            values.append((f"{family.lower()}_surprise_z", visible_at, min(max(z, -3.0), 3.0)))
    return sorted(values, key=lambda one: one[1])


def _leader(name: str, closed_at: np.ndarray, close: np.ndarray, opened: int, closed: int) -> float:
    times = closed_at.astype("datetime64[s]").astype(np.int64)
    inside = np.flatnonzero((times > opened) & (times <= closed))
    if len(inside) == 0:
        return 0.0
    at = int(inside[-1])
    if name == "VIX":
        past = close[max(0, at - 252) : at]
        return min(max((close[at] - past.mean()) / past.std(ddof=1), -10.0), 10.0) if len(past) >= 20 else 0.0
    if at == 0 or times[at] - times[at - 1] > 5 * DAY_S:
        return 0.0
    return math.log(close[at] / close[at - 1])
