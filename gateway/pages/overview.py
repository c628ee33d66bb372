"""The page at `/`: every instrument with its newest forecast, in numbers and as a sparkline.

Rows are drawn once for each board; only ages and staleness are put in when the page is asked for again, so that the
page of thousands of instruments does not keep other readers waiting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from candlecast.freshness import overdue_reason, stale_at
from gateway.answers import Moment
from gateway.content.board import Board, Line, Outlook
from gateway.content.verdicts import BASELINE, Verdict, subject
from gateway.pages.shell import TEMPLATES, draw
from gateway.pages.sparklines import range_of, reach, sparkline
from gateway.pages.wording import age_text, direction_of, move_text, price_text, span_text

CLASSES: Final[dict[str, str]] = {
    "crypto": "Crypto",
    "forex_commodity": "Currencies and commodities",
    "equity": "Stocks, funds and indices",
}
INTERVALS: Final = (("1h", "Hourly"), ("1d", "Daily"))
HERE: Final = "\x00"  # stands for the rows of a class in the page, and for the age in a row


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table, UTF-8, up to its age and from there on."""

    outlook: Outlook | None
    head: bytes
    tail: bytes


class OverviewPage:
    """The page of one board."""

    def __init__(self, board: Board) -> None:
        self.board = board
        classes = [*CLASSES, *sorted({line.asset_class for line in board.lines} - set(CLASSES))]
        grouped = [(name, [line for line in board.lines if line.asset_class == name]) for name in classes]
        self._sections = [(CLASSES.get(name, name), _rows(board, lines)) for name, lines in grouped if lines]
        self._outlooks = [line.outlook for line in board.lines if line.outlook is not None]

    @property
    def n_bytes(self) -> int:
        """Memory held by the rows, about."""
        return sum(len(row.head) + len(row.tail) + 512 for _, rows in self._sections for row in rows)

    def draw(self, moment: Moment, verdicts: Sequence[Verdict] | None) -> bytes:
        """The whole page as of `moment`, UTF-8; `verdicts` is None where they cannot be read."""
        board, now = self.board, datetime.fromtimestamp(moment.second, UTC)
        frame = draw(
            "overview.html",
            place="/",
            board=board,
            sections=[(title, HERE, len(rows)) for title, rows in self._sections],
            n_lines=len(board.lines),
            n_outlooks=len(self._outlooks),
            notices=self._notices(moment, now),
            compared=self._compared(),
            scored=None if verdicts is None else self._verdicts(verdicts),
            baseline=BASELINE,
            intervals=[
                (name, address(interval, board.model_name), interval == board.interval) for interval, name in INTERVALS
            ],
            models=[
                (name or "Default", address(board.interval, name), name == board.model_name)
                for name in ("", *board.models)
            ],
            now=now,
        )
        between = frame.split(HERE.encode())
        filled = [between[0]]
        ages: dict[tuple[datetime, datetime], bytes] = {}  # most rows share one
        for (_, rows), after in zip(self._sections, between[1:], strict=True):
            for row in rows:
                filled += (row.head, self._age(row.outlook, moment, now, ages), row.tail)
            filled.append(after)
        return b"".join(filled)

    def _age(
        self, outlook: Outlook | None, moment: Moment, now: datetime, known: dict[tuple[datetime, datetime], bytes]
    ) -> bytes:
        if outlook is None:
            return b""
        key = (outlook.issued_at, outlook.expected_next_at)
        if key not in known:
            part: Any = TEMPLATES.get_template("overview_parts.html").module
            known[key] = part.age(**self._age_of(outlook, moment, now)).encode()
        return known[key]

    def _age_of(self, outlook: Outlook, moment: Moment, now: datetime) -> dict[str, Any]:
        overdue = now >= stale_at(self.board.interval, outlook.expected_next_at)
        reason = moment.unconfirmed or (overdue_reason(outlook.expected_next_at) if overdue else None)
        return {
            "issued_at": outlook.issued_at,
            "age": age_text(max(0, int(moment.second - outlook.issued_at.timestamp()))),
            "stale_reason": reason,
        }

    def _notices(self, moment: Moment, now: datetime) -> list[str]:
        outlooks = self._outlooks
        n_synthetic = sum(outlook.synthetic for outlook in outlooks)
        statuses = {outlook.status for outlook in outlooks}
        overdue = [one for one in outlooks if now >= stale_at(self.board.interval, one.expected_next_at)]
        texts = []
        if moment.unconfirmed:
            texts.append(f"The database cannot be reached: what you see is the newest known. {moment.unconfirmed}")
        if n_synthetic:
            which = "All data on this page are" if n_synthetic == len(outlooks) else "Forecasts marked synthetic are"
            texts.append(f"{which} synthetic: their bars were made by a random generator, not by a market.")
        if "replay" in statuses:
            texts.append(
                "Forecasts marked replay were made after the fact, as of their issue time. They show how the method "
                "works and are not part of the live record."
            )
        if "late" in statuses:
            texts.append("Forecasts marked late were recorded after the first bar they speak about had closed.")
        if overdue and len(overdue) == len(outlooks):
            newest = max(one.issued_at for one in outlooks)
            age = age_text(int(moment.second - newest.timestamp()))
            texts.append(f"Every forecast on this page is overdue: the newest knew the market of {age} ago.")
        return texts

    def _compared(self) -> list[str]:
        """The models on this page that are to be compared with the baseline; other baselines stand in the JSON."""
        return sorted({one.model_name for one in self._outlooks if not one.model_name.startswith("baseline-")})

    def _verdicts(self, verdicts: Sequence[Verdict]) -> list[tuple[str, str, str, str]]:
        """(model, record, verdict, sentence) of the cells that pool all classes and steps."""
        interval = self.board.interval
        told: list[tuple[str, str, str, str]] = []
        for model_name in self._compared():
            found = [one for one in verdicts if one.pooled and (one.model_name, one.interval) == (model_name, interval)]
            told += [(model_name, one.record, one.verdict, one.sentence) for one in found] or [
                (model_name, "", "not_scored", f"{subject(model_name, interval)}: not scored yet.")
            ]
        return told


def address(interval: str, model_name: str, path: str = "/") -> str:
    """The address of a page for an interval and a model; "" is the default model."""
    asked = {"interval": interval} | ({"model_name": model_name} if model_name else {})
    return f"{path}?{urlencode(asked)}"


def _rows(board: Board, lines: Sequence[Line]) -> list[Row]:
    """The rows of a class of instruments; their bands share a scale."""
    widest = max((reach(line.outlook) for line in lines if line.outlook), default=1.0)
    part: Any = TEMPLATES.get_template("overview_parts.html").module
    rows = []
    for line in lines:
        text: str = part.row(line=line, here=HERE, **_told(board, line, widest))
        head, _, tail = text.partition(HERE)
        rows.append(Row(line.outlook, head.encode(), tail.encode()))
    return rows


def _told(board: Board, line: Line, widest: float) -> dict[str, Any]:
    """What a row shows, besides the line itself."""
    outlook = line.outlook
    href = address(board.interval, board.model_name, f"/instrument/{quote(line.symbol)}")
    words = f"{line.symbol} {line.name} {line.asset_class.replace('_', ' ')}".lower()
    if outlook is None:
        return {"href": href, "words": words, "by": board.model_name}
    badges = [mark for mark, holds in (("synthetic", outlook.synthetic),) if holds]
    badges += [outlook.status] if outlook.status != "on_time" else []
    return {
        "href": href,
        "words": words,
        "price": price_text(outlook.last_close),
        "spark": sparkline(line),
        "next": _step(outlook, 0),
        "end": _step(outlook, -1),
        "ahead": span_text(outlook.last_target_at - outlook.issued_at),
        "range": range_of(outlook, widest),
        "badges": badges,
    }


def _step(outlook: Outlook, place: int) -> dict[str, str]:
    move = move_text(outlook.last_close, outlook.p50[place])
    low, high = (move_text(outlook.last_close, values[place]) for values in (outlook.p10, outlook.p90))
    return {"move": move, "direction": direction_of(move), "band": f"{low} to {high}"}
