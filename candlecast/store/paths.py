"""Sample paths as bytes: a third smaller, and exactly the same when they come back.

The codec `f4-shuffle-zlib`: float32 little-endian in row-major order [path, step], then the first bytes of all
numbers, the second bytes, and so on (neighbouring prices share sign, exponent and leading bits), then zlib.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from candlecast.errors import CandlecastError
from candlecast.store.arrays import Uuids
from candlecast.store.sql import load

Paths = NDArray[np.float32]

CODEC: Final = "f4-shuffle-zlib"
LEVEL: Final = 1  # higher levels save 1 % and cost five times as long


class UnknownCodec(CandlecastError):
    """The paths were written by another version of the program, or are damaged."""


def pack(paths: Paths) -> bytes:
    """The bytes of `paths` [S, H]."""
    plain = np.ascontiguousarray(paths, dtype="<f4").reshape(-1)
    return zlib.compress(plain.view(np.uint8).reshape(-1, 4).T.tobytes(), LEVEL)


def unpack(packed: bytes, codec: str, n_paths: int, horizon: int) -> Paths:
    """The paths [S, H] that `packed` holds.

    Raises
    ------
    UnknownCodec : the codec is not ours, or the bytes do not hold that many paths.
    """
    if codec != CODEC:
        raise UnknownCodec(f"sample paths are stored by the codec {codec!r}, this program reads {CODEC!r}; update it")
    try:
        shuffled = np.frombuffer(zlib.decompress(packed), dtype=np.uint8)
    except zlib.error as error:
        raise UnknownCodec(f"stored sample paths are damaged ({error}); run `candlecast verify`") from None
    if shuffled.size != 4 * n_paths * horizon:
        raise UnknownCodec(
            f"stored sample paths hold {shuffled.size} bytes where {n_paths} paths of {horizon} steps need "
            f"{4 * n_paths * horizon}; run `candlecast verify`"
        )
    return np.ascontiguousarray(shuffled.reshape(4, -1).T).view("<f4").reshape(n_paths, horizon)


def paths_hash(packed: bytes, n_paths: int, horizon: int) -> bytes:
    """What the sealed row remembers of its paths: SHA-256 over codec, shape and bytes as they are stored."""
    return hashlib.sha256(CODEC.encode() + struct.pack("!ii", n_paths, horizon) + packed).digest()


def read_paths(conn: Connection, prediction_ids: Iterable[UUID]) -> dict[UUID, Paths]:
    """The sample paths [S, H] of the predictions that still have them; retention may have removed some."""
    wanted = Uuids(np.array([one.bytes for one in prediction_ids], dtype="V16"))
    rows = conn.execute(load("paths_read"), {"prediction_ids": wanted})
    return {row.prediction_id: unpack(bytes(row.closes), row.codec, row.n_paths, row.horizon) for row in rows}
