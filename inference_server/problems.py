"""Errors as `application/problem+json` (RFC 9457), each with a sentence that says what to do."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from starlette.responses import Response

from candlecast.errors import CandlecastError
from candlecast.wire import PROBLEM


class BadRequest(CandlecastError):
    """A header or body that cannot be used, with the status that says which way.

    close : whether the connection ends with the answer, because the rest of the request is not read
    """

    def __init__(self, status: int, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.headers = status, {"connection": "close"} if close else None


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """A response that tells a program the status and a person the reason."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(orjson.dumps(body), status, headers=headers, media_type=PROBLEM)
