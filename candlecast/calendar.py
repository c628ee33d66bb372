"""The economic calendar as it was known: vintages of entries, their families, numbers and first prints.

A vintage is one row: what was known of an entry (a scheduled release) from `known_at` on, until the next
vintage of that entry. Vintages are only ever added. A frame of vintages has the columns `COLUMNS`, instants
as datetime64[us, UTC]; a number that nobody knew is NaN, a text that nobody published is "".

Two views keep the past honest. `Schedule` holds when things happen and has no room for a value. `FirstPrints`
holds values, each only as first published and only from the moment it could be read.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.errors import CandlecastError

Seconds = NDArray[np.int64]  # epoch seconds, UTC
Floats = NDArray[np.float64]

COLUMNS: Final = (
    "entry_id",
    "known_at",
    "ts",
    "currency",
    "family",
    "event",
    "impact",
    "forecast",
    "previous",
    "actual",
    "forecast_text",
    "previous_text",
    "actual_text",
    "source",
    "symbol",
)
NUMBERS: Final = ("forecast", "previous", "actual")
FAMILIES: Final = ("FOMC", "CPI", "NFP", "GDP", "PCE", "RATE", "EARNINGS")

# A vintage with this impact says that the entry was taken off the calendar.
WITHDRAWN: Final = "Withdrawn"

# Series are named as ForexFactory lists them, with the spellings of other feeds beside them. Flash and final GDP
# are releases of their own; the ADP estimate is not the government's payroll count, minutes are not a decision.
_USD: Final[dict[str, str]] = {
    **dict.fromkeys(("federal funds rate", "fomc statement", "fed interest rate decision"), "FOMC"),
    **dict.fromkeys(("cpi m/m", "cpi y/y", "core cpi m/m", "core cpi y/y"), "CPI"),
    **dict.fromkeys(("non-farm employment change", "nonfarm payrolls", "non-farm payrolls"), "NFP"),
    **dict.fromkeys(("advance gdp q/q", "prelim gdp q/q", "final gdp q/q", "gdp q/q"), "GDP"),
    **dict.fromkeys(
        ("core pce price index m/m", "core pce price index y/y", "pce price index m/m", "pce price index y/y"), "PCE"
    ),
}
# What each central bank decides; the Federal Reserve's is the family FOMC. China's loan prime rate is a fixing.
_RATES: Final[dict[tuple[str, str], str]] = {
    ("EUR", "main refinancing rate"): "RATE",
    ("EUR", "deposit facility rate"): "RATE",
    ("GBP", "official bank rate"): "RATE",
    ("JPY", "boj policy rate"): "RATE",
    ("CHF", "snb policy rate"): "RATE",
    ("CHF", "libor rate"): "RATE",
    ("CAD", "overnight rate"): "RATE",
    ("AUD", "cash rate"): "RATE",
    ("NZD", "official cash rate"): "RATE",
}
# Of the series that a family publishes at one moment, the one whose surprise speaks for it.
HEADLINES: Final[dict[str, tuple[str, ...]]] = {
    "CPI": ("cpi y/y",),
    "NFP": ("non-farm employment change", "nonfarm payrolls", "non-farm payrolls"),
    "FOMC": ("federal funds rate", "fed interest rate decision"),
}

SIGMA_RELEASES: Final = 20
MIN_SIGMA_RELEASES: Final = 5
MAX_Z: Final = 3.0

_NUMBER = re.compile(
    r"<?(?P<sign>[-+−]?)(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)(?P<unit>[%KMBT]?)", re.I
)
_POWER: Final = {"": 0, "%": 0, "K": 3, "M": 6, "B": 9, "T": 12}
_NEVER: Final = np.iinfo(np.int64).max


class CalendarColumnsMissing(CandlecastError):
    """A frame of vintages lacks columns, so nothing in it can be dated or read."""

    def __init__(self, missing: Sequence[str], found: Iterable[str]) -> None:
        super().__init__(
            f"a frame of calendar vintages lacks the columns {', '.join(missing)} (it has {', '.join(found)}); "
            "build it with candlecast.calendar.vintages"
        )
        self.missing = tuple(missing)


def family_of(currency: str, event: str, symbol: str | None = None) -> str | None:
    """One of FAMILIES, or None for an entry that no channel but the high-impact count knows.

    EARNINGS needs the symbol whose earnings they are: 'Average Cash Earnings' is about wages.
    """
    name = event.strip().lower()
    if symbol:
        return "EARNINGS" if name.endswith("earnings") else None
    if currency == "USD" and name in _USD:
        return _USD[name]
    return _RATES.get((currency, name))


def parse_number(text: str) -> float | None:
    """The number in a published string, None where there is not exactly one.

    '3.4%' is 3.4 (percent stay percent), '216K' 216,000, '-0.75%' -0.75, '<0.25%' 0.25 (the upper end of the
    range that the Federal Reserve targets). Votes '0-0-9', auctions '1.53|1.8', 'Pass' and '' are no number.
    """
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return None
    digits = Decimal(match["digits"].replace(",", "")).scaleb(_POWER[match["unit"].upper()])
    number = float(-digits if match["sign"] in ("-", "−") else digits)
    return number if np.isfinite(number) else None


def entry_id(currency: str, event: str, listed_at: datetime, symbol: str | None = None) -> str:
    """Names an entry by what it is and when it was first listed, so that a reschedule keeps its name.

    The source is no part of it: an archive and a feed that list the same release mean the same entry.
    """
    who = f"{currency}:{symbol}" if symbol else currency
    return f"{who}|{' '.join(event.split()).lower()}|{listed_at:%Y-%m-%dT%H:%MZ}"


def vintages(rows: Iterable[Mapping[str, object]]) -> pd.DataFrame:
    """A frame of vintages [n, COLUMNS] from rows that hold some of the columns.

    Rows need entry_id, known_at, ts, currency, event and impact. The family comes from the names; a number comes
    from its text unless it is given.
    """
    frame = pd.DataFrame(list(rows))
    if frame.empty:
        frame = pd.DataFrame(columns=["entry_id", "known_at", "ts", "currency", "event", "impact"])
    for column in NUMBERS:
        text = frame[f"{column}_text"].fillna("") if f"{column}_text" in frame else pd.Series("", index=frame.index)
        frame[f"{column}_text"] = text.astype(object)
        if column not in frame:
            numbers = {one: parse_number(one) for one in text.unique()}
            frame[column] = text.map(numbers)
        frame[column] = frame[column].astype(np.float64)
    for column in ("known_at", "ts"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    if "source" not in frame:
        frame["source"] = ""
    symbols = frame["symbol"] if "symbol" in frame else pd.Series(None, index=frame.index, dtype=object)
    frame["symbol"] = symbols.astype(object).where(symbols.notna(), None)
    if "family" not in frame:
        names = zip(frame["currency"], frame["event"], frame["symbol"], strict=True)
        frame["family"] = pd.Series([family_of(*one) for one in names], index=frame.index, dtype=object)
    missing = [column for column in COLUMNS if column not in frame]
    if missing:
        raise CalendarColumnsMissing(missing, frame.columns)
    return frame.loc[:, list(COLUMNS)]


def known_by(frame: pd.DataFrame, as_of: datetime) -> pd.DataFrame:
    """The calendar as a reader at `as_of` saw it: the newest vintage of each entry with known_at <= as_of."""
    seen = frame[frame["known_at"] <= pd.Timestamp(as_of)]
    newest = seen.sort_values(["entry_id", "known_at"], kind="stable").drop_duplicates("entry_id", keep="last")
    return newest.reset_index(drop=True)


def epoch(instants: pd.Series) -> Seconds:
    """Instants as epoch seconds, a part of a second rounded up: a thing is never known before it was."""
    micros = np.asarray(instants.astype("datetime64[us, UTC]").astype(np.int64), dtype=np.int64)
    seconds: Seconds = -(-micros // np.int64(1_000_000))
    return seconds


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """When entries happen, and who could know it: [n] spells in which an entry's schedule stayed the same, by ts.

    ts : epoch seconds of the release, all-day entries at 00:00Z of their day
    known_from, known_to : the spell `[known_from, known_to)` in which a reader saw this ts, family and impact
    family : index into FAMILIES, -1 for none
    high : impact is High
    symbol : whose earnings these are, "" for the market's
    """

    ts: Seconds
    known_from: Seconds
    known_to: Seconds
    family: NDArray[np.int64]
    high: NDArray[np.bool_]
    symbol: NDArray[np.object_]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Schedule":
        """Vintages that differ only in their values are one spell, so no value can shape the schedule."""
        columns = ["entry_id", "known_at", "ts", "family", "impact", "symbol"]
        ordered = frame.loc[:, columns].sort_values(["entry_id", "known_at"], kind="stable")
        ordered = ordered.drop_duplicates(["entry_id", "known_at"], keep="first")
        entry = pd.factorize(ordered["entry_id"])[0]
        known, ts = epoch(ordered["known_at"]), epoch(ordered["ts"])
        codes = {name: code for code, name in enumerate(FAMILIES)}
        family = np.asarray(ordered["family"].map(codes).fillna(-1), dtype=np.int64)
        impacts = ordered["impact"].to_numpy(dtype=object)
        impact = pd.factorize(impacts)[0]
        symbol = ordered["symbol"].fillna("").to_numpy(dtype=object)

        same_entry = _as_before(entry)
        same = same_entry & _as_before(ts) & _as_before(family) & _as_before(impact) & _as_before(symbol)
        first = np.flatnonzero(~same)
        ends = np.full(len(first), _NEVER, dtype=np.int64)
        ends[:-1][same_entry[first[1:]]] = known[first[1:]][same_entry[first[1:]]]

        kept = impacts[first] != WITHDRAWN
        order = np.flatnonzero(kept)[np.argsort(ts[first[kept]], kind="stable")]
        rows = first[order]
        return cls(ts[rows], known[rows], ends[order], family[rows], impacts[rows] == "High", symbol[rows])

    def where(self, chosen: NDArray[np.bool_]) -> "Schedule":
        """The spells that `chosen` [n] marks."""
        return Schedule(
            self.ts[chosen],
            self.known_from[chosen],
            self.known_to[chosen],
            self.family[chosen],
            self.high[chosen],
            self.symbol[chosen],
        )

    def of_family(self, *names: str) -> "Schedule":
        """The spells of some families."""
        return self.where(np.isin(self.family, [FAMILIES.index(name) for name in names]))

    def known_at(self, moment: int) -> "Schedule":
        """The schedule as a reader at `moment` (epoch seconds) saw it: one spell an entry."""
        return self.where((self.known_from <= moment) & (moment < self.known_to))


def _as_before(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each value equals the one before it; the first does not."""
    same = np.zeros(len(values), dtype=bool)
    same[1:] = values[1:] == values[:-1]
    return same


def first_prints(frame: pd.DataFrame) -> pd.DataFrame:
    """Each entry's first published actual, one row an entry, by the moment from which it could be read.

    visible_at : epoch seconds, the later of the release's scheduled time and the print's known_at
    forecast : the newest consensus known before the release; the print's own where none was kept
    previous : as printed beside the actual
    Later vintages of an entry, revisions of its actual among them, change nothing.
    """
    columns = ["entry_id", "known_at", "ts", "family", "event", "forecast", "previous", "actual"]
    ordered = frame.loc[:, columns].sort_values(["entry_id", "known_at"], kind="stable")
    prints: pd.DataFrame = ordered[np.isfinite(ordered["actual"])].drop_duplicates("entry_id", keep="first").copy()
    snapshots = ordered[np.isfinite(ordered["forecast"])].merge(
        prints[["entry_id", "ts", "known_at"]], on="entry_id", suffixes=("", "_print")
    )
    before = (snapshots["known_at"] < snapshots["ts_print"]) & (snapshots["known_at"] <= snapshots["known_at_print"])
    consensus = snapshots[before].drop_duplicates("entry_id", keep="last").set_index("entry_id")["forecast"]
    newest = consensus.reindex(prints["entry_id"]).to_numpy(dtype=np.float64)
    prints["forecast"] = np.where(np.isfinite(newest), newest, prints["forecast"])
    prints["visible_at"] = np.maximum(epoch(prints["known_at"]), epoch(prints["ts"]))
    return prints.sort_values(["visible_at", "entry_id"], kind="stable").reset_index(drop=True)


@dataclass(frozen=True, slots=True, eq=False)
class FirstPrints:
    """One value for each release of a headline series, [n], rising by visible_at; n_before tells what it rests on.

    visible_at : epoch seconds; a bar may carry the value if it closes after this moment
    value : the surprise's z, or the rate change's tone; 0 where it cannot be told
    n_before : earlier surprises in σ, at most 20 (for the tone: 0)
    told : False where fewer than 5 earlier surprises (or no `previous`) leave the value untold
    """

    visible_at: Seconds
    value: Floats
    n_before: NDArray[np.int64]
    told: NDArray[np.bool_]

    @classmethod
    def surprises(cls, prints: pd.DataFrame, family: str) -> "FirstPrints":
        """z = (actual − forecast) / σ, clipped to ±3.

        σ is the sample standard deviation (n − 1) of the last 20 surprises of the same series that could be read
        before this one; fewer than 5, or 20 equal ones, leave the surprise untold: 0.
        """
        rows = _headline(prints, family)
        rows = rows[np.isfinite(rows["forecast"])]
        visible_at = rows["visible_at"].to_numpy(dtype=np.int64)
        surprise = (rows["actual"] - rows["forecast"]).to_numpy(dtype=np.float64)
        value, n_before = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
        told = np.zeros(len(rows), dtype=bool)
        for row, stop in enumerate(np.searchsorted(visible_at, visible_at, side="left")):
            earlier = surprise[max(0, stop - SIGMA_RELEASES) : stop]
            n_before[row] = len(earlier)
            # A part in a billion: equal surprises such as 3.4 − 3.2 and 2.6 − 2.4 differ in their last bit.
            if len(earlier) >= MIN_SIGMA_RELEASES and (sigma := float(earlier.std(ddof=1))) > 1e-9 * abs(earlier).max():
                value[row] = np.clip(surprise[row] / sigma, -MAX_Z, MAX_Z)
                told[row] = True
        return cls(visible_at, value, n_before, told)

    @classmethod
    def rate_changes(cls, prints: pd.DataFrame, family: str = "FOMC") -> "FirstPrints":
        """The change of the rate in basis points / 25, clipped to ±1: a stand-in for the tone of the statement.

        The change is from the `previous` that was printed beside the decision, in percent points.
        """
        rows = _headline(prints, family)
        change_bps = 100.0 * (rows["actual"] - rows["previous"]).to_numpy(dtype=np.float64)
        told = np.isfinite(change_bps)
        value = np.clip(np.where(told, change_bps, 0.0) / 25.0, -1.0, 1.0)
        visible_at = rows["visible_at"].to_numpy(dtype=np.int64)
        return cls(visible_at, value, np.zeros(len(rows), dtype=np.int64), told)


def _headline(prints: pd.DataFrame, family: str) -> pd.DataFrame:
    named = prints["event"].str.strip().str.lower().isin(HEADLINES[family])
    rows: pd.DataFrame = prints[named & (prints["family"] == family)]
    return rows
