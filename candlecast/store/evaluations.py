"""The newest evaluation of each record, kept for the page that shows it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from candlecast.store.predictions import Fence, LeaseLost
from candlecast.store.sql import load


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What is told of one record and interval; `body` is a JSON object."""

    record: str
    interval: str
    as_of: datetime
    n_models: int
    body: str


def replace_evaluations(conn: Connection, evaluations: Sequence[Evaluation], fence: Fence) -> None:
    """Put `evaluations` in place of all that were there; readers see either the old or the new ones.

    Raises
    ------
    LeaseLost : the lease of `fence` has been taken over; nothing is written.
    """
    if conn.execute(load("lease_check"), {"job": fence.job, "token": fence.token}).first() is None:
        raise LeaseLost(fence)
    conn.execute(text("DELETE FROM candlecast.evaluations"))
    if evaluations:
        conn.execute(load("evaluation_write"), [asdict(one) for one in evaluations])
