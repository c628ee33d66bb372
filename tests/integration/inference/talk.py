"""How the tests of the server speak with it."""

import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import orjson
import pytest

JSON = {"content-type": "application/json"}
LINES = JSON | {"accept": "application/x-ndjson"}
PATIENCE_S = 60.0  # how long a test waits for what has to happen; never how long it should take


def lines_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.content.endswith(b"\n")
    return [orjson.loads(line) for line in response.content.splitlines()]


def items_of(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["type"] == "item"]


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("what had to happen did not")


class Caller:
    """A client that sends its request, reads nothing, and may hang up at any time."""

    def __init__(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        address = httpx.URL(url)
        self._socket = socket.create_connection((address.host, address.port or 80))
        fields = {"host": "test", "content-length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self._socket.sendall(f"POST /predict HTTP/1.1\r\n{head}\r\n".encode() + body)

    def hang_up(self) -> None:
        self._socket.close()

    def read(self) -> bytes:
        """Everything until the server closes the connection."""
        with self._socket as connection:
            connection.settimeout(PATIENCE_S)
            return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def metric(url: str, name: str) -> float:
    page = httpx.get(f"{url}/metrics").text
    return float(next(line for line in page.splitlines() if line.startswith(name + " ")).split()[-1])
