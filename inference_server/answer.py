"""The reply to `/predict`: lines as they are ready, or one document at the end.

It listens for the client's goodbye all the while, so that work for nobody stops at the model's next step.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from candlecast.wire import JSON, NDJSON, PROTOCOL, End, encode, end_fields, heartbeat_fields
from inference_server.problems import problem
from inference_server.settings import ServerSettings
from inference_server.terms import Terms
from inference_server.transcript import Transcript

PIECE: Final = 1_000_000  # bytes sent at once
_HEARTBEAT: Final = encode(heartbeat_fields()) + b"\n"
# A document is still to be begun when its work ends; without a single item it can say so by its status.
_NOTHING_DONE: Final = {
    "deadline": (504, "the deadline passed before the first item was done; allow more time or ask for less", {}),
    "draining": (503, "this server is shutting down; come back in 10 s", {"retry-after": "10"}),
    "device": (503, "the device failed and this server starts anew; come back in 30 s", {"retry-after": "30"}),
}


class ClientGone(Exception):
    """Nobody is there to read the answer."""


class Answer(Response):
    """Sends what `transcript` holds and will hold; as NDJSON with heartbeats, or as one JSON document."""

    def __init__(self, transcript: Transcript, terms: Terms, settings: ServerSettings, *, replayed: bool) -> None:
        super().__init__(media_type=NDJSON if terms.lines else JSON, headers={"cache-control": "no-store"})
        del self.headers["content-length"]  # not known yet
        if replayed:
            self.headers["idempotent-replayed"] = "true"
        self._transcript, self._terms = transcript, terms
        self._heartbeat_s, self._patience_s = settings.heartbeat_s, settings.client_s
        transcript.join()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_goodbye(receive))
        try:
            if self._terms.lines:
                await self._send_lines(gone, send)
            else:
                await self._send_document(gone, scope, receive, send)
        except (ClientGone, OSError):
            pass  # there is nobody left to tell, or nobody who listens
        finally:
            # Also when this task is cancelled: without an `End` sent, nobody reads on here.
            self._transcript.leave("deadline" if self._terms.expired() else "client gone")
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _send_lines(self, gone: "asyncio.Future[None]", send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for items, end in self._batches(gone):
            lines = items if end is None else [*items, encode(end_fields(end))]
            await self._send(send, b"".join(line + b"\n" for line in lines) or _HEARTBEAT, more=True)
        await self._send(send, b"", more=False)

    async def _send_document(self, gone: "asyncio.Future[None]", scope: Scope, receive: Receive, send: Send) -> None:
        end = End(0, 0)
        async for _, last in self._batches(gone):
            end = last or end
        n_items = end.n_ok + end.n_failed
        if end.reason in _NOTHING_DONE and n_items == 0:
            await problem(*_NOTHING_DONE[end.reason])(scope, receive, send)
            return
        head = encode({"protocol": PROTOCOL, "model_name": self._transcript.model_name})
        items = b",".join(self._transcript.lines[:n_items])
        body = head[:-1] + b',"items":[' + items + b"]," + encode(end_fields(end))[1:]
        headers = [*self.raw_headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send(send, body, more=False)

    async def _send(self, send: Send, body: bytes, *, more: bool) -> None:
        """Send `body` in pieces, each of which the client has to take in its time; else TimeoutError."""
        for start in range(0, max(1, len(body)), PIECE):
            last = start + PIECE >= len(body)
            async with asyncio.timeout(self._patience_s):
                piece = body[start : start + PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": more or not last})

    async def _batches(self, gone: "asyncio.Future[None]") -> AsyncIterator[tuple[list[bytes], End | None]]:
        """Fresh items, none when a heartbeat is due; the last time with the `End`, at this client's deadline latest.

        Raises
        ------
        ClientGone : as soon as the client has hung up.
        """
        loop = asyncio.get_running_loop()
        transcript, n_seen = self._transcript, 0
        while True:
            due = loop.time() + self._heartbeat_s
            if self._terms.expires is not None:
                due = min(due, self._terms.expires)
            fresh = asyncio.ensure_future(transcript.beyond(n_seen))
            either: set[asyncio.Future[Any]] = {fresh, gone}
            try:
                await asyncio.wait(either, timeout=max(0, due - loop.time()), return_when=asyncio.FIRST_COMPLETED)
            finally:
                fresh.cancel()
            if gone.done():
                raise ClientGone
            items, end = transcript.lines[n_seen:], transcript.end
            if end is None and self._terms.expired():
                end = transcript.so_far("deadline")
            n_seen += len(items)
            yield items, end
            if end is not None:
                return


async def _goodbye(receive: Receive) -> None:
    """Returns when the client has hung up; its request has been read already."""
    while (await receive())["type"] != "http.disconnect":
        pass
