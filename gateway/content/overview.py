"""All instruments at a glance, as JSON; and answers that are drawn again as their ages grow."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import orjson

from candlecast.freshness import expected_next_at, freshness
from gateway.answers import JSON, Document, Moment, Rendered, iso
from gateway.content.shelf import notice, utc
from gateway.database import Database, Row

RENDER_EVERY_S: Final = 10  # ages on the page are in minutes
AT_ONCE: Final = 300  # instruments that are drawn in a few milliseconds, without a thread
RENDER_SHARE: Final = 0.02  # of one core's time, however many instruments there are


@dataclass(frozen=True, slots=True)
class Outline:
    """The default model's newest forecast of one (symbol, interval), first and last step only.

    `first` and `last` are (close of the target bar, p10, p50, p90).
    """

    interval: str
    model_name: str
    models: tuple[str, ...]  # all that have a forecast, the default first
    issued_at: datetime
    recorded_at: datetime
    expected_next_at: datetime
    horizon: int
    last_close: float
    first: tuple[datetime, float, float, float]
    last: tuple[datetime, float, float, float]
    synthetic: bool
    status: str
    settle_s: int


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument, and an outline per interval that has a forecast."""

    symbol: str
    name: str
    asset_class: str
    calendar: str
    quote_asset: str | None
    leader: str | None
    forecast: bool
    enabled: bool
    outlines: tuple[Outline, ...]


def listed_from(rows: Sequence[Row]) -> list[Listed]:
    """Rows of `gateway_instruments` as instruments, in the order of symbols."""
    grouped: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        intervals = grouped.setdefault(row["symbol"], {})
        if row["interval"] is not None:
            intervals.setdefault(row["interval"], []).append(row)
        else:
            intervals.setdefault("", [row])
    found = []
    for symbol, intervals in grouped.items():
        any_row = next(iter(intervals.values()))[0]
        outlines = tuple(_outline(models) for interval, models in sorted(intervals.items(), reverse=True) if interval)
        found.append(
            Listed(
                symbol=symbol,
                name=any_row["name"],
                asset_class=any_row["asset_class"],
                calendar=any_row["calendar"],
                quote_asset=any_row["quote_asset"],
                leader=any_row["leader"],
                forecast=any_row["forecast"],
                enabled=any_row["enabled"],
                outlines=outlines,
            )
        )
    return found


def _outline(models: Sequence[Row]) -> Outline:
    row = models[0]
    issued_at, next_close_at = utc(row["issued_at"]), utc(row["next_close_at"])
    return Outline(
        interval=row["interval"],
        model_name=row["model_name"],
        models=tuple(model["model_name"] for model in models),
        issued_at=issued_at,
        recorded_at=utc(row["recorded_at"]),
        expected_next_at=expected_next_at(row["interval"], issued_at, [next_close_at], row["settle_s"]),
        horizon=row["horizon"],
        last_close=row["last_close"],
        first=(next_close_at, row["first_p10"], row["first_p50"], row["first_p90"]),
        last=(utc(row["last_target_at"]), row["last_p10"], row["last_p50"], row["last_p90"]),
        synthetic=row["synthetic"],
        status=row["status"],
        settle_s=row["settle_s"],
    )


def outline_json(symbol: str, outline: Outline, now: datetime, unconfirmed: str | None) -> dict[str, Any]:
    """An outline as JSON members, its freshness as of `now`."""
    seen = freshness(outline.interval, outline.issued_at, [outline.first[0]], now, outline.settle_s)
    step = ("target_at", "p10", "p50", "p90")
    return {
        "interval": outline.interval,
        "model_name": outline.model_name,
        "models": outline.models,
        "issued_at": iso(outline.issued_at),
        "generated_at": iso(outline.recorded_at),
        "age_seconds": seen.age_seconds,
        "expected_next_at": iso(seen.expected_next_at),
        "stale": seen.stale or unconfirmed is not None,
        "stale_reason": unconfirmed or seen.stale_reason,
        "status": outline.status,
        "synthetic": outline.synthetic,
        "notice": notice(outline.synthetic, outline.status),
        "horizon": outline.horizon,
        "last_close": outline.last_close,
        "first_step": dict(zip(step, (iso(outline.first[0]), *outline.first[1:]), strict=True)),
        "last_step": dict(zip(step, (iso(outline.last[0]), *outline.last[1:]), strict=True)),
        "href": f"/showcase/ml-prediction/{symbol}?interval={outline.interval}",
    }


def list_json(listed: Sequence[Listed], moment: Moment) -> bytes:
    """The body of /showcase/instruments."""
    now = datetime.fromtimestamp(moment.second, UTC)
    return orjson.dumps(
        {
            "instruments": [
                {
                    "symbol": item.symbol,
                    "name": item.name,
                    "asset_class": item.asset_class,
                    "calendar": item.calendar,
                    "quote_asset": item.quote_asset,
                    "leader": item.leader,
                    "forecast": item.forecast,
                    "enabled": item.enabled,
                    "forecasts": [
                        outline_json(item.symbol, outline, now, moment.unconfirmed) for outline in item.outlines
                    ],
                }
                for item in listed
            ]
        }
    )


@dataclass(slots=True)
class Drawn:
    """An answer about many instruments, drawn again when its ages are `RENDER_EVERY_S` old.

    draw : returns what makes the body as of a moment; that may run in a thread
    """

    draw: Callable[[Moment], Callable[[], bytes]]
    content_type: bytes
    n_instruments: int
    _document: Document | None = field(init=False, default=None)
    _drawn_for: tuple[int, str | None] = field(init=False, default=(0, None))
    _keep_s: float = field(init=False, default=RENDER_EVERY_S)
    _drawing: asyncio.Task[None] | None = field(init=False, default=None)

    @property
    def n_bytes(self) -> int:
        """Memory held, about; before the first drawing a guess from the number of instruments."""
        return self._document.n_bytes if self._document else 2048 * self.n_instruments

    def at(self, moment: Moment) -> Rendered:
        """The answer as of `moment`, its ages at most `RENDER_EVERY_S` old (longer for thousands of instruments)."""
        second, unconfirmed = self._drawn_for
        if (
            self._document is None
            or not 0 <= moment.second - second < self._keep_s
            or unconfirmed != moment.unconfirmed
        ):
            if self._document is None or self.n_instruments <= AT_ONCE:
                self._keep(moment, *self._made(self.draw(moment)))
            elif self._drawing is None or self._drawing.done():
                self._drawing = asyncio.create_task(self.prepare(moment))
        assert self._document is not None, "it was just drawn"
        return self._document.at(moment)

    async def prepare(self, moment: Moment) -> None:
        """Draw as of `moment` in a thread, so that nobody waits for thousands of instruments."""
        self._keep(moment, *await asyncio.to_thread(self._made, self.draw(moment)))

    def _made(self, make: Callable[[], bytes]) -> tuple[Document, float]:
        started = time.perf_counter()
        document = Document(make(), self.content_type, RENDER_EVERY_S)
        return document, time.perf_counter() - started

    def _keep(self, moment: Moment, document: Document, took_s: float) -> None:
        self._document = document
        self._drawn_for = (moment.second, moment.unconfirmed)
        self._keep_s = max(RENDER_EVERY_S, took_s / RENDER_SHARE)


class Overview:
    """All instruments with their outlines."""

    __slots__ = ("_json", "listed")

    def __init__(self, listed: Sequence[Listed]) -> None:
        self.listed = listed
        self._json = Drawn(lambda moment: partial(list_json, listed, moment), JSON, len(listed))

    @property
    def n_bytes(self) -> int:
        """Memory held by the rows and their drawing, about."""
        return 1024 * len(self.listed) + self._json.n_bytes

    def fresh_for_s(self) -> float:
        """The watch replaces it on every change; this bounds the damage of a missed one."""
        return 300.0

    def pick(self, part: str | None) -> Drawn:  # noqa: ARG002  (like a shelf)
        """The JSON list."""
        return self._json


async def read_listed(database: Database) -> list[Listed]:
    """All instruments by one query."""
    return listed_from(await database.rows("gateway_instruments"))
