"""The gateway as a process: how it starts, says where it listens, ends, and what it can do without."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

WITHOUT_TORCH = """
import json, sys
for name in ("torch", "ccxt", "apscheduler"):
    sys.modules[name] = None  # importing it raises ImportError
from gateway.app import create_app
from gateway.settings import GatewaySettings
create_app(GatewaySettings(database_url="postgresql://nobody@127.0.0.1:1/none"))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def start(tmp_path: Path, url: str, *arguments: str) -> tuple["subprocess.Popen[str]", Path]:
    """`python -m gateway` at a free port, and the file that will hold the port."""
    port_file = tmp_path / "port"
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "--port", "0", "--port-file", str(port_file), *arguments],
        env={**os.environ, "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process, port_file


def test_it_starts_at_a_free_port_serves_and_ends_on_sigterm(
    market: Any, reader_url: str, tmp_path: Path, until: Any
) -> None:
    market.issue(price=100.0)
    process, port_file = start(tmp_path, reader_url)
    try:
        until(port_file.exists, "the port is written")
        base_url = f"http://127.0.0.1:{int(port_file.read_text())}"
        with httpx.Client(base_url=base_url, timeout=30.0) as client:
            assert client.get("/readyz").json()["ready"]
            assert client.get("/showcase/ml-prediction/BTCUSDT").json()["last_close"] == 100.0
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    password = reader_url.split(":")[2].split("@")[0]
    assert password not in said


def test_a_port_that_is_taken_is_said_in_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "--port", str(port)],
            env={**os.environ, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert done.returncode == 69
    assert done.stderr.count("\n") == 1
    assert f"cannot listen at 127.0.0.1 port {port}" in done.stderr


def test_a_setting_that_cannot_be_used_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env={**os.environ, "GATEWAY_CACHE_TTL": "soon"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 78
    assert "GATEWAY_CACHE_TTL is 'soon'" in done.stderr


def test_it_starts_without_torch_and_loads_neither_other_deployables_nor_pandas() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, timeout=60, check=True)

    loaded = set(json.loads(done.stdout))
    assert not loaded & {"jobs", "inference_server", "pandas", "exchange_calendars", "scipy"}
