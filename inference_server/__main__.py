"""`python -m inference_server`: load the models, listen, drain on SIGTERM, leave with 0."""

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn

from candlecast.errors import CandlecastError
from inference_server.app import Service, create_app
from inference_server.registry import load_registry
from inference_server.settings import ServerSettings

log = logging.getLogger("inference_server")


class DrainingServer(uvicorn.Server):
    """Uvicorn that answers 503 while it drains, where uvicorn alone would stop listening at once."""

    def __init__(self, config: uvicorn.Config, service: Service, port_file: Path | None) -> None:
        super().__init__(config)
        self._service, self._port_file = service, port_file
        self._drain: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """First SIGTERM or SIGINT: drain; second: stop all work at the next step."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        if self._port_file is not None:
            # Whoever waits for the file finds it whole.
            partial = self._port_file.with_name(self._port_file.name + ".part")
            partial.write_text(f"{port}\n")
            partial.replace(self._port_file)
        names = ", ".join(one.name for one in self._service.registry)
        print(f"serving {names} on http://{host if ':' not in host else f'[{host}]'}:{port}", flush=True)

    def _on_signal(self) -> None:
        if self._drain is None:
            log.info("draining: finishing %d requests, taking no new ones", len(self._service.at_work))
            self._drain = asyncio.get_running_loop().create_task(self._drain_and_exit())
        else:
            self._service.give_up()

    async def _drain_and_exit(self) -> None:
        await self._service.drain()
        self.should_exit = True


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Serve until told to stop; 0 after a drain, else the exit code of the error, told in one sentence."""
    try:
        settings, port_file = _options(arguments, env)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        settings.check()
        listener = _listen(settings.host, settings.port)
        with listener:
            app = create_app(settings, load_registry(settings))
            config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5
            )
            DrainingServer(config, app.state.service, port_file).run(sockets=[listener])
    except CandlecastError as error:
        print(f"inference server: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; bound before the weights are read, so that a taken port is told at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CandlecastError(
            f"cannot listen on {host}:{port} ({error.strerror or error}); choose another --port, 0 takes a free one"
        ) from error
    return listener


def _options(arguments: Sequence[str], env: Mapping[str, str]) -> tuple[ServerSettings, Path | None]:
    settings = ServerSettings.from_env(env)
    parser = argparse.ArgumentParser(
        prog="python -m inference_server",
        description="Serve forecasts over HTTP: baseline-rw always, Kronos where weights are named. "
        "The environment sets the same and more, see .env.example.",
    )
    parser.add_argument("--host", help=f"address to bind to (now {settings.host})")
    parser.add_argument("--port", type=int, help=f"0 takes a free one (now {settings.port})")
    parser.add_argument("--port-file", type=Path, metavar="PATH", help="write the port here once requests are taken")
    parser.add_argument(
        "--kronos-weights", metavar="FOLDER|HUB_ID", help="folder with tokenizer/ and model/, or hub id"
    )
    parser.add_argument("--kronos-name", metavar="NAME", help="name in rows and requests; default from the weights")
    parser.add_argument("--max-context", type=int, metavar="BARS", help="lookback and horizon together, at most")
    parser.add_argument("--device", help=f"cpu, cuda or auto (now {settings.device})")
    parser.add_argument("--threads", type=int, help="of torch; 0 leaves its own choice")
    parser.add_argument("--queue-depth", type=int, help=f"requests that may wait (now {settings.queue_depth})")
    parser.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"], help="how much is logged")
    given: dict[str, Any] = {
        name: value for name, value in vars(parser.parse_args(arguments)).items() if value is not None
    }
    port_file = given.pop("port_file", None)
    return replace(settings, **given), port_file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
