"""What the gateway knows and how it answers: the one place that ties cache, database and watch together."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from candlecast.clock import utc_now
from gateway import problems
from gateway.access import Access
from gateway.answers import Document, Moment, Rendered, iso
from gateway.cache import Cache, Entry, NotLoaded, Outcome
from gateway.content.board import Board, BoardPage, board_key, outlined, read_board
from gateway.content.chart import Chart, read_chart
from gateway.content.evaluation import read_evaluation
from gateway.content.models import read_models
from gateway.content.overview import Listed, Overview, read_listed
from gateway.content.performance import performance_key, read_performance
from gateway.content.readings import breaker_readings, forecast_readings, job_readings
from gateway.content.shelf import Key, Shelf, read_all_shelves, read_shelves
from gateway.content.status import Around, OnRecord, Status, read_on_record, read_runs
from gateway.content.verdicts import Verdicts, read_verdicts
from gateway.database import Database
from gateway.limits import Limiter, parse_rate
from gateway.metrics import Metrics, Reading
from gateway.pages.overview import OverviewPage
from gateway.patience import Patient
from gateway.probe import Probe
from gateway.restart import Restart
from gateway.settings import GatewaySettings
from gateway.watch import Watch

READER_WAIT_S: Final = 0.15
CHART_WAIT_S: Final = 5.0  # while the database answers
START_WAIT_S: Final = 3.0  # for the first load, before the first request is taken
VERDICTS_WAIT_S: Final = 2.0  # the page comes without the verdicts then
CHARTS_AHEAD: Final = 16  # charts that are drawn anew before anybody asks: those that were last looked at

# ("forecasts", symbol, interval) | ("overview",) | ("board", interval, model) | (a key of READERS, …)
CacheKey = tuple[str, ...]
OVERVIEW: Final[CacheKey] = ("overview",)
BOARD: Final[CacheKey] = board_key()
MODELS: Final[CacheKey] = ("models",)
VERDICTS: Final[CacheKey] = ("verdicts",)
PERFORMANCE: Final[CacheKey] = performance_key()
STATUS: Final[CacheKey] = ("status",)
RUNS: Final[CacheKey] = ("runs",)


# Questions with so many answers that those of the rest have to be protected from them: they have a room of their own in
# the cache, and so many may be loaded per second that the database hardly notices.
MANY: Final = frozenset({"chart", "performance"})
NEW_QUESTIONS: Final = "200/second"


def of_many(key: CacheKey) -> bool:
    """Whether there are as many keys of this kind as anybody can think of; the whole track record is just one."""
    return key[0] in MANY and key != PERFORMANCE


class Renderable(Protocol):
    """An answer that can be sent as of a moment."""

    def at(self, moment: Moment) -> Rendered:
        """The bytes to send."""


Value = Shelf | Overview | BoardPage | Chart | Status | Document

# How the documents are read, by the first word of their key.
READERS: Final[dict[str, Callable[[Database, CacheKey], Awaitable[Chart | Document]]]] = {
    "chart": read_chart,
    "evaluation": read_evaluation,
    "models": read_models,
    "performance": read_performance,
    "runs": read_runs,
    "verdicts": read_verdicts,
}


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for: an entry of the cache, and which of its answers. `route` names it in the metrics."""

    route: str
    key: CacheKey
    part: str | None = None


class Service:
    """Answers from the cache, keeps it filled, and says how it is."""

    def __init__(self, settings: GatewaySettings, database: Database) -> None:
        self.metrics = Metrics(self._readings)
        self.database = database
        self.access = Access(settings.showcase_api_key)
        self._patient = Patient(database)
        self._settings = settings
        self.cache: Cache[CacheKey, Value] = Cache(
            self._load,
            max_entries=settings.cache_entries,
            max_bytes=settings.cache_bytes,
            ttl_s=settings.cache_ttl_s,
            aside=of_many,
            on_load=self._loaded,
        )
        self.watch = Watch(database, self, settings.poll_s)
        self.symbols: frozenset[str] | None = None  # None until the list of instruments was read once
        self.probe = Probe(
            settings.inference_url,
            {"CF-Access-Client-Id": settings.access_id or "", "CF-Access-Client-Secret": settings.access_secret or ""},
        )
        self._new_questions = Limiter(parse_rate("NEW_QUESTIONS", NEW_QUESTIONS))
        self._watching: asyncio.Task[None] | None = None
        self._moment = Moment(0, 0, None)
        self._restart: Restart | None = None
        if settings.snapshot is not None:
            self._restart = Restart(self, settings.snapshot, lambda key: not of_many(key))

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin to read; returns after the first load or `START_WAIT_S`, also when there is no database."""
        await self.database.open()
        self.probe.start()
        if self._restart is not None:
            await self._restart.begin()
        first_look = asyncio.Event()
        self._watching = asyncio.create_task(self.watch.run(first_look.set))
        waiter = asyncio.create_task(first_look.wait())
        await asyncio.wait({waiter}, timeout=START_WAIT_S)
        waiter.cancel()

    async def stop(self) -> None:
        """End the watch, the loads and the connections."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._restart is not None:
            await self._restart.end()
        await self.probe.stop()
        await self.cache.close()
        await self.database.close()

    @property
    def ready(self) -> bool:
        """Whether readers get answers: something is cached, or the database can be read."""
        return len(self.cache) > 0 or (self.database.reachable is True and self.watch.begun)

    # -- answers --------------------------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Now, as one object per second, so that each answer is rendered once a second at most."""
        second = int(time.time())
        if second != self._moment.second:
            self._moment = Moment(second, *self._standing())
        return self._moment

    def _standing(self) -> tuple[int, str | None]:
        """Seconds since the database was last heard, and the reason for doubt when that is too long ago."""
        heard_at = self.database.confirmed_at
        if heard_at is None and self._restart is not None and self._restart.copied_at is not None:
            return self._restart.standing()
        checked_s = int(time.monotonic() - heard_at) if heard_at is not None else 0
        lost_at = self.database.lost_at
        if lost_at is None or checked_s <= 2.5 * self._settings.poll_s:
            return checked_s, None
        return checked_s, (
            f"unconfirmed: the database has not been reachable since {iso(lost_at)}, so there may be a newer one"
        )

    def found(self, target: Target) -> tuple[Entry[Value], Rendered, str] | None:
        """The entry, its answer and whether that is a `hit` or `stale`, without waiting; None when it is not cached.

        Whoever sends it counts it under the result in `metrics.cache_requests`.
        """
        entry = self.cache.peek(target.key)
        if entry is None:
            return None
        answer = entry.value.pick(target.part)
        if answer is None:
            return None
        return entry, answer.at(self.moment()), "hit" if self.cache.is_fresh(entry) else "stale"

    def cached(self, target: Target) -> Rendered | None:
        """The answer without waiting, counted; None when it is not cached."""
        found = self.found(target)
        if found is None:
            return None
        _, rendered, result = found
        self.metrics.cache_requests[result] += 1
        return rendered

    async def entry(self, key: CacheKey, wait_s: float = READER_WAIT_S) -> Entry[Value]:
        """The cache entry of a key, loaded if need be.

        Raises
        ------
        Problem : 503 when there is nothing to serve within `wait_s`, or too many ask something new.
        """
        known = key in self.cache
        if not known and of_many(key) and not self.cache.is_loading(key):
            refused_s = self._new_questions.admit(key[0])
            if refused_s is not None:
                self.metrics.cache_requests["error"] += 1
                raise problems.not_ready("too many new questions are asked at once", refused_s)
        try:
            entry = await self.cache.get(key, wait_s)
        except NotLoaded as error:
            self.metrics.cache_requests["error"] += 1
            raise problems.not_ready("the database cannot be read", error.retry_after_s) from error
        if not known:
            self.metrics.cache_requests["miss"] += 1
        return entry

    async def answer(self, target: Target) -> Rendered:
        """The answer to any target but a forecast."""
        rendered = self.cached(target)
        if rendered is None:
            chosen: Renderable | None = (await self.entry(target.key)).value.pick(target.part)
            assert chosen is not None, "only a shelf may lack a part"
            rendered = chosen.at(self.moment())
        return rendered

    async def forecast(self, target: Target) -> Rendered:
        """The answer to `("forecasts", symbol, interval)`; `part` is the model, None for the default.

        Raises
        ------
        Problem : 404 unknown_symbol, unknown_model or nothing_predicted; 503 not_ready.
        """
        _, symbol, interval = target.key
        self.known_symbol(symbol)
        rendered = self.cached(target)
        if rendered is not None:
            return rendered
        answer = (await self.entry(target.key)).value.pick(target.part)
        if answer is None:
            self.metrics.cache_requests["negative"] += 1
            if target.part is not None and all(model_name != target.part for model_name, _ in self.watch.chains):
                raise problems.unknown_model(target.part)
            raise problems.nothing_predicted(symbol, interval, target.part)
        return answer.at(self.moment())

    async def chart(self, target: Target, missing: Callable[[], problems.Problem]) -> Rendered:
        """The answer to `("chart", symbol, …)`. A forecast that is not there is not kept: anybody can name one.

        Its four queries may take a while on a busy machine; they are waited for as long as the database answers.

        Raises
        ------
        Problem : `missing` where there is no such forecast; 503 not_ready.
        """
        rendered = self.cached(target)
        if rendered is None:
            entry = await self._patient.wait(self.entry(target.key, CHART_WAIT_S))
            answer = entry.value.pick(target.part)
            if answer is None:
                self.metrics.cache_requests["negative"] += 1
                self.cache.drop(target.key)
                raise missing()
            rendered = answer.at(self.moment())
        return rendered

    def known_symbol(self, symbol: str) -> None:
        """Refuse a symbol that is not in the list, without asking the database.

        Raises
        ------
        Problem : 404 unknown_symbol; 503 not_ready while the list was never read.
        """
        if self.symbols is None:
            raise problems.not_ready("the list of instruments has not been read yet", 2.0)
        if symbol not in self.symbols:
            raise problems.unknown_symbol(symbol)

    def known_model(self, model_name: str) -> None:
        """Refuse a model that has never issued a forecast, without asking the database."""
        if not self.watch.begun and not self.watch.chains:
            raise problems.not_ready("the list of models has not been read yet", 2.0)
        if all(model_name != known for known, _ in self.watch.chains):
            raise problems.unknown_model(model_name)

    # -- loading --------------------------------------------------------------------------------------------------

    async def _load(self, key: CacheKey) -> Value:
        match key:
            case ("forecasts", symbol, interval):
                return (await read_shelves(self.database, [(symbol, interval)]))[symbol, interval]
            case ("overview",):
                return await self._read_overview()
            case ("board", *_):
                with contextlib.suppress(NotLoaded):  # the forecasts come without them
                    await self.cache.get(VERDICTS, VERDICTS_WAIT_S)
                return await self._page_of(await read_board(self.database, key))
            case ("status",):
                return self.status(await read_on_record(self.database))
            case _:
                return await READERS[key[0]](self.database, key)

    def status(self, known: OnRecord) -> Status:
        """A status of what is on record, with what the gateway itself knows whenever it is drawn."""
        return Status(
            known,
            Around(self.database, lambda: (len(self.cache), self.cache.n_bytes), self.listed, lambda: self.probe.seen),
        )

    def listed(self) -> Sequence[Listed]:
        """The instruments that are cached, of any age."""
        entry = self.cache.peek(OVERVIEW)
        return entry.value.listed if entry is not None and isinstance(entry.value, Overview) else ()

    async def _read_overview(self) -> Overview:
        return self.overview_of(await read_listed(self.database))

    def overview_of(self, listed: Sequence[Listed]) -> Overview:
        """The list of these instruments; from now on only their symbols are known."""
        self.symbols = frozenset(item.symbol for item in listed)
        if BOARD not in self.cache:  # so that there is a page as soon as there is a list, wherever that came from
            self.cache.put(BOARD, self._drawing(OverviewPage(outlined(listed))))
        return Overview(listed)

    async def _page_of(self, board: Board) -> BoardPage:
        # Thousands of rows take a second to draw, which other readers need not wait for.
        page = self._drawing(await asyncio.to_thread(OverviewPage, board))
        await page.drawn.prepare(self.moment())
        return page

    def _drawing(self, page: OverviewPage) -> BoardPage:
        """A page with the verdicts that are cached whenever it is drawn."""

        def draw(moment: Moment) -> Callable[[], bytes]:
            entry = self.cache.peek(VERDICTS)
            known = entry.value if entry is not None else None
            return partial(page.draw, moment, known.verdicts if isinstance(known, Verdicts) else None)

        return BoardPage(page.board, draw, page.n_bytes)

    def recovered(self) -> None:
        """Readers need not wait for the hold-off of keys that failed only because the database was away."""
        self.cache.forgive()

    async def renew_keys(self) -> None:
        """Let the keys open that are on record now."""
        await self.access.renew(self.database)

    async def warm(self) -> None:
        """Load every forecast by one query, and the lists."""
        for key in self.cache.all_keys():
            self.cache.outdate(key)
        self.cache.drop(VERDICTS)  # so that the page waits for the new ones
        shelves = await read_all_shelves(self.database, max_rows=self._settings.cache_entries)
        for (symbol, interval), shelf in shelves.items():
            self.cache.put(("forecasts", symbol, interval), shelf)
        await self.renew_lists()
        # The whole track record is the longest answer there is; its first reader should not be told to come back.
        self.cache.put(PERFORMANCE, await self._load(PERFORMANCE))
        self.cache.put(STATUS, await self._load(STATUS))

    async def renew(self, keys: list[Key]) -> None:
        """Load the shelves of these pairs again: those that are kept, and the others as far as there is room."""
        self._renew_charts(set(keys))
        kept = [key for key in keys if self.cache.outdate(("forecasts", *key))]
        others = [key for key in keys if key not in kept and not self.cache.is_loading(("forecasts", *key))]
        chosen = kept + others[: self.cache.n_free]
        if chosen:
            for (symbol, interval), shelf in (await read_shelves(self.database, chosen)).items():
                self.cache.put(("forecasts", symbol, interval), shelf)

    def _renew_charts(self, keys: set[Key]) -> None:
        """Outdate the charts of these pairs, and draw those anew that were last looked at."""
        drawn = [key for key in self.cache.all_keys() if key[0] == "chart" and key[1:3] in keys]
        for key in drawn:
            self.cache.outdate(key)
        for key in drawn[-CHARTS_AHEAD:]:
            self.cache.peek(key)

    async def renew_lists(self) -> None:
        """Load the overview and the models again; what else there is expires by itself within a minute."""
        self.cache.outdate(OVERVIEW)
        self.cache.put(OVERVIEW, await self._read_overview())
        for key in self.cache.all_keys():
            if key[0] == BOARD[0]:
                self.cache.outdate(key)
        self.cache.put(BOARD, await self._load(BOARD))
        self.cache.outdate(MODELS)
        self.cache.put(MODELS, await self._load(MODELS))

    def _loaded(self, outcome: Outcome) -> None:
        self.metrics.refreshes[outcome] += 1

    # -- metrics --------------------------------------------------------------------------------------------------

    def _readings(self) -> Iterator[Reading]:
        yield "gateway_cache_entries", "Entries in the cache.", (), [((), float(len(self.cache)))]
        yield "gateway_cache_bytes", "Bytes that the cached answers hold.", (), [((), float(self.cache.n_bytes))]
        for name, value in self.database.pool_stats().items():
            yield f"gateway_db_pool_{name}", f"Database connections: {name}.", (), [((), float(value))]
        yield from forecast_readings(self.listed(), utc_now())
        status = self.cache.peek(STATUS)
        known = status.value.known if status is not None and isinstance(status.value, Status) else None
        if known is not None:
            yield from job_readings(known)
        yield from breaker_readings(self.database, self.probe.seen or (known.server if known is not None else None))
