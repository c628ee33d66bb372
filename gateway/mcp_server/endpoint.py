"""The server at /mcp: built beside the start of the gateway, and no part of whether the gateway lives."""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.mcp_server.door import Door
from gateway.routes.site import Site

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

logger = logging.getLogger(__name__)

START_WAIT_S: Final = 5.0  # a request that comes while the package loads


class Endpoint:
    """An ASGI application that answers once `running` has built the server.

    Loading the protocol's package takes a third of a second of one core, in a thread, while the other routes serve
    already. If it fails, /mcp says so and everything else goes on.
    """

    def __init__(self, site: Site, hosts: Collection[str]) -> None:
        self._site = site
        self._started: asyncio.Future[ASGIApp | None] | None = None
        self.door = Door(self, hosts)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the gateway runs; returns at once."""
        self._started = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        task = asyncio.create_task(self._run(self._started, stop))
        try:
            yield
        finally:
            stop.set()
            await task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on to the server, as soon as there is one."""
        if self._started is None:
            raise problems.not_ready("the gateway has not started yet", 1.0)
        await asyncio.wait({self._started}, timeout=START_WAIT_S)
        app = self._started.result() if self._started.done() else None
        if app is None:
            raise problems.not_ready("the server of tools does not run; the routes below /showcase/ work", 30.0)
        await app(scope, receive, send)

    async def _run(self, started: "asyncio.Future[ASGIApp | None]", stop: asyncio.Event) -> None:
        try:
            server = await asyncio.to_thread(self._build)
            async with server.session_manager.run():
                started.set_result(server.session_manager.handle_request)
                await stop.wait()
        except Exception:
            logger.exception("the server at /mcp failed; everything else is served")
            self._started = asyncio.get_running_loop().create_future()
            self._started.set_result(None)
        finally:
            if not started.done():  # somebody may be waiting for it
                started.set_result(None)

    def _build(self) -> "MCPServer[None]":
        built: MCPServer[None] = import_module("gateway.mcp_server.server").build(self._site)
        return built
