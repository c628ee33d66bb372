"""Columns and the bytes that were hashed are the same thing said twice."""

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candlecast.records import ADDED, FIELDS, Lists, OddRecord, Rows, Texts, decoded, encoded

FINITE = st.floats(allow_nan=False, allow_infinity=False)
INSTANTS = st.integers(-(2**55), 2**55)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
HASH = st.binary(min_size=32, max_size=32)


def one_row(draw: Any) -> dict[str, Any]:
    horizon = draw(st.integers(1, 3))
    made: dict[str, Any] = {}
    for name, kind in FIELDS.items():
        made[name] = draw(
            {
                "bytes": HASH,
                "uuid": st.binary(min_size=16, max_size=16),
                "text": TEXT,
                "int8": st.integers(-(2**63), 2**63 - 1),
                "int4": st.integers(-(2**31), 2**31 - 1),
                "instant": INSTANTS,
                "real": FINITE,
                "bool": st.booleans(),
                "instants": st.lists(INSTANTS, min_size=horizon, max_size=horizon),
                "reals": st.lists(FINITE, min_size=horizon * (11 if name == "fan" else 1), max_size=horizon * 11),
            }[kind]
        )
    made["paths_hash"] = draw(st.none() | HASH)
    made["run_id"] = draw(st.none() | st.integers(0, 2**62))
    made["feed"], made["calibration"] = draw(
        st.just((None, None)) | st.tuples(TEXT.filter(bool), st.none() | TEXT) | st.just((None, '{"version": 1}'))
    )
    return made


def columns_of(made: list[dict[str, Any]]) -> Rows:
    columns: dict[str, Any] = {}
    for name in (*FIELDS, *ADDED):
        kind, values = FIELDS.get(name, "text"), [row[name] for row in made]
        if kind == "text":
            columns[name] = Texts(list(range(len(values))), values)
        elif kind == "bytes" or name == "run_id":
            columns[name] = values
        elif kind in ("instants", "reals"):
            ends = np.cumsum([0, *(len(one) for one in values)])
            flat = [one for row in values for one in row]
            array = np.array(flat, dtype="i8").view("M8[us]") if kind == "instants" else np.array(flat, dtype=float)
            columns[name] = Lists(ends, array)
        elif kind == "instant":
            columns[name] = np.array(values, dtype="i8").view("M8[us]")
        else:
            columns[name] = np.array(
                values, dtype={"uuid": "V16", "int8": "i8", "int4": "i4", "real": "f8"}.get(kind, "?")
            )
    return Rows(len(made), columns)


def by_hand(row: dict[str, Any]) -> bytes:
    """record_send, written out: field by field, value by value."""

    def field(oid: int, value: bytes | None) -> bytes:
        return struct.pack("!Ii", oid, -1 if value is None else len(value)) + (value or b"")

    def array(oid: int, values: list[bytes]) -> bytes:
        return struct.pack("!iiiii", 1, 0, oid, len(values), 1) + b"".join(struct.pack("!i", 8) + one for one in values)

    def instant(micros: int) -> bytes:
        return struct.pack("!q", micros - 946_684_800_000_000)  # 2000-01-01 from 1970-01-01

    fields = []
    for name, kind in FIELDS.items():
        value = row[name]
        if value is None:
            fields.append(field({"bytes": 17, "int8": 20}[kind], None))
        elif kind == "text":
            fields.append(field(17, value.encode()))
        elif kind == "bytes":
            fields.append(field(17, value))
        elif kind == "uuid":
            fields.append(field(2950, value))
        elif kind == "int8":
            fields.append(field(20, struct.pack("!q", value)))
        elif kind == "int4":
            fields.append(field(23, struct.pack("!i", value)))
        elif kind == "instant":
            fields.append(field(1184, instant(value)))
        elif kind == "real":
            fields.append(field(701, struct.pack("!d", value)))
        elif kind == "bool":
            fields.append(field(16, b"\1" if value else b"\0"))
        elif kind == "instants":
            fields.append(field(1185, array(1184, [instant(one) for one in value])))
        else:
            fields.append(field(1022, array(701, [struct.pack("!d", one) for one in value])))
    if row["feed"] is not None or row["calibration"] is not None:
        fields += [field(17, (row[name] or "").encode()) for name in ADDED]
    return struct.pack("!i", len(fields)) + b"".join(fields)


@st.composite
def tables(draw: Any) -> list[dict[str, Any]]:
    return [one_row(draw) for _ in range(draw(st.integers(1, 4)))]


@given(tables())
@settings(max_examples=60)
def test_columns_give_the_bytes_that_record_send_writes(made: list[dict[str, Any]]) -> None:
    assert list(encoded(columns_of(made))) == [by_hand(row) for row in made]


@given(tables())
@settings(max_examples=60)
def test_bytes_come_back_from_their_columns(made: list[dict[str, Any]]) -> None:
    records = [by_hand(row) for row in made]

    assert list(encoded(decoded(records))) == records


@st.composite
def plain(draw: Any) -> dict[str, Any]:
    return one_row(draw)


@given(plain())
@settings(max_examples=5)
def test_minus_zero_and_a_row_with_an_empty_feed_keep_their_bits(row: dict[str, Any]) -> None:
    """An empty feed is hashed like an absent one beside a calibration, but not like a row that has neither."""
    row |= {"last_close": -0.0, "feed": "", "calibration": None}
    read = decoded([by_hand(row)])

    assert np.signbit(read.columns["last_close"][0])
    assert (read.columns["feed"].tolist(), read.columns["calibration"].tolist()) == ([""], [None])
    assert list(encoded(read)) == [by_hand(row)]


@given(plain())
@settings(max_examples=5)
def test_an_array_of_another_shape_is_refused_and_named(row: dict[str, Any]) -> None:
    row |= {"chain_seq": 12}
    plain_header = struct.pack("!iiiii", 1, 0, 701, len(row["p10"]), 1)
    from_zero = by_hand(row).replace(plain_header, struct.pack("!iiiii", 1, 0, 701, len(row["p10"]), 0), 1)

    with pytest.raises(OddRecord, match="row 12 holds a p10"):
        decoded([from_zero])


@given(plain())
@settings(max_examples=5)
def test_a_record_of_other_types_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(OddRecord, match="holds a prev_hash"):
        decoded([by_hand(row).replace(struct.pack("!I", 17), struct.pack("!I", 25), 1)])
    with pytest.raises(OddRecord, match="number of fields"):
        decoded([struct.pack("!i", 28) + by_hand(row)[4:]])
