"""Numpy arrays through a real database and back."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from candlecast.store.arrays import (
    Bools,
    Byteas,
    Dates,
    Float8s,
    Int2s,
    Int4s,
    Int8s,
    PgArray,
    Timestamps,
    Uuids,
    fetch_arrays,
)

CASES: list[tuple[type[PgArray], str, NDArray[Any]]] = [
    (Float8s, "float8", np.array([0.1, -np.inf, np.nan, 5e-324, -0.0])),
    (Int8s, "bigint", np.array([-(2**63), 0, 2**63 - 1])),
    (Int4s, "integer", np.array([-(2**31), 7], dtype=np.int32)),
    (Int2s, "smallint", np.array([-1, 0, 1], dtype=np.int16)),
    (Bools, "boolean", np.array([True, False, True])),
    (Uuids, "uuid", np.array([bytes(range(16)), bytes(16)], dtype="V16")),
    (Timestamps, "timestamptz", np.array(["1969-12-31T23:59:59.999999", "2026-03-29T01:00"], dtype="datetime64[us]")),
    (Dates, "date", np.array(["1900-02-28", "2024-02-29"], dtype="datetime64[D]")),
]


@pytest.mark.parametrize(("kind", "name", "values"), CASES)
def test_an_array_comes_back_as_it_was_sent(
    engine: Engine, kind: type[PgArray], name: str, values: NDArray[Any]
) -> None:
    with engine.connect() as conn:
        query = text(f"SELECT CAST(:sent AS {name}[]) AS back, cardinality(CAST(:sent AS {name}[])) AS n")
        found = fetch_arrays(conn, query, {"sent": kind(values)})

    assert found["n"] == len(values)
    assert found["back"].tobytes() == values.tobytes()


@pytest.mark.parametrize(("kind", "name", "values"), CASES)
def test_an_empty_array_is_empty(engine: Engine, kind: type[PgArray], name: str, values: NDArray[Any]) -> None:
    with engine.connect() as conn:
        found = fetch_arrays(conn, text(f"SELECT CAST(:sent AS {name}[]) AS back"), {"sent": kind(values[:0])})

    assert found["back"].shape == (0,)


@pytest.mark.parametrize("values", [[b"", b"\x00\\x", bytes(range(256))], [b"a", None], []])
def test_bytes_arrive_as_they_were_sent(engine: Engine, values: list[bytes | None]) -> None:
    with engine.connect() as conn:
        found = conn.execute(text("SELECT CAST(:sent AS bytea[])"), {"sent": Byteas(values)}).scalar_one()

    assert [None if one is None else bytes(one) for one in found] == values


def test_instants_are_read_in_utc_whatever_the_session_says(engine: Engine) -> None:
    with engine.connect() as conn:
        conn.exec_driver_sql("SET LOCAL timezone = 'Asia/Tokyo'")
        instants = Timestamps(np.array(["2025-01-01T00:00"], dtype="datetime64[s]"))
        query = text("SELECT CAST(:sent AS timestamptz[]) = ARRAY[timestamptz '2025-01-01 00:00+00'] AS same")

        assert fetch_arrays(conn, query, {"sent": instants}) == {"same": True}


def test_an_array_of_arrays_keeps_its_shape(engine: Engine) -> None:
    query = text("SELECT array_agg(ARRAY[n, n + 0.5]::float8[]) AS rows FROM generate_series(1, 3) AS n")
    with engine.connect() as conn:
        assert fetch_arrays(conn, query, {})["rows"].tolist() == [[1, 1.5], [2, 2.5], [3, 3.5]]


def test_a_null_among_the_elements_is_an_error_and_not_a_zero(engine: Engine) -> None:
    with engine.connect() as conn, pytest.raises(ValueError, match="an array of Float8s holds a NULL"):
        fetch_arrays(conn, text("SELECT ARRAY[1.0, NULL]::float8[] AS back"), {})


def test_a_failing_statement_raises_what_every_other_statement_raises(engine: Engine) -> None:
    with engine.connect() as conn, pytest.raises(DBAPIError, match="division by zero"):
        fetch_arrays(conn, text("SELECT 1 / 0 AS back"), {})
