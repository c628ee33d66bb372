"""All cron jobs on one machine: APScheduler starts the same processes that a platform's cron would start."""

import logging
import subprocess
import sys
from collections.abc import Sequence

from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.cron import CronTrigger

from candlecast.clock import SCHEDULES

log = logging.getLogger(__name__)

# A job that could not start for this long is left to its next slot: its forecasts would be late anyway.
MISFIRE_GRACE_S = 600

WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def build_scheduler(jobs: Sequence[str] = tuple(SCHEDULES)) -> BlockingScheduler:
    """A scheduler with one entry for each of `jobs`, in UTC; one process of a job at a time."""
    scheduler = BlockingScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": MISFIRE_GRACE_S},
    )
    for name in jobs:
        scheduler.add_job(run_process, trigger(SCHEDULES[name]), args=[name], id=name, name=name)
    return scheduler


def trigger(cron: str) -> CronTrigger:
    """The instants of a cron expression in UTC; days of the week, if any, as one number, 0 or 7 for Sunday.

    APScheduler counts the days of the week from Monday, cron from Sunday, so the day goes over by its name.
    """
    *others, weekday = cron.split()
    if weekday != "*":
        weekday = WEEKDAYS[int(weekday) % 7]
    return CronTrigger.from_crontab(" ".join([*others, weekday]), timezone="UTC")


def run_process(name: str) -> int:
    """The exit code of `python -m jobs NAME`: a process of its own, so that no job can take the scheduler down."""
    code = subprocess.run([sys.executable, "-m", "jobs", name], check=False).returncode
    log.log(logging.INFO if code in (0, 75) else logging.ERROR, "%s ended with exit code %d", name, code)
    return code
