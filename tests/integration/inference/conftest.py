"""A real server on a free port, a model that waits to be told, and a far side that misbehaves as told."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

from candlecast.baselines import RandomWalk
from candlecast.forecasts import LEVELS, Forecast, Forecaster, ModelInfo, Result, Series, never
from candlecast.wire import PredictRequest, encode_request
from inference_server.app import create_app
from inference_server.registry import Registry
from inference_server.service import Service
from inference_server.settings import ServerSettings
from tests.integration.inference.talk import PATIENCE_S


@dataclass(eq=False)
class GatedModel:
    """Takes a step towards each forecast whenever it is let: `go` opens the gate for good."""

    info: ModelInfo = field(
        default_factory=lambda: ModelInfo("gated", "ab" * 32, None, False, "bitwise", "waits for a test")
    )
    started: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    seen: list[str] = field(default_factory=list)

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        for one in series:
            self.seen.append(one.symbol)
            self.started.set()
            while not self.go.wait(0.002):
                if cancel():
                    self.cancelled.set()
                    return
            fan = np.tile(np.array(LEVELS), (horizon, 1)) * one.last_close
            yield Forecast(one.symbol, one.interval, one.issued_at, self.info.name, self.info.version, 1, fan)


@dataclass(eq=False)
class Served:
    """A server and where it is."""

    url: str
    service: Service
    server: uvicorn.Server

    def n_connected(self) -> int:
        """Requests that are being answered."""
        return len(self.server.server_state.tasks)


@pytest.fixture
def gated() -> Iterator[GatedModel]:
    model = GatedModel()
    yield model
    model.go.set()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Start a server with the baseline and the given models; settings by keyword, trials only where asked for."""
    with contextlib.ExitStack() as stack:

        def start(*models: Forecaster, **settings: Any) -> Served:
            return stack.enter_context(_server(models, ServerSettings(port=0, **{"canary_s": 0, **settings})))

        yield start


@contextlib.contextmanager
def _server(models: Sequence[Forecaster], settings: ServerSettings) -> Iterator[Served]:
    app = create_app(settings, Registry([RandomWalk(), *models]))
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=PATIENCE_S)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        pause.wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Served(f"http://127.0.0.1:{port}", app.state.service, server)
    for work in list(app.state.service.at_work):
        work.stop("draining")
    server.should_exit = True
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Start `python -m inference_server`, or another `module`, on a free port; variables by keyword.

    `before` is what starts the program, such as a shell with limits.
    """
    running: list[subprocess.Popen[str]] = []

    def begin(
        *arguments: str, module: str = "inference_server", before: Sequence[str] = (), **env: str
    ) -> tuple[subprocess.Popen[str], str]:
        port_file = tmp_path / f"port-{len(running)}"
        process = subprocess.Popen(
            [*before, sys.executable, "-m", module, "--port", "0", "--port-file", str(port_file), *arguments],
            env={**os.environ, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        pause = threading.Event()
        while not port_file.exists():
            assert process.poll() is None, process.communicate()[1]
            pause.wait(0.01)
        return process, f"http://127.0.0.1:{int(port_file.read_text())}"

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def series_of() -> Callable[..., Series]:
    """A random walk as a series: `series_of(symbol, n_bars=..., horizon=...)`, the seed taken from the symbol."""

    def make(symbol: str, n_bars: int = 80, horizon: int = 6, interval: str = "1h") -> Series:
        rng = np.random.default_rng(list(symbol.encode()))
        closes = 100 * np.exp(np.cumsum(rng.standard_t(5, n_bars)) * 0.01)
        hours = np.datetime64("2025-01-01T00:00:00") + np.arange(n_bars + horizon) * np.timedelta64(3600, "s")
        bars = np.column_stack([closes] * 4 + [np.ones(n_bars)] * 2)
        issued = datetime(2025, 1, 5, tzinfo=UTC)
        return Series(symbol, interval, issued, bars, hours[:n_bars], hours[n_bars:])

    return make


@pytest.fixture
def body_of() -> Callable[..., bytes]:
    """The body of a request about some series."""

    def make(series: Sequence[Series], model_name: str = "baseline-rw", n_paths: int = 10, base_seed: int = 0) -> bytes:
        horizon = len(series[0].target_opened_at)
        return encode_request(PredictRequest(model_name, series[0].interval, horizon, n_paths, base_seed, series))

    return make


class _Edge(ThreadingHTTPServer):
    """Answers each request with the next step of a script; the last step is repeated."""

    daemon_threads = True

    def __init__(self, script: Sequence[Callable[[BaseHTTPRequestHandler, bytes], None]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        edge = self.server
        assert isinstance(edge, _Edge)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        edge.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        step = edge.script.pop(0) if len(edge.script) > 1 else edge.script[0]
        self.close_connection = True
        step(self, body)

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def edge() -> Iterator[Callable[..., _Edge]]:
    """Start a far side that runs through a script: `edge(step, step, ...)`."""
    running: list[_Edge] = []

    def start(*script: Callable[[BaseHTTPRequestHandler, bytes], None]) -> _Edge:
        server = _Edge(script)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
