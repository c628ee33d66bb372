"""The ledger as JSON lines: one line per forecast with every column that its hash covers, needing no library to read.

Names and order of the members are those of the columns of candlecast.ledger_file. Hashes are hexadecimal; instants RFC
3339 in UTC with microseconds; `seed` is text, since 63 bits do not fit the numbers of every reader; numbers come back
bit for bit; event_context and calibration are texts that hold JSON, letter by letter as they were hashed. Rows are
ordered by model_name, interval (as bytes) and chain_seq.

The last line is no forecast: {"ledger":{"n_rows":…,"n_chains":…,"sha256":"…"}}, the SHA-256 of all bytes before it. A
file without it was cut off.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import numpy as np
import orjson
from numpy.typing import NDArray

from candlecast.errors import CandlecastError
from candlecast.records import ADDED, ELEMENT, FIELDS, MAY_BE_NULL, Kind, Lists, Rows, Texts

BYTES_AT_ONCE: Final = 8 * 2**20  # of lines; one of 120 steps has 33 kB
LAST: Final = "ledger"  # the only member of the last line
AS_TEXT: Final = ("seed",)
# Where and who first, then what was said, then how it is sealed.
ORDER: Final = (
    "model_name", "interval", "chain_seq", "symbol", "issued_at", "recorded_at", "status", "prediction_id",
    "model_version", "horizon", "target_at", "last_close", "scale", "p10", "p50", "p90", "fan", "seed", "n_paths",
    "lookback_start", "lookback_end", "data_hash", "event_context", "synthetic", "paths_hash", "run_id", *ADDED,
    "prev_hash",
)  # fmt: skip


class BadLedgerFile(CandlecastError):
    """A file that is no export of the ledger; the message says what is wrong with it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} is no export of the ledger: {reason}; make one with `candlecast export --out FILE`")
        self.path, self.reason = path, reason


def lines_of(rows: Rows, row_hashes: Sequence[bytes]) -> Iterator[bytes]:
    """The line of each row, its end included."""
    columns = {name: _told(name, rows.columns[name]) for name in ORDER}
    for place, row_hash in enumerate(row_hashes):
        line = {name: column[place] for name, column in columns.items()}
        line["row_hash"] = row_hash.hex()
        yield orjson.dumps(line, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)


def last_line(n_rows: int, n_chains: int, digest: bytes) -> bytes:
    """The line that ends a file: `digest` is the SHA-256 of all lines before it."""
    return orjson.dumps({LAST: {"n_rows": n_rows, "n_chains": n_chains, "sha256": digest.hex()}}) + b"\n"


def _told(name: str, column: Any) -> Sequence[Any]:
    """A column as a sequence of what orjson can write."""
    kind: Kind = FIELDS.get(name, "text")
    told: list[Any]
    if isinstance(column, Texts):
        return column.tolist()
    if isinstance(column, Lists):
        values = _instants(column.values) if kind == "instants" else _reals(column.values)
        return [values[start:end] for start, end in zip(column.offsets[:-1], column.offsets[1:], strict=True)]
    if kind == "bytes":
        return [None if value is None else value.hex() for value in column]
    if kind == "uuid":
        return [str(UUID(bytes=value)) for value in column.tolist()]
    if kind == "instant":
        return _instants(column)
    if kind == "real":
        told = list(_reals(column))
        return told
    told = column if isinstance(column, list) else column.tolist()
    return [str(value) for value in told] if name in AS_TEXT else told


def _instants(values: NDArray[Any]) -> list[str]:
    texts: list[str] = np.datetime_as_string(values.astype("datetime64[us]"), timezone="UTC").tolist()
    return texts


def _reals(values: NDArray[np.float64]) -> Any:
    """The numbers, those that JSON has none for as texts; the database lets no such into a forecast."""
    if np.isfinite(values).all():
        return np.ascontiguousarray(values)  # orjson writes arrays at once
    return [value if np.isfinite(value) else str(value) for value in values.tolist()]


class LinesReader:
    """Reads JSON lines in pieces of bounded size.

    wrong : once all were read, a sentence where the last line is missing or does not fit those before

    Raises
    ------
    BadLedgerFile : no such lines, a member missing or of another type.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong: list[str] = []

    def batches(self) -> Iterator[tuple[Rows, list[bytes]]]:
        """Rows with the hashes that the file gives them."""
        digest, n_rows, said = sha256(), 0, None
        with self.path.open("rb") as file:
            while lines := file.readlines(BYTES_AT_ONCE):
                if said is not None:
                    raise BadLedgerFile(self.path, "there are lines behind its last one")
                documents = [self._parsed(line, n_rows + place) for place, line in enumerate(lines, 1)]
                if LAST in documents[-1]:
                    said = documents.pop()[LAST]
                digest.update(b"".join(lines[: len(documents)]))
                if documents:
                    n_rows += len(documents)
                    yield self._rows(documents)
        if said is None and not n_rows:
            raise BadLedgerFile(self.path, "it is empty")
        if said is None:
            self.wrong.append(f"{self.path} has no last line, so it was cut off")
        elif not isinstance(said, dict) or (said.get("n_rows"), said.get("sha256")) != (n_rows, digest.hexdigest()):
            self.wrong.append(f"the lines of {self.path} are not those that its last line counts and hashes")

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            document = orjson.loads(line)
        except ValueError as error:
            raise BadLedgerFile(self.path, f"line {number} is not JSON ({error})") from error
        if not isinstance(document, dict):
            raise BadLedgerFile(self.path, f"line {number} is no object")
        return document

    def _rows(self, documents: Sequence[dict[str, Any]]) -> tuple[Rows, list[bytes]]:
        columns = {}
        for name in (*ORDER, "row_hash"):
            try:
                values = [document[name] for document in documents]
                if None in values and name not in MAY_BE_NULL:
                    raise ValueError("a value is missing")
                columns[name] = _column(name, values)
            except KeyError:
                raise BadLedgerFile(self.path, f"a line has no {name}") from None
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                raise BadLedgerFile(self.path, f"a value of {name} cannot be read ({error})") from error
        row_hashes: list[bytes] = columns.pop("row_hash")
        return Rows(len(documents), columns), row_hashes


def _column(name: str, values: list[Any]) -> Any:
    kind: Kind = "bytes" if name == "row_hash" else FIELDS.get(name, "text")
    if kind == "text":
        seen: dict[str | None, int] = {}
        codes = [seen.setdefault(_text(value), len(seen)) for value in values]
        return Texts(codes, list(seen))
    if kind == "bytes":
        return [None if value is None else bytes.fromhex(value) for value in values]
    if kind == "uuid":
        return np.frombuffer(b"".join(UUID(value).bytes for value in values), dtype="V16")
    if kind in ELEMENT:
        offsets = np.cumsum([0, *map(len, values)]).astype(np.int64)
        flat = [one for value in values for one in value]
        return Lists(offsets, _moments(flat) if kind == "instants" else np.asarray(flat, dtype=np.float64))
    if kind == "instant":
        return _moments(values)
    if kind == "real":
        return np.asarray(values, dtype=np.float64)
    if kind == "bool":
        return np.asarray([_flag(value) for value in values], dtype=bool)
    if name == "run_id":
        return [None if value is None else int(value) for value in values]
    return np.asarray([int(value) for value in values], dtype=np.int64 if kind == "int8" else np.int32)


def _moments(texts: Sequence[str]) -> NDArray[Any]:
    return np.asarray([text.removesuffix("Z") for text in texts], dtype="datetime64[us]")


def _text(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r} is neither true nor false")
    return value
