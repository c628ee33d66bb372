"""`python -m gateway`: serve until SIGTERM."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import uvicorn

from candlecast.errors import CandlecastError
from gateway import logs
from gateway.app import create_app
from gateway.settings import GatewaySettings


class Server(uvicorn.Server):
    """A uvicorn server that says where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, port: int, port_file: Path | None) -> None:
        super().__init__(config)
        self._port, self._port_file = port, port_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then write the port: whoever reads the file can connect."""
        await super().startup(sockets)
        if self._port_file is not None and not self.should_exit:
            draft = self._port_file.with_name(f"{self._port_file.name}.{os.getpid()}")
            draft.write_text(f"{self._port}\n")
            draft.replace(self._port_file)


def protocol() -> type[asyncio.Protocol] | Literal["auto"]:
    """Our protocol where httptools is installed, else whatever uvicorn finds."""
    try:
        from gateway.wire import Wire
    except ImportError:
        return "auto"
    return Wire


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; 0 after an orderly end, otherwise the exit code of what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Serve the newest forecasts over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--port-file", type=Path, help="file to write the port to once the server answers")
    options = parser.parse_args(arguments)
    try:
        settings = GatewaySettings.from_env(os.environ)
        secrets = [os.environ.get(name) for name in logs.SECRETS]
        logs.configure(settings.log_level.upper(), settings.log_format, secrets=secrets)
        app = create_app(settings)
    except CandlecastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except OSError as error:
        print(
            f"cannot listen at {options.host} port {options.port}: {error.strerror}; choose another with --port, or 0 "
            "for any free one",
            file=sys.stderr,
        )
        return 69
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        app,
        http=protocol(),
        loop="auto",  # uvloop where it is installed
        proxy_headers=False,  # X-Forwarded-For would let every client behind a local proxy choose its address
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=10,
    )
    server = Server(config, port, options.port_file)
    # uvicorn drains on these signals, then raises them again for whoever was there before: an orderly end is code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    logging.getLogger("gateway").info("serving at http://%s:%d/", options.host, port)
    server.run(sockets=[listener])
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
