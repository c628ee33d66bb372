"""The main job, end to end, on one machine: bars, forecasts, a walk-forward, scores, and the page to look at.

Everything is real: an embedded Postgres, the inference server and the gateway as processes of their own, HTTP
between them. Only the bars may be made up, and then every line and every answer says so.
"""

import os
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sqlalchemy import Engine

from candlecast.clock import INTERVALS, Interval, utc_now
from candlecast.errors import CandlecastError
from candlecast.instruments import load_instruments
from candlecast.settings import JobSettings
from candlecast.store.bars import newest_bars, newest_close
from candlecast.store.engine import create_engine, database_url
from candlecast.store.instruments import read_instruments, upsert_instruments
from candlecast.store.migrate import upgrade
from jobs import ingest
from jobs.batch import run_batch
from jobs.closing import batch_line, evaluation_line, replay_line, score_line
from jobs.evaluation import run_evaluation
from jobs.replay import ReplayReport, replay
from jobs.score import run_score
from jobs.servers import ServerDidNotStart, started

BASELINE: Final = "baseline-rw"
# What the inference server calls the checkpoint that comes with it, and how to ask for none.
BUNDLED_WEIGHTS: Final = "nano"
NO_WEIGHTS: Final = "none"

# How far back the walk-forward goes, and which slots of that time it takes: enough for the longest step to mature
# on an exchange's calendar, an odd stride so that every hour of the day is met.
WALKS: Final[dict[Interval, tuple[timedelta, int]]] = {"1h": (timedelta(days=60), 17), "1d": (timedelta(days=400), 8)}
# A model takes seconds where the baseline takes milliseconds: fewer slots are walked, with fewer paths.
MODEL_STRIDE: Final = 30
MODEL_PATHS: Final = 30
# The rivals that a walk-forward issues: the others fit a model to every lookback, a tenth of a second each.
WALKED_RIVALS: Final = ("hourweek", "snaive")


@dataclass(frozen=True, slots=True)
class Options:
    """What the demo was asked for."""

    data: Path | None
    once: bool
    kronos_weights: str = BUNDLED_WEIGHTS
    synthetic: bool = False


def run_demo(settings: JobSettings, options: Options, console: Console) -> dict[str, Any]:
    """Run the main job, print the table, serve until interrupted (or end, with `once`); the closing facts."""
    began = time.monotonic()
    with ExitStack() as stack:
        plan = _choose_bars(options, console)
        home = settings.home if plan.source != "synthetic" else settings.home / "synthetic"
        settings = replace(settings, home=home)
        engine = _prepare_store(settings, console)
        stack.callback(engine.dispose)
        _import_bars(engine, plan, console)

        logs = home / "logs"
        server = _inference_server(stack, options, logs, console)
        model_name = _served_model(server, console)
        settings = replace(settings, inference_url=server, model_name=model_name)
        if model_name != BASELINE:
            settings = replace(settings, n_paths=min(settings.n_paths, MODEL_PATHS))

        moments = [_issue_and_score(engine, settings, interval, console) for interval in WALKS]
        with console.status("Evaluating…"):
            # As of the end of bars that end in the past, like the scores.
            as_of = None if None in moments else max(moment for moment in moments if moment is not None)
            evaluated = run_evaluation(engine, as_of=as_of, deadline_s=600)
        console.print(evaluation_line("evaluate", evaluated))

        gateway = stack.enter_context(
            started("gateway", "gateway", [], logs, {"CANDLECAST_HOME": str(home)}, ready="/readyz")
        )
        rows = _latest(gateway, engine)
        _print_table(rows, console)
        facts = {
            "source": plan.source,
            "model": model_name,
            "n_forecasts": len(rows),
            "seconds": round(time.monotonic() - began, 1),
            "gateway": gateway,
            "inference": server,
            "home": str(home),
        }
        _print_urls(gateway, server, plan, home, console)
        if not options.once:
            _wait(console)
    return facts


@dataclass(frozen=True, slots=True)
class _Bars:
    """Where the bars come from, and the sentence that says so."""

    source: str  # files, exchange, synthetic
    sentence: str
    folder: Path | None = None


def _choose_bars(options: Options, console: Console) -> _Bars:
    if options.data is not None:
        if not options.data.is_dir():
            raise CandlecastError(f"{options.data} is no folder; name one that holds ohlcv_1h/ and ohlcv_1d/")
        plan = _Bars("files", f"Bars: real ones, from {options.data}.", options.data)
    elif not options.synthetic and ingest.exchange_reachable():
        plan = _Bars("exchange", "Bars: real ones of the crypto instruments, fetched from a public exchange just now.")
    else:
        why = "as asked" if options.synthetic else "no DATA folder was named and no public exchange can be reached"
        plan = _Bars(
            "synthetic",
            f"Bars: SYNTHETIC, made by the built-in generator ({why}). They are not market prices, "
            "and no score below says anything about a market.",
        )
    console.print(f"[bold yellow]{plan.sentence}" if plan.source == "synthetic" else f"[bold]{plan.sentence}")
    return plan


def _prepare_store(settings: JobSettings, console: Console) -> Engine:
    with console.status("Starting Postgres and bringing it to the newest schema…"):
        owner = database_url(os.environ, settings.home, role="owner")
        upgrade(owner)
        owner_engine = create_engine(owner, application_name="candlecast-demo")
        with owner_engine.begin() as conn:
            upsert_instruments(conn, load_instruments(settings.instruments_file))
        owner_engine.dispose()
    where = "DATABASE_URL" if os.environ.get("DATABASE_URL") else f"embedded, in {settings.home}"
    console.print(f"Store: Postgres ({where}).")
    return create_engine(database_url(os.environ, settings.home, role="writer"), application_name="candlecast-demo")


def _import_bars(engine: Engine, plan: _Bars, console: Console) -> None:
    with _progress(console) as progress:
        task = progress.add_task("Importing bars", total=None)

        def show(done: int, total: int, what: str) -> None:
            progress.update(task, completed=done, total=total, description=f"Importing {what}")

        if plan.folder is not None:
            report = ingest.ingest_files(engine, plan.folder, progress=show)
        elif plan.source == "exchange":
            report = ingest.ingest_exchange(engine, "1h", n_bars=2000, progress=show)
            report += ingest.ingest_exchange(engine, "1d", n_bars=1000, progress=show)
        else:
            report = ingest.ingest_synthetic(engine, now=utc_now(), progress=show)
    console.print(str(report))


def _inference_server(stack: ExitStack, options: Options, logs: Path, console: Console) -> str:
    """Start it with the weights asked for; where they cannot be had, say so and go on with the baseline."""
    if options.kronos_weights != NO_WEIGHTS:
        weights = ["--kronos-weights", options.kronos_weights]
        try:
            return stack.enter_context(started("inference server", "inference_server", weights, logs))
        except ServerDidNotStart as error:
            console.print(f"[bold yellow]No Kronos: {error}")
    return stack.enter_context(started("inference server", "inference_server", [], logs))


def _served_model(server: str, console: Console) -> str:
    models = httpx.get(f"{server}/models", timeout=10).json()["models"]
    kronos = [model["name"] for model in models if model["name"] != BASELINE]
    if kronos:
        console.print(f"Model: {kronos[0]}, on the inference server at {server}; {BASELINE} beside it.")
        return str(kronos[0])
    console.print(
        f"Model: {BASELINE}, through the inference server at {server}; no Kronos weights are loaded (--kronos-weights "
        "takes nano, a FOLDER or a hub id), and random weights are never shown as a forecast."
    )
    return BASELINE


def _issue_and_score(engine: Engine, settings: JobSettings, interval: Interval, console: Console) -> datetime | None:
    """The moment as of which it scored, None for now."""
    job = f"kronos-batch-{interval}"
    with engine.connect() as conn:
        newest = newest_close(conn, interval)
    if newest is None:
        console.print(f"{interval}: no bars, nothing to forecast.")
        return None
    # Bars that end in the past are forecast as of then, as a replay; bars that reach the present as live.
    as_of = None if newest > utc_now() - 2 * INTERVALS[interval] else newest + INTERVALS[interval]
    symbols = _symbols_with_bars(engine, interval)

    with _progress(console) as progress:
        task = progress.add_task(f"Issuing {interval} forecasts", total=len(symbols))
        _, report, slot = run_batch(
            engine,
            settings,
            job,
            interval=interval,
            model_name=settings.model_name,
            as_of=as_of,
            symbols=symbols,
            on_item=lambda item: progress.advance(task) if item.model_name == settings.model_name else None,
        )
    console.print(batch_line(job, slot, report))

    back, every = WALKS[interval]
    if settings.model_name != BASELINE:
        every *= MODEL_STRIDE
    with _progress(console) as progress:
        task = progress.add_task(f"Walking forward over past {interval} slots", total=None)

        def show(done: int, total: int, _: ReplayReport) -> None:
            progress.update(task, completed=done, total=total)

        walked = replay(
            engine,
            replace(settings, baselines=tuple(name for name in settings.baselines if name in WALKED_RIVALS)),
            interval=interval,
            model_name=settings.model_name,
            start=slot - back,
            end=slot - INTERVALS[interval],
            every=every,
            symbols=symbols,
            on_slot=show,
        )
    console.print(replay_line(interval, walked))
    with console.status(f"Scoring {interval} forecasts…"):
        # Scored as of the bars' own end: what they cannot answer yet stays open instead of being given up.
        scored = run_score(engine, f"score-signals-{interval}", interval, as_of=as_of, deadline_s=600)
    console.print(score_line(f"score-signals-{interval}", scored))
    return as_of


def _symbols_with_bars(engine: Engine, interval: Interval) -> tuple[str, ...]:
    with engine.connect() as conn:
        there, instruments = newest_bars(conn, interval), read_instruments(conn)
    return tuple(one.symbol for one in instruments if one.forecast and one.enabled and one.symbol in there)


def _latest(gateway: str, engine: Engine) -> list[dict[str, Any]]:
    """The newest row of every instrument and interval, read as a visitor would read them."""
    rows: list[dict[str, Any]] = []
    with httpx.Client(base_url=gateway, timeout=10) as http:
        for interval in WALKS:
            for symbol in _symbols_with_bars(engine, interval):
                answer = http.get(f"/showcase/ml-prediction/{symbol}", params={"interval": interval})
                if answer.status_code == 200:
                    rows.append(answer.json())
    return rows


def _print_table(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="The newest forecasts, as the gateway serves them")
    for heading in ("instrument", "bars", "issued at (UTC)"):
        table.add_column(heading, no_wrap=True)
    for heading in ("last close", "next bar: p10", "p50", "p90", "last step: p10", "p50", "p90"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("model", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for row in rows:
        first = [_price(row[name][0]) for name in ("p10", "p50", "p90")]
        last = [_price(row[name][-1]) for name in ("p10", "p50", "p90")]
        issued = datetime.fromisoformat(row["issued_at"]).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            row["symbol"], row["interval"], issued, _price(row["last_close"]), *first, *last,
            row["model_name"], row["status"],
        )  # fmt: skip
    # A script reads the table through a pipe that has no width; never break a row there.
    Console(file=console.file, width=None if console.is_terminal else 200).print(table)


def _price(value: float) -> str:
    return f"{value:.5g}" if abs(value) < 1 else f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4f}"


def _print_urls(gateway: str, server: str, plan: _Bars, home: Path, console: Console) -> None:
    console.print(f"[bold]{plan.sentence}" if plan.source != "synthetic" else f"[bold yellow]{plan.sentence}")
    setting = "" if home == JobSettings().home else f"CANDLECAST_HOME={home} "
    command = Path(sys.executable).with_name("candlecast")
    if command.is_relative_to(Path.cwd()):
        command = command.relative_to(Path.cwd())
    for url, what in (
        (f"{gateway}/", "the page: every instrument with its newest forecast"),
        (f"{gateway}/instrument/BTCUSDT", "one forecast: its fan, and what happened to those before it"),
        (f"{gateway}/showcase/ml-prediction/BTCUSDT?interval=1h", "the same forecast for a program"),
        (f"{gateway}/evaluation", "how far to trust them"),
        (f"{gateway}/api", "the API"),
        (f"{server}/models", "the inference server's models"),
    ):
        console.print(f"  {url}  [dim]{what}", soft_wrap=True)
    console.print(f"  {setting}{command} verify  [dim]recomputes the ledger's hash chains", soft_wrap=True)


def _wait(console: Console) -> None:
    console.print("Serving until you press Ctrl-C.")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print()


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
