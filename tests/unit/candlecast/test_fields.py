import tracemalloc
from typing import Any

import numpy as np
import pytest

from candlecast.fields import MessageError, numbers, short


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [nested(5_000), [[0] * 1_000_000], {"a": {"b": nested(5_000)}}, ["x" * 10**6], 10**300]
)
def test_a_sentence_about_a_value_is_short_however_deep_or_long_the_value_is(value: Any) -> None:
    assert len(short(value)) <= 60


@pytest.mark.parametrize(
    "value", [["1"], [None], [True, 1.5], [[1, 2], [3, "4"]], [1, [2]], [[[1]]], nested(5_000), {}, 1]
)
def test_only_numbers_are_numbers(value: Any) -> None:
    with pytest.raises(MessageError, match="ohlcv is .*, needed is a list of numbers"):
        numbers(value, "ohlcv")


def test_rows_of_different_lengths_are_named() -> None:
    with pytest.raises(MessageError, match="ohlcv has rows of different lengths"):
        numbers([[1, 2], [3]], "ohlcv")


def test_numbers_keep_their_shape_and_their_bits() -> None:
    assert numbers([], "x").shape == (0,)
    assert numbers([[1, 0.1], [2**64 - 1, -0.0]], "x").tobytes() == np.array([[1.0, 0.1], [2.0**64, -0.0]]).tobytes()


def test_one_long_text_among_many_values_takes_no_room() -> None:
    value = ["x" * 100_000, *[""] * 10_000]
    tracemalloc.start()

    with pytest.raises(MessageError):
        numbers(value, "ohlcv")

    assert tracemalloc.get_traced_memory()[1] < 1_000_000  # an array of texts would take 4 GB
    tracemalloc.stop()
