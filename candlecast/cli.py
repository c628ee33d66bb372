"""The command line: `candlecast …`.

The core's own commands are here; a deployable that is installed adds its own through the entry point group
`candlecast.commands`, so that the core never imports a deployable. Every command ends with one line that
says what it did (`--json` for programs), and fails with one sentence that says what to do.
"""

import json
import os
import sys
from datetime import UTC, datetime
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from candlecast import cli_keys
from candlecast.commands import BadOption as BadOption
from candlecast.commands import Json as Json
from candlecast.commands import finish as finish
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings

app = typer.Typer(
    name="candlecast",
    help="Probabilistic candlestick forecasts: computed ahead, served in milliseconds, scored in public.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
db = typer.Typer(help="The database: migrations, and the embedded server.", no_args_is_help=True)
serve = typer.Typer(help="Start a server.", no_args_is_help=True)
app.add_typer(db, name="db")
app.add_typer(serve, name="serve")
app.add_typer(cli_keys.app, name="keys")

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


class NotInstalled(CandlecastError):
    """A command needs a deployable that is not installed."""

    def __init__(self, command: str, extra: str) -> None:
        super().__init__(f"`candlecast {command}` needs candlecast[{extra}]; run `pip install 'candlecast[{extra}]'`")


class NoSuchChain(CandlecastError):
    """Chains were named that the ledger does not have; nothing was verified, and that must not look like success."""

    exit_code = 64

    def __init__(self, asked: str) -> None:
        super().__init__(f"the ledger has no chain {asked}; run `candlecast verify --json` to see those it has")


@db.command("upgrade")
def db_upgrade(as_json: Json = False) -> None:
    """Bring the database to the newest schema, and load the instruments into it."""
    from candlecast.instruments import load_instruments
    from candlecast.store.engine import create_engine, database_url
    from candlecast.store.instruments import upsert_instruments
    from candlecast.store.migrate import current, upgrade

    settings = JobSettings.from_env(os.environ)
    url = database_url(os.environ, settings.home, role="owner")
    engine = create_engine(url, application_name="candlecast-db")
    with engine.connect() as conn:
        before = current(conn)
    upgrade(url)
    instruments = load_instruments(settings.instruments_file)
    with engine.begin() as conn:
        upsert_instruments(conn, instruments)
        after = current(conn)
    engine.dispose()
    moved = "was already" if before == after else "is now"
    finish(
        f"The database {moved} at revision {after}, with {len(instruments)} instruments.",
        as_json,
        before=before,
        after=after,
        n_instruments=len(instruments),
    )


@db.command("stop")
def db_stop(as_json: Json = False) -> None:
    """Stop the embedded Postgres of this folder; its data stay."""
    from candlecast.store.embedded import EmbeddedPostgres

    home = JobSettings.from_env(os.environ).home
    stopped = False
    if (home / "postgres").exists():
        EmbeddedPostgres(home / "postgres").stop()
        stopped = True
    finish(
        f"The embedded Postgres in {home} is stopped." if stopped else f"There is no embedded Postgres in {home}.",
        as_json,
        home=home,
        stopped=stopped,
    )


@app.command()
def verify(
    model: Annotated[str | None, typer.Option(help="Only this model's chains.")] = None,
    interval: Annotated[str | None, typer.Option(help="Only this interval's chains: 1h or 1d.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Check this exported file instead; needs no database.")] = None,
    proof: Annotated[Path | None, typer.Option(help="Check this proof of one forecast; needs no database.")] = None,
    root: Annotated[list[Path] | None, typer.Option(help="A published seal of a day; may be given often.")] = None,
    as_json: Json = False,
) -> None:
    """Recompute the hash chains of the ledger: was a forecast edited, removed, inserted or moved?"""
    if ledger is not None or proof is not None or root:
        from candlecast.outsider import verify_files

        if model or interval:
            raise BadOption("--model and --interval pick chains of the database; leave them out with files")
        sentence, facts, wrong = verify_files(ledger, proof, root or [])
        if not as_json:
            for line in facts["wrong"] + [f"not checked: {one}" for one in facts.get("open", [])]:
                print(line)
        finish(sentence, as_json, **facts)
        if wrong:
            raise typer.Exit(1)
        return
    from candlecast.store.checks import note_check
    from candlecast.store.engine import create_engine, database_url
    from candlecast.store.ledger import verify as verify_ledger

    settings = JobSettings.from_env(os.environ)
    engine = create_engine(database_url(os.environ, settings.home, role="reader"), application_name="candlecast-verify")
    with engine.connect() as conn:
        report = verify_ledger(conn, model_name=model, interval=interval)
    if report.n_chains == 0 and (model or interval):
        asked = " ".join(filter(None, (model, interval)))
        raise NoSuchChain(asked)
    if not (model or interval):
        writer = create_engine(
            database_url(os.environ, settings.home, role="writer"), application_name="candlecast-verify"
        )
        counts = {"n_rows": report.n_rows, "n_chains": report.n_chains, "n_breaks": len(report.breaks)}
        note_check(writer, "verify-ledger", holds=report.ok, seconds=report.seconds, details=counts)
    if not as_json:
        for broken in report.breaks:
            print(broken)
    counted = (
        f"{report.n_rows} forecasts in {report.n_chains} chains, {report.n_paths} path sets, {report.seconds:.1f} s"
    )
    finish(
        f"The ledger is whole: {counted}."
        if report.ok
        else f"The ledger is BROKEN in {len(report.breaks)} of {report.n_chains} chains ({counted}); keep the database "
        "as it is and compare the rows named above with a backup.",
        as_json,
        ok=report.ok,
        n_rows=report.n_rows,
        n_chains=report.n_chains,
        n_paths=report.n_paths,
        n_paths_absent=report.n_paths_absent,
        seconds=report.seconds,
        breaks=[str(broken) for broken in report.breaks],
        heads={f"{model} {bars}": digest for (model, bars), (_, digest) in report.heads.items()},
    )
    if not report.ok:
        raise typer.Exit(1)


@app.command("export")
def export_ledger(
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    model: Annotated[str | None, typer.Option(help="Only this model's chains.")] = None,
    interval: Annotated[str | None, typer.Option(help="Only this interval's chains: 1h or 1d.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="Only what was recorded from then on, UTC.")] = None,
    stop: Annotated[str | None, typer.Option("--to", help="Only what was recorded before, UTC.")] = None,
    as_json: Json = False,
) -> None:
    """Write the ledger to a Parquet file that anybody can check with `candlecast verify --ledger`."""
    from candlecast.store.engine import create_engine, database_url
    from candlecast.store.export import export_ledger as export

    _need("pyarrow", "export", "jobs")
    settings = JobSettings.from_env(os.environ)
    first, last = _moment("--from", start), _moment("--to", stop)
    engine = create_engine(database_url(os.environ, settings.home, role="reader"), application_name="candlecast-export")
    with engine.connect() as conn:
        report = export(conn, out, model_name=model, interval=interval, start=first, stop=last)
    finish(
        f"{report.path} holds {report.n_rows} forecasts of {report.n_chains} chains ({report.n_bytes / 1e6:.1f} MB).",
        as_json,
        path=report.path,
        n_rows=report.n_rows,
        n_chains=report.n_chains,
        n_bytes=report.n_bytes,
    )


@app.command()
def seal(
    day: Annotated[str | None, typer.Option(help="Only this day, as 2025-06-01; default: all up to yesterday.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the seals; default CANDLECAST_HOME/seals.")] = None,
    as_json: Json = False,
) -> None:
    """Seal the days that are over: a hash over every forecast of the day, in a file to be published."""
    from candlecast.store.engine import create_engine, database_url
    from candlecast.store.sealing import seal_day, seal_until_yesterday

    settings = JobSettings.from_env(os.environ)
    moment = _moment("--day", day)
    folder = out or settings.home / "seals"
    engine = create_engine(database_url(os.environ, settings.home, role="reader"), application_name="candlecast-seal")
    done = seal_until_yesterday(engine, folder) if moment is None else [seal_day(engine, folder, moment.date())]
    finish(
        "\n".join(str(one) for one in done),
        as_json,
        seals=[
            {
                "day": one.seal.day,
                "path": one.path,
                "n_rows": one.seal.n_rows,
                "root": one.seal.root.hex(),
                "file_hash": one.file_hash,
                "is_new": one.is_new,
            }
            for one in done
        ],
    )


@app.command()
def proof(
    prediction_id: Annotated[str, typer.Argument(help="The id of a forecast.")],
    out: Annotated[Path, typer.Option(help="The JSON file to write.")],
    as_json: Json = False,
) -> None:
    """Write the proof that one forecast was among those of its day, for `candlecast verify --proof`."""
    from candlecast.store.engine import create_engine, database_url
    from candlecast.store.sealing import prove

    try:
        asked = UUID(prediction_id)
    except ValueError as error:
        raise BadOption(f"{prediction_id!r} is no id of a forecast; it has to be a UUID") from error
    settings = JobSettings.from_env(os.environ)
    engine = create_engine(database_url(os.environ, settings.home, role="reader"), application_name="candlecast-proof")
    with engine.connect() as conn:
        made = prove(conn, asked)
    out.write_bytes(made.to_bytes())
    finish(
        f"{out} proves {made}; check it with `candlecast verify --proof {out} --root {made.day}.json`.",
        as_json,
        path=out,
        day=made.day,
        index=made.index,
        n_rows=made.n_rows,
    )


@app.command()
def doctor(as_json: Json = False) -> None:
    """Look at everything a run needs, and say of each what to do if it is missing."""
    from candlecast.doctor import examine

    findings = examine(JobSettings.from_env(os.environ), os.environ)
    if not as_json:
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}: {finding.sentence}")
    n_bad = sum(not finding.ok for finding in findings)
    finish(
        "Everything is in place." if n_bad == 0 else f"{n_bad} of {len(findings)} checks need attention.",
        as_json,
        findings=[{"what": one.what, "ok": one.ok, "sentence": one.sentence} for one in findings],
    )
    if n_bad:
        raise typer.Exit(1)


@serve.command("gateway", context_settings=PASS_ON)
def serve_gateway(context: typer.Context) -> None:
    """The read API and its page; `candlecast serve gateway --help` lists its options."""
    _become("gateway", "gateway", context.args)


@serve.command("inference", context_settings=PASS_ON)
def serve_inference(context: typer.Context) -> None:
    """The inference server; `candlecast serve inference --help` lists its options."""
    _become("inference_server", "inference", context.args)


def _need(package: str, command: str, extra: str) -> None:
    if find_spec(package) is None:
        raise NotInstalled(command, extra)


def _moment(option: str, text: str | None) -> datetime | None:
    """The instant that `text` names; UTC where it names no zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadOption(f"{option} is {text!r}; write a moment such as 2025-06-01 or 2025-06-01T12:55Z") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _become(package: str, extra: str, arguments: list[str]) -> None:
    """Replace this process by the deployable's own, so that signals reach it and nothing is imported twice."""
    if find_spec(package) is None:
        raise NotInstalled(f"serve {extra}", extra)
    os.execv(sys.executable, [sys.executable, "-m", package, *arguments])  # noqa: S606


def _load_commands() -> None:
    """Let every installed deployable add its commands; one whose extra is missing says so when it is called."""
    for point in entry_points(group="candlecast.commands"):
        try:
            point.load()(app)
        except ModuleNotFoundError as error:
            missing, extra = error.name, point.name

            @app.command(extra, help=f"(needs candlecast[{extra}]: {missing} is not installed)")
            def unavailable(extra: str = extra) -> None:
                raise NotInstalled(extra, extra)


def main() -> None:
    """The entry point of the `candlecast` command."""
    _load_commands()
    try:
        app()
    except CandlecastError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": str(error), "exit_code": error.exit_code}))
        print(f"candlecast: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
