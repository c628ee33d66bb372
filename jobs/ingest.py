"""Bring bars into the store: from files, from an exchange, or generated. The calendar comes along.

Every file or series is validated and stored on its own, so a bad row, a bad file or an unknown symbol never stops
the good ones beside it. A store holds real bars or generated ones, never both.
"""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pandas as pd
from sqlalchemy import Connection, Engine

from candlecast.bars import ImportReport, validate
from candlecast.clock import INTERVALS, utc_now
from candlecast.errors import CandlecastError
from candlecast.instruments import Instrument, load_instruments
from candlecast.store.bars import NewestBar, copy_bars, copy_many, newest_bars
from candlecast.store.calendar import upsert_entries
from candlecast.store.engine import DatabaseUnavailable
from candlecast.store.instruments import read_instruments, upsert_instruments
from jobs.ingest_report import Imported, IngestReport
from jobs.providers.exchange import BASE_URL, Exchange, ExchangeUnreachable, is_reachable, server_time

if TYPE_CHECKING:
    from jobs.providers.synthetic import SyntheticBars

__all__ = ["IngestReport", "exchange_reachable", "ingest_exchange", "ingest_files", "ingest_synthetic"]

Progress = Callable[[int, int, str], None]
CALENDAR_FILES: Final = ("economic_calendar.csv.gz", "economic_calendar.csv")
WORKERS: Final = 2  # one validates while the other waits for Postgres
SCHEDULE_AHEAD: Final = timedelta(days=100)  # generated releases are listed 60 days before their time
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OVERLAP: Final = 2  # bars asked for again, so that a correction of the newest ones is seen


class MixedBars(CandlecastError):
    """Generated and real bars were about to be put into one store."""

    def __init__(self, held: str, given: str, symbol: str) -> None:
        super().__init__(
            f"the store holds {held} bars (of {symbol}), and {given} ones never join them; "
            "use another data folder (CANDLECAST_HOME) or another database"
        )


def exchange_reachable(base_url: str = BASE_URL) -> bool:
    """Whether the exchange answers within a few seconds."""
    return is_reachable(base_url)


def ingest_files(
    engine: Engine, folder: Path, *, now: datetime | None = None, progress: Progress | None = None
) -> IngestReport:
    """Import the folder's bars, and its economic calendar if there is one; doing it again changes nothing.

    Files are archives: their bars count as known when they closed. Bars not closed by `now` are dropped.

    Raises
    ------
    BarsUnreadable : the folder holds no bars at all.
    MixedBars : the store holds generated bars.
    """
    from jobs.providers.files import BarFile, bar_files, read_bar_file

    started, by, done = time.monotonic(), now or utc_now(), 0
    files = bar_files(folder)
    instruments = _instruments(engine, synthetic=False)
    calendar = next((folder / name for name in CALENDAR_FILES if (folder / name).is_file()), None)
    total = len(files) + (calendar is not None)
    report = IngestReport(str(folder))

    def run(file: BarFile) -> Imported:
        name = f"{file.path.parent.name}/{file.path.name}"
        instrument = instruments.get(file.symbol)
        if instrument is None:
            why = f"{name}: {file.symbol} is not in the table of instruments; add it to the instruments file"
            return Imported(name, error=why)

        def read() -> tuple[pd.DataFrame, ImportReport]:
            frame, unreadable = read_bar_file(file.path)
            return validate(frame, instrument, file.interval, now=by, unreadable=unreadable)

        return _store(engine, name, read, source="files", first_seen="close")

    def run_calendar(path: Path) -> IngestReport:
        return _import_calendar(engine, path, report)

    items: dict[str, Imported] = {}
    with ThreadPoolExecutor(WORKERS) as pool:
        # The longest first, so that no worker is left with one at the end.
        queue: list[Future[Imported | IngestReport]] = [pool.submit(run_calendar, calendar)] if calendar else []
        queue += [pool.submit(run, file) for file in sorted(files, key=lambda file: -file.path.stat().st_size)]
        for future in as_completed(queue):
            done, result = done + 1, future.result()
            if isinstance(result, Imported):
                items[result.name] = result
            else:
                report = result
            if progress:
                progress(done, total, result.name if isinstance(result, Imported) else "economic calendar")
    in_order = tuple(items[f"{file.path.parent.name}/{file.path.name}"] for file in files)
    return replace(report, items=in_order, seconds=time.monotonic() - started)


def ingest_exchange(
    engine: Engine,
    interval: str,
    *,
    n_bars: int = 1000,
    base_url: str = BASE_URL,
    now: datetime | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Fetch the bars of the exchange's instruments that are missing since their newest stored one.

    The first time that is `n_bars`, counted as known when they closed; from then on a bar counts as known when it
    arrives. A series that fails is reported, the others go on.

    Raises
    ------
    ExchangeUnreachable : the exchange does not answer at all.
    MixedBars : the store holds generated bars.
    """
    started = time.monotonic()
    instruments = [one for one in _instruments(engine, synthetic=False).values() if one.enabled]
    wanted = [one for one in instruments if one.provider == "binance"]
    with engine.connect() as conn:
        newest = newest_bars(conn, interval)
    by = min(now or utc_now(), server_time(base_url))
    exchange = Exchange(base_url)

    items: list[Imported] = []
    frames: dict[str, pd.DataFrame] = {}
    for done, instrument in enumerate(wanted, 1):
        since = _since(newest.get(instrument.symbol), interval, n_bars, by)
        name = f"{instrument.symbol} {interval}"
        try:
            raw = exchange.closed_bars(instrument.provider_symbol, interval, since, by=by)
            frames[instrument.symbol], checked = validate(raw, instrument, interval, now=by)
            items.append(Imported(instrument.symbol, checked))
        except CandlecastError as error:
            items.append(Imported(instrument.symbol, error=str(error)))
            if isinstance(error, ExchangeUnreachable) and not frames:
                raise  # not one series came: the venue is away, asking nine more times would only take time
        if progress:
            progress(done, len(wanted), name)

    with engine.begin() as conn:
        first = {symbol: frame for symbol, frame in frames.items() if symbol not in newest}
        later = {symbol: frame for symbol, frame in frames.items() if symbol in newest}
        counts = copy_many(conn, interval, first, source="binance", first_seen="close")
        counts |= copy_many(conn, interval, later, source="binance", first_seen="now")
    stored = tuple(replace(item, counts=counts[item.name]) if item.name in counts else item for item in items)
    return IngestReport(base_url, stored, seconds=time.monotonic() - started)


def ingest_synthetic(
    engine: Engine,
    *,
    now: datetime | None = None,
    seed: int = 0,
    n_hours: int = 2000,
    n_days: int = 1000,
    progress: Progress | None = None,
) -> IngestReport:
    """Generate bars and a calendar up to `now`, marked `synthetic` for good; a later call continues the series.

    Raises
    ------
    MixedBars : the store holds real bars.
    """
    from jobs.providers.calendar_synthetic import synthetic_calendar
    from jobs.providers.synthetic import ANCHOR, SHARES, SOURCE, synthetic_bars

    started, by = time.monotonic(), now or utc_now()
    instruments = [one for one in _instruments(engine, synthetic=True).values() if one.enabled]
    series = [one for one in instruments if one.forecast or one.leader]
    items: list[Imported] = []

    for done, bars in enumerate(synthetic_bars(series, now=by, seed=seed, n_hours=n_hours, n_days=n_days), 1):
        name = f"{bars.instrument.symbol} {bars.interval}"

        def read(bars: "SyntheticBars" = bars) -> tuple[pd.DataFrame, ImportReport]:
            return validate(bars.frame, bars.instrument, bars.interval, now=by)

        items.append(_store(engine, name, read, source=SOURCE, first_seen="close"))
        if progress:
            progress(done, 2 * len(series) + 1, name)
    entries = synthetic_calendar(ANCHOR, by + SCHEDULE_AHEAD, now=by, seed=seed, earnings=SHARES)
    with engine.begin() as conn:
        calendar = upsert_entries(conn, entries)
    if progress:
        progress(2 * len(series) + 1, 2 * len(series) + 1, "economic calendar")
    source = "the built-in generator (synthetic, not market prices)"
    return IngestReport(source, tuple(items), calendar=calendar, seconds=time.monotonic() - started)


def _store(
    engine: Engine,
    name: str,
    read: Callable[[], tuple[pd.DataFrame, ImportReport]],
    *,
    source: str,
    first_seen: Literal["close", "now"],
) -> Imported:
    """One series in a transaction of its own; whatever it does wrong stays with it."""
    try:
        frame, report = read()
        with engine.begin() as conn:
            counts = copy_bars(conn, report.symbol, report.interval, frame, source=source, first_seen=first_seen)
        return Imported(name, report, counts)
    except DatabaseUnavailable:
        raise  # the same for every series
    except CandlecastError as error:
        return Imported(name, error=f"{name}: {error}")
    except Exception as error:  # a file can be wrong in ways that no list of errors foresees
        return Imported(name, error=f"{name}: {type(error).__name__}: {error}")


def _import_calendar(engine: Engine, path: Path, report: IngestReport) -> IngestReport:
    from jobs.providers.calendar_files import read_calendar_file

    try:
        vintages, said = read_calendar_file(path)
        with engine.begin() as conn:
            return replace(report, calendar=upsert_entries(conn, vintages), calendar_note=str(said))
    except DatabaseUnavailable:
        raise
    except CandlecastError as error:
        return replace(report, calendar_error=str(error))


def _instruments(engine: Engine, *, synthetic: bool) -> dict[str, Instrument]:
    """The table's instruments, loaded from the shipped file if there are none; refuses to mix kinds of bars."""
    with engine.begin() as conn:
        instruments = read_instruments(conn)
        if not instruments:
            upsert_instruments(conn, load_instruments())
            instruments = read_instruments(conn)
        for symbol, newest in _stored(conn):
            if newest.synthetic != synthetic:
                kinds = ("generated", "real") if newest.synthetic else ("real", "generated")
                raise MixedBars(*kinds, symbol)
    return {instrument.symbol: instrument for instrument in instruments}


def _stored(conn: Connection) -> Iterable[tuple[str, NewestBar]]:
    for interval in INTERVALS:
        yield from newest_bars(conn, interval).items()


def _since(newest: NewestBar | None, interval: str, n_bars: int, by: datetime) -> datetime:
    length = INTERVALS[interval]
    if newest is not None:
        return newest.opened_at - (OVERLAP - 1) * length
    last_close = by - (by - EPOCH) % length
    return last_close - n_bars * length
