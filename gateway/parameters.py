"""What may stand in a request: symbols, model names, intervals; and what a route says about its errors."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import Query, Request

from gateway import problems
from gateway.schemas.problem import ProblemAnswer

SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,14}")
MODEL: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

UNAVAILABLE: Final = "Nothing is cached and the database cannot be read; Retry-After says when to ask again."
BAD: Final = "A parameter is wrong or unknown."


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


ModelName = Annotated[str | None, Query(pattern=MODEL, description="A model's name, e.g. `baseline-rw`.")]


def one_model(
    model_name: ModelName = None,
    model: Annotated[str | None, Query(pattern=MODEL, description="The same as `model_name`.")] = None,
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
