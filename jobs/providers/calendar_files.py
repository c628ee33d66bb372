"""An archive of the economic calendar, `ts,currency,event,impact,actual,forecast,previous`, read as vintages.

An archive tells what happened, not what was known when, so each row becomes at most two vintages:

* scheduled: the entry without any number, known 60 days before its time. A speech is known one day before. A rate
  decision that nobody had a consensus for was an emergency meeting (eight of the nine such rows of 2018-2025 are):
  it and what the same bank said in the three hours after it, and announcements, are known only when they happen.
* released: actual, forecast and previous, known at the release's time. Not where the row has no numbers at all.

The true lead was longer for some and shorter for others, and `previous` may be a value as revised later: an archive
cannot be strictly point-in-time.
"""

import gzip
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from candlecast.calendar import NUMBERS, entry_id, family_of, parse_number, vintages
from candlecast.errors import CandlecastError

FIELDS: Final = ("ts", "currency", "event", "impact", "actual", "forecast", "previous")
SCHEDULE_LEAD: Final = pd.Timedelta(days=60)
SPEECH_LEAD: Final = pd.Timedelta(days=1)
AFTERMATH: Final = pd.Timedelta(hours=3)
SOURCE: Final = "archive"
YEARS: Final = (1970, 2100)

_SPEECH = re.compile(r"\b(?:speaks|testifies|speech)\b", re.IGNORECASE)
_UNANNOUNCED = re.compile(r"\bannouncement\b", re.IGNORECASE)


class CalendarFileUnreadable(CandlecastError):
    """The file as a whole is not a calendar archive; a bad row is reported, never raised."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}; an archive is a CSV (or CSV.gz) with the columns {','.join(FIELDS)}")
        self.path, self.reason = path, reason


@dataclass(frozen=True, slots=True)
class CalendarReport:
    """What became of a file's rows.

    bad_rows : (line number in the file, reason) of the rows left out
    no_number : published strings that hold no single number, with how often; their rows are kept, with the text
    n_unscheduled : entries that were not on anybody's schedule
    """

    n_rows: int
    n_entries: int
    n_vintages: int
    n_unscheduled: int
    bad_rows: tuple[tuple[int, str], ...] = ()
    no_number: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        first = "".join(f"; line {line}: {reason}" for line, reason in self.bad_rows[:3])
        return (
            f"{self.n_rows} rows, {self.n_entries} entries, {self.n_vintages} vintages, {len(self.bad_rows)} rows left "
            f"out{first}; {sum(self.no_number.values())} values that are no single number kept as text"
        )


def read_calendar_file(path: Path) -> tuple[pd.DataFrame, CalendarReport]:
    """Vintages of every readable row, in the columns of `candlecast.calendar.COLUMNS`, and what became of the rows.

    Raises
    ------
    CalendarFileUnreadable : no such file, no such columns, not text, or a broken archive.
    """
    rows = _rows(path)
    bad = _why_bad(rows)
    good = rows[bad == ""].reset_index(drop=True)
    good["ts"] = pd.to_datetime(good["ts"], utc=True)
    good["entry_id"] = [entry_id(*one) for one in zip(good["currency"], good["event"], good["ts"], strict=True)]
    good["family"] = [family_of(*one) for one in zip(good["currency"], good["event"], strict=True)]
    lead, unscheduled = _leads(good)

    has_numbers = (good[list(NUMBERS)] != "").any(axis=1)
    scheduled = good.assign(known_at=good["ts"] - lead, **dict.fromkeys(NUMBERS, ""))[~(unscheduled & has_numbers)]
    released = good.assign(known_at=good["ts"])[has_numbers]
    both = pd.concat([scheduled, released]).rename(columns={name: f"{name}_text" for name in NUMBERS})
    frame = vintages(both.assign(source=SOURCE).to_dict("records"))
    frame = frame.sort_values(["ts", "entry_id", "known_at"], kind="stable").reset_index(drop=True)

    texts = Counter(text for name in NUMBERS for text in good[name] if text)
    report = CalendarReport(
        n_rows=len(rows),
        n_entries=len(good),
        n_vintages=len(frame),
        n_unscheduled=int(unscheduled.sum()),
        bad_rows=tuple((int(line) + 2, bad[line]) for line in np.flatnonzero(bad != "")),
        no_number={text: n for text, n in texts.items() if parse_number(text) is None},
    )
    return frame, report


def _rows(path: Path) -> pd.DataFrame:
    """Every line as seven stripped strings; a line with more or fewer fields keeps what it has."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8", errors="replace") as file:
            frame = pd.read_csv(
                file, dtype=str, keep_default_na=False, on_bad_lines=_cut, engine="python", skip_blank_lines=False
            )
    except FileNotFoundError as error:
        raise CalendarFileUnreadable(path, "there is no such file") from error
    except (OSError, EOFError, zlib.error, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise CalendarFileUnreadable(path, f"it cannot be read ({error})") from error
    missing = [name for name in FIELDS if name not in frame]
    if missing:
        raise CalendarFileUnreadable(path, f"the columns {', '.join(missing)} are missing")
    return pd.DataFrame({name: frame[name].fillna("").str.strip() for name in FIELDS})


def _cut(fields: list[str]) -> list[str]:
    return fields[: len(FIELDS)]


def _why_bad(rows: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    """For each row why it cannot be an entry, "" where it can."""
    instants = pd.to_datetime(rows["ts"], utc=True, errors="coerce", format="ISO8601")
    zoned = rows["ts"].str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True)
    why = np.full(len(rows), "", dtype=object)
    why[rows.duplicated(["ts", "currency", "event"]).to_numpy()] = "listed twice"
    for name in ("impact", "event", "currency"):
        why[(rows[name] == "").to_numpy()] = f"no {name}"
    why[~zoned.to_numpy()] = "the time has no zone"
    why[~instants.dt.year.between(*YEARS).to_numpy()] = "the time is not in 1970-2100"
    why[instants.isna().to_numpy()] = "the time is not ISO 8601"
    return why


def _leads(good: pd.DataFrame) -> tuple["pd.Series[pd.Timedelta]", "pd.Series[bool]"]:
    """How long before its time each entry was on the schedule, and which ones were not."""
    decision = good["family"].isin(["FOMC", "RATE"]) & (good["actual"] != "")
    emergency = good[decision & (good["forecast"] == "")]
    unscheduled = good["event"].str.contains(_UNANNOUNCED)
    for currency, ts in zip(emergency["currency"], emergency["ts"], strict=True):
        after = (good["ts"] >= ts) & (good["ts"] <= ts + AFTERMATH)
        unscheduled |= after & (good["currency"] == currency) & (good["forecast"] == "")
    lead = pd.Series(SCHEDULE_LEAD, index=good.index)
    lead[good["event"].str.contains(_SPEECH)] = SPEECH_LEAD
    lead[unscheduled] = pd.Timedelta(0)
    return lead, unscheduled
