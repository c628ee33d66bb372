"""The batch job: one slot under its lease, from the newest bars to the ledger."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine

from candlecast.clock import Interval, utc_now
from candlecast.errors import CandlecastError
from candlecast.settings import JobSettings
from candlecast.store.runs import Item
from jobs import predict
from jobs.access import http_forecaster
from jobs.baselines import YARDSTICK
from jobs.run import Run, newest_slot, open_run, record_missed_slots


class SlotInTheFuture(CandlecastError):
    """A forecast was asked for a moment that has not come."""

    def __init__(self, as_of: datetime, now: datetime) -> None:
        super().__init__(
            f"--as-of {as_of:%Y-%m-%dT%H:%MZ} lies after the clock ({now:%Y-%m-%dT%H:%MZ}); "
            "leave it out for the newest slot, or name a moment that has passed"
        )


def run_batch(
    engine: Engine,
    settings: JobSettings,
    job: str,
    *,
    interval: Interval,
    model_name: str,
    as_of: datetime | None = None,
    symbols: tuple[str, ...] | None = None,
    dry_run: bool = False,
    now: datetime | None = None,
    on_item: Callable[[Item], None] = lambda item: None,
) -> tuple[Run | None, predict.Report, datetime]:
    """The run (None when nothing was to be written), its report, and the slot.

    A slot before the newest one is a replay: made as of then, stored and scored apart, never part of the
    live record.
    """
    now = now or utc_now()
    if as_of is not None and as_of > now:
        raise SlotInTheFuture(as_of, now)
    newest = newest_slot(job, now)
    slot = newest if as_of is None else newest_slot(job, as_of)
    request = predict.Request(
        interval=interval,
        slot=slot,
        model_name=model_name,
        horizon=settings.horizon,
        lookback=settings.lookback,
        n_paths=settings.n_paths,
        base_seed=settings.base_seed,
        rivals=tuple(name for name in settings.baselines if name != YARDSTICK),
        symbols=symbols,
        replay=slot < newest,
        dry_run=dry_run,
    )
    with http_forecaster(settings, model_name) as forecaster:
        if dry_run:
            report = predict.predict(
                engine, request, forecaster=forecaster, run=None, deadline_s=settings.deadline_s, on_item=on_item
            )
            return None, report, slot
        with open_run(engine, job, slot, deadline_s=settings.deadline_s, details={"model": model_name}) as run:
            if not request.replay:
                run.details["n_missed"] = record_missed_slots(engine, job, slot)
            # The client gives up a little earlier than the watchdog, so that the ledger gets its last word.
            budget = settings.deadline_s - min(30.0, 0.1 * settings.deadline_s)
            report = predict.predict(
                engine, request, forecaster=forecaster, run=run, deadline_s=budget, on_item=on_item
            )
            run.details["seconds"] = {name: round(value, 3) for name, value in report.seconds.items()}
            if report.asked:
                # The sentence in model_down may name an address; that it is down is enough for a page.
                run.details["server"] = {"answered": report.model_down is None}
    return run, report, slot
