"""`python -m jobs NAME`: what cron calls. NAME is one of the schedules in `candlecast.clock`.

Exit codes: 0 all done, 1 something is missing or failed, 75 nothing to do, another process is at it, or the
inference server cannot be reached: try again at the next slot.
"""

import logging
import os
import sys
from collections.abc import Callable

from candlecast.clock import SCHEDULES, Interval, utc_now
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings
from jobs.run import EXIT_NOTHING_TO_DO, EXIT_OK, newest_slot, open_run, record_missed_slots


class UnknownJob(CandlecastError):
    """No job has this name."""

    exit_code = 64

    def __init__(self, name: str | None) -> None:
        wrong = "a job's name is missing" if name is None else f"there is no job {name!r}"
        super().__init__(f"{wrong}; `python -m jobs NAME` takes one of: {', '.join(SCHEDULES)}")


def batch(name: str, settings: JobSettings, interval: Interval, model_name: str) -> int:
    """Issue the newest slot's forecasts."""
    from jobs.access import writer_engine
    from jobs.batch import run_batch
    from jobs.closing import batch_line

    run, report, slot = run_batch(writer_engine(settings), settings, name, interval=interval, model_name=model_name)
    print(batch_line(name, slot, report))
    return run.exit_code if run is not None else EXIT_OK


def score(name: str, settings: JobSettings, interval: Interval) -> int:
    """Score what the market has answered, then refresh the view."""
    from jobs.access import writer_engine
    from jobs.closing import score_line
    from jobs.score import run_score

    print(score_line(name, run_score(writer_engine(settings), name, interval, deadline_s=settings.deadline_s)))
    return EXIT_OK


def ingest(name: str, settings: JobSettings, interval: Interval) -> int:
    """Fetch the newest bars from the venues that the instruments name."""
    from jobs.access import writer_engine
    from jobs.closing import ingest_line
    from jobs.ingest import ingest_exchange

    engine = writer_engine(settings)
    with open_run(engine, name, newest_slot(name, utc_now()), deadline_s=settings.deadline_s) as run:
        run.details["n_missed"] = record_missed_slots(engine, name, run.slot)
        report = ingest_exchange(engine, interval)
        run.verdict = "partial" if report.errors else "ok"
    print(ingest_line(name, report))
    return run.exit_code


def finetune(name: str, settings: JobSettings) -> int:
    """The monthly retraining: it has its slot in the schedule, and no model to train yet."""
    print(f"{name}: {settings.model_name} has no adapter to retrain; nothing was done")
    return EXIT_NOTHING_TO_DO


def seal(name: str, settings: JobSettings) -> int:
    """Seal the days that are over; the files lie in CANDLECAST_HOME/seals, to be published."""
    from jobs.access import writer_engine
    from jobs.seal import run_seal

    folder = settings.home / "seals"
    for one in run_seal(writer_engine(settings), name, folder, deadline_s=settings.deadline_s):
        print(f"{name}: {one}")
    return EXIT_OK


def evaluate(name: str, settings: JobSettings) -> int:
    """The numbers of the evaluation page, of the days that are over."""
    from jobs.access import writer_engine
    from jobs.closing import evaluation_line
    from jobs.evaluation import run_evaluation

    print(evaluation_line(name, run_evaluation(writer_engine(settings), deadline_s=settings.deadline_s)))
    return EXIT_OK


def report(name: str, settings: JobSettings) -> int:
    """The weekly report, as of the slot; its folder lies in CANDLECAST_HOME/reports, to be published."""
    from jobs.access import writer_engine
    from jobs.closing import report_line
    from jobs.report.build import run_report

    engine = writer_engine(settings)
    print(report_line(name, run_report(engine, name, settings.home / "reports", deadline_s=settings.deadline_s)))
    return EXIT_OK


JOBS: dict[str, Callable[[str, JobSettings], int]] = {
    "ingest-1h": lambda name, settings: ingest(name, settings, "1h"),
    "ingest-1d": lambda name, settings: ingest(name, settings, "1d"),
    "kronos-batch-1h": lambda name, settings: batch(name, settings, "1h", settings.model_name),
    "kronos-batch-1d": lambda name, settings: batch(name, settings, "1d", settings.model_name),
    "chronos2-batch-1h": lambda name, settings: batch(name, settings, "1h", "chronos-2"),
    "chronos2-batch-1d": lambda name, settings: batch(name, settings, "1d", "chronos-2"),
    "score-signals-1h": lambda name, settings: score(name, settings, "1h"),
    "score-signals-1d": lambda name, settings: score(name, settings, "1d"),
    "kronos-rolling-finetune": finetune,
    "seal-ledger": seal,
    "evaluate-daily": evaluate,
    "report-weekly": report,
}


def main(arguments: list[str]) -> int:
    """The exit code of the job that `arguments` name."""
    try:
        if len(arguments) != 1 or arguments[0] not in JOBS:
            raise UnknownJob(arguments[0] if arguments else None)
        settings = JobSettings.from_env(os.environ)
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
        return JOBS[arguments[0]](arguments[0], settings)
    except CandlecastError as error:
        print(f"{' '.join(arguments[:1])}: {error}".lstrip(": "), file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
