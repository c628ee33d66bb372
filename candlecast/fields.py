"""Values out of JSON that a stranger wrote, each checked, each error naming the field and what it held."""

import reprlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import numpy as np
import orjson
from numpy.typing import NDArray

from candlecast.errors import CandlecastError

LATEST: Final = 1 << 36  # epoch seconds, the year 4147; later ones are milliseconds by mistake
_NUMBERS: Final = frozenset({int, float})
_BRIEF: Final = reprlib.Repr()
_BRIEF.maxlevel = 3


class MessageError(CandlecastError):
    """A message that cannot be read; `kind` is "syntax" where it is not JSON at all, "version" where it is of another
    version of the protocol, else "content".
    """

    def __init__(self, message: str, *, kind: str = "content") -> None:
        super().__init__(message)
        self.kind = kind


def instant_text(at: datetime) -> str:
    """`at` as ISO 8601 with a Z, in whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_instant(value: object, name: str) -> datetime:
    """The instant in an ISO 8601 text that names its offset."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
        if at is not None and at.tzinfo is not None and at.microsecond == 0:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise MessageError(f"{name} is {short(value)}, needed is a UTC time in whole seconds such as 2025-03-01T09:00:00Z")


def loads(text: bytes, what: str) -> object:
    """The JSON value in `text`; `what` it should be goes into the error."""
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MessageError(f"{what} is not JSON: {error}", kind="syntax") from None
    return value


def object_of(value: object, what: str) -> dict[str, Any]:
    """`value` when it is a JSON object."""
    if not isinstance(value, dict):
        raise MessageError(f"{what} is {short(value)}, needed is a JSON object")
    return value


def whole(fields: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    """The whole number called `name`, within its bounds; true and 1.0 are none."""
    value = fields.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise MessageError(f"{name} is {short(value)}, needed is a whole number from {low} to {high}")
    return value


def numbers(value: object, name: str) -> NDArray[np.float64]:
    """`value`, a list of numbers or of such lists, as float64 of one shape.

    numpy alone would read "1", null and true too, and make room for the longest text in every place.
    """
    if not isinstance(value, list):
        _not_numbers(name, value)
    for row in value if value and isinstance(value[0], list) else [value]:
        if not isinstance(row, list) or not _NUMBERS.issuperset(map(type, row)):
            _not_numbers(name, value)
    try:
        return np.array(value, dtype=np.float64)
    except ValueError:
        raise MessageError(f"{name} has rows of different lengths") from None


def single(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """float32, with what is too large for it as inf, which the checks on values then name."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _not_numbers(name: str, value: object) -> NoReturn:
    raise MessageError(f"{name} is {short(value)}, needed is a list of numbers")


def instants(value: object, name: str) -> NDArray[np.datetime64]:
    """`value`, whole epoch seconds, as datetime64[s]."""
    array = np.array(value) if isinstance(value, list) and all(type(one) is int for one in value) else None
    if array is None or (array.size and (array.dtype.kind != "i" or int(np.abs(array).max()) > LATEST)):
        raise MessageError(f"{name} is {short(value)}, needed is a list of whole epoch seconds")
    return array.astype("datetime64[s]")


def epochs(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Whole epoch seconds."""
    return times.astype("datetime64[s]").astype(np.int64)


def short(value: object) -> str:
    """`value` for a sentence: never more than a line of what the other side sent, however deep or long it is."""
    match value:
        case list() | dict() if len(value) > 4:
            return f"a list of {len(value)}" if isinstance(value, list) else f"an object of {len(value)} fields"
        case str():
            return repr(value if len(value) <= 40 else value[:37] + "...")
    text = _BRIEF.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
