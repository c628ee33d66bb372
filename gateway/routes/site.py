"""What every group of routes builds on: the service, and how an answer of it becomes a response."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.answers import Rendered
from gateway.front import Front, send_rendered
from gateway.service import Service, Target


class Sent(Response):
    """A rendered answer as a response of the framework: 304 and content coding are decided when it is sent."""

    def __init__(self, rendered: Rendered) -> None:
        super().__init__()
        self._rendered = rendered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  (an ASGI app)
        """Send it."""
        await send_rendered(scope, send, self._rendered)


class Site:
    """The service behind all routes. `front` is asked late: it is wrapped around the application with these routes."""

    def __init__(self, service: Service, front: Callable[[], Front]) -> None:
        self.service = service
        self.access = service.access
        self._front = front

    async def respond(
        self, request: Request, target: Target, answer: Callable[[Target], Awaitable[Rendered]] | None = None
    ) -> Response:
        """The answer to a target, by default `service.answer`; the next request for its address returns early."""
        rendered = await (answer or self.service.answer)(target)
        self._front().remember(request.scope, target)
        return Sent(rendered)


def plain(body: dict[str, Any], status: int = 200) -> Response:
    """An answer that is made anew each time and kept by nobody."""
    data = orjson.dumps(body, option=orjson.OPT_UTC_Z)
    return Response(data, status, {"cache-control": "no-store"}, "application/json")
