"""How the whole thing is: jobs and what they missed, forecasts and their age, the ledger and who last checked it.

Everything is read off the ledger of runs by two queries, at most every `FRESH_S`; what changes from second to second
(ages, the database, the cache) is put in when it is drawn. Nothing here names a host or repeats an error's words.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

import orjson

from candlecast.clock import SCHEDULES, utc_now
from candlecast.freshness import overdue_reason, stale_at
from candlecast.store.checks import CHECKS
from gateway.answers import Document, Moment, Rendered, iso
from gateway.content.jobs import Attempt, Job, attempts_of, jobs_of
from gateway.content.overview import Listed
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.database import Database, Row
from gateway.probe import ServerSeen

FRESH_S: Final = 15.0
DRAW_EVERY_S: Final = 5
MAX_RUNS: Final = 50
SEAL: Final = "seal-ledger"
VERIFY, *SCORE_CHECKS = CHECKS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What the database tells.

    server : as the newest job that asked it found it; None where none did
    verified, scores_checked, sealed : the last time the ledger's chains and the scores were made again, and the last
        day that was sealed; None or nothing where that was never done
    """

    read_at: datetime
    jobs: Sequence[Job] = ()
    heads: Sequence[Json] = ()
    server: ServerSeen | None = None
    verified: Json | None = None
    scores_checked: Sequence[Json] = ()
    sealed: Json | None = None


@dataclass(frozen=True, slots=True)
class Around:
    """What the gateway itself knows when a status is drawn.

    cache : entries and bytes
    listed : the instruments with their newest forecasts; empty before they were read
    server : the inference server as the gateway's own probe found it; None where it has none
    """

    database: Database
    cache: Callable[[], tuple[int, int]]
    listed: Callable[[], Sequence[Listed]]
    server: Callable[[], ServerSeen | None]


async def read_on_record(database: Database) -> OnRecord:
    """What the ledger of runs and the chains' heads say now."""
    now = utc_now()
    rows = await database.rows("gateway_jobs", jobs=[*SCHEDULES, *CHECKS])
    heads = await database.rows("gateway_heads")
    by_job: dict[str, list[Row]] = {}
    for row in rows:
        by_job.setdefault(row["job"], []).append(row)
    sealed = _sealed(by_job[SEAL])
    checked = {name: _checked(by_job[name]) for name in CHECKS}
    return OnRecord(
        read_at=now,
        jobs=jobs_of(rows, now),
        heads=[
            {
                "model_name": row["model_name"],
                "interval": row["interval"],
                "n_rows": row["chain_seq"],
                "head": row["head"],
                "updated_at": iso(utc(row["updated_at"])),
                "sealed_day": sealed["day"] if sealed else None,
                "sealed_root": sealed["root"] if sealed else None,
            }
            for row in heads
        ],
        server=_server(rows),
        verified=checked[VERIFY],
        scores_checked=[
            {"interval": name.rpartition("-")[2], **found} for name in SCORE_CHECKS if (found := checked[name])
        ],
        sealed=sealed,
    )


def _checked(rows: Sequence[Row]) -> Json | None:
    """The newest time that a check was made; n_rows is what it went through."""
    newest = next(iter(attempts_of(rows)), None)
    if newest is None or newest.finished_at is None:
        return None
    details = rows[0]["details"] or {}
    n_rows = details.get("n_rows", details.get("n_checked"))
    return {"at": iso(newest.finished_at), "status": newest.status, "n_rows": n_rows}


def _sealed(rows: Sequence[Row]) -> Json | None:
    """The newest day that a run of the nightly job sealed."""
    for row in rows:
        days = {day: root for day, root in (row["details"] or {}).items() if _is_day(day)}
        if row["status"] == "ok" and days and row["finished_at"] is not None:
            day = max(days)
            return {"day": day, "root": days[day], "at": iso(utc(row["finished_at"]))}
    return None


def _is_day(text: str) -> bool:
    return len(text) == 10 and text[4] == text[7] == "-"


def _server(rows: Sequence[Row]) -> ServerSeen | None:
    """The server as the newest job that asked it found it."""
    asked = [row for row in rows if row["server_answered"] is not None and row["finished_at"] is not None]
    if not asked:
        return None
    newest = max(asked, key=lambda row: row["finished_at"])
    answered = bool(newest["server_answered"])
    models = (newest["model_name"],) if answered and newest["model_name"] else ()
    return ServerSeen(answered, utc(newest["finished_at"]), models)


class Runs(Document):
    """Runs with what their errors said, as a JSON list: for operators only, and never put into a file."""


async def read_runs(database: Database, _: tuple[str, ...]) -> Runs:
    """The newest `MAX_RUNS` runs."""
    rows = await database.rows("gateway_runs", max_rows=MAX_RUNS)
    return Runs(orjson.dumps(rows, option=orjson.OPT_UTC_Z), fresh_s=FRESH_S)


@dataclass(slots=True)
class Status:
    """The body of /showcase/status, drawn again when what is in it is `DRAW_EVERY_S` old."""

    known: OnRecord
    around: Around
    _document: Document | None = field(init=False, default=None)
    _drawn_for: tuple[int, bool | None] = field(init=False, default=(0, None))

    @property
    def n_bytes(self) -> int:
        """Memory held, about."""
        return 65_536 + (self._document.n_bytes if self._document else 0)

    def fresh_for_s(self) -> float:
        """Seconds until the ledger of runs is read again."""
        return FRESH_S

    def pick(self, part: str | None) -> "Status":  # noqa: ARG002  (like a document)
        """Itself."""
        return self

    def at(self, moment: Moment) -> Rendered:
        """The answer as of `moment`."""
        second, reachable = self._drawn_for
        if (
            self._document is None
            or not 0 <= moment.second - second < DRAW_EVERY_S
            or reachable != self.around.database.reachable
        ):
            self._document = Document(orjson.dumps(self.fields(moment)), max_age_s=DRAW_EVERY_S)
            self._drawn_for = (moment.second, self.around.database.reachable)
        return self._document.at(moment)

    def fields(self, moment: Moment) -> Json:
        """The JSON members as of `moment`."""
        known, around = self.known, self.around
        now = datetime.fromtimestamp(moment.second, UTC)
        n_entries, n_bytes = around.cache()
        lost_at = around.database.lost_at
        listed = around.listed()
        synthetic = any(outline.synthetic for item in listed for outline in item.outlines)
        return {
            "now": iso(now),
            "notice": SYNTHETIC_STORE if synthetic else None,
            "read_at": iso(known.read_at) if known.jobs else None,
            "database": {
                "reachable": around.database.reachable is True,
                "since": iso(lost_at) if lost_at is not None else None,
            },
            "cache": {"entries": n_entries, "bytes": n_bytes},
            "version": version("candlecast"),
            "jobs": [job.fields(now) for job in known.jobs],
            "server": _server_fields(around.server() or known.server),
            "freshness": freshness_of(listed, moment),
            "ledger": known.heads,
            "verified": known.verified,
            "scores_checked": known.scores_checked,
            "sealed": known.sealed,
        }


def _server_fields(seen: ServerSeen | None) -> Json:
    if seen is None:
        return {"configured": False, "ready": None, "checked_at": None, "models": []}
    checked_at = iso(seen.checked_at) if seen.checked_at is not None else None
    return {"configured": True, "ready": seen.ready, "checked_at": checked_at, "models": list(seen.models)}


def freshness_of(listed: Sequence[Listed], moment: Moment) -> list[Json]:
    """The default model's newest forecast of every instrument and interval, with its age."""
    now = datetime.fromtimestamp(moment.second, UTC)
    rows = []
    for item in listed:
        for outline in item.outlines:
            overdue = now >= stale_at(outline.interval, outline.expected_next_at)
            reason = moment.unconfirmed or (overdue_reason(outline.expected_next_at) if overdue else None)
            rows.append(
                {
                    "symbol": item.symbol,
                    "interval": outline.interval,
                    "model_name": outline.model_name,
                    "issued_at": iso(outline.issued_at),
                    "generated_at": iso(outline.recorded_at),
                    "age_seconds": max(0, int((now - outline.issued_at).total_seconds())),
                    "expected_next_at": iso(outline.expected_next_at),
                    "stale": reason is not None,
                    "stale_reason": reason,
                    "status": outline.status,
                    "synthetic": outline.synthetic,
                }
            )
    return rows


def newest_attempt(job: Job) -> Attempt | None:
    """The newest slot that a process ended."""
    return next((one for one in job.attempts if one.ran and one.finished_at is not None), None)
