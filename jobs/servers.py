"""Deployables started beside a job, each as a process of its own on a free port."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from candlecast.errors import CandlecastError


class ServerDidNotStart(CandlecastError):
    """A server of the demo ended, or was not ready in time."""

    def __init__(self, name: str, log_file: Path) -> None:
        lines = log_file.read_text(errors="replace").strip().splitlines() if log_file.exists() else []
        said = f" It said: {lines[-1]}" if lines else ""
        super().__init__(f"the {name} did not get ready; its log is {log_file}.{said}")


@contextmanager
def started(
    name: str,
    package: str,
    arguments: list[str],
    logs: Path,
    environment: dict[str, str] | None = None,
    ready: str = "/readyz",
) -> Iterator[str]:
    """Start a deployable on a free port and yield its URL once it is ready; stop it at the end."""
    logs.mkdir(parents=True, exist_ok=True)
    log_file, port_file = logs / f"{package}.log", logs / f"{package}.{os.getpid()}.port"
    port_file.unlink(missing_ok=True)
    with log_file.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", package, "--port", "0", "--port-file", str(port_file), *arguments],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield _wait_until_ready(name, process, port_file, log_file, ready)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        port_file.unlink(missing_ok=True)


def _wait_until_ready(
    name: str, process: "subprocess.Popen[bytes]", port_file: Path, log_file: Path, ready: str, within_s: float = 90
) -> str:
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at and process.poll() is None:
        if port_file.exists() and (port := port_file.read_text().strip()):
            url = f"http://127.0.0.1:{port}"
            try:
                if httpx.get(f"{url}{ready}", timeout=2).status_code == 200:
                    return url
            except httpx.TransportError:
                pass
        time.sleep(0.05)
    raise ServerDidNotStart(name, log_file)
