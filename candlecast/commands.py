"""What every command of the command line has in common: its closing line, and the error of a bad option."""

import json
from typing import Annotated, Any

import typer

from candlecast.errors import CandlecastError

Json = Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")]


class BadOption(CandlecastError):
    """An option holds something that cannot be used."""

    exit_code = 64


def finish(sentence: str, as_json: bool, **facts: Any) -> None:
    """The closing line of a command: a sentence for people, or its facts for programs."""
    print(json.dumps(facts, default=str) if as_json else sentence)
