"""The jobs' commands of the `candlecast` command line."""

import logging
import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from candlecast.cli import Json, finish
from candlecast.clock import INTERVALS, Interval, next_slot, utc_now
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings

if TYPE_CHECKING:  # a command that needs no database does not pay for the import
    from sqlalchemy import Engine

Moment = Annotated[str | None, typer.Option(help="A moment in UTC, as 2025-06-01 or 2025-06-01T12:55Z.")]
Symbols = Annotated[str | None, typer.Option(help="Only these, separated by commas.")]
IntervalName = Annotated[str, typer.Option("--interval", help="1h or 1d.")]


class BadOption(CandlecastError):
    """An option holds something that cannot be used."""

    exit_code = 64


def register(app: typer.Typer) -> None:
    """Add the jobs' commands to the command line."""
    ingest = typer.Typer(help="Bring bars and calendar entries into the store.", no_args_is_help=True)
    app.add_typer(ingest, name="ingest")
    ingest.command("files")(ingest_folder)
    ingest.command("exchange")(ingest_venue)
    for name, command in (
        ("demo", demo), ("predict", predict), ("score", score), ("replay", replay), ("schedule", schedule),
        ("report", report), ("evaluate", evaluate),
    ):  # fmt: skip
        app.command(name)(command)


def demo(
    data: Annotated[Path | None, typer.Option(help="A folder with ohlcv_1h/ and ohlcv_1d/.")] = None,
    once: Annotated[bool, typer.Option("--once", help="End after the table instead of serving.")] = False,
    kronos_weights: Annotated[
        str, typer.Option(help="nano (bundled), none, a folder with tokenizer/ and model/, or a hub id.")
    ] = "nano",
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Use the generator even if a network is there.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the main job end to end on this machine, and serve what came of it."""
    from jobs.demo import Options, run_demo

    console = Console(stderr=as_json, highlight=False)
    facts = run_demo(_settings(), Options(data, once, kronos_weights, synthetic), console)
    finish(
        f"{facts['n_forecasts']} forecasts served after {facts['seconds']} s; "
        + (
            "the servers are stopped: `make demo` without ONCE=1, or `candlecast demo` without --once, keeps them."
            if once
            else "stopped."
        ),
        as_json,
        **facts,
    )


def ingest_folder(
    folder: Annotated[Path, typer.Argument(help="Holds ohlcv_1h/, ohlcv_1d/ and economic_calendar.csv.gz.")],
    as_json: Json = False,
) -> None:
    """Import bars and calendar entries from a folder of csv.gz or parquet files; a second import changes nothing."""
    from jobs.access import writer_engine
    from jobs.ingest import ingest_files

    if not folder.is_dir():
        raise BadOption(f"{folder} is no folder; name one that holds ohlcv_1h/ and ohlcv_1d/")
    report = ingest_files(writer_engine(_settings()), folder)
    if not as_json:
        for line in report.lines():
            print(line)
    finish(str(report), as_json, **report.facts())
    if report.errors:
        raise typer.Exit(1)


def ingest_venue(interval: IntervalName = "1h", as_json: Json = False) -> None:
    """Fetch the newest bars of the crypto instruments from a public exchange."""
    from jobs.access import writer_engine
    from jobs.ingest import ingest_exchange

    report = ingest_exchange(writer_engine(_settings()), _interval(interval))
    finish(str(report), as_json, **report.facts())
    if report.errors:
        raise typer.Exit(1)


def predict(
    interval: IntervalName = "1h",
    model: Annotated[str | None, typer.Option(help="A model of the inference server; default MODEL_NAME.")] = None,
    as_of: Moment = None,
    symbols: Symbols = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compute everything, write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Issue the forecasts of the newest slot; with --as-of a past one, stored as a replay."""
    from jobs.access import writer_engine
    from jobs.batch import run_batch
    from jobs.closing import batch_line

    settings = _settings()
    run, report, slot = run_batch(
        writer_engine(settings),
        settings,
        f"kronos-batch-{_interval(interval)}",
        interval=_interval(interval),
        model_name=model or settings.model_name,
        as_of=_moment("--as-of", as_of),
        symbols=_symbols(symbols),
        dry_run=dry_run,
    )
    finish(batch_line("predict" if run is None else run.job, slot, report), as_json, slot=slot, **report.facts())
    if run is not None and run.exit_code:
        raise typer.Exit(run.exit_code)


def score(
    interval: IntervalName = "1h",
    as_of: Moment = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; make every stored score anew and compare.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Score every step that the market has answered, and refresh the view."""
    from jobs.access import writer_engine
    from jobs.closing import score_line
    from jobs.score import run_score

    settings = _settings()
    if check:
        _check_scores(writer_engine(settings), _interval(interval), as_json)
        return
    job = f"score-signals-{_interval(interval)}"
    report = run_score(
        writer_engine(settings),
        job,
        _interval(interval),
        as_of=_moment("--as-of", as_of),
        deadline_s=settings.deadline_s,
    )
    finish(score_line(job, report), as_json, **report.facts())


def _check_scores(engine: "Engine", interval: Interval, as_json: bool) -> None:
    from candlecast.store.checks import Check, note_check
    from jobs.score_check import check, check_line

    started = time.monotonic()
    report = check(engine, interval)
    counts = {name: value for name, value in report.facts().items() if name != "differences"}
    name: Check = "score-check-1h" if interval == "1h" else "score-check-1d"
    note_check(engine, name, holds=report.holds, seconds=time.monotonic() - started, details=counts)
    finish(check_line(interval, report), as_json, holds=report.holds, **report.facts())
    if not report.holds:
        raise typer.Exit(1)


def report(
    as_of: Moment = None,
    out: Annotated[Path | None, typer.Option(help="A folder; default CANDLECAST_HOME/reports.")] = None,
    as_json: Json = False,
) -> None:
    """Write the report of a moment: JSON, text and pictures of every number that the record gives, with its error."""
    from jobs.access import writer_engine
    from jobs.closing import report_line
    from jobs.report.build import write_report

    settings = _settings()
    folder = out or settings.home / "reports"
    written = write_report(writer_engine(settings), folder, _moment("--as-of", as_of) or utc_now())
    finish(report_line("report", written), as_json, **asdict(written))


def evaluate(as_of: Moment = None, as_json: Json = False) -> None:
    """Make the numbers of the evaluation page, of the days that were over at a moment; they replace those before."""
    from jobs.access import writer_engine
    from jobs.closing import evaluation_line
    from jobs.evaluation import run_evaluation

    settings = _settings()
    found = run_evaluation(writer_engine(settings), as_of=_moment("--as-of", as_of), deadline_s=settings.deadline_s)
    finish(evaluation_line("evaluate", found), as_json, **found.facts())


def replay(
    start: Annotated[str, typer.Option("--from", help="The first moment, in UTC.")],
    end: Annotated[str | None, typer.Option("--to", help="The last moment; default now.")] = None,
    interval: IntervalName = "1h",
    every: Annotated[int, typer.Option(help="Take each N-th slot.", min=1)] = 1,
    model: Annotated[str | None, typer.Option(help="A model of the inference server; default MODEL_NAME.")] = None,
    symbols: Symbols = None,
    as_json: Json = False,
) -> None:
    """Walk forward over past slots: forecasts as of then, stored and scored apart from the live record."""
    from jobs.access import writer_engine
    from jobs.closing import replay_line
    from jobs.replay import replay as walk

    settings = _settings()
    first, last = _moment("--from", start), _moment("--to", end) or utc_now()
    if first is None:
        raise BadOption("--from is empty; name the first moment to replay, such as 2025-06-01")
    report = walk(
        writer_engine(settings),
        settings,
        interval=_interval(interval),
        model_name=model or settings.model_name,
        start=first,
        end=last,
        every=every,
        symbols=_symbols(symbols),
    )
    finish(replay_line(interval, report), as_json, **report.facts())


def schedule(
    list_only: Annotated[bool, typer.Option("--list", help="Print the schedules and end.")] = False,
    as_json: Json = False,
) -> None:
    """Run every cron job on this machine until it is stopped."""
    from candlecast.clock import SCHEDULES
    from jobs.schedule import build_scheduler

    settings = _settings()
    now = utc_now()
    due = {name: next_slot(cron, now) for name, cron in SCHEDULES.items()}
    if not as_json:
        for name, cron in SCHEDULES.items():
            print(f"{name:<26}{cron:<14}next {due[name]:%Y-%m-%dT%H:%MZ}")
    if list_only:
        finish(f"{len(due)} schedules, in UTC.", as_json, schedules=SCHEDULES, next=due)
        return
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        build_scheduler().start()
    except (KeyboardInterrupt, SystemExit):
        finish("The scheduler is stopped.", as_json, stopped=True)


def _settings() -> JobSettings:
    return JobSettings.from_env(os.environ)


def _interval(text: str) -> Interval:
    if text not in INTERVALS:
        raise BadOption(f"--interval is {text!r}; it has to be one of {', '.join(INTERVALS)}")
    return text  # type: ignore[return-value]


def _moment(option: str, text: str | None) -> datetime | None:
    """The instant that `text` names; UTC where it names no zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption(f"{option} is {text!r}; write a moment such as 2025-06-01 or 2025-06-01T12:55Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _symbols(text: str | None) -> tuple[str, ...] | None:
    return tuple(part.strip().upper() for part in text.split(",") if part.strip()) if text else None
