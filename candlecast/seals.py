"""The seal of a day: one hash over every forecast that was recorded on it, to be published where its maker cannot edit.

The hash is the root of a Merkle tree (RFC 6962 §2.1). Its leaves are the row hashes of the day, by model_name,
interval (as bytes of UTF-8) and chain_seq. Leaves and inner nodes are hashed apart, so that none passes for the other:

    leaf = SHA-256(0x00 || row_hash)        node = SHA-256(0x01 || left || right)

Whoever has the root can be shown, by about log2(n) hashes, that one forecast was among those of the day. A seal also
names the newest row of every chain at the day's end, and the hash of the file of the day before.

References
----------
Laurie, Langley and Kasper (2013), Certificate Transparency, RFC 6962, §2.1; the check of a path follows RFC 9162
§2.1.3.2.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any, Final, Self

from candlecast.errors import CandlecastError

SEAL_VERSION: Final = 1
TREE: Final = "RFC 6962 with SHA-256; leaves: row_hash by model_name, interval, chain_seq"
EMPTY: Final = sha256(b"").digest()  # the root of a day without rows
Chain = tuple[str, str]  # model_name, interval


class BadSeal(CandlecastError):
    """A file that is no seal of a day, or no proof: the message says what is wrong with it."""

    def __init__(self, name: str, reason: str, kind: str = "seal of a day") -> None:
        super().__init__(f"{name} is no {kind}: {reason}; fetch it again from where it was published")
        self.name, self.reason = name, reason


def leaf_hash(row_hash: bytes) -> bytes:
    return sha256(b"\0" + row_hash).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Tree:
    """The root of leaves that come one after the other; keeps one hash for each power of two among them."""

    def __init__(self, row_hashes: Iterable[bytes] = ()) -> None:
        self.n = 0
        self._roots: list[bytes] = []  # of full subtrees, the largest first
        self.add(row_hashes)

    def add(self, row_hashes: Iterable[bytes]) -> None:
        """Append leaves."""
        roots, n = self._roots, self.n
        for row_hash in row_hashes:
            node, full = sha256(b"\0" + row_hash).digest(), n
            while full & 1:  # the subtree to the left has as many leaves as the one just completed
                node = sha256(b"\1" + roots.pop() + node).digest()
                full >>= 1
            roots.append(node)
            n += 1
        self.n = n

    def root(self) -> bytes:
        """The root over the leaves so far."""
        if not self._roots:
            return EMPTY
        node = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            node = node_hash(left, node)
        return node


def audit_path(row_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The nodes beside the way from leaf `index` to the root, the lowest first.

    Raises
    ------
    IndexError : there is no such leaf.
    """
    if not 0 <= index < len(row_hashes):
        raise IndexError(f"leaf {index} of {len(row_hashes)}")
    level, path = [leaf_hash(row_hash) for row_hash in row_hashes], []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):  # the last node of an odd level moves up alone
            path.append(level[beside])
        pairs = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
        index //= 2
    return path


def root_of_path(row_hash: bytes, index: int, n: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to from leaf `index` of `n`; None where the path has not the length it must have."""
    if not 0 <= index < n:
        return None
    node, at, last = leaf_hash(row_hash), index, n - 1
    for beside in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            node = node_hash(beside, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, beside)
        at, last = at >> 1, last >> 1
    return node if last == 0 else None


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row of a chain at some moment."""

    chain_seq: int
    row_hash: bytes


@dataclass(frozen=True, slots=True)
class Seal:
    """What was on record when a day had ended (UTC, by the database's clock).

    n_rows, root : the forecasts recorded on the day, and the root over them
    heads : the newest row of every chain with a row before the day's end
    previous : SHA-256 of the file of the day before; None for the first
    made_at : by the database's clock
    """

    day: date
    n_rows: int
    root: bytes
    heads: Mapping[Chain, Head]
    previous: bytes | None
    made_at: datetime

    def says_the_same_as(self, other: "Seal") -> bool:
        """Whether both speak of the same rows and the same past, whenever they were made."""
        mine, theirs = ((s.day, s.n_rows, s.root, dict(s.heads), s.previous) for s in (self, other))
        return mine == theirs

    def to_bytes(self) -> bytes:
        """The file: JSON, the same bytes for the same seal."""
        document = {
            "version": SEAL_VERSION,
            "day": self.day.isoformat(),
            "tree": TREE,
            "n_rows": self.n_rows,
            "root": self.root.hex(),
            "heads": [
                {
                    "model_name": model,
                    "interval": interval,
                    "chain_seq": head.chain_seq,
                    "row_hash": head.row_hash.hex(),
                }
                for (model, interval), head in sorted(self.heads.items())
            ],
            "previous": None if self.previous is None else self.previous.hex(),
            "made_at": f"{self.made_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> Self:
        """The seal that a file holds; raises BadSeal, which calls the file `name`."""
        document = parsed(data, name)
        try:
            heads = {
                (_text(one["model_name"]), _text(one["interval"])): Head(
                    count(one["chain_seq"]), digest(one["row_hash"])
                )
                for one in document["heads"]
            }
            if len(heads) != len(document["heads"]):
                raise ValueError("a chain has two heads")
            return cls(
                day=date.fromisoformat(document["day"]),
                n_rows=count(document["n_rows"]),
                root=digest(document["root"]),
                heads=heads,
                previous=None if document["previous"] is None else digest(document["previous"]),
                made_at=datetime.fromisoformat(document["made_at"]).astimezone(UTC),
            )
        except KeyError as error:
            raise BadSeal(name, f"it has no {error}") from error
        except (TypeError, ValueError, AttributeError) as error:
            raise BadSeal(name, str(error)) from error


def parsed(data: bytes, name: str, kind: str = "seal of a day") -> dict[str, Any]:
    """The JSON object of a published file of version 1; raises BadSeal."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise BadSeal(name, f"it is not JSON ({error})", kind) from error
    if not isinstance(document, dict) or document.get("version") != SEAL_VERSION:
        raise BadSeal(name, f"it does not say version {SEAL_VERSION}", kind)
    return document


def digest(text: object) -> bytes:
    """The 32 bytes of a SHA-256 in hexadecimal; raises ValueError."""
    if not isinstance(text, str) or len(text) != 64:
        raise ValueError(f"{text!r} is no SHA-256 in hexadecimal")
    return bytes.fromhex(text)


def count(number: object) -> int:
    """A whole number from 0 on; raises ValueError."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"{number!r} is no count")
    return number


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{text!r} is no text")
    return text
