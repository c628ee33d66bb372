"""The proof that one forecast was among those of a sealed day: its columns, and the way from its hash to the root.

A proof is a JSON file; with the seal of its day, fetched from where it was published, it can be checked by anybody,
without the ledger.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final, Self

import numpy as np

from candlecast.records import ADDED, ELEMENT, FIELDS, MAY_BE_NULL, Lists, Rows, Texts, hashes
from candlecast.seals import SEAL_VERSION, BadSeal, Seal, audit_path, count, digest, parsed, root_of_path

KIND: Final = "proof of a forecast"


@dataclass(frozen=True, slots=True, eq=False)
class Proof:
    """One forecast and its place in the tree of its day.

    row : the forecast, n = 1
    index, n_rows : its leaf, counted from 0, and how many there are
    path : the hashes beside the way to the root, the lowest first
    """

    day: date
    row: Rows
    index: int
    n_rows: int
    path: Sequence[bytes]

    @classmethod
    def of(cls, day: date, row: Rows, row_hashes: Sequence[bytes], index: int) -> Self:
        """The proof of leaf `index` among the row hashes of the day."""
        return cls(day, row, index, len(row_hashes), audit_path(row_hashes, index))

    def to_bytes(self) -> bytes:
        """The file: JSON."""
        document = {
            "version": SEAL_VERSION,
            "day": self.day.isoformat(),
            "n_rows": self.n_rows,
            "index": self.index,
            "path": [one.hex() for one in self.path],
            "row": {name: _shown(name, column) for name, column in self.row.columns.items()},
        }
        return (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """The proof that a file holds; raises BadSeal, which calls the file `name`."""
        document = parsed(data, name, KIND)
        try:
            row = document["row"]
            return cls(
                day=date.fromisoformat(document["day"]),
                row=Rows(1, {field: _read(field, row[field]) for field in (*FIELDS, *ADDED)}),
                index=count(document["index"]),
                n_rows=count(document["n_rows"]),
                path=[digest(one) for one in document["path"]],
            )
        except KeyError as error:
            raise BadSeal(name, f"it has no {error}", KIND) from error
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadSeal(name, str(error), KIND) from error

    @property
    def recorded_on(self) -> date:
        """The day of the row's recorded_at, UTC."""
        day: date = self.row.columns["recorded_at"][0].astype("datetime64[D]").item()
        return day

    def check(self, seal: Seal) -> list[str]:
        """What is wrong with it, in sentences; none where the forecast was sealed just so."""
        if self.day != seal.day:
            return [f"the proof speaks of {self.day}, the seal of {seal.day}; take the seal of {self.day}"]
        wrong = []
        if self.recorded_on != self.day:
            wrong.append(f"the forecast says that it was recorded on {self.recorded_on}, not on {self.day}")
        if self.n_rows != seal.n_rows:
            wrong.append(f"the proof counts {self.n_rows} forecasts on {self.day}, the seal {seal.n_rows}")
        elif root_of_path(hashes(self.row)[0], self.index, self.n_rows, self.path) != seal.root:
            wrong.append(
                f"the forecast and its path do not lead to the root of {self.day}: a column or the path was changed, "
                "or the forecast was not there"
            )
        return wrong

    def __str__(self) -> str:
        columns: Mapping[str, Any] = self.row.columns
        model, interval, symbol = (columns[name].tolist()[0] for name in ("model_name", "interval", "symbol"))
        issued_at = np.datetime_as_string(columns["issued_at"][0], unit="m")
        return f"{symbol} {interval} by {model}, issued {issued_at}Z, row {columns['chain_seq'][0]} of its chain"


def _shown(name: str, column: Any) -> Any:
    """The value of a column's one row, as JSON has it: exact."""
    kind = FIELDS.get(name, "text")
    if isinstance(column, Texts):
        return column.tolist()[0]
    if isinstance(column, Lists):
        values = column.values[column.offsets[0] : column.offsets[1]]
        return [_instant(one) for one in values] if kind == "instants" else values.tolist()
    if kind == "bytes":
        return None if column[0] is None else column[0].hex()
    if kind == "uuid":
        return str(uuid.UUID(bytes=bytes(column[0].item())))
    if kind == "instant":
        return _instant(column[0])
    return column[0] if name == "run_id" else column[0].item()


def _instant(moment: np.datetime64) -> str:
    return f"{np.datetime_as_string(moment, unit='us')}Z"


def _read(name: str, value: Any) -> Any:
    """The column of one row that a value of the file gives; raises ValueError, TypeError or OverflowError."""
    kind = FIELDS.get(name, "text")
    if value is None and name not in MAY_BE_NULL:
        raise ValueError(f"its {name} is missing")
    if kind == "text":
        return Texts([0], [None if value is None else _of(str, name, value)])
    if kind == "bytes":
        return [None if value is None else bytes.fromhex(_of(str, name, value))]
    if kind == "uuid":
        return np.array([uuid.UUID(_of(str, name, value)).bytes], dtype="V16")
    if kind in ELEMENT:
        values = [_moment(one) for one in value] if kind == "instants" else [_of((float, int), name, o) for o in value]
        array = np.array(values, dtype="datetime64[us]" if kind == "instants" else np.float64)
        return Lists(np.array([0, len(values)], dtype=np.int64), array)
    if kind == "instant":
        return np.array([_moment(value)], dtype="datetime64[us]")
    if kind == "bool":
        return np.array([_of(bool, name, value)])
    if kind == "real":
        return np.array([_of((float, int), name, value)], dtype=np.float64)
    if name == "run_id":
        return [None if value is None else int(np.int64(_of(int, name, value)))]
    return np.array([_of(int, name, value)], dtype=np.int64 if kind == "int8" else np.int32)


def _of(kind: Any, name: str, value: Any) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{value!r} is no value of {name}")
    return value


def _moment(text: str) -> np.datetime64:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} names no time zone")
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")
