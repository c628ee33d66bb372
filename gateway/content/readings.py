"""What Prometheus is told of forecasts and jobs: read from what is cached for readers, so a scrape waits for nothing.

The key metric of a batch job is when it last succeeded; here that comes from the ledger of runs, which outlives the
process of the job. Symbols stand only on the gauges of the newest forecasts, one series for each that is served.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from candlecast.freshness import stale_at
from gateway.content.overview import Listed
from gateway.content.status import OnRecord, newest_attempt
from gateway.database import Database
from gateway.metrics import Reading
from gateway.probe import ServerSeen

Rows = list[tuple[tuple[str, ...], float]]

FORECAST: Final = ("symbol", "model", "interval")
VERDICT: Final = {"ok": 1.0, "skipped": 1.0, "partial": 0.5, "failed": 0.0, "interrupted": 0.0}


def forecast_readings(listed: Sequence[Listed], now: datetime) -> Iterator[Reading]:
    """Issue time, age and staleness of the newest forecast of every instrument and interval."""
    outlines = [
        ((item.symbol, outline.model_name, outline.interval), outline) for item in listed for outline in item.outlines
    ]

    def rows(value: "dict[tuple[str, ...], float]") -> Rows:
        return list(value.items())

    yield (
        "forecast_prediction_issue_timestamp_seconds",
        "Issue time of the newest forecast.",
        FORECAST,
        rows({labels: outline.issued_at.timestamp() for labels, outline in outlines}),
    )
    yield (
        "forecast_prediction_age_seconds",
        "Age of the newest forecast.",
        FORECAST,
        rows({labels: max(0.0, (now - outline.issued_at).total_seconds()) for labels, outline in outlines}),
    )
    yield (
        "forecast_prediction_expected_timestamp_seconds",
        "When the run that replaces the newest forecast is due; over a weekend that is after it.",
        FORECAST,
        rows({labels: outline.expected_next_at.timestamp() for labels, outline in outlines}),
    )
    yield (
        "forecast_prediction_stale",
        "1 where the next forecast is overdue by more than its grace; sessions and weekends are allowed for.",
        FORECAST,
        rows(
            {labels: float(now >= stale_at(outline.interval, outline.expected_next_at)) for labels, outline in outlines}
        ),
    )


def job_readings(known: OnRecord) -> Iterator[Reading]:
    """What the ledger of runs says of each job that ever ran; the sealed and verified state of the ledger."""
    last = [(job, attempt) for job in known.jobs if (attempt := newest_attempt(job)) is not None]
    yield (
        "forecast_job_last_success_timestamp_seconds",
        "When the job last succeeded.",
        ("job",),
        [((job.name,), job.last_success_at.timestamp()) for job in known.jobs if job.last_success_at is not None],
    )
    yield (
        "forecast_job_last_run_status",
        "How the job's newest run ended: 1 well or with nothing to do, 0.5 in part, 0 not.",
        ("job",),
        [((job.name,), VERDICT.get(attempt.status, 0.0)) for job, attempt in last],
    )
    yield (
        "forecast_job_duration_seconds",
        "How long the job's newest run took.",
        ("job",),
        [((job.name,), attempt.seconds) for job, attempt in last if attempt.seconds is not None],
    )
    yield (
        "forecast_job_items",
        "Items of the job's newest run by what became of them.",
        ("job", "status"),
        [
            ((job.name, status), float(n))
            for job, attempt in last
            for status, n in (("ok", attempt.n_ok), ("failed", attempt.n_failed), ("skipped", attempt.n_skipped))
        ],
    )
    yield (
        "forecast_job_slots_missed_total",
        "Slots of the job that passed without a run, as the run after them put on record.",
        ("job",),
        [((job.name,), float(job.n_missed)) for job, _ in last],
    )
    yield "forecast_job_read_timestamp_seconds", "When all this was read.", (), [((), known.read_at.timestamp())]
    if known.verified is not None:
        at = datetime.fromisoformat(known.verified["at"]).timestamp()
        yield "forecast_ledger_verified_timestamp_seconds", "When the ledger was last verified.", (), [((), at)]
        whole = float(known.verified["status"] == "ok")
        yield "forecast_ledger_whole", "1 where the newest verification found it whole.", (), [((), whole)]


def breaker_readings(database: Database, seen: ServerSeen | None) -> Iterator[Reading]:
    """What is known to be away: the database, and the inference server where anybody has looked at it.

    seen : by the gateway's own look or, without one, by the newest job's
    """
    rows: Rows = [(("database",), float(database.reachable is False))]
    if seen is not None and seen.ready is not None:
        rows.append((("inference",), float(not seen.ready)))
    yield "gateway_breaker_open", "1 while a dependency is known to be away.", ("dep",), rows
