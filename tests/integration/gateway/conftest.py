"""A market of a few instruments in the real database, gateways that read it, and a network that can be cut."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import uvicorn
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from candlecast.store import migrate, tables
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from gateway.__main__ import protocol
from gateway.app import create_app
from gateway.front import Front
from gateway.settings import GatewaySettings

CLASSES = {"BTCUSDT": "crypto", "ETHUSDT": "crypto", "EURUSD": "forex_commodity", "AAPL": "equity", "SPY": "equity"}

# Tests ask faster than any client may.
OFTEN: dict[str, Any] = {"rate": "1000000/minute", "key_rate": "1000000/minute"}


class Market:
    """Writes instruments and forecasts, as the owner of the database."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with engine.begin() as conn:
            conn.execute(
                tables.instruments.insert(),
                [
                    {
                        "symbol": symbol,
                        "name": f"{symbol} <b>&amp;</b>",
                        "asset_class": asset_class,
                        "calendar": "24/7",
                        "provider": "test",
                        "provider_symbol": symbol,
                        "quote_asset": "USD",
                        "forecast": symbol != "SPY",
                        "leader": "SPY" if symbol == "SPY" else None,
                    }
                    for symbol, asset_class in CLASSES.items()
                ],
            )

    def issue(
        self,
        symbol: str = "BTCUSDT",
        interval: str = "1h",
        model_name: str = "baseline-rw",
        issued_at: datetime | None = None,
        price: float = 100.0,
        horizon: int = 4,
        synthetic: bool = False,
        status: str = "on_time",
        model_version: str = "v1",
    ) -> datetime:
        """Write one forecast: p10, p50, p90 are price - step, price, price + step; its issue time."""
        row = self._row(symbol, interval, model_name, issued_at, price, horizon, synthetic, status, model_version)
        with self.engine.begin() as conn:
            conn.execute(tables.ml_predictions.insert(), [row])
        moment: datetime = row["issued_at"]
        return moment

    def issue_many(self, moments: list[datetime]) -> None:
        """Write a replayed hourly forecast of BTCUSDT for each of these issue times."""
        rows = [
            self._row("BTCUSDT", "1h", "baseline-rw", moment, 100.0, 1, False, "replay", "v1") for moment in moments
        ]
        with self.engine.begin() as conn:
            conn.execute(tables.ml_predictions.insert(), rows)

    def _row(
        self,
        symbol: str,
        interval: str,
        model_name: str,
        issued_at: datetime | None,
        price: float,
        horizon: int,
        synthetic: bool,
        status: str,
        model_version: str,
    ) -> dict[str, Any]:
        bar = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}[interval]
        issued_at = issued_at or this_hour()
        steps = range(1, horizon + 1)
        return {
            "prediction_id": uuid.uuid4(),
            "symbol": symbol,
            "interval": interval,
            "model_name": model_name,
            "model_version": model_version,
            "issued_at": issued_at,
            "horizon": horizon,
            "target_at": [issued_at + step * bar for step in steps],
            "last_close": price,
            "scale": 0.01,
            "p10": [price - step for step in steps],
            "p50": [price for _ in steps],
            "p90": [price + step for step in steps],
            "fan": [price for _ in steps for _ in range(11)],
            "seed": 2**62 + 1,
            "n_paths": 100,
            "lookback_start": issued_at - 100 * bar,
            "lookback_end": issued_at,
            "data_hash": b"0" * 32,
            "event_context": {"active": ["FOMC"]},
            "synthetic": synthetic,
            "status": status,
        }

    def register(self, model_name: str, version: str, state: str) -> None:
        """Put a model version into the registry."""
        with self.engine.begin() as conn:
            conn.execute(
                tables.model_versions.insert(),
                [{"model_name": model_name, "version": version, "takes_events": False, "state": state}],
            )


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def market(engine: Engine) -> Market:
    return Market(engine)


@pytest.fixture
def reader_url(postgres: EmbeddedPostgres, database_url: str) -> str:
    """The reader's address of the fresh database."""
    dbname = make_url(database_url).database
    assert dbname is not None
    return postgres.url(dbname, "reader")


@pytest.fixture
def running(reader_url: str) -> Callable[..., Any]:
    """`async with running() as (client, front)`: a gateway inside the test's loop, asked without a network."""

    @asynccontextmanager
    async def run(url: str = reader_url, **settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Front]]:
        front = create_app(GatewaySettings(database_url=url, **{"poll_s": 0.05, **OFTEN, **settings}))
        await front.service.start()
        transport = httpx.ASGITransport(app=front, raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                yield client, front
        finally:
            await front.service.stop()

    return run


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[tuple[httpx.Client, Front]]:
    """A gateway behind a real socket, in a thread with its own loop, and a client of it."""
    front = create_app(GatewaySettings(database_url=url, **{"poll_s": 0.1, **OFTEN, **settings}))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        front,
        http=protocol(),
        proxy_headers=False,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        wait_for(lambda: server.started, "the gateway starts")
        base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base_url, timeout=30.0) as client:
            yield client, front
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive(), "the gateway did not stop"


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A migrated server of one's own, to be stopped and frozen."""
    home = Path(tempfile.mkdtemp(prefix=f"candlecast-test-{os.getpid()}-own-"))
    home.chmod(0o755)
    server = EmbeddedPostgres(home, settings={"fsync": "off"})
    try:
        server.ensure()
        migrate.upgrade(server.url())
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture
def own_market(own_postgres: EmbeddedPostgres) -> Iterator[Market]:
    engine = create_engine(own_postgres.url(), application_name="test")
    yield Market(engine)
    engine.dispose()


@pytest.fixture
def serve() -> Callable[..., Any]:
    return serving


def wait_for(holds: Callable[[], bool], what: str, limit_s: float = 30.0) -> None:
    """Return as soon as something holds; fail when it does not for `limit_s`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s:.0f} s: {what}")


@pytest.fixture
def until() -> Callable[..., None]:
    return wait_for


class Proxy:
    """A TCP path to the database that can be disturbed in three ways.

    mode : "pass" forwards; "swallow" keeps every connection open and delivers nothing, like a firewall that drops
        packets behind a live peer; "refuse" resets connections; "slow" delivers everything five seconds late
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self.mode: Literal["pass", "swallow", "refuse", "slow"] = "pass"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "refuse":
                client.close()
                continue
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            self._sockets += [client, server]
            for source, sink in ((client, server), (server, client)):
                thread = threading.Thread(target=self._pump, args=(source, sink), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.mode == "slow":
                    self._closed.wait(5.0)
                if self.mode in ("pass", "slow"):
                    sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End every connection and the listener."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        for end in self._sockets:
            end.close()


@pytest.fixture
def proxy(reader_url: str) -> Iterator[Proxy]:
    """A cuttable path to the test's database."""
    parsed = make_url(reader_url)
    path = Proxy(str(parsed.host), int(parsed.port or 5432))
    yield path
    path.close()


@pytest.fixture
def proxied_url(reader_url: str, proxy: Proxy) -> str:
    """The reader's address through the proxy."""
    return make_url(reader_url).set(port=proxy.port).render_as_string(hide_password=False)
