"""What an import did, item by item: counts for the last line, findings for whoever asks, facts for scripts."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from candlecast.bars import ImportReport
from candlecast.store.bars import ImportCounts
from candlecast.store.calendar import CalendarCounts


@dataclass(frozen=True, slots=True)
class Imported:
    """One file or series of an import: what validation said and what the store did, or why it was left out."""

    name: str
    report: ImportReport | None = None
    counts: ImportCounts = ImportCounts()  # noqa: RUF009 - frozen
    error: str | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """A whole import. Reports add up."""

    source: str
    items: tuple[Imported, ...] = ()
    calendar: CalendarCounts | None = None
    calendar_note: str = ""
    calendar_error: str | None = None
    seconds: float = 0.0

    @property
    def counts(self) -> ImportCounts:
        return sum((item.counts for item in self.items), ImportCounts())

    @property
    def n_read(self) -> int:
        return sum(item.report.n_read for item in self.items if item.report)

    @property
    def n_dropped(self) -> int:
        return sum(item.report.n_dropped for item in self.items if item.report)

    @property
    def errors(self) -> tuple[str, ...]:
        """One sentence for each item that was left out."""
        found = [item.error for item in self.items if item.error]
        return (*found, *([self.calendar_error] if self.calendar_error else []))

    def findings(self) -> Counter[str]:
        """How often each rule of validation spoke, over all items."""
        found: Counter[str] = Counter()
        for item in self.items:
            for finding in item.report.findings if item.report else ():
                found[finding.rule] += finding.count
        return found

    def lines(self) -> list[str]:
        """What there is to say about single items: rows dropped or odd, and items left out."""
        spoken = [str(item.report) for item in self.items if item.report and item.report.findings]
        if self.calendar_note:
            spoken.append(f"economic calendar: {self.calendar_note}")
        return [*spoken, *self.errors]

    def facts(self) -> dict[str, Any]:
        """The same for a script."""
        facts: dict[str, Any] = {
            "source": self.source,
            "n_items": len(self.items),
            "n_read": self.n_read,
            "n_dropped": self.n_dropped,
            "inserted": self.counts.inserted,
            "unchanged": self.counts.unchanged,
            "revised": self.counts.revised,
            "findings": dict(self.findings()),
            "errors": list(self.errors),
            "seconds": round(self.seconds, 2),
        }
        if self.calendar is not None:
            facts["calendar"] = {"inserted": self.calendar.inserted, "unchanged": self.calendar.unchanged}
        return facts

    def __add__(self, other: "IngestReport") -> "IngestReport":
        calendars = [one for one in (self.calendar, other.calendar) if one is not None]
        return IngestReport(
            source=self.source if self.source == other.source else f"{self.source} and {other.source}",
            items=self.items + other.items,
            calendar=sum(calendars, CalendarCounts()) if calendars else None,
            calendar_note="; ".join(filter(None, (self.calendar_note, other.calendar_note))),
            calendar_error=self.calendar_error or other.calendar_error,
            seconds=self.seconds + other.seconds,
        )

    def __str__(self) -> str:
        counts = self.counts
        n_good = sum(item.error is None for item in self.items)
        sentence = (
            f"{self.n_read:,} bars of {n_good} series read from {self.source}: {counts.inserted:,} new, "
            f"{counts.unchanged:,} already there, {counts.revised:,} corrected, {self.n_dropped:,} rows dropped"
        )
        if self.calendar is not None:
            sentence += (
                f"; calendar: {self.calendar.inserted:,} vintages new, {self.calendar.unchanged:,} already there"
            )
        sentence += f"; {self.seconds:.1f} s."
        if counts.inserted == counts.revised == 0 and (self.calendar is None or self.calendar.inserted == 0):
            sentence += " Nothing changed."
        if self.errors:
            sentence += f" {len(self.errors)} left out, the first: {self.errors[0]}"
        return sentence
