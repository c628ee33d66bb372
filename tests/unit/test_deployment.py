"""Every file that tells a platform when to run what agrees with the one table of schedules in code."""

import runpy
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from candlecast.clock import SCHEDULES, next_slot
from jobs.__main__ import JOBS
from jobs.schedule import build_scheduler

ROOT = Path(__file__).resolve().parents[2]

# The requirement's own list (B3), not a copy of the code's.
REQUIRED = {
    "kronos-batch-1h": "55 * * * *",
    "kronos-batch-1d": "45 5 * * *",
    "score-signals-1h": "5 * * * *",
    "score-signals-1d": "30 6 * * *",
    "chronos2-batch-1h": "55 * * * *",
    "chronos2-batch-1d": "45 5 * * *",
    "kronos-rolling-finetune": "0 6 1 * *",
}


OWN = {"seal-ledger", "evaluate-daily", "report-weekly"}


def test_the_seven_required_schedules_are_there_and_only_ingest_and_our_own_are_added() -> None:
    ours = {name: cron for name, cron in SCHEDULES.items() if name not in OWN}
    ingest = {name: ours.pop(name) for name in list(ours) if name.startswith("ingest-")}

    assert ours == REQUIRED
    assert set(ingest) == {"ingest-1h", "ingest-1d"}


def test_every_scheduled_job_can_be_started_by_its_name() -> None:
    assert set(JOBS) == set(SCHEDULES)


def test_railway_toml_says_what_the_code_says() -> None:
    services = tomllib.loads((ROOT / "railway.toml").read_text())["services"]

    assert {name: one["deploy"]["cronSchedule"] for name, one in services.items()} == SCHEDULES
    for name, one in services.items():
        assert one["deploy"]["startCommand"] == f"python -m jobs {name}"
        assert one["deploy"]["restartPolicyType"] == "NEVER"  # the default is ten retries in a row


def railway_services() -> dict[str, dict]:
    pytest.importorskip("railway_sdk", reason="railway-sdk is not installed")
    project = runpy.run_path(str(ROOT / ".railway" / "railway.py"))["main"]()
    return {one["name"]: one for one in project.to_graph()["resources"]}


def test_railway_py_says_what_the_code_says() -> None:
    services = railway_services()
    gateway = services.pop("gateway")

    assert {name: one["deploy"]["cronSchedule"] for name, one in services.items()} == SCHEDULES
    for name, one in services.items():
        assert one["deploy"]["startCommand"] == f"python -m jobs {name}"
        assert one["deploy"]["restartPolicyType"] == "NEVER"
        assert one["deploy"]["drainingSeconds"] >= 20
        assert "healthcheckPath" not in one["deploy"]
    assert gateway["deploy"]["healthcheckPath"] == "/readyz"
    assert gateway["deploy"]["restartPolicyType"] == "ALWAYS"


def test_railway_py_holds_no_secret() -> None:
    for service in railway_services().values():
        assert all(value == {"type": "preserve"} for value in service["variables"].values())


def test_the_scheduler_fires_exactly_at_the_slots_that_the_code_computes() -> None:
    start = datetime(2026, 10, 31, 23, 50, tzinfo=UTC)
    triggers = {job.id: job.trigger for job in build_scheduler().get_jobs()}

    assert set(triggers) == set(SCHEDULES)
    for name, cron in SCHEDULES.items():
        moment = start
        for _ in range(40):
            fires_at = triggers[name].get_next_fire_time(None, moment + timedelta(seconds=1))
            assert fires_at == next_slot(cron, moment)
            moment = fires_at
