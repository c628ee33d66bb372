"""The shape of the status."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.schemas.showcase import Fresh, Interval, Status

RunStatus = Literal["running", "ok", "partial", "failed", "interrupted", "missed", "skipped", "due"]


class DatabaseAnswer(BaseModel):
    """Whether the database answers."""

    reachable: bool
    since: datetime | None = Field(description="Since when it has not been reachable; null while it is.")


class CacheAnswer(BaseModel):
    """What is kept for readers."""

    entries: int
    bytes: int


class LastRunAnswer(BaseModel):
    """The newest slot that a process was at."""

    slot: datetime
    status: RunStatus
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    n_ok: int
    n_failed: int
    n_skipped: int


class SlotAnswer(BaseModel):
    """A slot; `missed` passed without a run, `due` is the newest one and has not begun."""

    slot: datetime
    status: RunStatus


class JobAnswer(BaseModel):
    """A scheduled job."""

    job: str
    schedule: str = Field(description="Cron expression, UTC.")
    next_at: datetime
    last: LastRunAnswer | None
    last_success_at: datetime | None
    n_missed_7d: int
    slots: list[SlotAnswer] = Field(description="The newest 48, newest first.")


class ServerAnswer(BaseModel):
    """The inference server, as the gateway's own look or, without one, the newest job found it."""

    configured: bool = Field(description="Whether anybody knows of one.")
    ready: bool | None
    checked_at: datetime | None
    models: list[str]


class FreshnessAnswer(Fresh):
    """The default model's newest forecast of an instrument."""

    symbol: str
    interval: Interval
    model_name: str
    issued_at: datetime
    generated_at: datetime
    status: Status
    synthetic: bool


class ChainAnswer(BaseModel):
    """A chain of the ledger."""

    model_name: str
    interval: Interval
    n_rows: int
    head: str = Field(description="Hash of its newest row, hexadecimal.")
    updated_at: datetime
    sealed_day: date | None
    sealed_root: str | None


class CheckedAnswer(BaseModel):
    """A check on record."""

    at: datetime
    status: Literal["ok", "failed"]
    n_rows: int | None


class ScoresCheckedAnswer(CheckedAnswer):
    """All scores of an interval, made anew and compared."""

    interval: Interval


class SealedAnswer(BaseModel):
    """The last day that was sealed."""

    day: date
    root: str
    at: datetime


class StatusAnswer(BaseModel):
    """How the whole thing is."""

    now: datetime
    notice: str | None = Field(description="What to know first, in plain words.")
    read_at: datetime | None = Field(description="When jobs and ledger were read; null if they never were.")
    database: DatabaseAnswer
    cache: CacheAnswer
    version: str
    jobs: list[JobAnswer]
    server: ServerAnswer
    freshness: list[FreshnessAnswer]
    ledger: list[ChainAnswer]
    verified: CheckedAnswer | None = Field(description="The newest `candlecast verify` of the whole ledger.")
    scores_checked: list[ScoresCheckedAnswer] = Field(description="The newest `candlecast score --check`.")
    sealed: SealedAnswer | None


class OperatorsAnswer(StatusAnswer):
    """The same with the newest runs and the gateway's insides."""

    runs: list[dict[str, Any]]
    gateway: dict[str, Any]
