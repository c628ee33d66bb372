"""The ledger as a download: made beside everything else, a few at a time, and given up when nobody waits for it.

JSON lines are sent as they are made. A Parquet file says at its end where everything is, so it is made in a temporary
folder first; its length and its digest can then be told before it is sent. Both are made in a thread with a connection
of their own, so that neither cached answers nor the queries of other readers wait for them.
"""

import asyncio
import base64
import contextlib
import hashlib
import logging
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from candlecast.errors import CandlecastError
from candlecast.store.engine import create_engine
from candlecast.store.export import export_ledger, exported_lines, pieces
from gateway import problems
from gateway.answers import Header
from gateway.front import HEAD_ONLY

logger = logging.getLogger(__name__)

T = TypeVar("T")
Format = Literal["jsonl", "parquet"]

AT_ONCE: Final = 2
RETRY_S: Final = 30
STALLED_S: Final = 60.0  # a client that takes nothing for so long is given up
STATEMENT_LIMIT: Final = "SET LOCAL statement_timeout = '60s'"  # a hundred rows, or the list of chains
FILE_LIMIT: Final = "SET LOCAL statement_timeout = '30min'"  # one chain
ROW_BYTES: Final = 16_000  # of a Parquet file, about, for a horizon of 120
CHUNK: Final = 256 * 1024
MEDIA: Final[dict[Format, str]] = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True, slots=True)
class ExportQuestion:
    """What to export: the chains of a model or an interval, and of them what was recorded from `since` on and before
    `until`, in one piece each; None is no limit."""

    model_name: str | None
    interval: str | None
    since: datetime | None
    until: datetime | None
    format: Format

    @property
    def limits(self) -> dict[str, Any]:
        """As candlecast.store.export names them."""
        return {"model_name": self.model_name, "interval": self.interval, "start": self.since, "stop": self.until}


class GivenUp(Exception):
    """Whoever asked for the export is gone."""


class Exports:
    """Makes exports of the database at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._n_running = 0

    @property
    def n_running(self) -> int:
        """Exports that are under way."""
        return self._n_running

    def check(self, question: ExportQuestion) -> None:
        """Nothing, when the export could be begun now.

        Raises
        ------
        Problem : 501 without what writes Parquet; 429 while as many as allowed are under way.
        """
        if question.format == "parquet" and find_spec("pyarrow") is None:
            raise problems.Problem(
                "not_installed",
                "Parquet is not installed on this server; ask for format=jsonl, which holds the same rows, or have "
                "pyarrow installed beside the gateway.",
            )
        if self._n_running >= AT_ONCE:
            raise problems.Problem(
                "too_many_requests",
                f"{AT_ONCE} exports are under way already, and each is heavy; ask again in {RETRY_S} s.",
                headers={"retry-after": str(RETRY_S)},
            )

    @asynccontextmanager
    async def begun(self, question: ExportQuestion) -> AsyncIterator[tuple[list[Header], Iterator[bytes], "Worker"]]:
        """Headers and chunks of an export; the chunks are to be taken in the worker, where they are also closed.

        Raises
        ------
        Problem : see `check`; 507 without room for a Parquet file; 503 when the database cannot be read.
        """
        self.check(question)
        self._n_running += 1
        worker = Worker()
        try:
            opened = self._parquet(question, worker) if question.format == "parquet" else self._lines(question, worker)
            try:
                yield await self._headers(opened, worker), opened, worker
            finally:
                worker.give_up()
                await asyncio.shield(worker.run(opened.close))
        finally:
            worker.close()
            self._n_running -= 1

    async def _headers(self, opened: Iterator[Any], worker: "Worker") -> list[Header]:
        """The first thing that an export gives, once what can fail before it is sent has not failed."""
        try:
            headers: list[Header] = await worker.run(lambda: next(opened))
        except (CandlecastError, SQLAlchemyError, psycopg.Error) as error:
            logger.warning("an export could not be begun: %s", type(error).__name__)
            raise problems.not_ready("the ledger cannot be read for an export", RETRY_S) from error
        return headers

    def _lines(self, question: ExportQuestion, worker: "Worker") -> Generator[Any, None, None]:
        """The headers, then the lines."""
        with connected(self._url) as conn:
            with conn.begin():
                conn.exec_driver_sql(STATEMENT_LIMIT)
                chains = pieces(conn, **question.limits)
            yield headers_of(question, sum(chain.last_seq - chain.first_seq + 1 for chain in chains), len(chains))
            for lines in exported_lines(conn, chains, statement_limit=STATEMENT_LIMIT):
                worker.check()
                for start in range(0, len(lines), CHUNK):
                    yield lines[start : start + CHUNK]

    def _parquet(self, question: ExportQuestion, worker: "Worker") -> Generator[Any, None, None]:
        """The headers, then the bytes of the file."""
        with tempfile.TemporaryDirectory(prefix="candlecast-export-") as folder:
            path = Path(folder) / "ledger.parquet"
            with connected(self._url) as conn:
                conn.exec_driver_sql(STATEMENT_LIMIT)
                chains = pieces(conn, **question.limits)
                n_rows = sum(chain.last_seq - chain.first_seq + 1 for chain in chains)
                check_room(Path(folder), n_rows)
                report = export_ledger(
                    conn,
                    path,
                    **question.limits,
                    progress=lambda _: worker.check(),
                    statement_limit=FILE_LIMIT,
                )
            with path.open("rb") as file:
                digest = base64.b64encode(hashlib.file_digest(file, "sha256").digest())
                headers = headers_of(question, report.n_rows, report.n_chains)
                headers += [(b"content-length", b"%d" % report.n_bytes), (b"repr-digest", b"sha-256=:%s:" % digest)]
                yield headers
                file.seek(0)
                while chunk := file.read(CHUNK):
                    worker.check()
                    yield chunk


class Worker:
    """One thread that does the steps of an export, one after the other."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="export")
        self._given_up = threading.Event()

    async def run(self, step: Callable[[], T]) -> T:
        """What a step gives."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    def give_up(self) -> None:
        """Let a step that runs end at its next check."""
        self._given_up.set()

    def check(self) -> None:
        """In the thread: raises GivenUp once nobody waits any more."""
        if self._given_up.is_set():
            raise GivenUp

    def close(self) -> None:
        """End the thread when its steps are done."""
        self._thread.shutdown(wait=False)


class Download(Response):
    """An export as a response; it ends when its client leaves, or takes nothing for a minute."""

    def __init__(self, exports: Exports, question: ExportQuestion) -> None:
        super().__init__()
        self._exports, self._question = exports, question

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, or raise the Problem that keeps it from beginning."""
        sending = asyncio.create_task(self._send(send, head=HEAD_ONLY in scope))
        leaving = asyncio.create_task(left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not sending.done():
                sending.cancel()
        with contextlib.suppress(asyncio.CancelledError, GivenUp):
            await sending

    async def _send(self, send: Send, *, head: bool) -> None:
        async with self._exports.begun(self._question) as (headers, chunks, worker):
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            while not head and (chunk := await worker.run(lambda: next(chunks, b""))):
                async with asyncio.timeout(STALLED_S):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def left(receive: Receive) -> None:
    """Return when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection that nobody else uses, closed afterwards."""
    engine = create_engine(url, application_name="candlecast-gateway-export", pool_size=1, max_overflow=0)
    try:
        with engine.connect() as conn:
            yield conn
    finally:
        engine.dispose()


def headers_of(question: ExportQuestion, n_rows: int, n_chains: int) -> list[Header]:
    """The headers that both formats have."""
    name = "-".join(filter(None, ("ledger", question.model_name, question.interval)))
    return [
        (b"content-type", MEDIA[question.format].encode()),
        (b"content-disposition", f'attachment; filename="{name}.{question.format}"'.encode()),
        (b"cache-control", b"private, no-store"),
        (b"x-ledger-rows", b"%d" % n_rows),
        (b"x-ledger-chains", b"%d" % n_chains),
    ]


def check_room(folder: Path, n_rows: int) -> None:
    """Nothing, where the file would take at most half of what is free.

    Raises
    ------
    Problem : 507.
    """
    free = shutil.disk_usage(folder).free
    if n_rows * ROW_BYTES > free / 2:
        raise problems.Problem(
            "no_room",
            f"A Parquet file of {n_rows} forecasts would take about {n_rows * ROW_BYTES / 1e9:.1f} GB, and this server "
            f"has {free / 1e9:.1f} GB free; ask for format=jsonl, or for one model, interval or span of time.",
        )
