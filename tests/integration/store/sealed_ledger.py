"""A ledger of three sealed days in the past: two chains, rows with and without feed, calibration, paths and run."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from sqlalchemy import Connection, Engine

from candlecast.audit import AuditReport, Published, audit
from candlecast.calibration import Correction
from candlecast.store.embedded import EmbeddedPostgres, Role
from candlecast.store.engine import create_engine
from candlecast.store.export import export_ledger
from candlecast.store.predictions import PredictionRow, insert_predictions
from candlecast.store.sealing import seal_day

from .forecast_rows import ISSUED, add_instruments, forecast_row

DAYS = [date(2025, 3, 1), date(2025, 3, 2), date(2025, 3, 3)]
OURS, OTHER = "kronos-base", "Kronos-naïve"  # the other is first by bytes, last in a dictionary
# How long each chain is when the day ends.
ENDS = {OURS: [4, 7, 9], OTHER: [2, 3, 3]}
N_ROWS = 12
SEAL_FUNCTION = "SELECT pg_get_functiondef('candlecast.seal_prediction()'::regprocedure)"


def set_clock(conn: Connection, moment: str | None) -> None:
    """Let the database date its rows from `moment` on, a minute for each; None: by what they say themselves."""
    definition = str(conn.exec_driver_sql(SEAL_FUNCTION).scalar_one())
    new = "NEW.recorded_at := NEW.recorded_at;"
    if moment is not None:
        new = f"NEW.recorded_at := timestamptz '{moment}' + (head.chain_seq + 1) * interval '1 minute 1 microsecond';"
    lines = [new if line.strip().startswith("NEW.recorded_at :=") else line for line in definition.splitlines()]
    conn.exec_driver_sql("\n".join(lines), execution_options={"no_parameters": True})


def widened(factor: float) -> Correction:
    factors = np.full((2, 11), factor)
    factors[:, 5] = 1.0
    return Correction((1, 4), factors, np.array([31.0, 40.5]))


def row(model_name: str, number: int) -> PredictionRow:
    """The forecast that becomes row `number` of its chain: all that a row may or may not have."""
    fan_of = forecast_row(horizon=4 + number % 2)
    return forecast_row(
        "SPY" if number % 4 == 0 else "BTCUSDT",
        issued_at=ISSUED + timedelta(hours=number),
        horizon=4 + number % 2,
        model_name=model_name,
        n_paths=3 * (number % 2 == 0),
        last_close=-0.0 if number == 2 else 100.0 + 1e-14 * number,
        p10=fan_of.p10,
        event_context={"note": "naïve → ½ 🕯", "z": -1.5e-7, "deep": {"a": [1, None, True]}, "n": number},
        run_id=2**40 + number if number == 3 else None,
        feed="okx, naïve" if number in (4, 6, 8) else None,
        calibration=widened(1 + number / 3).to_json() if number in (5, 6, 9) else None,
    )


def fill(engine_as: Callable[[Role], Engine]) -> None:
    """Write the rows of three days through the writer's own door."""
    with engine_as("writer").begin() as conn:
        add_instruments(conn, "BTCUSDT", "SPY")
    for number, day in enumerate(DAYS):
        with engine_as("owner").begin() as owner:
            set_clock(owner, f"{day} 10:00:00.000007Z")
        with engine_as("writer").begin() as conn:
            for model_name, ends in ENDS.items():
                first = ends[number - 1] if number else 0
                rows = [row(model_name, place) for place in range(first + 1, ends[number] + 1)]
                assert insert_predictions(conn, rows, scored_steps=(1,), fence=None) == len(rows)


@dataclass(frozen=True, slots=True)
class SealedLedger:
    """The database, and what somebody fetched of its seals in time."""

    engine_as: Callable[[Role], Engine]
    published: list[Published]
    folder: Path


@contextmanager
def sealed_ledger(postgres: EmbeddedPostgres, template: str, folder: Path) -> Iterator[SealedLedger]:
    """A database of its own, filled and sealed; tests leave it as they found it."""
    name = f"test_{uuid.uuid4().hex}"
    admin = create_engine(
        postgres.url("postgres", "superuser"), application_name="test-admin", isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as conn:
        conn.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template} OWNER candlecast_owner_login")
    engines: dict[Role, Engine] = {}

    def engine_as(role: Role) -> Engine:
        if role not in engines:
            engines[role] = create_engine(postgres.url(name, role), application_name=f"test-{role}")
        return engines[role]

    fill(engine_as)
    yield SealedLedger(engine_as, publish(engine_as("reader"), folder / "seals"), folder)
    for engine in engines.values():
        engine.dispose()
    with admin.connect() as conn:
        conn.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


def publish(engine: Engine, folder: Path) -> list[Published]:
    """Seal the three days, as the job does day by day, and give what somebody fetched in time."""
    return [Published.read(seal_day(engine, folder, day).path) for day in DAYS]


def audited(conn: Connection, folder: Path, published: list[Published]) -> AuditReport:
    """Export what is on record now, and hold it against the seals."""
    path = folder / "ledger.parquet"
    export_ledger(conn, path)
    return audit(path, published)
