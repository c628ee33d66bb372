"""The key that everything but health asks for."""

import hmac
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from inference_server.problems import problem

_OPEN: Final = frozenset({"/healthz", "/readyz"})


class KeyCheck:
    """Asks for the key on every route but health, whether the route exists or not."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self.app = app
        self._key = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._key is None or scope["path"] in _OPEN or self._has_key(scope):
            await self.app(scope, receive, send)
            return
        refused = problem(401, "a key is needed, as X-API-Key or Authorization: Bearer", {"www-authenticate": "Bearer"})
        await refused(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        given = b""
        for name, value in scope["headers"]:
            if name == b"x-api-key":
                given = value
            elif name == b"authorization" and value[:7].lower() == b"bearer ":
                given = value[7:].strip()
        # Bytes, because comparing text raises on the first letter that is not ASCII.
        return hmac.compare_digest(given, self._key or b"")
