"""Cursors: where the next page of a list goes on, as a text that only makes sense for that list.

A cursor holds the place of the last row that was told, never a number of rows to skip: rows that arrive or leave move
nothing. It carries a checksum over its place and over the question (the route and its filters), so that one that was
mistyped, or taken from the answer to another question, is refused instead of silently answering something else.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import orjson

from gateway import problems

T = TypeVar("T")

N_CHECK: Final = 9
MAX_LENGTH: Final = 4096

HELP: Final = (
    "Where the page begins: taken from `next` of the answer before, which has the whole address. Not to be made up."
)


def cursor_of(question: Sequence[object], place: Sequence[object]) -> str:
    """The cursor of a place in the answer to a question; both of what JSON can hold."""
    plain = orjson.dumps(place)
    return base64.urlsafe_b64encode(_check(question, plain) + plain).decode().rstrip("=")


def place_of(cursor: str, question: Sequence[object], read: Callable[[list[Any]], T]) -> T:
    """The place that a cursor holds, as `read` understands it; it raises ValueError for what is none.

    Raises
    ------
    Problem : 422 for a text that is no cursor of this question.
    """
    try:
        if len(cursor) > MAX_LENGTH:
            raise ValueError("too long")
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, plain = raw[:N_CHECK], raw[N_CHECK:]
        if check != _check(question, plain) or cursor != cursor_of(question, orjson.loads(plain)):
            raise ValueError("of another question")
        return read(orjson.loads(plain))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, binascii.Error) as error:
        raise problems.Problem(
            "bad_parameter",
            f"The cursor {problems.shown(cursor)} does not belong to this list with these filters; take the address in "
            "`next` of an answer as it is, or leave the cursor out to begin with the first page.",
            errors=[{"parameter": "cursor", "problem": "does not belong to this list"}],
        ) from error


def _check(question: Sequence[object], plain: bytes) -> bytes:
    """Over the question and the place; no secret: whoever makes one up gets a place of the same list, no more."""
    asked = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)
    return hashlib.blake2b(asked + b"\0" + plain, digest_size=N_CHECK, person=b"cursor").digest()
