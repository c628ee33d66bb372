"""Check an exported ledger against the seals that were published, without any access to the database.

Every row's hash is computed anew from its columns; every chain is followed; the root of each sealed day is computed
anew from the rows recorded on it and held against the published one, and so is the newest row of every chain.
A chain that was forged as a whole, with hashes to fit, passes everything but the last two.
"""

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from candlecast.errors import CandlecastError
from candlecast.ledger_lines import LinesReader
from candlecast.records import GENESIS, Rows, hashes
from candlecast.seals import Chain, Head, Seal, Tree

DAY: Final = timedelta(days=1)
N_AHEAD: Final = 2
PARQUET: Final = b"PAR1"


class TwoSeals(CandlecastError):
    """The same day was given twice."""

    exit_code = 64

    def __init__(self, day: date, first: str, second: str) -> None:
        super().__init__(f"{first} and {second} are both seals of {day}; give the one that you trust")


@dataclass(frozen=True, slots=True)
class Published:
    """A seal as it was published: its bytes are what the next day's file names."""

    name: str
    data: bytes
    seal: Seal

    @classmethod
    def read(cls, path: Path) -> "Published":
        """The seal in a file; raises BadSeal."""
        data = path.read_bytes()
        return cls(path.name, data, Seal.from_bytes(data, str(path)))


@dataclass(frozen=True, slots=True)
class Wrong:
    """The first row of a chain that is not as it was written."""

    chain: Chain
    chain_seq: int
    what: str
    symbol: str | None = None
    issued_at: datetime | None = None
    prediction_id: UUID | None = None

    def __str__(self) -> str:
        when = "at an odd time" if self.issued_at is None else f"{self.issued_at:%Y-%m-%dT%H:%MZ}"
        who = "" if self.symbol is None else f" ({self.symbol} issued {when}, {self.prediction_id})"
        return f"chain {' '.join(self.chain)}, row {self.chain_seq}{who}: {self.what}"


@dataclass(slots=True)
class AuditReport:
    """What was checked. `wrong` are sentences, the first row of a broken chain first; `open` what could not be checked.

    n_rows, n_chains : in the file
    n_sealed : rows at or before a row that a given seal names, in a chain that fits: nobody can have changed them since
    days : sealed days whose root was computed anew and is the published one
    """

    n_rows: int = 0
    n_chains: int = 0
    n_sealed: int = 0
    days: list[date] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.wrong


@dataclass(slots=True)
class _Walk:
    """A chain of the file and how far it was followed."""

    chain: Chain
    first: int
    before: bytes  # the prev_hash of its first row
    wanted: Sequence[int]  # rows that a seal names
    n_rows: int = 0
    seq: int = 0
    digest: bytes = b""
    wrong: Wrong | None = None
    found: dict[int, bytes] = field(default_factory=dict)  # chain_seq -> hash, of those wanted


@dataclass(slots=True)
class _Day:
    """A sealed day and the rows of the file that were recorded on it."""

    published: Published
    tree: Tree = field(default_factory=Tree)
    surplus: dict[Chain, int] = field(default_factory=dict)  # the first row beyond a head, yet recorded before the end

    @property
    def start(self) -> np.datetime64:
        return np.datetime64(self.published.seal.day, "us")

    @property
    def end(self) -> np.datetime64:
        return np.datetime64(self.published.seal.day + DAY, "us")


def audit(ledger: Path, published: Sequence[Published] = ()) -> AuditReport:
    """Check the file `ledger`, and hold it against the seals.

    Raises
    ------
    BadLedgerFile : the file is no export.
    TwoSeals : two seals of one day.
    """
    started = time.perf_counter()
    days = [_Day(one) for one in sorted(published, key=lambda one: one.seal.day)]
    for first, second in pairwise(days):
        if first.published.seal.day == second.published.seal.day:
            raise TwoSeals(first.published.seal.day, first.published.name, second.published.name)
    report = AuditReport()
    reader = reader_of(ledger)
    walks = _followed(reader, days, report)
    report.n_chains = len(walks)
    if not report.n_rows and not days:
        report.wrong.append(f"{ledger} holds no forecast, so nothing was checked")
    report.open += [
        f"chain {' '.join(chain)} begins at row {walk.first}: the rows before it are not in the file"
        for chain, walk in sorted(walks.items())
        if walk.first > 1
    ]
    report.wrong += [str(walk.wrong) for walk in walks.values() if walk.wrong is not None]
    report.wrong += reader.wrong
    confirmed: dict[Chain, int] = {}  # the newest row of a chain that is the one a seal names
    for before, day in pairwise([None, *days]):
        assert day is not None
        _hold_link(before, day, report)
        _hold_heads(day, walks, confirmed, report)
        _hold_root(day, walks, report)
    for chain, walk in walks.items():
        if walk.wrong is None:
            report.n_sealed += max(0, confirmed.get(chain, 0) - walk.first + 1)
    report.seconds = time.perf_counter() - started
    return report


class Reader(Protocol):
    """Gives the rows of a file, piece by piece; when all were read, `wrong` has what does not fit the whole file."""

    wrong: list[str]

    def batches(self) -> Iterator[tuple[Rows, list[bytes]]]:
        """Rows with the hashes that the file gives them."""


def is_parquet(ledger: Path) -> bool:
    """Whether a file is Parquet, by its first bytes; else it may be JSON lines."""
    with ledger.open("rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def reader_of(ledger: Path) -> Reader:
    """What reads an export: Parquet or JSON lines; raises BadLedgerFile."""
    if not is_parquet(ledger):
        return LinesReader(ledger)
    from candlecast.ledger_file import Reader as ParquetReader  # only Parquet needs pyarrow

    return ParquetReader(ledger)


def _followed(reader: Reader, days: Sequence[_Day], report: AuditReport) -> dict[Chain, _Walk]:
    """Every chain of the file, followed; the leaves of every sealed day go into its tree on the way."""
    walks: dict[Chain, _Walk] = {}
    last: Chain | None = None
    for rows, row_hashes, computed in _hashed(reader):
        report.n_rows += rows.n
        recorded_at = rows.columns["recorded_at"]
        for day in days:
            members = np.flatnonzero((recorded_at >= day.start) & (recorded_at < day.end))
            day.tree.add(computed[place] for place in members.tolist())
        for chain, start, stop in _runs(rows):
            seqs = rows.columns["chain_seq"][start:stop]
            walk = walks.get(chain)
            if walk is None:
                wanted = sorted({day.published.seal.heads[chain].chain_seq for day in days if _names(day, chain)})
                walk = walks[chain] = _Walk(chain, int(seqs[0]), rows.columns["prev_hash"][start], wanted)
                walk.seq, walk.digest = walk.first - 1, GENESIS if walk.first == 1 else walk.before
                after = last is not None and _key(chain) < _key(last)
            else:
                after = chain != last
            if walk.wrong is None:
                what = "it stands behind rows of a later chain; order the file by model_name, interval and chain_seq"
                place = (0, what) if after else _first_break(rows, row_hashes, computed, walk, start, stop)
                if place is not None:
                    walk.wrong = _wrong(rows, chain, start + place[0], place[1])
            walk.n_rows += stop - start
            walk.seq, walk.digest = int(seqs[-1]), computed[stop - 1]
            for wanted_seq in walk.wanted:
                for place_of in np.flatnonzero(seqs == wanted_seq).tolist():
                    walk.found[wanted_seq] = computed[start + place_of]
            for day in days:
                head = day.published.seal.heads.get(chain, Head(0, GENESIS))
                beyond = np.flatnonzero((recorded_at[start:stop] < day.end) & (seqs > head.chain_seq))
                if len(beyond):
                    day.surplus.setdefault(chain, int(seqs[beyond[0]]))
            last = chain
    return walks


def _hashed(reader: Reader) -> Iterator[tuple[Rows, list[bytes], list[bytes]]]:
    """Rows, the hashes that the file gives them, and those that they have; two threads compute ahead.

    Hashing and copying large arrays leave the interpreter to the others, so rows of many steps use two cores.
    """
    ahead: deque[tuple[Rows, list[bytes], Future[list[bytes]]]] = deque()
    with ThreadPoolExecutor(N_AHEAD) as pool:
        for rows, row_hashes in reader.batches():
            ahead.append((rows, row_hashes, pool.submit(hashes, rows)))
            if len(ahead) > N_AHEAD:
                rows, row_hashes, future = ahead.popleft()
                yield rows, row_hashes, future.result()
        for rows, row_hashes, future in ahead:
            yield rows, row_hashes, future.result()


def _names(day: _Day, chain: Chain) -> bool:
    return chain in day.published.seal.heads


def _key(chain: Chain) -> tuple[bytes, bytes]:
    return chain[0].encode(), chain[1].encode()


def _runs(rows: Rows) -> Iterator[tuple[Chain, int, int]]:
    """The pieces of the batch that belong to one chain: chain, start, stop."""
    models, intervals = rows.columns["model_name"], rows.columns["interval"]
    codes = np.array([models.codes, intervals.codes])
    cuts = [0, *(np.flatnonzero((codes[:, 1:] != codes[:, :-1]).any(axis=0)) + 1).tolist(), rows.n]
    for start, stop in pairwise(cuts):
        yield (models.values[models.codes[start]], intervals.values[intervals.codes[start]]), start, stop


def _first_break(
    rows: Rows, row_hashes: Sequence[bytes], computed: Sequence[bytes], walk: _Walk, start: int, stop: int
) -> tuple[int, str] | None:
    """The first row of the piece that does not follow, from `start` on, and why."""
    seqs: NDArray[np.int64] = rows.columns["chain_seq"][start:stop]
    linked = [walk.digest, *computed[start : stop - 1]]
    gaps = np.flatnonzero(np.diff(seqs, prepend=walk.seq) != 1)
    breaks: list[tuple[int, str]] = []
    if len(gaps):
        place = int(gaps[0])
        breaks.append((place, _gap(int(seqs[place - 1]) if place else walk.seq, int(seqs[place]))))
    for theirs, ours, what in (
        (rows.columns["prev_hash"][start:stop], linked, "its prev_hash is not the hash of the row before it"),
        (row_hashes[start:stop], computed[start:stop], "its columns do not give its row_hash: a value was changed"),
    ):
        if theirs != ours:
            breaks.append(
                (next(at for at, pair in enumerate(zip(theirs, ours, strict=True)) if pair[0] != pair[1]), what)
            )
    return min(breaks, key=lambda one: one[0], default=None)


def _gap(seq: int, found: int) -> str:
    if found <= seq:
        return f"after row {seq} comes row {found}: rows were moved, or one was slipped in"
    n_missing = found - seq - 1
    return f"{n_missing} row{'s' * (n_missing != 1)} missing: after row {seq} comes row {found}"


def _wrong(rows: Rows, chain: Chain, place: int, what: str) -> Wrong:
    columns: Mapping[str, Any] = rows.columns
    symbols = columns["symbol"]
    issued_at = columns["issued_at"][place].item()
    return Wrong(
        chain,
        int(columns["chain_seq"][place]),
        what,
        symbols.values[symbols.codes[place]],
        issued_at if isinstance(issued_at, datetime) else None,
        UUID(bytes=bytes(columns["prediction_id"][place].item())),
    )


def _hold_link(before: _Day | None, day: _Day, report: AuditReport) -> None:
    """A seal names the file of the day before."""
    mine = day.published
    if before is None or mine.seal.day - before.published.seal.day != DAY:
        if before is not None:
            report.open.append(f"the seals between {before.published.seal.day} and {mine.seal.day} were not given")
        return
    if mine.seal.previous != sha256(before.published.data).digest():
        report.wrong.append(
            f"{mine.name} does not name {before.published.name} as it is here: one of both is not the file that was "
            "published"
        )


def _hold_heads(day: _Day, walks: Mapping[Chain, _Walk], confirmed: dict[Chain, int], report: AuditReport) -> None:
    """The newest row of every chain at the day's end is the one that the seal names."""
    sealed = day.published.seal
    for chain, head in sorted(sealed.heads.items()):
        walk, called = walks.get(chain), f"chain {' '.join(chain)}"
        if walk is None or walk.seq < head.chain_seq:
            end = "the file has no row of it" if walk is None else f"the file ends at row {walk.seq}"
            report.wrong.append(
                f"{called}: the seal of {sealed.day} names row {head.chain_seq}, but {end}: rows were removed, or the "
                "export was limited"
            )
            continue
        if head.chain_seq < walk.first - 1:
            report.open.append(
                f"{called}, row {head.chain_seq}, which the seal of {sealed.day} names, is not in the file"
            )
            continue
        found = walk.before if head.chain_seq == walk.first - 1 else walk.found.get(head.chain_seq)
        if found == head.row_hash:
            confirmed[chain] = max(confirmed.get(chain, 0), head.chain_seq)
        elif found is not None:
            first = max(walk.first, confirmed.get(chain, 0) + 1)
            report.wrong.append(
                f"{called}, row {head.chain_seq}: it is not the row that was sealed on {sealed.day}; the chain was "
                f"written anew from one of the rows {first} to {head.chain_seq} on"
            )


def _hold_root(day: _Day, walks: Mapping[Chain, _Walk], report: AuditReport) -> None:
    """The rows recorded on the day are the sealed ones, all of them and no other."""
    sealed = day.published.seal
    for chain, seq in sorted(day.surplus.items()):
        head = sealed.heads.get(chain)
        end = "names no row of this chain" if head is None else f"names row {head.chain_seq} as the newest"
        report.wrong.append(
            f"chain {' '.join(chain)}, row {seq}: it says that it was recorded before the end of {sealed.day}, whose "
            f"seal {end}: it was added later and dated back"
        )
    if day.tree.n == sealed.n_rows and day.tree.root() == sealed.root:
        report.days.append(sealed.day)
        return
    limited = [f"{' '.join(chain)} from row {walk.first}" for chain, walk in sorted(walks.items()) if walk.first > 1]
    part = f" (the file holds only a part: {', '.join(limited)})" if limited else ""
    if day.tree.n != sealed.n_rows:
        what = f"the file has {day.tree.n} forecasts recorded on it, the seal counts {sealed.n_rows}{part}"
    else:
        what = f"its {sealed.n_rows} forecasts do not give the sealed root"
    report.wrong.append(f"day {sealed.day}: {what}")
