"""The bytes that a forecast's row_hash was made of, from its columns and back: what an outsider needs to check it.

The database hashes a record of the columns below as PostgreSQL's `record_send` writes it: the number of fields, then
for each field the number of its type, the length of its value (-1: NULL) and the value; everything big-endian, text
as UTF-8, instants as microseconds since 2000, arrays as (1 dimension, no NULL, type, length, first index 1) and then
length and value of each element. A row with a feed or a calibration has both as two more fields, an absent one empty.
The same is said in SQL by sql/functions/seal_prediction_2.sql.

A million rows are put together in seconds: numbers by numpy, columns of few distinct texts once per text.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from candlecast.errors import CandlecastError

Kind = Literal["bytes", "uuid", "text", "int8", "int4", "instant", "real", "instants", "reals", "bool"]

FIELDS: Final[dict[str, Kind]] = {
    "prev_hash": "bytes",
    "chain_seq": "int8",
    "prediction_id": "uuid",
    "symbol": "text",
    "interval": "text",
    "model_name": "text",
    "model_version": "text",
    "issued_at": "instant",
    "horizon": "int4",
    "target_at": "instants",
    "last_close": "real",
    "scale": "real",
    "p10": "reals",
    "p50": "reals",
    "p90": "reals",
    "fan": "reals",
    "seed": "int8",
    "n_paths": "int4",
    "lookback_start": "instant",
    "lookback_end": "instant",
    "data_hash": "bytes",
    "event_context": "text",
    "synthetic": "bool",
    "paths_hash": "bytes",
    "status": "text",
    "run_id": "int8",
    "recorded_at": "instant",
}
ADDED: Final = ("feed", "calibration")  # texts, at the end of rows that have one of them
MAY_BE_NULL: Final = ("paths_hash", "run_id", *ADDED)
N_FIELDS: Final = len(FIELDS)
GENESIS: Final = sha256(b"").digest()  # prev_hash of the first row of every chain
EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "us")

BYTEA: Final = 17  # text is hashed as bytea too: bytes in UTF-8, whatever the client's encoding
OID: Final[dict[Kind, int]] = {
    "bytes": BYTEA, "uuid": 2950, "text": BYTEA, "int8": 20, "int4": 23, "instant": 1184, "real": 701,
    "instants": 1185, "reals": 1022, "bool": 16,
}  # fmt: skip
WIRE: Final[dict[Kind, str]] = {
    "uuid": "V16", "int8": ">i8", "int4": ">i4", "instant": ">i8", "real": ">f8", "bool": "u1", "instants": ">i8",
    "reals": ">f8",
}  # fmt: skip
ELEMENT: Final[dict[Kind, int]] = {"instants": 1184, "reals": 701}
ARRAY_HEADER: Final = struct.Struct("!iiiii")
HEAD: Final = struct.Struct("!Ii").pack  # type, length
SIZE: Final = struct.Struct("!i").unpack_from
HEADS: Final = struct.Struct("!Ii").unpack_from

# What is written in one stroke: fields of a fixed size that stand together. Between `issued_at` and `lookback_end` the
# size is that of the row's horizon.
SEATS: Final = ("chain_seq", "prediction_id")
SHAPED: Final = (
    "issued_at", "horizon", "target_at", "last_close", "scale", "p10", "p50", "p90", "fan", "seed", "n_paths",
    "lookback_start", "lookback_end",
)  # fmt: skip


class OddRecord(CandlecastError):
    """A sealed row that has no place in an export: an array that is none of one dimension from 1 on, or an odd type."""

    def __init__(self, field: str, chain_seq: int) -> None:
        super().__init__(
            f"row {chain_seq} holds a {field} that no column of an export can carry (an array of another shape, or "
            "another type); verify it with the database: `candlecast verify`"
        )
        self.field, self.chain_seq = field, chain_seq


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A column of texts: row i is `values[codes[i]]`; None is NULL."""

    codes: Sequence[int]
    values: Sequence[str | None]

    def tolist(self) -> list[str | None]:
        return [self.values[code] for code in self.codes]


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """A column of arrays: row i is `values[offsets[i]:offsets[i + 1]]`."""

    offsets: NDArray[np.int64]
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """N rows, by column: every name of FIELDS and ADDED.

    bytes: a list, None is NULL · uuid: numpy V16 · text: Texts · int8, int4: numpy integers; run_id: a list, None is
    NULL · instant: datetime64[us] · real: float64 · bool: numpy bool · instants, reals: Lists
    """

    n: int
    columns: Mapping[str, Any]


def encoded(rows: Rows) -> Iterator[bytes]:
    """The record of each row, in order."""
    columns = rows.columns
    feeds, calibrations = (columns[name].tolist() for name in ADDED)
    added = [feed is not None or text is not None for feed, text in zip(feeds, calibrations, strict=True)]
    counts = (struct.pack("!i", N_FIELDS), struct.pack("!i", N_FIELDS + len(ADDED)))
    flags = (HEAD(OID["bool"], 1) + b"\0", HEAD(OID["bool"], 1) + b"\1")
    pieces: list[Sequence[bytes]] = [
        [counts[more] for more in added],
        _bytes(columns["prev_hash"]),
        _fixed(rows, SEATS),
        *(_texts(columns[name]) for name in ("symbol", "interval", "model_name", "model_version")),
        _shaped(rows),
        _bytes(columns["data_hash"]),
        _texts(columns["event_context"]),
        [flags[flag] for flag in columns["synthetic"].tolist()],
        _bytes(columns["paths_hash"]),
        _texts(columns["status"]),
        [
            HEAD(OID["int8"], -1) if run_id is None else struct.pack("!Iiq", OID["int8"], 8, run_id)
            for run_id in columns["run_id"]
        ],
        _fixed(rows, ("recorded_at",)),
    ]
    if any(added):
        empty = HEAD(BYTEA, 0)
        for name in ADDED:
            fields = _texts(columns[name], null=empty)
            pieces.append([field if more else b"" for field, more in zip(fields, added, strict=True)])
    return map(b"".join, zip(*pieces, strict=True))


def hashes(rows: Rows) -> list[bytes]:
    """The SHA-256 of each row's record: what its row_hash has to be."""
    return [sha256(record).digest() for record in encoded(rows)]


def _bytes(values: Sequence[bytes | None]) -> list[bytes]:
    return [HEAD(BYTEA, -1) if value is None else HEAD(BYTEA, len(value)) + value for value in values]


def _texts(column: Texts, null: bytes = HEAD(BYTEA, -1)) -> list[bytes]:
    fields = []
    for value in column.values:
        raw = b"" if value is None else value.encode()
        fields.append(null if value is None else HEAD(BYTEA, len(raw)) + raw)
    return [fields[code] for code in column.codes]


def _fixed(rows: Rows, names: Sequence[str]) -> list[bytes]:
    return _filled({name: rows.columns[name] for name in names}, rows.n)


def _shaped(rows: Rows) -> list[bytes]:
    """The fields of SHAPED of each row; rows whose arrays are equally long are written together."""
    lists = {name: rows.columns[name] for name in SHAPED if isinstance(rows.columns[name], Lists)}
    lengths = np.stack([np.diff(column.offsets) for column in lists.values()], axis=1)
    if (lengths == lengths[:1]).all():
        return _of_shape(rows, lists, None)
    shapes, which = np.unique(lengths, axis=0, return_inverse=True)
    pieces: list[bytes] = [b""] * rows.n
    for number in range(len(shapes)):
        members = np.flatnonzero(which.reshape(-1) == number)
        for place, piece in zip(members.tolist(), _of_shape(rows, lists, members), strict=True):
            pieces[place] = piece
    return pieces


def _of_shape(rows: Rows, lists: Mapping[str, Lists], members: NDArray[np.intp] | None) -> list[bytes]:
    """The fields of SHAPED of the rows `members` (all, where None), whose arrays have the same lengths."""
    chosen: dict[str, NDArray[Any]] = {}
    for name in SHAPED:
        column = rows.columns[name]
        if name not in lists:
            chosen[name] = column if members is None else column[members]
            continue
        first = column.offsets[:-1] if members is None else column.offsets[:-1][members]
        length = int(column.offsets[1] - column.offsets[0]) if members is None else int(_length(column, members))
        if members is None:  # they lie end to end
            chosen[name] = column.values[column.offsets[0] : column.offsets[-1]].reshape(rows.n, length)
        else:
            chosen[name] = column.values[first[:, None] + np.arange(length)]
    return _filled(chosen, rows.n if members is None else len(members))


def _length(column: Lists, members: NDArray[np.intp]) -> int:
    return int(column.offsets[members[0] + 1] - column.offsets[members[0]])


def _filled(columns: Mapping[str, NDArray[Any]], n: int) -> list[bytes]:
    """The fields of each row end to end, as one numpy record array."""
    layout: list[Any] = []
    for name, values in columns.items():
        kind = FIELDS[name]
        layout += [(f"{name} oid", ">i4"), (f"{name} size", ">i4")]
        if kind in ELEMENT and values.shape[1]:
            layout += [(f"{name} array", "V20"), (name, [("size", ">i4"), ("value", WIRE[kind])], (values.shape[1],))]
        elif kind in ELEMENT:
            layout += [(f"{name} array", "V12")]
        else:
            layout += [(name, WIRE[kind])]
    table = np.empty(n, dtype=layout)
    for name, values in columns.items():
        kind = FIELDS[name]
        wire = _since_epoch(values) if values.dtype.kind == "M" else values
        table[f"{name} oid"] = OID[kind]
        if kind not in ELEMENT:
            table[f"{name} size"] = table.dtype[name].itemsize
            table[name] = wire
            continue
        length = values.shape[1]
        head = ARRAY_HEADER.pack(1, 0, ELEMENT[kind], length, 1) if length else struct.pack("!iii", 0, 0, ELEMENT[kind])
        table[f"{name} size"] = len(head) + 12 * length
        table[f"{name} array"] = np.void(head)
        if length:
            table[name]["size"] = 8
            table[name]["value"] = wire
    whole: list[bytes] = table.view(f"V{table.dtype.itemsize}").tolist()
    return whole


def _since_epoch(instants: NDArray[Any]) -> NDArray[np.int64]:
    return instants.astype("datetime64[us]").view(np.int64) - EPOCH.view(np.int64)  # wraps, so that none is lost


def decoded(records: Sequence[bytes]) -> Rows:
    """The columns that records are made of: the inverse of `encoded`.

    Raises
    ------
    OddRecord : a field of another type, an array of another shape.
    """
    fields: dict[str, list[bytes | None]] = {name: [] for name in (*FIELDS, *ADDED)}
    plan = tuple((name, values.append, OID[FIELDS.get(name, "text")]) for name, values in fields.items())
    for record in records:
        n_fields = SIZE(record)[0]
        if n_fields not in (N_FIELDS, len(plan)):
            raise OddRecord(f"number of fields ({n_fields})", _seq(record))
        at = 4
        for name, append, oid in plan[:n_fields]:
            found, size = HEADS(record, at)
            if found != oid:
                raise OddRecord(name, _seq(record))
            at += 8
            if size < 0:
                append(None)
            else:
                append(record[at : at + size])
                at += size
        feed, calibration = fields["feed"], fields["calibration"]
        if n_fields == N_FIELDS:
            feed.append(None)
            calibration.append(None)
        else:  # absent is hashed like empty; a row keeps one of both, so as to be known as one of this kind
            calibration[-1] = calibration[-1] or None
            feed[-1] = feed[-1] or (None if calibration[-1] else b"")
    return Rows(len(records), {name: _column(name, values, fields) for name, values in fields.items()})


def _seq(record: bytes) -> int:
    """The chain_seq of a record, behind count and prev_hash."""
    return int.from_bytes(record[52:60], "big")


def _column(name: str, values: list[bytes | None], fields: Mapping[str, list[bytes | None]]) -> Any:
    kind = FIELDS.get(name, "text")
    if kind == "bytes":
        return values
    if kind == "text":
        seen: dict[bytes | None, int] = {}
        codes = [seen.setdefault(value, len(seen)) for value in values]
        return Texts(codes, [None if raw is None else raw.decode() for raw in seen])
    if name == "run_id":
        return [None if raw is None else int.from_bytes(raw, "big", signed=True) for raw in values]
    if None in values:
        raise OddRecord(f"{name} that is NULL", _int8(fields["chain_seq"][values.index(None)]))
    raws: list[bytes] = values  # type: ignore[assignment]
    if kind in ELEMENT:
        return _lists(name, kind, raws, fields)
    array = np.frombuffer(b"".join(raws), dtype=WIRE[kind])
    if kind == "instant":
        return _instants(array)
    if kind == "uuid":
        return array
    return array.astype(bool) if kind == "bool" else array.astype(array.dtype.newbyteorder("="))


def _lists(name: str, kind: Kind, raws: list[bytes], fields: Mapping[str, list[bytes | None]]) -> Lists:
    lengths = []
    for place, raw in enumerate(raws):
        length = SIZE(raw, 12)[0] if len(raw) > 20 else 0
        if raw[:20] != ARRAY_HEADER.pack(1, 0, ELEMENT[kind], length, 1) or len(raw) != 20 + 12 * length:
            raise OddRecord(name, _int8(fields["chain_seq"][place]))
        lengths.append(length)
    elements = np.frombuffer(b"".join(raw[20:] for raw in raws), dtype=[("size", ">i4"), ("value", WIRE[kind])])
    values = _instants(elements["value"]) if kind == "instants" else elements["value"].astype(np.float64)
    return Lists(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), values)


def _instants(wire: NDArray[Any]) -> NDArray[Any]:
    return (wire.astype(np.int64) + EPOCH.view(np.int64)).view("datetime64[us]")


def _int8(raw: bytes | None) -> int:
    return int.from_bytes(raw or b"", "big", signed=True)
