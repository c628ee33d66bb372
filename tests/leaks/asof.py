"""The database made to hold only what was known at a moment, or made to lie about everything later."""

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, text

from candlecast.lookback import Prepared
from candlecast.store.instruments import read_instruments
from jobs.predict import Request, read_series
from tests.leaks.world import LOOKBACK

REQUEST: Final = {"model_name": "baseline-rw", "horizon": 24, "lookback": LOOKBACK, "n_paths": 8, "replay": True}

# A bar is known once it had closed, settled and arrived.
UNKNOWN: Final = (
    "(bar.first_seen > :t OR bar.closed_at + make_interval(secs => (SELECT settle_s FROM candlecast.instruments AS i"
    " WHERE i.symbol = bar.symbol)) > :t)"
)
VALUES: Final = ("open", "high", "low", "close", "volume")
OLD_OF: Final = ", ".join(f"{name} = was.old_{name}" for name in VALUES)

# First the values of then are put back, then everything that came later goes.
FORGET: Final = (
    f"UPDATE candlecast.ohlcv_{{interval}} AS bar SET {OLD_OF}, source = was.old_source FROM ("
    "SELECT DISTINCT ON (symbol, ts) * FROM candlecast.ohlcv_revisions WHERE interval = '{interval}'"
    " AND revised_at > :t ORDER BY symbol, ts, revised_at) AS was WHERE was.symbol = bar.symbol AND was.ts = bar.ts",
    f"DELETE FROM candlecast.ohlcv_{{interval}} AS bar WHERE {UNKNOWN}",
    "DELETE FROM candlecast.ohlcv_revisions WHERE interval = '{interval}' AND revised_at > :t",
)
FORGET_CALENDAR: Final = "DELETE FROM candlecast.economic_calendar WHERE known_at > :t"

ABSURD: Final = "open = {v}, high = {v}, low = {v}, close = {v}, volume = {v}"
OLD_ABSURD: Final = ", ".join(f"old_{name} = {{v}}" for name in VALUES)
POISON_BARS: Final = (
    # What was not known yet, and the values that a later correction brought.
    f"UPDATE candlecast.ohlcv_{{interval}} AS bar SET {ABSURD}, source = 'synthetic', state = 'no_trade'"
    f" WHERE {UNKNOWN}",
    f"UPDATE candlecast.ohlcv_{{interval}} AS bar SET {ABSURD}, source = 'synthetic'"
    " FROM candlecast.ohlcv_revisions AS r"
    " WHERE r.interval = '{interval}' AND r.symbol = bar.symbol AND r.ts = bar.ts AND r.revised_at > :t",
    # Between two later corrections nobody had looked yet either.
    f"UPDATE candlecast.ohlcv_revisions AS r SET {OLD_ABSURD}, old_source = 'synthetic'"
    " WHERE r.interval = '{interval}' AND r.revised_at > :t"
    " AND EXISTS (SELECT FROM candlecast.ohlcv_revisions AS e WHERE e.symbol = r.symbol AND"
    " e.interval = r.interval AND e.ts = r.ts AND e.revised_at > :t AND e.revised_at < r.revised_at)",
    # Corrections of bars that had not even come.
    f"UPDATE candlecast.ohlcv_revisions AS r SET {OLD_ABSURD}, old_source = 'synthetic' FROM"
    " candlecast.ohlcv_{interval} AS bar WHERE r.interval = '{interval}' AND r.symbol = bar.symbol AND r.ts = bar.ts"
    f" AND {UNKNOWN}",
)
COLUMNS: Final = (
    "entry_id, known_at, ts, currency, family, event, impact, forecast, previous, actual, forecast_text,"
    " previous_text, actual_text, source, symbol"
)
POISON_CALENDAR: Final[dict[str, tuple[str, ...]]] = {
    "numbers": (
        "UPDATE candlecast.economic_calendar SET actual = {v}, forecast = -{v}, previous = {v}, impact = 'High'"
        " WHERE known_at > :t",
    ),
    "times": (
        "UPDATE candlecast.economic_calendar SET ts = ts + (hashtext(entry_id) % 3000) * interval '1 minute',"
        " impact = CASE WHEN hashtext(entry_id) % 2 = 0 THEN 'High' ELSE 'Withdrawn' END WHERE known_at > :t",
    ),
    # Every entry is said anew the second after, and as many that nobody had heard of, at times all around the issue.
    "news": (
        f"INSERT INTO candlecast.economic_calendar ({COLUMNS}) SELECT DISTINCT ON (entry_id) entry_id,"
        " CAST(:t AS timestamptz) + interval '1 second', CAST(:t AS timestamptz) + (hashtext(entry_id) % 9000) *"
        " interval '1 minute', currency, family, event, 'High', 5, 6, 7, '', '', '', source, symbol"
        " FROM candlecast.economic_calendar ORDER BY entry_id ON CONFLICT DO NOTHING",
        f"INSERT INTO candlecast.economic_calendar ({COLUMNS}) SELECT DISTINCT ON (entry_id) 'new' || entry_id,"
        " CAST(:t AS timestamptz) + interval '1 second', CAST(:t AS timestamptz) + (hashtext(entry_id) % 2000) *"
        " interval '1 minute', currency, family, event, 'High', 5, 6, 7, '', '', '', source, symbol"
        " FROM candlecast.economic_calendar ORDER BY entry_id ON CONFLICT DO NOTHING",
    ),
}


Inputs = tuple[dict[str, Prepared], list[str]]


def forget(conn: Connection, as_of: datetime) -> None:
    """Leave in the store what an outsider had at `as_of`, and nothing else."""
    conn.execute(text("ALTER TABLE candlecast.economic_calendar DISABLE TRIGGER USER"))
    for interval in ("1h", "1d"):
        for statement in FORGET:
            conn.execute(text(statement.format(interval=interval)), {"t": as_of})
    conn.execute(text(FORGET_CALENDAR), {"t": as_of})
    conn.execute(text("ALTER TABLE candlecast.economic_calendar ENABLE TRIGGER USER"))


def poison(conn: Connection, as_of: datetime, kind: str, value: float = 1e9) -> None:
    """Make everything that became known after `as_of` absurd; `kind` names what is done to the calendar."""
    conn.execute(text("ALTER TABLE candlecast.economic_calendar DISABLE TRIGGER USER"))
    for interval in ("1h", "1d"):
        for statement in POISON_BARS:
            conn.execute(text(statement.format(interval=interval, v=value)), {"t": as_of})
    for statement in POISON_CALENDAR[kind]:
        conn.execute(text(statement.format(v=value)), {"t": as_of})
    conn.execute(text("ALTER TABLE candlecast.economic_calendar ENABLE TRIGGER USER"))


def read(conn: Connection, interval: str, as_of: datetime, **asked: Any) -> Inputs:
    """What the job would forecast from at that slot, by symbol, and what it refuses, as text."""
    request = Request(interval=interval, slot=as_of, **{**REQUEST, **asked})  # type: ignore[arg-type]
    prepared, refused = read_series(conn, request, read_instruments(conn))
    return {one.series.symbol: one for one in prepared}, sorted(f"{one}" for one in refused)


def assert_same(before: Any, after: Any, where: str = "") -> None:
    """Every number and every word of the two agree, bit for bit, down to the last field."""
    if is_dataclass(before) and not isinstance(before, type):
        assert type(before) is type(after), where
        for one in fields(before):
            assert_same(getattr(before, one.name), getattr(after, one.name), f"{where}.{one.name}")
    elif isinstance(before, np.ndarray):
        assert np.array_equal(before, after), where
    else:
        assert before == after, where


def assert_all_same(before: Inputs, after: Inputs) -> None:
    """The same series of the same symbols, and the same refusals."""
    assert before[1] == after[1], "other refusals"
    assert before[0].keys() == after[0].keys()
    for symbol, one in before[0].items():
        assert_same(one, after[0][symbol], f"{symbol} {one.series.interval} {one.series.issued_at:%Y-%m-%dT%H:%MZ}")
