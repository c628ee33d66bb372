"""The shapes of what operators are answered."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class HealthAnswer(BaseModel):
    """The process runs."""

    status: Literal["ok"]


class ReadyAnswer(BaseModel):
    """Whether readers get answers."""

    ready: bool
    database: Literal["reachable", "unreachable", "not yet known"]
    unreachable_since: datetime | None
    n_cached: int
    cached_bytes: int
