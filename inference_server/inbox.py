"""Bodies on their way in: never too large, never too slow, never too many at once, and parsed off the event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.requests import ClientDisconnect, Request

from candlecast.errors import CandlecastError
from candlecast.wire import PredictRequest, parse_request
from inference_server.problems import BadRequest

BODIES_AT_ONCE: Final = 8  # of the largest size; many more of the usual one
MAX_VALUES: Final = 20_000_000  # of one answer; a value takes 10 to 20 bytes
_VALUES_PER_STEP: Final = 14  # 11 levels, p10, p50, p90


class InboxFull(CandlecastError):
    """Other requests' bodies fill the memory that is set aside for them."""

    retry_after_s = 1

    def __init__(self) -> None:
        super().__init__(f"too many large requests arrive at once; come back in {self.retry_after_s} s")


class Inbox:
    """Reads and parses bodies.

    limit : bytes of the largest body
    patience_s : within which a whole body has to arrive
    """

    def __init__(self, limit: int, patience_s: float) -> None:
        self.limit, self.patience_s = limit, patience_s
        self.n_held = 0  # bytes of all bodies that are being read, wait to be parsed, or are parsed
        self._parser = asyncio.Lock()

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The request's body, counted as held until the context closes.

        Raises
        ------
        BadRequest : it is too large (told before it is read where it says so itself), too slow, or breaks off.
        InboxFull : there is no room for it now.
        """
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or len(declared) > 18 or int(declared) > self.limit:
            raise self._too_large()
        chunks: list[bytes] = []
        try:
            try:
                async with asyncio.timeout(self.patience_s):
                    await self._read(request, chunks)
            except TimeoutError:
                raise BadRequest(408, f"the body did not come whole in {self.patience_s:g} s", close=True) from None
            except ClientDisconnect:
                raise BadRequest(400, "the connection closed before the whole body had come") from None
            yield b"".join(chunks)
        finally:
            self.n_held -= sum(map(len, chunks))

    async def _read(self, request: Request, chunks: list[bytes]) -> None:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self.limit:
                raise self._too_large()
            if self.n_held + len(chunk) > BODIES_AT_ONCE * self.limit:
                raise InboxFull
            chunks.append(chunk)
            self.n_held += len(chunk)

    def _too_large(self) -> BadRequest:
        return BadRequest(413, f"the body is larger than {self.limit} bytes; send the items in several requests")

    async def parse(self, body: bytes) -> PredictRequest:
        """What `body` asks for, read in another thread; one at a time, for parsing takes many times its bytes.

        Raises
        ------
        MessageError : it cannot be used.
        BadRequest : its answer would be too large.
        """
        async with self._parser:
            asked = await asyncio.to_thread(parse_request, body)
        n_values = len(asked.items) * asked.horizon * (_VALUES_PER_STEP + asked.n_paths * asked.return_paths)
        if n_values > MAX_VALUES:
            raise BadRequest(
                413,
                f"the answer would hold {n_values} values, at most {MAX_VALUES} are sent; ask for fewer items at once, "
                "or with return_paths false",
            )
        return asked
