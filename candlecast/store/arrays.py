"""Numpy arrays to and from Postgres arrays, in the binary protocol and without a Python object per element.

A Postgres array of a type of fixed size is, on the wire, a header and then (length, value) for each element: a
numpy record array with big-endian fields. A million floats cross in milliseconds.

Instants are `datetime64[us]` in UTC here. NULL has no place in such an array: queries say what stands for it.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.adapt import Buffer, Dumper, Loader
from psycopg.pq import Format
from sqlalchemy import Connection, TextClause
from sqlalchemy.exc import DBAPIError

from candlecast.store.engine import DatabaseUnavailable, reason

EPOCH: Final = np.datetime64("2000-01-01T00:00:00", "us")  # Postgres counts from here


@dataclass(frozen=True, slots=True, eq=False)
class PgArray:
    """A one-dimensional array as a parameter of a query; the subclass names the type of its elements."""

    values: NDArray[Any]

    element_oid: ClassVar[int]
    array_oid: ClassVar[int]
    wire: ClassVar[str]


class Float8s(PgArray):
    element_oid, array_oid, wire = 701, 1022, ">f8"


class Int8s(PgArray):
    element_oid, array_oid, wire = 20, 1016, ">i8"


class Int4s(PgArray):
    element_oid, array_oid, wire = 23, 1007, ">i4"


class Int2s(PgArray):
    element_oid, array_oid, wire = 21, 1005, ">i2"


class Bools(PgArray):
    element_oid, array_oid, wire = 16, 1000, "?"


class Uuids(PgArray):
    """Elements are 16 bytes each, numpy's `V16`."""

    element_oid, array_oid, wire = 2950, 2951, "V16"


class Tids(PgArray):
    """Places of rows in their table, as `ctid` gives them; good for the transaction that read them, no longer."""

    element_oid, array_oid, wire = 27, 1010, "V6"


class Timestamps(PgArray):
    """Elements are `datetime64`."""

    element_oid, array_oid, wire = 1184, 1185, ">i8"


class Dates(PgArray):
    """Elements are `datetime64`, cut to their day."""

    element_oid, array_oid, wire = 1082, 1182, ">i4"


@dataclass(frozen=True, slots=True, eq=False)
class Byteas:
    """A parameter of the type bytea[]; None is NULL. In binary, where a list would be written as hexadecimal text."""

    values: Sequence[bytes | None]

    def dump(self) -> bytes:
        parts = [struct.pack("!iiiii", 1, any(one is None for one in self.values), 17, len(self.values), 1)]
        for one in self.values:
            parts += [struct.pack("!i", -1)] if one is None else [struct.pack("!i", len(one)), one]
        return b"".join(parts) if self.values else struct.pack("!iii", 0, 0, 17)


class _ByteasDumper(Dumper):
    format = Format.BINARY
    oid = 1001

    def dump(self, obj: Byteas) -> bytes:
        return obj.dump()


psycopg.adapters.register_dumper(Byteas, _ByteasDumper)

KINDS: Final[tuple[type[PgArray], ...]] = (Float8s, Int8s, Int4s, Int2s, Bools, Uuids, Tids, Timestamps, Dates)


def _dump(array: PgArray) -> bytes:
    values = array.values
    if isinstance(array, Timestamps):
        values = (values.astype("datetime64[us]") - EPOCH).astype(np.int64)
    elif isinstance(array, Dates):
        values = (values.astype("datetime64[D]") - EPOCH.astype("datetime64[D]")).astype(np.int64)
    if len(values) == 0:
        return struct.pack("!iii", 0, 0, array.element_oid)
    records = np.empty(len(values), dtype=[("size", ">i4"), ("value", array.wire)])
    records["size"] = records.dtype["value"].itemsize
    records["value"] = values
    return struct.pack("!iiiii", 1, 0, array.element_oid, len(values), 1) + records.tobytes()


def _load(kind: type[PgArray], data: Buffer) -> NDArray[Any]:
    n_dims, has_null, _ = struct.unpack_from("!iii", data)
    shape = [struct.unpack_from("!i", data, 12 + 8 * axis)[0] for axis in range(n_dims)] or [0]
    if has_null:
        raise ValueError(f"an array of {kind.__name__} holds a NULL; let the query put a value in its place")
    records = np.frombuffer(data, dtype=[("size", ">i4"), ("value", kind.wire)], offset=12 + 8 * n_dims)
    values: NDArray[Any] = records["value"].reshape(shape)
    if kind is Timestamps:
        instants: NDArray[Any] = EPOCH + values.astype(np.int64).astype("timedelta64[us]")
        return instants
    if kind is Dates:
        days: NDArray[Any] = EPOCH.astype("datetime64[D]") + values.astype(np.int64).astype("timedelta64[D]")
        return days
    native: NDArray[Any] = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return native


def _dumper_for(kind: type[PgArray]) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = kind.array_oid

        def dump(self, obj: PgArray) -> bytes:
            return _dump(obj)

    return ArrayDumper


def _loader_for(kind: type[PgArray]) -> type[Loader]:
    class ArrayLoader(Loader):
        format = Format.BINARY

        def load(self, data: Buffer) -> NDArray[Any]:
            return _load(kind, data)

    return ArrayLoader


_LOADERS: Final = {kind.array_oid: _loader_for(kind) for kind in KINDS}
for _kind in KINDS:
    psycopg.adapters.register_dumper(_kind, _dumper_for(_kind))


def fetch_arrays(conn: Connection, query: TextClause, parameters: Mapping[str, object]) -> dict[str, Any]:
    """The one row of `query`, by column; array columns come as numpy arrays (of text: as lists), NULL as None.

    Raises
    ------
    DBAPIError, DatabaseUnavailable : as any other statement on the connection would.
    """
    driver = conn.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    statement = str(query.compile(dialect=conn.dialect))
    try:
        with driver.cursor(binary=True) as cursor:
            for oid, loader in _LOADERS.items():
                cursor.adapters.register_loader(oid, loader)
            row = cursor.execute(statement, dict(parameters)).fetchone()
            columns = cursor.description
    except psycopg.Error as error:
        if driver.closed:
            conn.invalidate(error)
            raise DatabaseUnavailable(conn.engine.url, reason(error)) from None
        raise DBAPIError.instance(statement, None, error, psycopg.Error, hide_parameters=True) from error
    assert row is not None and columns is not None, "an aggregate without groups gives one row"  # noqa: PT018
    return {column.name: value for column, value in zip(columns, row, strict=True)}
