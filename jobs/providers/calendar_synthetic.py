"""A made-up calendar for made-up bars: the events of a real one at plausible times, every value invented.

Pure: no file, no clock. Each entry draws from its own seed, so a longer calendar holds a shorter one unchanged.
Rows say `source='synthetic'`, and their entry_id ends in it, so they can never be taken for a real release.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from candlecast.calendar import entry_id, vintages

SOURCE: Final = "synthetic"
NEW_YORK: Final = ZoneInfo("America/New_York")
FRANKFURT: Final = ZoneInfo("Europe/Berlin")

SCHEDULE_LEAD: Final = timedelta(days=60)
CONSENSUS_LEAD: Final = timedelta(days=5)
REVISED_AFTER: Final = timedelta(days=30)

FED_MONTHS: Final = (1, 3, 5, 6, 7, 9, 11, 12)
ECB_MONTHS: Final = (1, 3, 4, 6, 7, 9, 10, 12)
EARNINGS_MONTHS: Final = (1, 4, 7, 10)
MONDAY, WEDNESDAY, THURSDAY, FRIDAY = 0, 2, 3, 4


def synthetic_calendar(
    start: datetime, end: datetime, *, now: datetime | None = None, seed: int = 0, earnings: Sequence[str] = ()
) -> pd.DataFrame:
    """Vintages (columns `candlecast.calendar.COLUMNS`) of the entries placed in `[start, end)`.

    US payrolls, inflation, growth and spending each month, eight decisions a year of the Federal Reserve and of the
    ECB, and quarterly earnings of the symbols named. Each is listed 60 days ahead, gets a consensus 5 days ahead and
    a first print at its time; payrolls are revised 30 days later. With `now`, what became known after it is left
    out: what a store should hold at that moment. A later `now` adds vintages and changes none.
    """
    rows: list[dict[str, object]] = []
    month = date(start.year, start.month, 1)
    while month <= end.date():
        for event, currency, ts, symbol in _listed(month, earnings):
            if start <= ts < end:
                rows += _vintages(event, currency, ts, symbol, seed)
        month = (month + timedelta(days=31)).replace(day=1)
    frame = vintages(rows)
    return frame if now is None else frame[frame["known_at"] <= pd.Timestamp(now)].reset_index(drop=True)


def _listed(month: date, earnings: Sequence[str]) -> Iterator[tuple[str, str, datetime, str | None]]:
    """The entries of one month: event, currency, time, whose earnings."""
    morning, afternoon, evening = time(8, 30), time(14, 0), time(16, 5)
    yield "Non-Farm Employment Change", "USD", _at(_nth(month, FRIDAY, 1), morning, NEW_YORK), None
    inflation = _at(_nth(month, WEDNESDAY, 2), morning, NEW_YORK)
    yield "CPI y/y", "USD", inflation, None
    yield "Core CPI m/m", "USD", inflation, None
    growth = ("Advance GDP q/q", "Prelim GDP q/q", "Final GDP q/q")[(month.month - 1) % 3]
    yield growth, "USD", _at(_nth(month, THURSDAY, 4), morning, NEW_YORK), None
    yield "Core PCE Price Index m/m", "USD", _at(_nth(month, FRIDAY, 4), morning, NEW_YORK), None
    if month.month in FED_MONTHS:
        decision = _at(_nth(month, WEDNESDAY, 3), afternoon, NEW_YORK)
        yield "Federal Funds Rate", "USD", decision, None
        yield "FOMC Statement", "USD", decision, None
    if month.month in ECB_MONTHS:
        yield "Main Refinancing Rate", "EUR", _at(_nth(month, THURSDAY, 2), time(14, 15), FRANKFURT), None
    if month.month in EARNINGS_MONTHS:
        for symbol in earnings:
            day = _nth(month, MONDAY, 4) + timedelta(days=int(_rng(symbol, 0).integers(0, 5)))
            yield f"{symbol} Earnings", "USD", _at(day, evening, NEW_YORK), symbol


def _vintages(event: str, currency: str, ts: datetime, symbol: str | None, seed: int) -> list[dict[str, object]]:
    named = f"{entry_id(currency, event, ts, symbol)}|{SOURCE}"
    what = {
        "entry_id": named,
        "ts": ts,
        "currency": currency,
        "event": event,
        "impact": "Medium" if symbol else "High",
        "source": SOURCE,
        "symbol": symbol,
    }
    rows: list[dict[str, object]] = [{**what, "known_at": ts - SCHEDULE_LEAD}]
    texts = _values(event, ts, _rng(named, seed))
    if texts is not None:
        forecast, previous, actual, revised = texts
        expected = {"forecast_text": forecast, "previous_text": previous}
        rows.append({**what, **expected, "known_at": ts - CONSENSUS_LEAD})
        rows.append({**what, **expected, "known_at": ts, "actual_text": actual})
        if revised != actual:
            rows.append({**what, **expected, "known_at": ts + REVISED_AFTER, "actual_text": revised})
    return rows


def _values(event: str, ts: datetime, rng: np.random.Generator) -> tuple[str, str, str, str] | None:
    """Forecast, previous, actual and its revision as published strings; None for an entry without numbers."""
    if event in ("Federal Funds Rate", "Main Refinancing Rate"):
        actual, previous = f"{_rate(ts):.2f}%", f"{_rate(ts - timedelta(days=50)):.2f}%"
        return actual, previous, actual, actual
    if event == "Non-Farm Employment Change":
        expected, before = (int(one) for one in rng.integers(80, 250, 2))
        printed_k = expected + int(rng.normal(0, 60))
        return f"{expected}K", f"{before}K", f"{printed_k}K", f"{printed_k + int(rng.normal(0, 25))}K"
    centre = {"CPI y/y": 3.0, "Core CPI m/m": 0.3, "Core PCE Price Index m/m": 0.2}.get(event)
    if event.endswith("GDP q/q"):
        centre = 2.0
    if centre is None:
        return None
    forecast_pct, previous_pct = centre + 0.1 * rng.integers(-2, 3, 2)
    printed = f"{forecast_pct + 0.1 * round(rng.normal(0, 1.2)):.1f}%"
    return f"{forecast_pct:.1f}%", f"{previous_pct:.1f}%", printed, printed


def _rate(at: datetime) -> float:
    """A policy rate that takes some years to go up and down, in steps of a quarter of a percent."""
    return round((3.0 + 2.0 * math.sin(at.timestamp() / (3 * 365.25 * 86_400))) * 4) / 4


def _nth(month: date, weekday: int, n: int) -> date:
    """The n-th of a weekday in a month."""
    return month + timedelta(days=(weekday - month.weekday()) % 7 + 7 * (n - 1))


def _at(day: date, clock: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, clock, zone).astimezone(ZoneInfo("UTC"))


def _rng(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode()).digest()[:8]))
