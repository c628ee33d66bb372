"""Look at the inference server now and then, where the gateway knows its address; no reader ever waits for it."""

import asyncio
import contextlib
import http.client
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from candlecast.clock import utc_now

logger = logging.getLogger(__name__)

EVERY_S: Final = 30.0
TIMEOUT_S: Final = 5.0
MAX_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """The inference server as somebody found it. ready : None before the first look; models : those that work."""

    ready: bool | None
    checked_at: datetime | None
    models: tuple[str, ...] = ()


class Probe:
    """Asks /readyz every `every_s` seconds and keeps what it said.

    url : of the inference server; None: nothing is asked, and `seen` stays None
    headers : what opens the edge in front of it
    """

    def __init__(self, url: str | None, headers: Mapping[str, str] | None = None, *, every_s: float = EVERY_S) -> None:
        self._url = url.rstrip("/") if url else None
        self._headers = {name: value for name, value in (headers or {}).items() if value}
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self.seen: ServerSeen | None = ServerSeen(None, None) if self._url else None

    def start(self) -> None:
        """Begin to look, if there is anything to look at."""
        if self._url is not None:
            self._task = asyncio.create_task(self._run(self._url))

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, url: str) -> None:
        while True:
            before = self.seen.ready if self.seen is not None else None
            self.seen = await asyncio.to_thread(look, url, self._headers)
            if self.seen.ready != before:
                logger.info("the inference server is %s", "ready" if self.seen.ready else "not ready")
            await asyncio.sleep(self._every_s)


def look(url: str, headers: Mapping[str, str]) -> ServerSeen:
    """What /readyz says now. A redirect, a login page or anything else that is no answer of ours is not ready."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
    except (ValueError, http.client.HTTPException):
        return ServerSeen(False, utc_now())
    try:
        connection.request("GET", f"{parts.path}/readyz", headers=dict(headers))
        answer = connection.getresponse()
        said = json.loads(answer.read(MAX_BYTES))
        models = said.get("models") if isinstance(said, dict) else None
        models = models if isinstance(models, list) else []
        names = tuple(str(name).partition("@")[0][:64] for name in models if isinstance(name, str))
        return ServerSeen(answer.status == 200 and bool(names), utc_now(), names)
    except (OSError, ValueError, http.client.HTTPException):
        return ServerSeen(False, utc_now())
    finally:
        connection.close()
