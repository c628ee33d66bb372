"""The ledger as a Parquet file that anybody can read: one row per forecast, every column that its hash covers, typed.

Beside the hashed columns stand row_hash and, as everywhere, prev_hash and chain_seq. Rows are ordered by model_name,
interval (as bytes) and chain_seq. Hashes are 32 bytes; `fan` holds 11 levels for step 1, then for step 2, and so on;
event_context and calibration are JSON, letter by letter as they were hashed.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from candlecast.ledger_lines import ORDER, BadLedgerFile
from candlecast.records import ELEMENT, FIELDS, MAY_BE_NULL, Kind, Lists, Rows, Texts

ROWS_AT_ONCE: Final = 20_000
CELLS_AT_ONCE: Final = 500_000  # values, those of arrays counted one by one: 280 rows of 120 steps
_TYPES: Final[dict[Kind, Any]] = {
    "bytes": pa.binary(),
    "uuid": pa.string(),
    "text": pa.string(),
    "int8": pa.int64(),
    "int4": pa.int32(),
    "instant": pa.timestamp("us", "UTC"),
    "real": pa.float64(),
    "bool": pa.bool_(),
    "instants": pa.list_(pa.field("element", pa.timestamp("us", "UTC"), nullable=False)),
    "reals": pa.list_(pa.field("element", pa.float64(), nullable=False)),
}
SCHEMA: Final = pa.schema(
    [
        *(pa.field(name, _TYPES[FIELDS.get(name, "text")], nullable=name in MAY_BE_NULL) for name in ORDER),
        pa.field("row_hash", pa.binary(), nullable=False),
    ],
    metadata={"candlecast.ledger": "1"},
)
FEW_TEXTS: Final = ["model_name", "interval", "symbol", "status", "model_version", "event_context", "feed"]


class Writer:
    """Writes rows into a new Parquet file; takes its name when it is complete, so that half a file is never there."""

    def __init__(self, path: Path) -> None:
        self.path, self.n_rows = path, 0
        self._draft = path.with_name(f"{path.name}.part")

    def __enter__(self) -> "Writer":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = pq.ParquetWriter(self._draft, SCHEMA, compression="zstd", use_dictionary=FEW_TEXTS)
        return self

    def add(self, rows: Rows, row_hashes: list[bytes]) -> None:
        """Append a row group."""
        self._file.write_batch(batch_of(rows, row_hashes))
        self.n_rows += rows.n

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._file.close()
        if kind is None:
            self._draft.replace(self.path)
        else:
            self._draft.unlink(missing_ok=True)


def batch_of(rows: Rows, row_hashes: list[bytes]) -> Any:
    """The rows as an Arrow record batch of SCHEMA."""
    columns = {name: _arrow(name, column) for name, column in rows.columns.items()}
    columns["row_hash"] = pa.array(row_hashes, pa.binary())
    return pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _arrow(name: str, column: Any) -> Any:
    kind = FIELDS.get(name, "text")
    if kind == "uuid":
        return pa.array([str(uuid.UUID(bytes=one)) for one in column.tolist()], pa.string())
    if isinstance(column, Texts):
        codes = pa.array(np.asarray(column.codes, dtype=np.int32))
        return pa.array(list(column.values), pa.string()).take(codes)
    if isinstance(column, Lists):
        values = _instants(column.values) if kind == "instants" else pa.array(column.values)
        elements = values.cast(_TYPES[kind].value_type)
        return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), elements, type=_TYPES[kind])
    if kind == "instant":
        return _instants(column).cast(_TYPES[kind])
    return pa.array(column, _TYPES[kind])


def _instants(values: Any) -> Any:
    """By way of numbers: as instants, numpy's "not a time" would become NULL."""
    return pa.array(values.view(np.int64)).cast(pa.timestamp("us"))


class Reader:
    """Reads an export in pieces of bounded size.

    wrong : nothing; a Parquet file that can be read is complete

    Raises
    ------
    BadLedgerFile : not Parquet, a column missing or of another type, a value missing where there has to be one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.wrong: list[str] = []
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
        except (OSError, pa.ArrowException) as error:
            raise BadLedgerFile(path, _first_line(error)) from error
        missing = [name for name in SCHEMA.names if name not in self._file.schema_arrow.names]
        if missing:
            raise BadLedgerFile(path, f"it has no column {', '.join(missing)}")
        self.n_rows: int = self._file.metadata.num_rows

    def batches(self) -> Iterator[tuple[Rows, list[bytes]]]:
        """Rows with the hashes that the file gives them."""
        pieces = self._file.iter_batches(self._rows_at_once(), columns=SCHEMA.names)
        while True:
            with self._naming_the_file():
                batch = next(pieces, None)
                if batch is None:
                    return
                rows = self._rows(batch) if batch.num_rows else None
            if rows is not None:
                yield rows

    def _rows_at_once(self) -> int:
        """As many rows as hold CELLS_AT_ONCE values, by the file's own count of them."""
        footer = self._file.metadata
        n_cells: int = sum(
            footer.row_group(group).column(column).num_values
            for group in range(footer.num_row_groups)
            for column in range(footer.num_columns)
        )
        return max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE * max(self.n_rows, 1) // max(n_cells, 1)))

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except (OSError, KeyError, pa.ArrowException, UnicodeError) as error:
            raise BadLedgerFile(self.path, _first_line(error)) from error

    def _rows(self, batch: Any) -> tuple[Rows, list[bytes]]:
        table = pa.Table.from_batches([batch]).select(SCHEMA.names)
        arrays = {field.name: table[field.name].combine_chunks().cast(field.type) for field in SCHEMA}
        for name, array in arrays.items():
            lists = array.flatten() if FIELDS.get(name) in ELEMENT else array
            if (array.null_count and name not in MAY_BE_NULL) or (lists is not array and lists.null_count):
                raise BadLedgerFile(self.path, f"a value of {name} is missing")
        row_hashes: list[bytes] = arrays.pop("row_hash").to_pylist()
        return Rows(batch.num_rows, {name: _column(name, array) for name, array in arrays.items()}), row_hashes


def _column(name: str, array: Any) -> Any:
    kind = FIELDS.get(name, "text")
    if kind == "uuid":
        return _uuids(array)
    if kind == "text":
        encoded = array.dictionary_encode(null_encoding="encode")
        return Texts(encoded.indices.to_numpy().tolist(), encoded.dictionary.to_pylist())
    if kind == "bytes" or name == "run_id":
        return array.to_pylist()
    if kind in ELEMENT:
        offsets = array.offsets.to_numpy().astype(np.int64)
        values = array.values
        values = values.cast(pa.int64()).to_numpy().view("datetime64[us]") if kind == "instants" else values.to_numpy()
        return Lists(offsets, values)
    if kind == "instant":
        return array.cast(pa.int64()).to_numpy().view("datetime64[us]")
    return array.to_numpy(zero_copy_only=False)


def _uuids(array: Any) -> Any:
    """The 16 bytes of each id; one that is no UUID becomes zeros, which no row hashes to."""
    digits = pc.replace_substring(array, "-", "")
    sound = pc.match_substring_regex(array, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
    digits = pc.if_else(sound, digits, "0" * 32)
    return np.frombuffer(bytes.fromhex("".join(digits.to_pylist())), dtype="V16")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".;")
