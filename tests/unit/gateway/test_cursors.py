"""Cursors come back as they were made, and anything else is refused with a sentence, whatever it is."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.content.history import Place, instant, micros
from gateway.content.performance import _key
from gateway.cursors import cursor_of, place_of
from gateway.problems import Problem

ASKED = ["history", "BTCUSDT", "1h", None]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


def as_it_is(values: list[Any]) -> list[Any]:
    return values


@given(place=st.lists(JSON, max_size=6))
def test_a_cursor_gives_the_place_it_was_made_of(place: list[Any]) -> None:
    assert place_of(cursor_of(ASKED, place), ASKED, as_it_is) == place


@given(place=st.lists(JSON, max_size=6), data=st.data())
def test_a_cursor_that_was_changed_anywhere_is_refused(place: list[Any], data: st.DataObject) -> None:
    cursor = cursor_of(ASKED, place)
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda sign: sign != cursor[at]))
    for changed in (cursor[:at] + other + cursor[at + 1 :], cursor[:at] + cursor[at + 1 :], cursor + other):
        with pytest.raises(Problem) as refused:
            place_of(changed, ASKED, as_it_is)
        assert (refused.value.status, refused.value.members["errors"][0]["parameter"]) == (422, "cursor")


@pytest.mark.parametrize(
    "other", [["history", "ETHUSDT", "1h", None], ["performance", "BTCUSDT", "1h", None], ASKED[:3]]
)
def test_a_cursor_of_another_question_is_refused(other: list[Any]) -> None:
    cursor = cursor_of(other, [1])

    assert place_of(cursor, other, as_it_is) == [1]
    with pytest.raises(Problem, match="does not belong to this list"):
        place_of(cursor, ASKED, as_it_is)


@given(text=st.text(max_size=200))
def test_no_text_breaks_the_reader_of_cursors(text: str) -> None:
    with pytest.raises(Problem):
        place_of(text, ASKED, as_it_is)


@given(place=JSON)
def test_a_well_made_cursor_that_holds_no_place_is_refused(place: Any) -> None:
    """The checksum is no secret, so what a cursor holds may be anything."""
    for read in (Place.read, _key):
        with pytest.raises(Problem):
            place_of(cursor_of(ASKED, place), ASKED, read)


def test_a_place_holds_instants_to_the_microsecond_and_lengths_of_all_chains() -> None:
    lengths = {"baseline-rw": 2**63 - 1, "kronos-nano": 0}
    moments = (instant(-1), instant(1_751_328_000_000_001))
    place = Place(lengths, moments[0], moments[1], UUID(int=7))

    assert place_of(cursor_of(ASKED, place.values()), ASKED, Place.read) == place
    assert [micros(moment) for moment in moments] == [-1, 1_751_328_000_000_001]
    assert moments[1].isoformat() == "2025-07-01T00:00:00.000001+00:00"


@pytest.mark.parametrize(
    "place",
    [
        [{"a": -1}, 0, 0, str(UUID(int=1))],
        [{"a": 2**63}, 0, 0, str(UUID(int=1))],
        [{"a": True}, 0, 0, str(UUID(int=1))],
        [{"a\0": 1}, 0, 0, str(UUID(int=1))],
        [{"a": 1}, 2**62, 0, str(UUID(int=1))],
        [{"a": 1}, None, 0, str(UUID(int=1))],
        [{"a": 1}, 0, 0, "no id"],
        [{f"m{number}": 1 for number in range(1001)}, 0, 0, str(UUID(int=1))],
    ],
)
def test_a_place_that_the_database_would_choke_on_is_refused(place: list[Any]) -> None:
    with pytest.raises(Problem):
        place_of(cursor_of(ASKED, place), ASKED, Place.read)


def test_a_key_of_the_track_record_is_of_the_right_kinds() -> None:
    key = ("live", "BTCUSDT", "1h", "kronos-nano", 24, "all")

    assert place_of(cursor_of(ASKED, key), ASKED, _key) == key
    for wrong in ((*key[:4], 2**31, "all"), (*key[:4], True, "all"), ("li\0ve", *key[1:]), key[:5]):
        with pytest.raises(Problem):
            place_of(cursor_of(ASKED, wrong), ASKED, _key)
