"""What a chart of one forecast draws: the bars it knew, its fan as served, what then happened, the fans before it."""

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np

from candlecast.calibration import Correction, corrected
from candlecast.clock import SCHEDULES, next_slot, utc_now
from candlecast.forecasts import LEVELS
from candlecast.freshness import expected_next_at
from gateway.answers import ForecastAnswer, iso
from gateway.content.shelf import NOTHING_YET_S, notice, utc
from gateway.database import Database, Row

N_BARS: Final = 240
N_PREVIOUS: Final = 6
FAMILIES: Final = ("FOMC", "CPI", "NFP")
VALUES: Final = ("open", "high", "low", "close", "volume")
WITHDRAWN: Final = "Withdrawn"  # as in candlecast.calendar, which would bring pandas into every gateway
FRESH_S: Final = 60.0  # bars close in between; the watch tells of a new forecast sooner

TODAY: Final = "All bars are shown with the values they have today."
SEEN: Final = (
    "The bars up to the issue time are those that had arrived when this forecast was recorded, with the values they "
    "had then; the bars after it show what happened since. Bars that were imported from an archive count as arrived "
    "when they closed."
)
REPLAYED: Final = (
    "Nobody saw this forecast at its issue time: it was replayed later. The bars up to the issue time have the values "
    "that were known then, as far as corrections are on record; calendar entries are those known when it was recorded."
)


@dataclass(frozen=True, slots=True)
class Chart:
    """The chart of one forecast; without an answer where there is no such forecast."""

    answer: ForecastAnswer | None

    @property
    def n_bytes(self) -> int:
        """Memory held, about."""
        return 256 + (self.answer.n_bytes if self.answer is not None else 0)

    def fresh_for_s(self) -> float:
        """Seconds until its bars should be looked at again."""
        return FRESH_S if self.answer is not None else NOTHING_YET_S

    def pick(self, part: str | None) -> ForecastAnswer | None:  # noqa: ARG002  (like a shelf and the overview)
        """The answer."""
        return self.answer


def chart_key(symbol: str, interval: str, model_name: str | None, prediction_id: str | None) -> tuple[str, ...]:
    """The cache key of a chart; "" stands for the default model, and for its newest forecast."""
    return "chart", symbol, interval, model_name or "", prediction_id or ""


async def read_chart(database: Database, key: tuple[str, ...]) -> Chart:
    """The chart that a key of `chart_key` names, by four queries; the last three run side by side."""
    _, symbol, interval, model_name, prediction_id = key
    found = await database.rows(
        "gateway_chart_forecast",
        symbol=symbol,
        interval=interval,
        model_name=model_name or None,
        prediction_id=prediction_id or None,
    )
    if not found:
        return Chart(None)
    row, as_seen = found[0], bool(prediction_id)
    issued_at, target_at = utc(row["issued_at"]), [utc(moment) for moment in row["target_at"]]
    replay = row["status"] == "replay"
    seen_at = utc(row["recorded_at"]) if as_seen else utc_now().replace(microsecond=0)
    sides, previous = await asyncio.gather(
        database.rows(
            "gateway_chart_bars",
            symbol=symbol,
            interval=interval,
            issued_at=issued_at,
            until=target_at[-1],
            n_before=N_BARS,
            known_by=known_by(row, interval) if as_seen else None,
            seen_only=as_seen and not replay,
        ),
        database.rows(
            "gateway_chart_previous",
            symbol=symbol,
            interval=interval,
            model_name=row["model_name"],
            issued_at=issued_at,
            replay=replay,
            synthetic=row["synthetic"],
            spacing=spacing(issued_at, target_at),
            n_forecasts=N_PREVIOUS,
        ),
    )
    before = next((side for side in sides if side["before"]), None)
    after = next((side for side in sides if not side["before"]), None)
    events = await database.rows(
        "gateway_chart_events",
        since=before["closed_at"][0] if before else issued_at,
        until=target_at[-1],
        known_by=seen_at,
        families=list(FAMILIES),
        withdrawn=WITHDRAWN,
    )
    # Correcting, serialising and compressing a long fan take ten milliseconds, which other readers need not wait for.
    return await asyncio.to_thread(drawn, symbol, interval, row, seen_at, as_seen, before, after, previous, events)


def known_by(row: Row, interval: str) -> datetime:
    """When what the forecast knew was read: when it was recorded, or for a replay the slot that it was made for."""
    if row["status"] != "replay":
        return utc(row["recorded_at"])
    readable_at = utc(row["issued_at"]) + timedelta(seconds=row["settle_s"])
    return next_slot(SCHEDULES[f"kronos-batch-{interval}"], readable_at - timedelta(seconds=1))


def spacing(issued_at: datetime, target_at: Sequence[datetime]) -> timedelta:
    """The time from which an earlier forecast shares at most half of its horizon with this one."""
    return target_at[(len(target_at) - 1) // 2] - issued_at


def drawn(
    symbol: str,
    interval: str,
    row: Row,
    seen_at: datetime,
    as_seen: bool,
    before: Row | None,
    after: Row | None,
    previous: Sequence[Row],
    events: Sequence[Row],
) -> Chart:
    """The answer from the rows of the four queries."""
    issued_at, target_at = utc(row["issued_at"]), [utc(moment) for moment in row["target_at"]]
    fields = {
        "symbol": symbol,
        "name": row["name"],
        "asset_class": row["asset_class"],
        "quote_asset": row["quote_asset"],
        "interval": interval,
        "models": row["models"],
        "newest": row["is_newest"],
        "seen_at": iso(seen_at),
        "status": row["status"],
        "synthetic": row["synthetic"],
        "notice": notice(row["synthetic"], row["status"]),
        "note": (REPLAYED if row["status"] == "replay" else SEEN) if as_seen else TODAY,
        "forecast": {
            "prediction_id": str(row["prediction_id"]),
            "model_name": row["model_name"],
            "model_version": row["model_version"],
            "issued_at": iso(issued_at),
            "generated_at": iso(utc(row["recorded_at"])),
            "horizon": row["horizon"],
            "last_close": row["last_close"],
            "n_paths": row["n_paths"],
            "levels": LEVELS,
            "target_at": [iso(moment) for moment in target_at],
            "fan": served_fan(row),
            "corrected": row["calibration"] is not None,
            "event_context": row["event_context"],
            "href": href(symbol, interval, row),
        },
        "bars": bars_json(before),
        "after": bars_json(after),
        "previous": [previous_json(symbol, interval, earlier) for earlier in previous],
        "events": [event_json(event, seen_at) for event in events],
    }
    return Chart(
        ForecastAnswer(
            fields,
            interval=interval,
            issued_at=issued_at,
            expected_next_at=expected_next_at(interval, issued_at, target_at, row["settle_s"]),
            superseded=not row["is_newest"],
        )
    )


def served_fan(row: Row) -> list[list[float]]:
    """[H][11] the fan of a row with `fan`, `last_close` and `calibration` (JSON or None), as it was served."""
    fan = np.asarray(row["fan"], dtype=np.float64).reshape(-1, len(LEVELS))
    if row["calibration"] is not None:
        fan = corrected(fan, row["last_close"], Correction.from_json(json.loads(row["calibration"])))
    served: list[list[float]] = fan.tolist()
    return served


def bars_json(side: Row | None) -> dict[str, list[Any]]:
    """One side of the bars by column, oldest first."""
    if side is None:
        return {name: [] for name in ("closed_at", *VALUES)}
    return {
        "closed_at": [iso(utc(moment)) for moment in side["closed_at"]],
        **{name: side[name] for name in VALUES},
    }


def previous_json(symbol: str, interval: str, row: Row) -> dict[str, Any]:
    """An earlier band, and how many of the closes that are known by now fell inside, ends included."""
    judged = [
        low <= close <= high
        for low, close, high in zip(row["p10"], row["outcomes"], row["p90"], strict=True)
        if close is not None
    ]
    return {
        "prediction_id": str(row["prediction_id"]),
        "issued_at": iso(utc(row["issued_at"])),
        "target_at": [iso(utc(moment)) for moment in row["target_at"]],
        "p10": row["p10"],
        "p50": row["p50"],
        "p90": row["p90"],
        "href": href(symbol, interval, row),
        "n_judged": len(judged),
        "n_inside": sum(judged),
    }


def event_json(row: Row, seen_at: datetime) -> dict[str, Any]:
    """A release; what it printed is told only where it was out by then."""
    at = utc(row["ts"])
    return {
        "at": iso(at),
        "family": row["family"],
        "event": row["event"],
        "currency": row["currency"],
        "impact": row["impact"],
        "actual": number(row["actual"]) if at <= seen_at else None,
        "forecast": number(row["forecast"]),
        "scheduled": at > seen_at,
    }


def number(value: float | None) -> float | None:
    """A number that JSON can carry."""
    return value if value is not None and math.isfinite(value) else None


def href(symbol: str, interval: str, row: Row) -> str:
    """The page that shows a forecast as it was seen then."""
    return f"/instrument/{symbol}?interval={interval}&prediction_id={row['prediction_id']}"
