"""What may stand in a request: symbols, model names, intervals; and what a route says about its errors."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import BeforeValidator, WithJsonSchema

from gateway import problems
from gateway.schemas.problem import ProblemAnswer

SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,14}")
INSTANT: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(?P<zone>Z|[+-]\d{2}:\d{2})", re.ASCII | re.IGNORECASE
)
MODEL: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

UNAVAILABLE: Final = "Nothing is cached and the database cannot be read; Retry-After says when to ask again."
BAD: Final = "A parameter is wrong or unknown."
KEY_NEEDED: Final = "No key, or one that opens nothing."
TOO_MANY: Final = "Too many requests; Retry-After says when to ask again."


def errors(**descriptions: str) -> dict[int | str, dict[str, Any]]:
    """Error answers for the OpenAPI document: `errors(_404="…")`."""
    content = {problems.PROBLEM_JSON: {"schema": ProblemAnswer.model_json_schema()}}
    return {int(code[1:]): {"description": text, "content": content} for code, text in descriptions.items()}


def only(*names: str) -> Callable[[Request], None]:
    """Refuse parameters that the route does not know: a misspelt one would silently select something else."""

    def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        for name in given:
            if name not in names:
                known = ", ".join(names) or "none"
                raise problems.Problem(
                    "bad_parameter",
                    f"The parameter {problems.shown(name)} is not known here; known: {known}.",
                    errors=[{"parameter": problems.shown(name)[1:-1], "problem": "unknown"}],
                )
            if given.count(name) > 1:
                raise problems.Problem(
                    "bad_parameter",
                    f"The parameter {name} is given {given.count(name)} times; give it once.",
                    errors=[{"parameter": name, "problem": "repeated"}],
                )

    return check


ModelName = Annotated[
    str | None, Query(pattern=MODEL, description="A model's name, e.g. `baseline-rw`; `model` is taken for it too.")
]


def one_model(
    model_name: ModelName = None,
    model: Annotated[str | None, Query(pattern=MODEL, include_in_schema=False)] = None,  # cannot be said with the other
) -> str | None:
    """The model asked for under either name."""
    if model_name is not None and model is not None and model_name != model:
        raise problems.Problem(
            "bad_parameter",
            f"model_name is {model_name} and model is {model}; they mean the same, so give one of them.",
            errors=[{"parameter": "model", "problem": "differs from model_name"}],
        )
    return model_name or model


def symbol_of(text: str) -> str:
    """A symbol in its written form; anything that cannot be one is an unknown symbol."""
    symbol = text.upper() if text.isascii() else text
    if not SYMBOL.fullmatch(symbol):
        raise problems.unknown_symbol(text)
    return symbol


def instant_of(text: object) -> datetime:
    """An instant of RFC 3339, in UTC; one outside the years 1 to 9999 becomes the nearest inside.

    Raises
    ------
    ValueError : anything else, also an instant without a zone: nobody could tell which one is meant.
    """
    match = INSTANT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("an instant is written like 2025-07-01T00:00:00Z (in an address, a plus sign as %2B)")
    moment = datetime.fromisoformat(match[0].upper())
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)


Instant = Annotated[
    datetime, BeforeValidator(instant_of), WithJsonSchema({"type": "string", "format": "date-time"}, mode="validation")
]


def flag_of(text: object) -> bool:
    """`true` or `false`; raises ValueError for anything else."""
    if isinstance(text, bool):
        return text
    if text not in ("true", "false"):
        raise ValueError("write true or false")
    return text == "true"


Flag = Annotated[bool, BeforeValidator(flag_of)]
