"""The text of a key: made, taken apart, and what is kept of it."""

import binascii
import hashlib
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.keys import KeyRecord, digest_of, key_id_of, make_key

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def test_a_key_names_itself_holds_256_random_bits_and_ends_in_its_crc32() -> None:
    key = make_key()

    prefix, key_id, rest = key.text.split("_", 2)
    secret, checksum = rest[:43], rest[44:]
    assert (prefix, key_id, len(rest), rest[43]) == ("ck", key.key_id, 43 + 1 + 8, "_")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", secret)  # base64 of 32 bytes without its padding
    assert int(checksum, 16) == binascii.crc32(f"ck_{key_id}_{secret}".encode())
    assert key_id_of(key.text.encode()) == key.key_id


def test_no_two_keys_share_an_id_or_a_secret() -> None:
    keys = [make_key() for _ in range(200)]

    assert len({key.key_id for key in keys}) == 200
    assert len({key.text[14:57] for key in keys}) == 200


def test_the_text_of_a_new_key_stays_out_of_its_repr() -> None:
    key = make_key()

    assert key.text not in repr(key)
    assert key.text[14:40] not in repr(key)


def test_what_is_kept_is_the_sha256_and_stays_out_of_the_repr() -> None:
    assert digest_of(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    record = KeyRecord("abcdefghjk", "desk", hashlib.sha256(b"x").digest(), NOW)
    assert "digest" not in repr(record)


@given(st.data())
def test_one_changed_sign_anywhere_is_noticed(data: st.DataObject) -> None:
    text = make_key().text
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="latin-1").filter(lambda sign: sign != text[place]))

    assert key_id_of((text[:place] + other + text[place + 1 :]).encode("latin-1")) is None


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_key_and_no_error(raw: bytes) -> None:
    assert key_id_of(raw) is None


@pytest.mark.parametrize("change", ["", "\n", " ", "\x00", "x"])
def test_a_key_is_the_whole_text_and_nothing_around_it(change: str) -> None:
    text = make_key().text

    assert (key_id_of(f"{text}{change}".encode()) is None) == bool(change)
    assert (key_id_of(f"{change}{text}".encode()) is None) == bool(change)


def test_a_key_is_active_until_the_moment_it_expires_and_revoked_for_ever() -> None:
    def state(expires_at: datetime | None, revoked_at: datetime | None) -> str:
        return KeyRecord("abcdefghjk", "desk", b"", NOW - timedelta(days=1), expires_at, revoked_at).state(NOW)

    assert state(None, None) == "active"
    assert state(NOW + timedelta(seconds=1), None) == "active"
    assert state(NOW, None) == "expired"
    assert state(NOW + timedelta(days=9), NOW - timedelta(hours=1)) == "revoked"
