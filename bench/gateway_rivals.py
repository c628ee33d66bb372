"""What the gateway is measured against: other ways to answer with the same bytes. `BENCH_BODY` names their file."""

import json
import os
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

BODY = Path(os.environ["BENCH_BODY"]).read_bytes()
DOCUMENT: dict[str, Any] = json.loads(BODY)
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def bare_asgi(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
    """The least that ASGI allows."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


async def _starlette(_: Request) -> Response:
    return Response(BODY, media_type="application/json")


bare_starlette = Starlette(routes=[Route("/showcase/ml-prediction/{symbol}", _starlette)])

fastapi_dict = FastAPI()


@fastapi_dict.get("/showcase/ml-prediction/{symbol}")
async def prediction(symbol: str, interval: str = "1h") -> dict[str, Any]:  # noqa: ARG001
    """The usual route: parameters checked, a dict returned."""
    return DOCUMENT
