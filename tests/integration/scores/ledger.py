"""The sums of days and the totals once more, one row at a time, from the scores and the bars alone."""

import math
from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from candlecast.scoring import VOID_REASONS
from candlecast.store.score_sums import BAR_SUMS, SUMS
from tests.integration.scores.market import rows_of

Sums = dict[tuple[Any, ...], dict[str, float]]


def stored_days(engine: Engine) -> Sums:
    rows = rows_of(engine, "SELECT * FROM candlecast.score_days")
    key = ("symbol", "interval", "model_name", "record", "step", "day")
    return {tuple(row[name] for name in key): {name: row[name] for name in SUMS} for row in rows}


def stored_totals(engine: Engine) -> Sums:
    rows = rows_of(engine, "SELECT * FROM candlecast.score_totals")
    key = ("symbol", "interval", "model_name", "record", "step")
    return {tuple(row[name] for name in key): {name: row[name] for name in SUMS} for row in rows}


def expected_days(engine: Engine) -> Sums:
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows_of(engine, "SELECT * FROM candlecast.prediction_scores ORDER BY revision"):
        newest[row["prediction_id"], row["step"]] = row
    scores = list(newest.values())
    days: Sums = defaultdict(lambda: dict.fromkeys(SUMS, 0.0))

    def series(row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["symbol"], row["interval"], row["model_name"], row["record"], row["step"])

    baseline = {
        (row["symbol"], row["interval"], row["record"], row["step"], row["issued_at"]): row
        for row in scores
        if row["model_name"] == "baseline-rw"
    }
    for row in scores:
        day = days[(*series(row), utc_day(row["target_at"]))]
        day["n"] += 1
        day["n_moves"] += row["hit"] is not None
        day["n_hits"] += row["hit"] is True
        day["n_ups"] += row["hit"] is not None and row["move"] > 0
        day["n_signals_up"] += row["hit"] is not None and row["signal"] > 0
        for name in ("inside", "below", "above"):
            day[f"n_{name}"] += row[name]
            day[f"n_raw_{name}"] += row[f"raw_{name}"] if row["score_version"] > 1 else row[name]
        for name in ("pinball", "interval_score", "width", "abs_error"):
            day[name] += row[name]
        for name, before in (
            ("calibrated_pinball", "pinball"), ("raw_interval_score", "interval_score"), ("raw_width", "width"),
        ):  # fmt: skip
            day[name] += row[name] if row["score_version"] > 1 else row[before]
        if row["crps"] is not None:
            day["n_crps"] += 1
            day["crps"] += row["crps"]
            day["calibrated_crps"] += served(row, "crps")
        if row["brier"] is not None:
            day["n_brier"] += 1
            day["brier"] += row["brier"]
            day["calibrated_brier"] += row["calibrated_brier"]
        other = baseline.get((row["symbol"], row["interval"], row["record"], row["step"], row["issued_at"]))
        if other is not None and row["model_name"] != "baseline-rw":
            day["n_common"] += 1
            day["common_pinball"] += row["pinball"]
            day["baseline_pinball"] += other["pinball"]
            day["pinball_gap_square"] += (other["pinball"] - row["pinball"]) ** 2
            day["common_calibrated_pinball"] += served(row, "pinball")
            day["common_interval_score"] += row["interval_score"]
            day["baseline_interval_score"] += other["interval_score"]
            if row["crps"] is not None and other["crps"] is not None:
                day["n_common_crps"] += 1
                day["common_crps"] += row["crps"]
                day["common_calibrated_crps"] += served(row, "crps")
                day["baseline_crps"] += other["crps"]
    for row in rows_of(engine, "SELECT * FROM candlecast.score_voids"):
        day = days[(*series(row), utc_day(row["target_at"]))]
        day["n_voids"] += 1
        day[VOID_REASONS[row["reason"]]] += 1

    bars = defaultdict(list)
    for row in rows_of(engine, "SELECT symbol, closed_at, close FROM candlecast.ohlcv_1h ORDER BY symbol, closed_at"):
        bars[row["symbol"]].append((row["closed_at"], row["close"]))
    live = defaultdict(list)
    for row in scores:
        live[series(row)].append((row["issued_at"], row["target_at"], row["signal"]))
    for key, signals in live.items():
        position = 0.0
        for (opened, before), (closed, after) in zip(bars[key[0]], bars[key[0]][1:], strict=False):
            held = [sign for issued, target, sign in signals if issued <= opened and closed <= target]
            wanted = sum(held) / len(held) if held else 0.0
            if wanted != position:
                days[(*key, utc_day(closed))]["turnover"] += abs(wanted - position)
                position = wanted
            if held:
                value = sum(held) / len(held) * math.log(after / before)
                day = days[(*key, utc_day(closed))]
                day["n_bars"] += 1
                day["bar_return"] += value
                day["bar_square"] += value**2
    return dict(days)


def assert_sums_are_right(engine: Engine, *, bars: bool = True) -> None:
    """Days and totals equal what the scores say; days of nothing but zeros may be there or not.

    `bars` False leaves the portfolio out: a bar that came late changes it, and the next run sees to that.
    """
    names = [name for name in SUMS if bars or name not in BAR_SUMS]
    days, totals = expected_days(engine), defaultdict(lambda: dict.fromkeys(SUMS, 0.0))
    for key, sums in days.items():
        for name, value in sums.items():
            totals[key[:-1]][name] += value
    for stored, expected in ((stored_days(engine), days), (stored_totals(engine), totals)):
        for key in stored.keys() | expected.keys():
            nothing = dict.fromkeys(SUMS, 0.0)
            found = {name: stored.get(key, nothing)[name] for name in names}
            wanted = {name: expected.get(key, nothing)[name] for name in names}
            assert found == pytest.approx(wanted, rel=1e-9, abs=1e-9), key


def served(row: dict[str, Any], loss: str) -> float:
    """A loss of what was served; by version 1 that was the fan as it came."""
    return float(row[f"calibrated_{loss}"] if row["score_version"] > 1 else row[loss])


def utc_day(instant: datetime) -> Any:
    return instant.astimezone(UTC).date()
