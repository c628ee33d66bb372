"""A small market with everything in it that can leak, and what an outsider knew of it at any moment.

Bars with holes, late arrivals and corrections; a calendar with reschedules, withdrawals, emergency meetings, late
prints and revisions. All of it is kept here as plain frames, so that what was known at a moment is worked out by other
rules than those under test. Where a venue's hours matter they are written out by hand, not asked of the code.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine, text

from candlecast.calendar import WITHDRAWN, vintages
from candlecast.instruments import Instrument, load_instruments
from candlecast.sessions import Sessions
from candlecast.store.bars import copy_many
from candlecast.store.calendar import upsert_entries
from candlecast.store.instruments import upsert_instruments

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SPY", "AAPL", "EURUSD", "XAUUSD")
LEADERS: Final = {"BTC": "BTCUSDT", "SPY": "SPY", "DXY": "DXY", "VIX": "VIX"}
LOOKBACK: Final = 100

NEW_YORK: Final = ZoneInfo("America/New_York")
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
SETTLE: Final = {
    "BTCUSDT": 10,
    "ETHUSDT": 600,
    "SPY": 60,
    "AAPL": 900,
    "EURUSD": 60,
    "XAUUSD": 120,
    "DXY": 60,
    "VIX": 60,
}

# New York leaves summer time on 3 November; 28 November is Thanksgiving, and stocks close at 13:00 the day after.
START: Final = {"1h": datetime(2024, 8, 26, tzinfo=UTC), "1d": datetime(2023, 6, 1, tzinfo=UTC)}
END: Final = datetime(2024, 12, 12, tzinfo=UTC)
FIRST_SLOT, LAST_SLOT = datetime(2024, 10, 21, tzinfo=UTC), datetime(2024, 12, 5, tzinfo=UTC)
NYSE_HOLIDAYS: Final = {
    *(date(2023, 6, 19), date(2023, 7, 4), date(2023, 9, 4), date(2023, 11, 23), date(2023, 12, 25)),
    *(date(2024, 1, 1), date(2024, 1, 15), date(2024, 2, 19), date(2024, 3, 29), date(2024, 5, 27), date(2024, 6, 19)),
    *(date(2024, 7, 4), date(2024, 9, 2), date(2024, 11, 28), date(2024, 12, 25), date(2025, 1, 1), date(2025, 1, 9)),
    *(date(2025, 1, 20), date(2025, 2, 17), date(2025, 4, 18), date(2025, 5, 26)),
}
NYSE_HALF_DAYS: Final = {date(2023, 7, 3), date(2023, 11, 24), date(2024, 7, 3), date(2024, 11, 29), date(2024, 12, 24)}

EVENTS: Final = (
    ("USD", "CPI y/y"),
    ("USD", "CPI y/y"),
    ("USD", "Core CPI m/m"),
    ("USD", "Non-Farm Employment Change"),
    ("USD", "Federal Funds Rate"),
    ("USD", "Advance GDP q/q"),
    ("USD", "Core PCE Price Index m/m"),
    ("EUR", "Main Refinancing Rate"),
    ("USD", "Apple Inc. Earnings"),
    ("GBP", "Retail Sales m/m"),
)
VALUES: Final = ["open", "high", "low", "close", "volume"]
Frame = pd.DataFrame


def instruments() -> list[Instrument]:
    """Every shipped instrument; of the forecast ones only SYMBOLS stay, each with a settling time of its own."""
    return [
        replace(one, forecast=one.symbol in SYMBOLS, settle_s=SETTLE.get(one.symbol, one.settle_s))
        for one in load_instruments()
    ]


@cache
def instrument(symbol: str) -> Instrument:
    return next(one for one in instruments() if one.symbol == symbol)


def nyse_hours(start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """(opening, close) of the hourly bars of New York's stocks that open in [start, end), by the wall clock there."""
    bars = []
    day = start.date()
    while day <= end.date():
        if day.weekday() < 5 and day not in NYSE_HOLIDAYS:
            shut = datetime.combine(day, time(13 if day in NYSE_HALF_DAYS else 16), NEW_YORK).astimezone(UTC)
            opened = datetime.combine(day, time(9, 30), NEW_YORK).astimezone(UTC)
            while opened < shut:
                bars.append((opened, min(opened + HOUR, shut)))
                opened += HOUR
        day += DAY
    return [one for one in bars if start <= one[0] < end]


def schedule(symbol: str, interval: str, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """(opening, close) of the bars that open in [start, end); brokers' weeks are the only ones taken from the code."""
    calendar = instrument(symbol).calendar
    if calendar == "XNYS" and interval == "1h":
        return nyse_hours(start, end)
    length = HOUR if interval == "1h" else DAY
    if calendar == "24/7":
        return [(start + k * length, start + (k + 1) * length) for k in range(-((start - end) // length))]
    if calendar == "XNYS":
        days = (start + k * DAY for k in range((end - start).days))
        return [(day, day + DAY) for day in days if day.weekday() < 5 and day.date() not in NYSE_HOLIDAYS]
    opened = Sessions.of(calendar).scheduled(interval, start, end)[0]
    # No bar of these venues is cut short in this time but around Thanksgiving, which is left out of the bars.
    return [(at, at + length) for at in (one.replace(tzinfo=UTC) for one in opened.tolist())]


def random_bars(symbol: str, interval: str, rng: np.random.Generator) -> Frame:
    """A random walk that shares a part of its moves with every other symbol; 2 % of the bars are missing."""
    times = schedule(symbol, interval, START[interval], END)
    if symbol in ("EURUSD", "XAUUSD", "DXY", "VIX") and interval == "1h":
        times = [one for one in times if one[0].date() not in (date(2024, 11, 28), date(2024, 11, 29))]
        times = [one for one in times if one[0].date() != date(2024, 9, 2)]
    hours = np.array([(closed - START["1d"]) // HOUR for _, closed in times])
    common = np.random.default_rng(11).standard_t(5, 24 * 600)[hours]
    moves = 0.003 * (common + rng.standard_t(5, len(times)))
    close = 100 * np.exp(np.cumsum(moves))
    opening = np.concatenate([[100.0], close[:-1]])
    wick = np.abs(rng.normal(0, 0.002, (2, len(close))))
    frame = pd.DataFrame(
        {
            "symbol": symbol,
            "interval": interval,
            "ts": pd.DatetimeIndex([opened for opened, _ in times]).as_unit("us"),
            "closed_at": pd.DatetimeIndex([closed for _, closed in times]).as_unit("us"),
            "open": opening,
            "high": np.maximum(opening, close) * (1 + wick[0]),
            "low": np.minimum(opening, close) * (1 - wick[1]),
            "close": close,
            "volume": rng.uniform(1, 100, len(close)),
            "state": "final",
        }
    )
    return frame[rng.random(len(frame)) > 0.02].reset_index(drop=True)


def random_calendar(rng: np.random.Generator, n_entries: int = 330) -> Frame:
    """Entries from June to the end of January, each with one to six vintages, with every kind of change of mind."""
    start, rows = datetime(2024, 6, 1, tzinfo=UTC), []
    for number in range(n_entries):
        currency, event = EVENTS[rng.integers(len(EVENTS))]
        ts = start + timedelta(minutes=int(rng.integers(0, 240 * 1440)))
        what = {
            "entry_id": f"{number}",
            "currency": currency,
            "event": event,
            "impact": rng.choice(["High", "High", "Medium"]),
            "symbol": "AAPL" if event.endswith("Earnings") else None,
            "source": "world",
        }
        forecast = float(np.round(rng.normal(), 2))
        print_at = ts + timedelta(minutes=int(rng.choice([0, 0, 1, 30, 600])))
        if rng.random() < 0.85:  # the rest are emergency meetings
            rows.append({**what, "known_at": ts - timedelta(days=int(rng.integers(1, 61))), "ts": ts})
            if rng.random() < 0.7:
                rows.append({**what, "known_at": ts - timedelta(hours=20), "ts": ts, "forecast": forecast})
        if rng.random() < 0.25:
            moved_at = ts - timedelta(minutes=int(rng.integers(-300, 3000)))
            ts += timedelta(hours=int(rng.integers(-40, 200)))
            print_at = max(print_at, ts)
            rows.append({**what, "known_at": moved_at, "ts": ts, "forecast": forecast})
        elif rng.random() < 0.1:
            rows.append({**what, "known_at": ts - timedelta(hours=3), "ts": ts, "impact": WITHDRAWN})
        numbers = {
            "forecast": forecast + float(np.round(rng.normal(0, 0.5), 2)) * (rng.random() < 0.5),
            "actual": forecast + float(np.round(rng.normal(), 2)),
            "previous": float(np.round(rng.normal(), 2)),
        }
        rows.append({**what, "known_at": print_at, "ts": ts, **numbers})
        if rng.random() < 0.6:  # a revision, of what was printed and of the month before
            later = print_at + timedelta(hours=int(rng.integers(1, 400)))
            rows.append(
                {**what, "known_at": later, "ts": ts, **numbers, "actual": 7.0, "previous": -7.0, "forecast": 9.0}
            )
    frame = vintages(rows).drop_duplicates(["entry_id", "known_at"])
    return frame.sort_values(["entry_id", "known_at"]).reset_index(drop=True)


@dataclass(frozen=True)
class World:
    """What happened, whenever it became known.

    bars : final values, closed_at, and first_seen
    revisions : corrections: when, and the values (old_*) that held until then
    calendar : vintages
    """

    bars: Frame
    revisions: Frame
    calendar: Frame

    @staticmethod
    @cache
    def of(seed: int = 3, *, quiet: bool = False) -> "World":
        """`quiet`: every bar came when it closed and was never corrected."""
        rng = np.random.default_rng(seed)
        series = dict.fromkeys((*SYMBOLS, *LEADERS.values()))
        bars = pd.concat(
            [random_bars(symbol, interval, rng) for interval in START for symbol in series], ignore_index=True
        )
        settled = bars["closed_at"] + pd.to_timedelta(bars["symbol"].map(SETTLE), unit="s")
        late = rng.random(len(bars)) < 0.03
        delay = pd.to_timedelta(late * rng.integers(60, 40 * 3600, len(bars)), unit="s")
        bars["first_seen"] = (bars["closed_at"] + delay).astype(bars["closed_at"].dtype)
        parts = []
        for chance in (0.05, 0.02):  # some are corrected twice
            hit = bars[rng.random(len(bars)) < chance]
            after = pd.to_timedelta(rng.integers(600, 30 * 86400, len(hit)), unit="s")
            factor = np.exp(rng.normal(0, 0.05, len(hit)))
            part = hit[["symbol", "interval", "ts"]].assign(
                revised_at=(np.maximum(settled[hit.index], hit["first_seen"]) + after).astype(bars["closed_at"].dtype)
            )
            for name in VALUES:
                part[f"old_{name}"] = hit[name] * factor
            parts.append(part)
        revisions = pd.concat(parts).drop_duplicates(["symbol", "interval", "ts", "revised_at"])
        if quiet:
            bars["first_seen"], revisions = bars["closed_at"], revisions.iloc[:0]
        return World(bars, revisions.sort_values("revised_at").reset_index(drop=True), random_calendar(rng))

    def known_bars(self, symbol: str, interval: str, as_of: datetime) -> Frame:
        """The bars of a symbol as an outsider had them at `as_of`, oldest first."""
        moment = pd.Timestamp(as_of)
        mine = self.bars[(self.bars["symbol"] == symbol) & (self.bars["interval"] == interval)]
        settled = mine["closed_at"] + pd.Timedelta(seconds=SETTLE[symbol]) <= moment
        known = mine[settled & (mine["first_seen"] <= moment)].set_index("ts", drop=False)
        later = self.revisions[(self.revisions["symbol"] == symbol) & (self.revisions["interval"] == interval)]
        later = later[later["revised_at"] > moment].drop_duplicates("ts", keep="first")
        later = later[later["ts"].isin(known.index)].set_index("ts")
        for name in VALUES:
            known.loc[later.index, name] = later[f"old_{name}"]
        return known.sort_values("closed_at").reset_index(drop=True)

    def known_calendar(self, as_of: datetime) -> Frame:
        return self.calendar[self.calendar["known_at"] <= pd.Timestamp(as_of)]

    def moments(self, interval: str, n: int, seed: int) -> list[datetime]:
        """Moments to issue at: anywhere, and around the closes, where a second decides."""
        rng = np.random.default_rng(seed)
        span = int((LAST_SLOT - FIRST_SLOT).total_seconds())
        found = [FIRST_SLOT + timedelta(seconds=int(rng.integers(span))) for _ in range(n)]
        edges = [
            timedelta(0),
            timedelta(seconds=9),
            timedelta(seconds=10),
            timedelta(seconds=600),
            timedelta(minutes=55),
        ]
        unit = 3600 if interval == "1h" else 86400
        return [
            datetime.fromtimestamp(at.timestamp() // unit * unit, UTC) + edges[k % 5] if k % 3 else at
            for k, at in enumerate(found)
        ]


def fill(engine: Engine, world: World) -> None:
    """The world in a migrated database: by the importer, then late arrivals and corrections as they would lie there."""
    with engine.begin() as conn:
        upsert_instruments(conn, instruments())
        for interval in START:
            of_interval = world.bars[world.bars["interval"] == interval]
            frames = {str(symbol): frame for symbol, frame in of_interval.groupby("symbol", sort=False)}
            copy_many(conn, interval, frames, source="world", first_seen="close")
            late = of_interval[of_interval["first_seen"] > of_interval["closed_at"]]
            run_many(
                conn,
                f"UPDATE candlecast.ohlcv_{interval} AS bar SET first_seen = late.seen FROM unnest("
                "CAST(:symbol AS text[]), CAST(:ts AS timestamptz[]), CAST(:first_seen AS timestamptz[]))"
                " AS late (symbol, ts, seen) WHERE bar.symbol = late.symbol AND bar.ts = late.ts",
                late[["symbol", "ts", "first_seen"]],
            )
        old = [f"old_{name}" for name in VALUES]
        run_many(
            conn,
            f"INSERT INTO candlecast.ohlcv_revisions (symbol, interval, ts, revised_at, {', '.join(old)}, old_source,"
            " source) SELECT *, 'world', 'world' FROM unnest(CAST(:symbol AS text[]), CAST(:interval AS text[]),"
            " CAST(:ts AS timestamptz[]), CAST(:revised_at AS timestamptz[]), "
            + ", ".join(f"CAST(:{name} AS float8[])" for name in old)
            + ")",
            world.revisions[["symbol", "interval", "ts", "revised_at", *old]],
        )
        upsert_entries(conn, world.calendar)
        conn.execute(text("ANALYZE"))


def run_many(conn: Connection, statement: str, frame: Frame) -> None:
    """A statement whose parameters are the columns of `frame`, as lists."""
    parameters: dict[str, Any] = {}
    for name in frame:
        column = frame[name]
        is_time = isinstance(column.dtype, pd.DatetimeTZDtype)
        parameters[str(name)] = [one.to_pydatetime() for one in column] if is_time else column.tolist()
    conn.execute(text(statement), parameters)
