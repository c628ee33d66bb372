"""All instruments on one interval, each with the newest forecast of one model in outline: what the first page draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from candlecast.freshness import expected_next_at
from gateway.answers import HTML, Moment
from gateway.content.overview import Drawn, Listed, Outline
from gateway.content.shelf import utc
from gateway.database import Database, Row

N_CLOSES: Final = 48
INTERVALS: Final = ("1h", "1d")


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast in outline: the fan's 80 % band and median at some rising steps, the first and the last among them."""

    model_name: str
    issued_at: datetime
    expected_next_at: datetime
    next_close_at: datetime
    last_target_at: datetime
    last_close: float
    steps: tuple[int, ...]
    p10: tuple[float, ...]
    p50: tuple[float, ...]
    p90: tuple[float, ...]
    synthetic: bool
    status: str


@dataclass(frozen=True, slots=True)
class Line:
    """An instrument; without an outlook where the model has no forecast of it. `closes` end at the issue time."""

    symbol: str
    name: str
    asset_class: str
    quote_asset: str | None
    outlook: Outlook | None
    closes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """Every instrument that is forecast, in the order of symbols.

    model_name : the model that was asked for; "" where each line shows its default
    models : those that have forecast anything on this interval, models before baselines
    """

    interval: str
    model_name: str
    models: tuple[str, ...]
    lines: tuple[Line, ...]


class BoardPage:
    """A board as a page, drawn again as its ages grow."""

    __slots__ = ("_n_bytes", "board", "drawn")

    def __init__(self, board: Board, draw: Callable[[Moment], Callable[[], bytes]], n_bytes: int) -> None:
        """`draw` as in `Drawn`; `n_bytes` is the memory that it holds."""
        self.board = board
        self._n_bytes = n_bytes
        self.drawn = Drawn(draw, HTML, len(board.lines))

    @property
    def n_bytes(self) -> int:
        """Memory held, about."""
        return 2048 * len(self.board.lines) + self._n_bytes + self.drawn.n_bytes

    def fresh_for_s(self) -> float:
        """The watch replaces it on every change; this bounds the damage of a missed one."""
        return 300.0

    def pick(self, part: str | None) -> Drawn:  # noqa: ARG002  (like a shelf)
        """The page."""
        return self.drawn


def board_key(interval: str | None = None, model_name: str | None = None) -> tuple[str, ...]:
    """The cache key of a board; "" stands for the first interval that has forecasts, and for the default models."""
    return "board", interval or "", model_name or ""


async def read_board(database: Database, key: tuple[str, ...]) -> Board:
    """The board that a key of `board_key` names, by two queries; by three where nothing is hourly."""
    _, asked, model_name = key
    heads = await database.rows("gateway_heads")
    board = Board(asked or INTERVALS[0], model_name, (), ())
    for interval in (asked,) if asked else INTERVALS:
        models = sorted({row["model_name"] for row in heads if row["interval"] == interval}, key=_place)
        rows = await database.rows("gateway_board", interval=interval, model_name=model_name or None, n_closes=N_CLOSES)
        found = Board(interval, model_name, tuple(models), tuple(_line(interval, row) for row in rows))
        if any(line.outlook for line in found.lines):
            return found
        board = board if board.lines else found
    return board


def outlined(listed: Sequence[Listed]) -> Board:
    """The default board as far as the list of instruments tells: two steps of each fan, and no closes."""
    shown = [item for item in listed if item.enabled and (item.forecast or item.outlines)]
    intervals = {outline.interval for item in shown for outline in item.outlines}
    interval = next((one for one in INTERVALS if one in intervals), INTERVALS[0])
    lines, models = [], set[str]()
    for item in shown:
        outline = next((one for one in item.outlines if one.interval == interval), None)
        models.update(outline.models if outline else ())
        outlook = _outlook_of(outline) if outline else None
        lines.append(Line(item.symbol, item.name, item.asset_class, item.quote_asset, outlook, ()))
    return Board(interval, "", tuple(sorted(models, key=_place)), tuple(lines))


def _place(model_name: str) -> tuple[bool, str]:
    return model_name.startswith("baseline-"), model_name


def _line(interval: str, row: Row) -> Line:
    outlook = None
    if row["issued_at"] is not None:
        issued_at, next_close_at = utc(row["issued_at"]), utc(row["next_close_at"])
        outlook = Outlook(
            model_name=row["model_name"],
            issued_at=issued_at,
            expected_next_at=expected_next_at(interval, issued_at, [next_close_at], row["settle_s"]),
            next_close_at=next_close_at,
            last_target_at=utc(row["last_target_at"]),
            last_close=row["last_close"],
            steps=tuple(row["steps"]),
            p10=tuple(row["p10"]),
            p50=tuple(row["p50"]),
            p90=tuple(row["p90"]),
            synthetic=row["synthetic"],
            status=row["status"],
        )
    return Line(row["symbol"], row["name"], row["asset_class"], row["quote_asset"], outlook, tuple(row["closes"] or ()))


def _outlook_of(outline: Outline) -> Outlook:
    ends = (outline.first, outline.last) if outline.horizon > 1 else (outline.first,)
    return Outlook(
        model_name=outline.model_name,
        issued_at=outline.issued_at,
        expected_next_at=outline.expected_next_at,
        next_close_at=outline.first[0],
        last_target_at=outline.last[0],
        last_close=outline.last_close,
        steps=(1, outline.horizon)[: len(ends)],
        p10=tuple(end[1] for end in ends),
        p50=tuple(end[2] for end in ends),
        p90=tuple(end[3] for end in ends),
        synthetic=outline.synthetic,
        status=outline.status,
    )
