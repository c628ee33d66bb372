"""`python -m inference_server`: load the models, try them, listen, drain on SIGTERM, leave with 0.

A device that is lost ends the process with 70, so that a supervisor starts another.
"""

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import uvicorn

from candlecast.errors import CandlecastError
from inference_server.app import create_app
from inference_server.device_errors import DeviceLost
from inference_server.registry import Registry, load_registry
from inference_server.service import Service
from inference_server.settings import ServerSettings

log = logging.getLogger("inference_server")

LAST_WORDS_S = 2  # for the ends of answers to reach their clients, when nothing else is waited for
MOST_FILES = 65_536
SWITCH_S = 0.001  # after which a model that computes in Python lets the event loop answer; Python's own is 0.005


class DrainingServer(uvicorn.Server):
    """Uvicorn that answers 503 while it drains, where uvicorn alone would stop listening at once."""

    def __init__(self, config: uvicorn.Config, service: Service, port_file: Path | None) -> None:
        super().__init__(config)
        self._service, self._port_file = service, port_file
        self._drain: asyncio.Task[None] | None = None
        self._on_loss: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """First SIGTERM or SIGINT: drain; second: stop all work, and wait for none."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_loss = asyncio.get_running_loop().create_task(self._exit_once_lost())
        if self._service.lost.is_set():
            return  # by a trial: nobody is told of a server that cannot serve
        host, port = (sockets or [])[0].getsockname()[:2]
        if self._port_file is not None:
            # Whoever waits for the file finds it whole.
            partial = self._port_file.with_name(self._port_file.name + ".part")
            partial.write_text(f"{port}\n")
            partial.replace(self._port_file)
        names = ", ".join(one.name for one in self._service.registry)
        print(f"serving {names} on http://{host if ':' not in host else f'[{host}]'}:{port}", flush=True)

    def _on_signal(self) -> None:
        loop = asyncio.get_running_loop()
        if self._drain is None:
            log.info("draining: finishing %d requests, taking no new ones", len(self._service.at_work))
            self._drain = loop.create_task(self._drain_and_exit())
        else:
            self._drain.cancel()
            self._service.give_up()
            self._leave_soon()

    async def _drain_and_exit(self) -> None:
        await self._service.drain()
        self.should_exit = True

    async def _exit_once_lost(self) -> None:
        await self._service.lost.wait()
        self._leave_soon()

    def _leave_soon(self) -> None:
        """Shut down without waiting for work: a model that does not stop, or a client that does not read."""
        self.config.timeout_graceful_shutdown = LAST_WORDS_S
        self.should_exit = True


def main(
    arguments: Sequence[str], env: Mapping[str, str], load: Callable[[ServerSettings], Registry] = load_registry
) -> int:
    """Serve until told to stop; 0 after a drain, else the exit code of the error, told in one sentence.

    load : makes the models that the settings ask for
    """
    try:
        settings, port_file = _options(arguments, env)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        settings.check()
        _allow_many_connections()
        sys.setswitchinterval(SWITCH_S)
        listener = _listen(settings.host, settings.port)
        with listener:
            app = create_app(settings, load(settings))
            service: Service = app.state.service
            config = uvicorn.Config(
                app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=5
            )
            DrainingServer(config, service, port_file).run(sockets=[listener])
            if isinstance(service.scheduler.closed, DeviceLost):
                raise service.scheduler.closed
    except CandlecastError as error:
        print(f"inference server: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _allow_many_connections() -> None:
    """As many open files as the system lets this process have: a flood of clients must not keep others out."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


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
    """Settings from the environment, overruled by the command line; both pass the same checks."""
    parser = argparse.ArgumentParser(
        prog="python -m inference_server",
        description="Serve forecasts over HTTP: baseline-rw always, Kronos and Chronos-2 where weights are named. "
        "Each option overrules the variable of the environment beside it.",
    )
    for option, setting, text in _OPTIONS:
        variable = _VARIABLES[setting]
        parser.add_argument(option, dest=variable, metavar=setting.upper(), help=f"{text} [{variable}]")
    parser.add_argument("--port-file", type=Path, metavar="PATH", help="write the port here once requests are taken")
    given = vars(parser.parse_args(arguments))
    port_file = given.pop("port_file")
    overruled = {name: value for name, value in given.items() if value is not None}
    return ServerSettings.from_env({**env, **overruled}), port_file


_VARIABLES = {setting.name: setting.metadata["env"] for setting in fields(ServerSettings)}
_OPTIONS = (
    ("--host", "host", "address to bind to"),
    ("--port", "port", "0 takes a free one"),
    ("--kronos-weights", "kronos_weights", "folder with tokenizer/ and model/, or a hub id"),
    ("--kronos-name", "kronos_name", "name in rows and requests; by default made from the weights'"),
    ("--max-context", "max_context", "bars of lookback and horizon together, at most"),
    ("--chronos2-weights", "chronos2_weights", "folder with config.json and model.safetensors, or a hub id"),
    ("--device", "device", "cpu, cuda or auto"),
    ("--dtype", "dtype", "float32, bfloat16 or auto: half precision on a GPU"),
    ("--threads", "threads", "of torch; 0 leaves its own choice"),
    ("--queue-depth", "queue_depth", "requests that may wait behind the one at work"),
    ("--log-level", "log_level", "DEBUG, INFO, WARNING or ERROR"),
)


def leave(code: int) -> NoReturn:
    """End the process now: a model in the middle of a step, or a lost device, must not hold or crash its end."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:], os.environ))
