"""Errors as `application/problem+json` (RFC 9457), each with a sentence that says what to do."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.responses import Response

from candlecast.wire import PROBLEM


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that tells a program the status and a person the reason."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, headers=headers, media_type=PROBLEM)
