"""A file with what readers last got, so that a restart serves while the database is away.

JSON lines: a head that names the format, one line per answer, and a last line with the digest of all before it. It
holds nothing that the gateway does not send to anybody who asks. A file that is cut, changed, of another version or
of something else is refused as a whole: half of a list would be served as all of it.
"""

import contextlib
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import orjson
from pydantic import TypeAdapter

from candlecast.errors import CandlecastError
from gateway.answers import Document, ForecastAnswer
from gateway.content.overview import Listed
from gateway.content.shelf import Shelf
from gateway.content.verdicts import Verdict, Verdicts

logger = logging.getLogger(__name__)

FORMAT: Final = "candlecast gateway snapshot 1"

LISTED: Final = TypeAdapter(list[Listed])
VERDICTS: Final = TypeAdapter(list[Verdict])

Key = tuple[str, ...]


class SnapshotRefused(CandlecastError):
    """The file cannot be served from."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the gateway held, and when the database last confirmed it.

    chains : length of each chain of the ledger by model and interval; its models are those that are known
    values : answers by their key in the cache
    """

    confirmed_at: datetime
    chains: Mapping[tuple[str, str], int]
    listed: Sequence[Listed]
    values: Mapping[Key, Shelf | Document]

    def lines(self) -> Iterator[bytes]:
        """The file's lines, without the last."""
        yield orjson.dumps({"format": FORMAT, "confirmed_at": self.confirmed_at})
        yield from self.content()

    def content(self) -> Iterator[bytes]:
        """What does not change while the database only confirms it."""
        yield orjson.dumps({"kind": "chains", "chains": [[*chain, n] for chain, n in sorted(self.chains.items())]})
        yield orjson.dumps({"kind": "listed", "listed": [asdict(item) for item in self.listed]})
        for key, value in sorted(self.values.items()):
            if isinstance(value, Shelf):
                forecasts = [answer.packed() | {"model": model} for model, answer in value.answers.items()]
                yield orjson.dumps({"kind": "shelf", "key": key, "forecasts": forecasts})
            elif isinstance(value, Verdicts):
                yield orjson.dumps(
                    {"kind": "verdicts", "key": key, "verdicts": [asdict(one) for one in value.verdicts]}
                )
            else:
                text = {"body": value.body.decode(), "content_type": value.content_type.decode()}
                times = {"max_age_s": value.max_age_s, "fresh_s": value.fresh_s}
                yield orjson.dumps({"kind": "document", "key": key, **text, **times})


def packable(value: object) -> bool:
    """Whether a value of the cache can be kept: a shelf, the verdicts, or a document that is nothing but its bytes."""
    return isinstance(value, Shelf | Verdicts) or type(value) is Document


class SnapshotFile:
    """Where a snapshot is kept, and what was last written there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: bytes | None = None
        self._failing = False
        self._one_writer = threading.Lock()

    def write(self, snapshot: Snapshot) -> None:
        """Replace the file in one step, if anything changed since the last time. A disk that refuses is told once."""
        with self._one_writer:
            content = hashlib.blake2b(b"\n".join(snapshot.content())).digest()
            if content != self._written and self._replace(b"\n".join(snapshot.lines()) + b"\n"):
                self._written = content

    def _replace(self, body: bytes) -> bool:
        """Whether the file now holds `body` and its digest."""
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as file:
                file.write(body + orjson.dumps({"blake2b": hashlib.blake2b(body).hexdigest()}) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
        except OSError as error:
            if not self._failing:
                logger.warning(
                    "the snapshot cannot be written to %s: %s; it is tried again", self._path, error.strerror
                )
            self._failing = True
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            return False
        self._failing = False
        return True

    def read(self) -> Snapshot | None:
        """What the file holds; None when there is none, or after a warning when it cannot be served from."""
        try:
            return parsed(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("the snapshot %s cannot be read (%s) and is ignored", self._path, error.strerror)
        except SnapshotRefused as error:
            logger.warning("the snapshot %s is ignored: %s; it is replaced after the next load", self._path, error)
        return None


def parsed(data: bytes) -> Snapshot:
    """The snapshot in a file's bytes.

    Raises
    ------
    SnapshotRefused : it is none, of another format, or not as it was written.
    """
    *lines, last = data.removesuffix(b"\n").split(b"\n")
    try:
        head = orjson.loads(lines[0] if lines else last)
        if head["format"] != FORMAT:
            raise SnapshotRefused("its format is another one than this version's")
        said = orjson.loads(last)["blake2b"]
    except (ValueError, TypeError, KeyError) as error:
        raise SnapshotRefused("it is not a whole snapshot") from error
    if said != hashlib.blake2b(b"\n".join(lines) + b"\n").hexdigest():
        raise SnapshotRefused("its digest does not fit it, so it was damaged or changed")
    chains: dict[tuple[str, str], int] = {}
    listed: list[Listed] = []
    values: dict[Key, Shelf | Document] = {}
    try:
        for item in map(orjson.loads, lines[1:]):
            match item["kind"]:
                case "chains":
                    chains = {(model, interval): n for model, interval, n in item["chains"]}
                case "listed":
                    listed = LISTED.validate_python(item["listed"])
                case "shelf":
                    answers = {one.pop("model"): ForecastAnswer.unpacked(one) for one in item["forecasts"]}
                    values[tuple(item["key"])] = Shelf(answers)
                case "verdicts":
                    values[tuple(item["key"])] = Verdicts(VERDICTS.validate_python(item["verdicts"]))
                case "document":
                    values[tuple(item["key"])] = Document(
                        item["body"].encode(), item["content_type"].encode(), item["max_age_s"], item["fresh_s"]
                    )
                case kind:
                    raise SnapshotRefused(f"it holds a {kind}, which this version does not know")
        return Snapshot(_instant(head["confirmed_at"]), chains, listed, values)
    except (ValueError, TypeError, KeyError) as error:
        raise SnapshotRefused("its members are not those of this version") from error


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
