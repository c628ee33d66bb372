"""Sample paths as bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from candlecast.store.paths import CODEC, UnknownCodec, pack, paths_hash, unpack

ANY_FLOAT = st.floats(width=32)  # NaN and infinities too: the codec judges nothing


@given(
    st.tuples(st.integers(1, 8), st.integers(1, 8)).flatmap(lambda shape: arrays(np.float32, shape, elements=ANY_FLOAT))
)
def test_every_bit_comes_back(paths: np.ndarray) -> None:
    back = unpack(pack(paths), CODEC, *paths.shape)

    assert back.shape == paths.shape
    assert back.tobytes() == paths.tobytes()


def test_a_view_that_is_not_contiguous_comes_back_in_its_own_order() -> None:
    paths = np.arange(12, dtype=np.float32).reshape(4, 3).T

    assert unpack(pack(paths), CODEC, 3, 4).tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]


def test_real_looking_paths_shrink() -> None:
    steps = np.random.default_rng(0).normal(0, 50, size=(100, 120))
    paths = (60_000 + np.cumsum(steps, axis=1)).astype(np.float32)

    assert len(pack(paths)) < 0.75 * paths.nbytes


def test_the_hash_covers_shape_and_bytes() -> None:
    packed = pack(np.zeros((2, 3), np.float32))

    assert len({paths_hash(packed, 2, 3), paths_hash(packed, 3, 2), paths_hash(packed + b"x", 2, 3)}) == 3


def test_another_codec_damage_and_a_wrong_shape_are_named() -> None:
    packed = pack(np.zeros((2, 3), np.float32))

    with pytest.raises(UnknownCodec, match="'zfp', this program reads 'f4-shuffle-zlib'"):
        unpack(packed, "zfp", 2, 3)
    with pytest.raises(UnknownCodec, match="damaged"):
        unpack(packed[:-3], CODEC, 2, 3)
    with pytest.raises(UnknownCodec, match="hold 24 bytes where 2 paths of 4 steps need 32"):
        unpack(packed, CODEC, 2, 4)
