"""The reply to `/predict`: lines as they are ready, or one document at the end.

It listens for the client's goodbye all the while, so that work for nobody stops at the model's next step.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from candlecast.wire import JSON, NDJSON, PROTOCOL, End, encode, end_fields, heartbeat_fields
from inference_server.problems import problem
from inference_server.work import Work

_HEARTBEAT = encode(heartbeat_fields())


class ClientGone(Exception):
    """Nobody is there to read the answer."""


class Answer(Response):
    """Sends what `work` gives; as NDJSON with heartbeats, or as one JSON document."""

    def __init__(self, work: Work, *, lines: bool, heartbeat_s: float) -> None:
        super().__init__(media_type=NDJSON if lines else JSON, headers={"cache-control": "no-store"})
        del self.headers["content-length"]  # not known yet
        self._work, self._lines, self._heartbeat_s = work, lines, heartbeat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.ensure_future(_goodbye(receive))
        try:
            if self._lines:
                await self._send_lines(gone, send)
            else:
                await self._send_document(gone, scope, receive, send)
        except (ClientGone, OSError):
            pass  # there is nobody left to tell
        finally:
            # Also when this task is cancelled or the socket fails: without an `End` sent, nobody reads on.
            self._work.stop("client gone")
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone

    async def _send_lines(self, gone: "asyncio.Future[None]", send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for batch in self._batches(gone):
            body = b"".join((encode(end_fields(one)) if isinstance(one, End) else one) + b"\n" for one in batch)
            await send({"type": "http.response.body", "body": body or _HEARTBEAT + b"\n", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_document(self, gone: "asyncio.Future[None]", scope: Scope, receive: Receive, send: Send) -> None:
        items: list[bytes] = []
        end = End(0, 0)
        async for batch in self._batches(gone):
            for one in batch:
                if isinstance(one, End):
                    end = one
                else:
                    items.append(one)
        if end.reason == "deadline" and not items:
            early = problem(504, "the deadline passed before the first item was done; allow more time or ask for less")
            await early(scope, receive, send)
            return
        if end.reason == "draining" and not items:
            early = problem(503, "this server is shutting down; come back in 10 s", {"retry-after": "10"})
            await early(scope, receive, send)
            return
        head = encode({"protocol": PROTOCOL, "model_name": self._work.request.model_name})
        tail = encode(end_fields(end))
        body = head[:-1] + b',"items":[' + b",".join(items) + b"]," + tail[1:]
        headers = [*self.raw_headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _batches(self, gone: "asyncio.Future[None]") -> AsyncIterator[list[bytes | End]]:
        """What is ready, an empty list when a heartbeat is due; stops after the `End`.

        Raises
        ------
        ClientGone : as soon as the client has hung up.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + self._heartbeat_s
        queue = self._work.answers
        while True:
            ready = asyncio.ensure_future(queue.get())
            either: set[asyncio.Future[Any]] = {ready, gone}
            try:
                await asyncio.wait(either, timeout=due - loop.time(), return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    raise ClientGone
                batch = [ready.result()] if ready.done() else []
            finally:
                ready.cancel()
            while not queue.empty():
                batch.append(queue.get_nowait())
            yield batch
            due = loop.time() + self._heartbeat_s
            if batch and isinstance(batch[-1], End):
                return


async def _goodbye(receive: Receive) -> None:
    """Returns when the client has hung up; its request has been read already."""
    while (await receive())["type"] != "http.disconnect":
        pass
