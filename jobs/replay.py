"""Walk forward over past slots: each forecast is made as of its slot and stored as a replay.

A replay reads what was known then, through the same functions as the live job, so a replayed forecast equals
the one made live from the same rows. Replays are scored the same way and shown apart.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from cronsim import CronSim
from sqlalchemy import Engine

from candlecast.clock import SCHEDULES, Interval
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings
from jobs import predict
from jobs.access import http_forecaster
from jobs.baselines import YARDSTICK
from jobs.run import newest_slot, open_run


class NoSlots(CandlecastError):
    """The range to replay holds no slot of the schedule."""

    def __init__(self, job: str, start: datetime, end: datetime) -> None:
        super().__init__(
            f"no slot of {job} ({SCHEDULES[job]}) from {start:%Y-%m-%dT%H:%MZ} to {end:%Y-%m-%dT%H:%MZ}; "
            "name a longer range with --from and --to"
        )


@dataclass(slots=True)
class ReplayReport:
    """What a walk-forward gave, added up over its slots."""

    n_slots: int = 0
    n_written: int = 0
    n_exists: int = 0
    n_refused: int = 0
    model_down: str | None = None
    refusals: dict[str, int] = field(default_factory=dict)
    not_calibrated: list[str] = field(default_factory=list)  # the first sentences on forecasts that lack a correction
    rivals: dict[str, dict[str, int]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """The same for programs."""
        return asdict(self)


def slots_between(job: str, start: datetime, end: datetime, every: int) -> Iterator[datetime]:
    """Each `every`-th slot of the job in [start, end], counted from the start."""
    slot, n = newest_slot(job, start), 0
    schedule = CronSim(SCHEDULES[job], slot)
    while slot <= end:
        if slot >= start:
            if n % every == 0:
                yield slot
            n += 1
        slot = next(schedule)


def replay(
    engine: Engine,
    settings: JobSettings,
    *,
    interval: Interval,
    model_name: str,
    start: datetime,
    end: datetime,
    every: int = 1,
    symbols: tuple[str, ...] | None = None,
    on_slot: Callable[[int, int, ReplayReport], None] = lambda done, total, report: None,
) -> ReplayReport:
    """Replay the slots of [start, end]; what is there already is left alone.

    Raises
    ------
    NoSlots : the range holds no slot.
    """
    job = f"kronos-batch-{interval}"
    slots = list(slots_between(job, start, end, every))
    if not slots:
        raise NoSlots(job, start, end)
    request = predict.Request(
        interval=interval,
        slot=slots[0],
        model_name=model_name,
        horizon=settings.horizon,
        lookback=settings.lookback,
        n_paths=settings.n_paths,
        base_seed=settings.base_seed,
        rivals=tuple(name for name in settings.baselines if name != YARDSTICK),
        symbols=symbols,
        replay=True,
    )
    report = ReplayReport()
    details = {"from": start.isoformat(), "to": end.isoformat(), "every": every, "model": model_name}
    with (
        http_forecaster(settings, model_name) as forecaster,
        open_run(engine, f"replay-{interval}", slots[-1], deadline_s=24 * 3600, details=details) as run,
    ):
        for slot in slots:
            one = predict.predict(
                engine, replace(request, slot=slot), forecaster=forecaster, run=None, fence=run.fence, deadline_s=600
            )
            report.n_slots += 1
            report.n_written += one.n_written
            report.n_exists += one.n_exists
            report.n_refused += len(one.refusals)
            report.model_down = one.model_down or report.model_down
            report.not_calibrated = (report.not_calibrated + one.not_calibrated)[: predict.TOLD]
            for refusal in one.refusals:
                report.refusals[refusal.code] = report.refusals.get(refusal.code, 0) + 1
            for name, outcomes in one.rivals.items():
                counts = report.rivals.setdefault(name, {})
                for outcome, n in outcomes.items():
                    counts[outcome] = counts.get(outcome, 0) + n
            on_slot(report.n_slots, len(slots), report)
        run.verdict = "partial" if report.model_down or report.not_calibrated else "ok"
        run.details.update(
            n_slots=report.n_slots, n_written=report.n_written, refusals=report.refusals, rivals=report.rivals
        )
        if report.not_calibrated:
            run.details["not_calibrated"] = report.not_calibrated
    return report
