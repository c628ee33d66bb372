"""Readers who never stop asking notice nothing of a database that is stopped, frozen and started again."""

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from candlecast.store.embedded import EmbeddedPostgres, processes_in

FORECAST = "/showcase/ml-prediction/{}?interval=1h"
WARM = (
    FORECAST.format("BTCUSDT"),
    FORECAST.format("AAPL"),
    "/",
    "/showcase/instruments",
    "/showcase/models",
    "/showcase/performance",
    "/showcase/performance/verdicts",
)
COLD = "/showcase/performance?step={}"
N_READERS = 6
REST_S = 0.01  # of each reader between two requests: the machine has other things to do


class Readers(threading.Thread):
    """Readers of the warm addresses, until `done`; what they were answered and how long it took, in seconds."""

    def __init__(self, base_url: str) -> None:
        super().__init__()
        self._base_url = base_url
        self.done = threading.Event()
        self.statuses: Counter[int | str] = Counter()
        self.seconds: list[float] = []

    def run(self) -> None:
        asyncio.run(self._read())

    async def _read(self) -> None:
        async with httpx.AsyncClient(base_url=self._base_url, timeout=10.0) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(N_READERS)))

    async def _one(self, client: httpx.AsyncClient, number: int) -> None:
        while not self.done.is_set():
            number += 1
            started = time.perf_counter()
            try:
                status: int | str = (await client.get(WARM[number % len(WARM)])).status_code
            except httpx.HTTPError as error:
                status = type(error).__name__
            self.seconds.append(time.perf_counter() - started)
            self.statuses[status] += 1
            await asyncio.sleep(REST_S)


@contextlib.contextmanager
def gateway(server: EmbeddedPostgres, folder: Path, until: Any) -> Iterator[str]:
    """A gateway as a process of its own; its address."""
    port_file = folder / "port"
    settings = {"GATEWAY_POLL_S": "0.2", "GATEWAY_RATE": "1000000/minute", "LOG_LEVEL": "ERROR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--port", "0", "--port-file", str(port_file)],
        env={**os.environ, **settings, "DATABASE_URL": server.url(role="reader")},
    )
    try:
        until(port_file.exists, "the gateway starts")
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
    finally:
        process.terminate()
        assert process.wait(30) == 0


@contextlib.contextmanager
def stopped(server: EmbeddedPostgres) -> Iterator[None]:
    server.stop()
    yield
    server.ensure()


@contextlib.contextmanager
def frozen(server: EmbeddedPostgres) -> Iterator[None]:
    """All processes of a server stopped, those too that it began while the others were counted."""
    pids: set[int] = set()
    try:
        while begun := set(processes_in(server.home / "data")) - pids:
            for pid in begun:
                os.kill(pid, signal.SIGSTOP)
            pids |= begun
        assert pids
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def served(client: httpx.Client, address: str) -> bool:
    return client.get(address).status_code == 200


def test_a_database_that_is_stopped_frozen_and_started_again_costs_no_reader_an_answer(
    own_postgres: Any, own_market: Any, tmp_path: Path, until: Any
) -> None:
    own_market.issue(horizon=24)
    own_market.issue("AAPL", horizon=24)
    own_market.engine.dispose()

    with gateway(own_postgres, tmp_path, until) as base_url, httpx.Client(base_url=base_url) as client:
        readers = Readers(base_url)
        readers.start()
        try:
            for phase, disturbed in enumerate((stopped, frozen, stopped)):
                with disturbed(own_postgres):
                    until(lambda: client.get(WARM[0]).json()["stale"], "readers are told that it cannot be confirmed")
                    for step in range(10 * phase + 1, 10 * phase + 11):
                        cold = client.get(COLD.format(step))
                        assert cold.status_code == 503
                        assert int(cold.headers["retry-after"]) >= 1
                        assert cold.elapsed.total_seconds() < 0.25
                until(lambda: not client.get(WARM[0]).json()["stale"], "it is confirmed again")
                until(partial(served, client, COLD.format(10 * phase + 1)), "cold keys are loaded again")
        finally:
            readers.done.set()
            readers.join(30)

    assert set(readers.statuses) == {200}
    assert readers.statuses[200] > 1000
    assert statistics.quantiles(readers.seconds, n=100)[98] < 0.2
