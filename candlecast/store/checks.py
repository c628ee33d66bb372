"""Checks on record: when somebody last made the ledger or the scores again, and whether the same came out."""

import json
import logging
import os
import socket
from collections.abc import Mapping
from typing import Any, Final, Literal

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from candlecast.errors import CandlecastError
from candlecast.store.sql import load

log = logging.getLogger(__name__)

Check = Literal["verify-ledger", "score-check-1h", "score-check-1d"]
CHECKS: Final[tuple[Check, ...]] = ("verify-ledger", "score-check-1h", "score-check-1d")


def note_check(engine: Engine, check: Check, *, holds: bool, seconds: float, details: Mapping[str, Any]) -> bool:
    """Add a row to the ledger of runs, without a lease; False where the store lets us read only.

    A check is no less valid for not being on record, so a refusal is logged and not raised.
    """
    parameters = {
        "job": check,
        "status": "ok" if holds else "failed",
        "owner": f"{socket.gethostname()}/{os.getpid()}",
        "seconds": seconds,
        "details": json.dumps(dict(details)),
    }
    try:
        with engine.begin() as conn:
            conn.execute(load("run_note"), parameters)
    except (SQLAlchemyError, CandlecastError) as error:
        log.info("%s is not on record: %s", check, type(error).__name__)
        return False
    return True
