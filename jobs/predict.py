"""Issue forecasts for one slot: read, encode, ask, register.

The baseline is issued first and inside this process, so it is there whatever happens to the GPU. The model
is asked over HTTP for the instruments that have no row yet; each answer is written as it arrives. The rivals of the
baseline come last, in the time that is left. Running a slot again asks for what is missing and changes no row.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stamina
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from candlecast.baselines import RandomWalk
from candlecast.clock import Interval
from candlecast.errors import CandlecastError
from candlecast.events import EventEncoder
from candlecast.forecasts import Forecast, Forecaster, ModelInfo, Refusal, Result, never
from candlecast.instruments import Instrument
from candlecast.lookback import Prepared, instant_of, prepare
from candlecast.scoring import SCORED_STEPS
from candlecast.store.bars import read_closes, read_lookbacks
from candlecast.store.calendar import read_calendar
from candlecast.store.engine import DatabaseUnavailable
from candlecast.store.instruments import read_instruments
from candlecast.store.models import register_model
from candlecast.store.predictions import BadForecast, Fence, PredictionRow, check, existing, insert_predictions
from candlecast.store.runs import Item, Outcome
from jobs.baselines import PREFIX, YARDSTICK, baseline
from jobs.calibration import Calibrator, calibrator
from jobs.forecasters import GpuDown, HttpForecaster, InferenceError, InProcess
from jobs.run import Run

BASELINE = f"{PREFIX}{YARDSTICK}"
# The level of the VIX is measured against the 252 of its bars before the lookback's first.
LEADERS_BACK: Final[dict[Interval, timedelta]] = {"1h": timedelta(days=60), "1d": timedelta(days=420)}
# While answers stream in, a transaction takes what came within some seconds, or before the server fell silent.
GROUP: Final = 500
COMMIT_S: Final = 5.0
TOLD: Final = 20  # sentences of one kind in a run's details


class UnknownSymbols(CandlecastError):
    """Symbols were asked for that the store does not have, or that are not forecast."""

    def __init__(self, symbols: Sequence[str], known: Sequence[str]) -> None:
        super().__init__(f"not among the forecast instruments: {', '.join(symbols)}; known are {', '.join(known)}")
        self.symbols = tuple(symbols)


@dataclass(frozen=True, slots=True)
class Request:
    """What a slot is asked for."""

    interval: Interval
    slot: datetime
    model_name: str
    horizon: int
    lookback: int
    n_paths: int
    base_seed: int = 0
    symbols: tuple[str, ...] | None = None
    replay: bool = False
    dry_run: bool = False
    rivals: tuple[str, ...] = ()  # baselines beside `baseline-rw`, without their prefix


@dataclass(slots=True)
class Report:
    """What a slot gave, and where the time went.

    n_written, n_exists : rows
    n_failed, n_skipped : forecasts that the server did not give; because it could not be reached at all
    asked : whether the server was asked for anything
    model_down : why not, in a sentence
    not_calibrated : for what is served as the model gave it though it should have been corrected, why, in sentences
    rivals : what became of the rivals' forecasts, which are no part of the counts above: model name, outcome, number
    """

    n_written: int = 0
    n_exists: int = 0
    n_failed: int = 0
    n_skipped: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    asked: bool = False
    model_down: str | None = None
    not_calibrated: list[str] = field(default_factory=list)
    rivals: dict[str, dict[str, int]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "n_written": self.n_written,
            "n_exists": self.n_exists,
            "n_failed": self.n_failed,
            "n_skipped": self.n_skipped,
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "seconds": self.seconds,
            "model_down": self.model_down,
            "not_calibrated": self.not_calibrated,
            "rivals": self.rivals,
        }


def predict(
    engine: Engine,
    request: Request,
    *,
    forecaster: HttpForecaster | None,
    run: Run | None,
    fence: Fence | None = None,
    deadline_s: float,
    on_item: Callable[[Item], None] = lambda item: None,
) -> Report:
    """Issue every forecast of the slot that is not there yet.

    `forecaster` may be None (no inference server wanted); the baseline is then all there is. Each outcome is
    added to `run` and told to `on_item`. Writes are fenced by the run's lease, or by `fence` where one lease
    covers many slots.
    """
    started = time.monotonic()
    report = Report()
    prepared, refused, there = _read(engine, request)
    report.seconds["read"] = time.monotonic() - started
    report.refusals.extend(refused)

    writer = _Writer(engine, request, run, fence or (run.fence if run else None), report, on_item, started)
    for refusal in refused:
        writer.refuse(refusal, request.model_name)

    def missing(model_name: str) -> list[Prepared]:
        return [one for one in prepared if (one.series.symbol, one.series.issued_at) not in there[model_name]]

    for name in dict.fromkeys((BASELINE, request.model_name)):
        for one in prepared:
            if (one.series.symbol, one.series.issued_at) in there[name]:
                writer.note(Item(one.series.symbol, name, "exists"))

    writer.register(RandomWalk().info)
    if request.model_name != BASELINE:
        writer.write(missing(BASELINE), _in_process(RandomWalk(), request, missing(BASELINE)))
    mark = time.monotonic()
    todo = missing(request.model_name)
    if forecaster is not None and todo:
        report.asked = True
        writer.calibrator = calibrator(engine, request.interval, request.model_name, todo, store=not request.dry_run)
        report.seconds["calibration"] = time.monotonic() - mark
        mark = time.monotonic()
        left = deadline_s - (time.monotonic() - started)
        todo, outcome = _ask(forecaster, request, todo, writer, deadline_s=left)
        if request.model_name != BASELINE:
            for one in todo:
                writer.note(Item(one.series.symbol, request.model_name, outcome, report.model_down))
    report.seconds["model"] = time.monotonic() - mark
    if request.model_name == BASELINE:
        # The same numbers as the server's, bit for bit; so a server that is down costs nothing.
        writer.write(todo, _in_process(RandomWalk(), request, todo))
    report.not_calibrated = writer.calibrator.failures
    if run is not None and report.not_calibrated:
        # All rows are there, and some are not what they should be for good: somebody has to look.
        run.details["not_calibrated"] = report.not_calibrated[:TOLD]
        run.verdict = "partial" if run.status == "ok" else run.verdict
    mark = time.monotonic()
    for name in request.rivals:
        _issue_rival(name, request, prepared, writer, until=started + deadline_s)
    report.seconds["rivals"] = time.monotonic() - mark
    report.seconds["total"] = time.monotonic() - started
    return report


# Neither reading nor writing a second time changes anything, so a lost connection costs a retry and no forecast.
_again = stamina.retry(on=(OperationalError, DatabaseUnavailable), attempts=5, timeout=30)


@_again
def _read(
    engine: Engine, request: Request
) -> tuple[list[Prepared], list[Refusal], dict[str, set[tuple[str, datetime]]]]:
    """The series of the slot, the refusals, and by model which forecasts are there already."""
    with engine.connect() as conn:
        prepared, refused = read_series(conn, request, _instruments(conn, request.symbols))
        issued = {one.series.issued_at for one in prepared}
        names = (BASELINE, request.model_name)
        return prepared, refused, {name: existing(conn, request.interval, name, issued) for name in names}


def read_series(
    conn: Connection, request: Request, instruments: Sequence[Instrument]
) -> tuple[list[Prepared], list[Refusal]]:
    """Every instrument's series as of the slot: three queries, whatever the number of instruments."""
    wanted = [one for one in instruments if one.forecast]
    leaders = {one.leader: one.symbol for one in instruments if one.leader}
    lookbacks = read_lookbacks(
        conn, [one.symbol for one in wanted], request.interval, as_of=request.slot, n_bars=request.lookback
    )
    oldest = min((instant_of(one.opened_at[0]) for one in lookbacks.values()), default=request.slot)
    since = oldest - LEADERS_BACK[request.interval]
    closes = read_closes(conn, list(leaders.values()), request.interval, since=since, as_of=request.slot)
    entries = read_calendar(conn, as_of=request.slot, since=oldest)
    encoder = EventEncoder(entries, {name: closes[symbol] for name, symbol in leaders.items() if symbol in closes})

    prepared: list[Prepared] = []
    refused: list[Refusal] = []
    for instrument in wanted:
        lookback = lookbacks.get(instrument.symbol)
        try:
            one = prepare(
                instrument,
                request.interval,
                lookback,
                as_of=request.slot,
                horizon=request.horizon,
                encoder=encoder,
            )
        except (CandlecastError, ValueError, ArithmeticError) as error:
            # One broken instrument never stops the others; what broke is in the ledger.
            sentence = f"{instrument.symbol}: {error}"
            one = Refusal(instrument.symbol, request.interval, request.slot, type(error).__name__, sentence)
        if isinstance(one, Refusal):
            refused.append(one)
        else:
            prepared.append(one)
    return prepared, refused


def _instruments(conn: Connection, symbols: tuple[str, ...] | None) -> list[Instrument]:
    """The enabled instruments to forecast, narrowed to `symbols`, and always the leaders."""
    known = [one for one in read_instruments(conn) if one.enabled]
    if symbols is None:
        return known
    forecast = {one.symbol for one in known if one.forecast}
    unknown = [symbol for symbol in symbols if symbol not in forecast]
    if unknown:
        raise UnknownSymbols(unknown, sorted(forecast))
    chosen = set(symbols)
    return [
        one if one.symbol in chosen else replace(one, forecast=False)
        for one in known
        if one.symbol in chosen or one.leader
    ]


def _in_process(
    forecaster: Forecaster, request: Request, prepared: Sequence[Prepared], cancel: Callable[[], bool] = never
) -> Iterator[Result]:
    asked: dict[str, Any] = {"horizon": request.horizon, "n_paths": request.n_paths, "base_seed": request.base_seed}
    return forecaster.forecast([one.series for one in prepared], **asked, cancel=cancel)


def _issue_rival(name: str, request: Request, prepared: Sequence[Prepared], writer: "_Writer", *, until: float) -> None:
    """The forecasts of one rival that are missing, as far as time goes; whatever happens to it stays with it."""
    model_name = f"{PREFIX}{name}"
    there = writer.existing(model_name, {one.series.issued_at for one in prepared})
    todo = []
    for one in prepared:
        if (one.series.symbol, one.series.issued_at) in there:
            writer.note(Item(one.series.symbol, model_name, "exists"))
        else:
            todo.append(one)
    if not todo:
        return
    outcome: tuple[Outcome, str] = "skipped", "no time was left in the run"
    n_done = 0
    try:
        rival = InProcess(baseline(name))
    except ImportError as error:
        outcome = "failed", str(error)
    else:
        writer.register(rival.info)
        results = _in_process(rival, request, todo, cancel=lambda: time.monotonic() >= until)
        n_done = writer.write(todo, results, model_name)
    for one in todo[n_done:]:
        writer.note(Item(one.series.symbol, model_name, *outcome))


def _ask(
    forecaster: HttpForecaster, request: Request, todo: Sequence[Prepared], writer: "_Writer", *, deadline_s: float
) -> tuple[list[Prepared], Outcome]:
    """Ask the server; what it did not answer comes back, with what to call that."""
    n_answered = 0
    outcome: Outcome = "failed"
    try:
        writer.register(forecaster.info)
        results = forecaster.forecast(
            [one.series for one in todo],
            horizon=request.horizon,
            n_paths=request.n_paths,
            base_seed=request.base_seed,
            deadline_s=deadline_s,
            on_wait=writer.flush,
        )
        for result in results:
            n_answered += 1
            writer.take(todo[n_answered - 1], result, request.model_name)
    except InferenceError as error:
        writer.report.model_down = str(error)
        if isinstance(error, GpuDown):
            outcome, writer.report.model_down = "skipped", f"gpu_down: {error}"
    finally:
        writer.flush()  # also when the process is told to end: what was answered is kept
    return list(todo[n_answered:]), outcome


class _Writer:
    """Turns results into rows, a few per transaction, and keeps count of what became of each."""

    def __init__(
        self,
        engine: Engine,
        request: Request,
        run: Run | None,
        fence: Fence | None,
        report: Report,
        on_item: Callable[[Item], None],
        started: float,
    ) -> None:
        self.engine, self.request, self.run, self.fence, self.report = engine, request, run, fence, report
        self.on_item, self.started = on_item, started
        self.waiting: list[PredictionRow] = []
        self.waits_since = 0.0
        self.calibrator = Calibrator()

    def write(self, prepared: Sequence[Prepared], results: Iterator[Result], model_name: str = BASELINE) -> int:
        """All results of an in-process forecaster, in order; how many there were."""
        n_taken = 0
        try:
            for one, result in zip(prepared, results, strict=False):
                self.take(one, result, model_name)
                n_taken += 1
        finally:
            self.flush()
        return n_taken

    def take(self, prepared: Prepared, result: Result, model_name: str) -> None:
        if isinstance(result, Refusal):
            self.refuse(result, model_name)
            return
        row = row_of(prepared, result, self.request, self.run)
        try:
            check(row)
        except BadForecast as error:
            # Found here, before the group's transaction, so that its neighbours are written.
            self.refuse(Refusal(row.symbol, row.interval, row.issued_at, "bad_forecast", str(error)), model_name)
            return
        row = self.calibrator.serve(row)
        now = time.monotonic()
        self.waits_since = self.waits_since if self.waiting else now
        self.waiting.append(row)
        if len(self.waiting) >= GROUP or now - self.waits_since >= COMMIT_S:
            self.flush()

    def refuse(self, refusal: Refusal, model_name: str) -> None:
        if refusal not in self.report.refusals and not self._is_rival(model_name):
            self.report.refusals.append(refusal)
        self.note(Item(refusal.symbol, model_name, "refused", f"{refusal.code}: {refusal.message}"))

    def flush(self) -> None:
        rows, self.waiting = self.waiting, []
        if not rows:
            return
        if self.request.dry_run:
            for row in rows:
                self.note(Item(row.symbol, row.model_name, "skipped", "dry run"))
            return
        self._insert(rows)
        ms = 1000 * (time.monotonic() - self.started)
        for row in rows:
            self.note(Item(row.symbol, row.model_name, "ok", ms=round(ms, 1)))

    @_again
    def _insert(self, rows: Sequence[PredictionRow]) -> None:
        with self.engine.begin() as conn:
            insert_predictions(conn, rows, scored_steps=SCORED_STEPS[self.request.interval], fence=self.fence)

    @_again
    def register(self, info: ModelInfo) -> None:
        """Remember the exact version that is about to speak."""
        if not self.request.dry_run:
            with self.engine.begin() as conn:
                register_model(conn, info)

    @_again
    def existing(self, model_name: str, issued: set[datetime]) -> set[tuple[str, datetime]]:
        """Which forecasts of the model are there by now."""
        with self.engine.connect() as conn:
            return existing(conn, self.request.interval, model_name, issued)

    def note(self, item: Item) -> None:
        if self._is_rival(item.model_name):
            counts = self.report.rivals.setdefault(item.model_name, {})
            counts[item.outcome] = counts.get(item.outcome, 0) + 1
        elif item.outcome == "ok":
            self.report.n_written += 1
        elif item.outcome == "exists":
            self.report.n_exists += 1
        elif item.outcome == "failed":
            self.report.n_failed += 1
        elif item.outcome == "skipped" and not self.request.dry_run:
            self.report.n_skipped += 1
        if self.run is not None and self._is_rival(item.model_name):
            self.run.aside.append(item)
        elif self.run is not None:
            self.run.add(item)
        self.on_item(item)

    def _is_rival(self, model_name: str) -> bool:
        """Whether the run may go well without this model's forecasts."""
        return model_name not in (BASELINE, self.request.model_name)


def row_of(prepared: Prepared, forecast: Forecast, request: Request, run: Run | None) -> PredictionRow:
    """The ledger row of a forecast."""
    series = prepared.series
    targets = [at.replace(tzinfo=UTC) for at in prepared.target_at.astype("datetime64[s]").tolist()]
    return PredictionRow(
        symbol=series.symbol,
        interval=series.interval,
        model_name=forecast.model_name,
        model_version=forecast.model_version,
        issued_at=series.issued_at,
        horizon=request.horizon,
        target_at=targets,
        last_close=series.last_close,
        scale=prepared.scale,
        p10=forecast.p10,
        p50=forecast.p50,
        p90=forecast.p90,
        fan=forecast.fan,
        seed=forecast.seed,
        n_paths=0 if forecast.paths is None else len(forecast.paths),
        lookback_start=prepared.lookback_start,
        lookback_end=prepared.lookback_end,
        data_hash=prepared.data_hash,
        event_context=prepared.event_context,
        synthetic=prepared.synthetic,
        replay=request.replay,
        paths=forecast.paths,
        run_id=None if run is None else run.run_id,
        feed=prepared.feed,
    )
