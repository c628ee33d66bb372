"""The tree of a day obeys RFC 6962, and a file that is no seal is answered in a sentence."""

import json
from datetime import UTC, date, datetime
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.seals import BadSeal, Head, Seal, Tree, audit_path, root_of_path

SIZES = sorted({1, 2, 3, *(2**k + d for k in range(2, 8) for d in (-1, 0, 1))})
HASHES = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70, unique=True)
SEAL = Seal(
    date(2026, 11, 19),
    2,
    b"\x11" * 32,
    {("naïve", "1h"): Head(7, b"\x22" * 32), ("baseline-rw", "1d"): Head(2, b"\x33" * 32)},
    None,
    datetime(2026, 11, 20, 0, 15, 1, 250, UTC),
)


def rows(n: int) -> list[bytes]:
    return [sha256(number.to_bytes(4, "big")).digest() for number in range(n)]


# RFC 6962, section 2.1, as it is written there.


def split(n: int) -> int:
    """The largest power of two smaller than n."""
    return 1 << (n - 1).bit_length() - 1


def tree_head(data: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if not data:
        return sha256(b"").digest()
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    k = split(len(data))
    return sha256(b"\x01" + tree_head(data[:k]) + tree_head(data[k:])).digest()


def path(m: int, data: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(data) == 1:
        return []
    k = split(len(data))
    if m < k:
        return [*path(m, data[:k]), tree_head(data[k:])]
    return [*path(m - k, data[k:]), tree_head(data[:k])]


def test_the_tree_of_nothing_is_the_hash_of_nothing() -> None:
    assert Tree().root().hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_the_roots_are_those_of_a_published_list() -> None:
    """The eight inputs and roots of the test vectors of Google's certificate-transparency (merkletree_test.cc)."""
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    published = {
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }

    for n, root in published.items():
        assert Tree(bytes.fromhex(one) for one in inputs[:n]).root().hex() == root


@pytest.mark.parametrize("n", [0, *SIZES])
def test_the_root_is_the_one_that_the_recursive_definition_gives(n: int) -> None:
    assert Tree(rows(n)).root() == tree_head(rows(n))


@given(st.lists(st.binary(max_size=40), max_size=70), st.integers(0, 70))
def test_leaves_in_two_pieces_give_the_root_of_all(leaves: list[bytes], cut: int) -> None:
    tree = Tree(leaves[:cut])
    tree.root()
    tree.add(leaves[cut:])

    assert tree.n == len(leaves)
    assert tree.root() == tree_head(leaves)


@pytest.mark.parametrize("n", SIZES)
def test_every_leaf_has_the_path_of_the_definition_and_it_leads_to_the_root(n: int) -> None:
    leaves = rows(n)
    for index in range(n):
        found = audit_path(leaves, index)
        assert found == path(index, leaves)
        assert root_of_path(leaves[index], index, n, found) == tree_head(leaves)


@given(HASHES, st.data())
def test_a_path_holds_for_no_other_leaf_place_or_size(leaves: list[bytes], data: st.DataObject) -> None:
    n = len(leaves)
    index, other = (data.draw(st.integers(0, n - 1)) for _ in range(2))
    found, root = audit_path(leaves, index), tree_head(leaves)

    assert root_of_path(leaves[index], index, n, found) == root
    if other != index:
        assert root_of_path(leaves[other], index, n, found) != root
        assert root_of_path(leaves[index], other, n, found) != root
    assert root_of_path(leaves[index], index, n, [*found, b"\0" * 32]) != root
    assert root_of_path(leaves[index], n, n, found) is None
    if found:
        assert root_of_path(leaves[index], index, n, found[:-1]) != root
        place = data.draw(st.integers(0, len(found) - 1))
        bent = [*found[:place], sha256(found[place]).digest(), *found[place + 1 :]]
        assert root_of_path(leaves[index], index, n, bent) != root


@given(HASHES.filter(lambda leaves: len(leaves) > 1))
def test_an_inner_node_is_no_leaf(leaves: list[bytes]) -> None:
    k = split(len(leaves))
    inside = tree_head(leaves[:k]) + tree_head(leaves[k:])

    assert Tree([inside]).root() != tree_head(leaves)


def test_a_path_of_a_leaf_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError):
        audit_path(rows(3), 3)


def test_a_seal_comes_back_from_its_file() -> None:
    read = Seal.from_bytes(SEAL.to_bytes(), "x.json")

    assert read.says_the_same_as(SEAL)
    assert read.made_at == SEAL.made_at
    assert read.to_bytes() == SEAL.to_bytes()


def test_the_file_says_what_it_is_to_somebody_without_this_code() -> None:
    document = json.loads(SEAL.to_bytes())

    assert document["day"] == "2026-11-19"
    assert document["tree"] == "RFC 6962 with SHA-256; leaves: row_hash by model_name, interval, chain_seq"
    assert document["heads"][0] == {
        "model_name": "baseline-rw",
        "interval": "1d",
        "chain_seq": 2,
        "row_hash": "33" * 32,
    }
    assert document["made_at"] == "2026-11-20T00:15:01.000250Z"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "it does not say version 1"),
        ({"root": "11" * 31}, "is no SHA-256 in hexadecimal"),
        ({"root": "zz" * 32}, "non-hexadecimal"),
        ({"n_rows": -1}, "-1 is no count"),
        ({"n_rows": True}, "True is no count"),
        ({"day": "19.11.2026"}, "Invalid isoformat"),
        ({"heads": [{"model_name": "a", "interval": "1h", "chain_seq": 1}]}, "it has no 'row_hash'"),
        ({"heads": [{"model_name": 1, "interval": "1h", "chain_seq": 1, "row_hash": "11" * 32}]}, "1 is no text"),
        ({"heads": 2 * [{"model_name": "a", "interval": "1h", "chain_seq": 1, "row_hash": "11" * 32}]}, "two heads"),
        ({"made_at": None}, "fromisoformat"),
    ],
)
def test_a_file_that_is_no_seal_says_why(change: dict[str, object], sentence: str) -> None:
    data = json.dumps({**json.loads(SEAL.to_bytes()), **change}).encode()

    with pytest.raises(BadSeal, match=sentence):
        Seal.from_bytes(data, "2026-11-19.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"<html>404</html>"])
def test_a_file_of_something_else_is_no_seal(data: bytes) -> None:
    with pytest.raises(BadSeal, match="x.json is no seal of a day"):
        Seal.from_bytes(data, "x.json")
