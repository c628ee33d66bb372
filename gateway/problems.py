"""Errors as application/problem+json (RFC 9457): what is wrong, in one sentence that also says what to do.

`code` is for programs and never changes its meaning; `detail` is for people.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from starlette.responses import Response

PROBLEM_JSON: Final = "application/problem+json"

TITLES: Final[dict[str, tuple[int, str]]] = {
    "bad_parameter": (422, "A parameter cannot be used"),
    "unknown_symbol": (404, "No such instrument"),
    "unknown_model": (404, "No such model"),
    "nothing_predicted": (404, "No forecast yet"),
    "unknown_prediction": (404, "No such forecast"),
    "unknown_path": (404, "No such page"),
    "unauthorised": (401, "A key is needed"),
    "method_not_allowed": (405, "Method not allowed"),
    "wrong_host": (421, "Not a host of this server"),
    "wrong_origin": (403, "Not from another site's page"),
    "too_large": (413, "The request is too long"),
    "too_slow": (408, "The request took too long"),
    "too_many_requests": (429, "Too many requests"),
    "not_ready": (503, "Nothing to serve yet"),
    "not_installed": (501, "Not installed here"),
    "no_room": (507, "Not enough room"),
    "internal": (500, "Something broke on our side"),
}


class Problem(Exception):
    """An error answer. `code` is a key of `TITLES`; further members go into the document as they are."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.code, self.detail, self.headers, self.members = code, detail, dict(headers or {}), members

    @property
    def status(self) -> int:
        """The HTTP status."""
        return TITLES[self.code][0]

    @property
    def title(self) -> str:
        """What kind of problem it is, in a few words."""
        return TITLES[self.code][1]

    def response(self) -> Response:
        """The answer to send."""
        document = {
            "type": f"urn:candlecast:problem:{self.code.replace('_', '-')}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.members,
        }
        headers = {"cache-control": "no-store", **self.headers}
        return Response(orjson.dumps(document), self.status, headers, PROBLEM_JSON)


def unknown_symbol(symbol: str) -> Problem:
    """404 for a symbol that is not in the list of instruments."""
    return Problem(
        "unknown_symbol",
        f"There is no instrument {shown(symbol)}; GET /showcase/instruments lists those there are.",
    )


def unknown_model(model_name: str) -> Problem:
    """404 for a model that has never issued anything."""
    return Problem(
        "unknown_model",
        f"No model named {shown(model_name)} has issued a forecast; GET /showcase/models lists those that have.",
    )


def nothing_predicted(symbol: str, interval: str, model_name: str | None) -> Problem:
    """404 for an instrument that exists but has no forecast of the kind asked for."""
    by = f" by {model_name}" if model_name else ""
    return Problem(
        "nothing_predicted",
        f"{symbol} exists, but there is no {interval} forecast{by} yet; ask again after the next run, or try another "
        "interval or model.",
        headers={"cache-control": "public, max-age=30"},
    )


def unknown_prediction(prediction_id: str, where: str = "") -> Problem:
    """404 for an id that no forecast has, or none of the kind asked for; `where` says of which kind, or nothing."""
    return Problem(
        "unknown_prediction",
        f"There is no forecast {prediction_id}{where}; take the id and the address from an answer of this API.",
    )


def not_ready(why: str, retry_after_s: float) -> Problem:
    """503 with the seconds after which asking again makes sense."""
    wait_s = max(1, round(retry_after_s))
    return Problem(
        "not_ready",
        f"There is nothing to serve at the moment: {why}. Ask again in {wait_s} s.",
        headers={"retry-after": str(wait_s)},
    )


def too_many_requests(retry_after_s: int) -> Problem:
    """429 with the seconds after which the client may ask again."""
    return Problem(
        "too_many_requests",
        f"You have asked more often than one client may; ask again in {retry_after_s} s. What was answered may be kept "
        "as long as its Cache-Control says, and asked for again with If-None-Match.",
        headers={"retry-after": str(retry_after_s)},
    )


def shown(text: str) -> str:
    """Text from a request, safe and short enough to be shown in a sentence."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in text.encode("utf-8", "replace").decode("utf-8"))
    return f"“{clean[:40]}…”" if len(clean) > 40 else f"“{clean}”"
