"""Bars as frames, and what has to be true of one before it may be stored.

A frame of bars has the columns `COLUMNS`: `ts`, the opening instant (datetime64[us, UTC]), and five float64.
`validate` never stops at a bad row: it drops what cannot be a bar, keeps what is only odd, and reports both.
Nothing is repaired or filled in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.errors import CandlecastError
from candlecast.instruments import Instrument
from candlecast.sessions import Sessions, instant
from candlecast.venues import FIRST_DAY, LAST_DAY

COLUMNS: Final = ("ts", "open", "high", "low", "close", "volume")
VALUES: Final = COLUMNS[1:]

Bools = NDArray[np.bool_]

# What each rule says about the rows it counts. Rows of the first group are dropped, of the second kept.
DROPPED: Final = {
    "unparsable": "a time or a number that cannot be read",
    "not_finite": "a value that is not a finite number",
    "outside_calendar": f"opened before {FIRST_DAY} or after {LAST_DAY}",
    "still_open": "not closed yet when it was imported",
    "price_not_positive": "a price that is zero or negative, which this instrument does not allow",
    "low_above_body": "low above open or close",
    "high_below_body": "high below open or close",
    "volume_negative": "negative volume",
    "misplaced": "opens at an instant at which the venue opens no bar, inside another bar or off its minute",
    "duplicate": "the same bar again",
    "conflict": "another bar of the same instant; the one with more volume, then the wider one, is kept",
}
KEPT: Final = {
    "disorder": "earlier than the row before it; sorted",
    "off_schedule": "opened while the venue's calendar says closed",
    "hole": "scheduled, but missing between the first and the last bar",
    "zero_volume": "no volume",
    "no_trade": "no volume and no movement: stored with state no_trade",
}


class BarsUnreadable(CandlecastError):
    """Nothing in the whole frame or file can be read as bars."""


@dataclass(frozen=True, slots=True)
class Finding:
    """How often one rule spoke, and the first row (in time) that it spoke about."""

    rule: str
    count: int
    first: str

    @property
    def dropped(self) -> bool:
        return self.rule in DROPPED

    def __str__(self) -> str:
        return f"{self.count} × {self.rule} ({DROPPED.get(self.rule) or KEPT[self.rule]}), first {self.first}"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of the rows of one symbol and interval."""

    symbol: str
    interval: str
    n_read: int
    n_clean: int
    findings: tuple[Finding, ...]

    @property
    def n_dropped(self) -> int:
        return self.n_read - self.n_clean

    def count(self, rule: str) -> int:
        """How many rows (for `hole`: missing bars) `rule` spoke about."""
        return sum(finding.count for finding in self.findings if finding.rule == rule)

    def __str__(self) -> str:
        head = f"{self.symbol} {self.interval}: {self.n_clean} of {self.n_read} rows kept"
        return "; ".join([head, *map(str, self.findings)])


@dataclass(frozen=True, slots=True, eq=False)
class Lookback:
    """Bars that one forecast may read, oldest first.

    ohlcv : [n, 5] float64, open high low close volume
    opened_at, closed_at : [n] datetime64[s], UTC
    synthetic : whether any of them was generated
    feed : source of the newest one
    """

    symbol: str
    ohlcv: NDArray[np.float64]
    opened_at: NDArray[np.datetime64]
    closed_at: NDArray[np.datetime64]
    synthetic: bool
    feed: str


def validate(
    frame: pd.DataFrame,
    instrument: Instrument,
    interval: str,
    *,
    now: datetime | None = None,
    unreadable: Iterable[Finding] = (),
) -> tuple[pd.DataFrame, ImportReport]:
    """The rows that are bars, sorted, with `closed_at` and `state`, and the report on all of them.

    The result does not depend on the order of the rows, and validating it again changes nothing.

    Parameters
    ----------
    frame : columns COLUMNS in any order, `ts` aware of UTC
    now : bars that close later are still being made and are dropped; None keeps them
    unreadable : what the reader of the file dropped before; counted in the report

    Raises
    ------
    BarsUnreadable : a column is missing or `ts` holds no instants.
    """
    opened_at, values = _arrays(frame, instrument.symbol)
    sessions = Sessions.of(instrument.calendar)
    unreadable = tuple(unreadable)
    findings = list(unreadable)

    backwards = np.diff(opened_at, prepend=opened_at[:1]) < np.timedelta64(0, "us")  # NaT compares false
    disorder = _finding("disorder", backwards, opened_at, values)

    def drop(rule: str, bad: Bools) -> None:
        nonlocal opened_at, values
        if bad.any():
            findings.append(_finding(rule, bad, opened_at, values))
            opened_at, values = opened_at[~bad], values[~bad]

    drop("unparsable", np.isnat(opened_at))
    drop("not_finite", np.asarray(~np.isfinite(values).all(axis=1)))
    drop("outside_calendar", np.less(opened_at, np.datetime64(FIRST_DAY)) | (opened_at >= np.datetime64(LAST_DAY)))
    if now is not None:
        drop("still_open", np.greater(sessions.closes_of(interval, opened_at), instant(now)))
    if not instrument.negative_prices:
        drop("price_not_positive", np.asarray((values[:, :4] <= 0).any(axis=1)))
    drop("low_above_body", values[:, 2] > np.minimum(values[:, 0], values[:, 3]))
    drop("high_below_body", values[:, 1] < np.maximum(values[:, 0], values[:, 3]))
    drop("volume_negative", values[:, 4] < 0)
    drop("misplaced", sessions.is_misplaced(interval, opened_at))

    if not (opened_at[1:] > opened_at[:-1]).all():
        opened_at, values = _fuller_last(opened_at, values)
        again = np.append(opened_at[1:] == opened_at[:-1], False)
        same = again & np.append((values[1:] == values[:-1]).all(axis=1), False)
        # Dropping by one mask would shift the other: both are decided first.
        for rule, bad in (("duplicate", same), ("conflict", again & ~same)):
            if bad.any():
                findings.append(_finding(rule, bad, opened_at, values))
        opened_at, values = opened_at[~again], values[~again]

    flat = values[:, 1] == values[:, 2]
    silent = values[:, 4] == 0
    noted = [
        disorder,
        _finding("off_schedule", ~sessions.is_scheduled(interval, opened_at), opened_at, values),
        _holes(sessions.missing(interval, opened_at)),
        _finding("zero_volume", silent, opened_at, values),
        _finding("no_trade", silent & flat, opened_at, values),
    ]
    findings.extend(finding for finding in noted if finding.count)

    clean = pd.DataFrame(values, columns=list(VALUES))
    clean.insert(0, "ts", pd.DatetimeIndex(opened_at.astype("datetime64[us]"), tz="UTC"))
    closed_at = sessions.closes_of(interval, opened_at)
    clean["closed_at"] = pd.DatetimeIndex(closed_at.astype("datetime64[us]"), tz="UTC")
    clean["state"] = np.where(silent & flat, "no_trade", "final")
    n_read = len(frame) + sum(finding.count for finding in unreadable)
    return clean, ImportReport(instrument.symbol, interval, n_read, len(clean), tuple(findings))


def _arrays(frame: pd.DataFrame, symbol: str) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    lacking = [column for column in COLUMNS if column not in frame.columns]
    if lacking:
        raise BarsUnreadable(
            f"{symbol}: column {', '.join(lacking)} is missing; bars have the columns {', '.join(COLUMNS)}"
        )
    ts = frame["ts"]
    if not isinstance(ts.dtype, pd.DatetimeTZDtype):
        raise BarsUnreadable(f"{symbol}: ts holds {ts.dtype} and not instants with a time zone; convert it to UTC")
    opened_at = ts.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
    return opened_at.astype("datetime64[us]"), frame[list(VALUES)].to_numpy(dtype=np.float64)


def _fuller_last(
    opened_at: NDArray[np.datetime64], values: NDArray[np.float64]
) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Sorted by time; of one instant the bar with the most volume comes last, then the widest, then by its numbers.

    A bar copied while it was forming has less volume and a narrower range than the finished one. The order of
    the numbers only makes the choice independent of the order in the file.
    """
    open_, high, low, close, volume = values.T
    order = np.lexsort((close, open_, low, high, high - low, volume, opened_at))
    return opened_at[order], values[order]


def _finding(rule: str, rows: Bools, opened_at: NDArray[np.datetime64], values: NDArray[np.float64]) -> Finding:
    found = np.flatnonzero(rows)
    if not found.size:
        return Finding(rule, 0, "")
    first = found[np.argmin(opened_at[found])]
    numbers = " ".join(f"{name} {value:.10g}" for name, value in zip(VALUES, values[first], strict=True))
    return Finding(rule, int(found.size), f"{_stamp(opened_at[first])} {numbers}")


def _holes(missing: NDArray[np.datetime64]) -> Finding:
    return Finding("hole", int(missing.size), _stamp(missing[0]) if missing.size else "")


def _stamp(at: np.datetime64) -> str:
    return "no time" if np.isnat(at) else f"{np.datetime_as_string(at, unit='s')}Z"
