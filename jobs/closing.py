"""The last line of a job: what it did, in counts."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a job does not pay for the imports of the others
    from jobs.evaluation import Evaluated
    from jobs.ingest import IngestReport
    from jobs.predict import Report
    from jobs.replay import ReplayReport
    from jobs.report.build import Written
    from jobs.score import ScoreReport


def batch_line(job: str, slot: datetime, report: "Report") -> str:
    """What a batch did with its slot."""
    line = (
        f"{job}, slot {slot:%Y-%m-%dT%H:%MZ}: {report.n_written} forecasts written, {report.n_exists} already there, "
        f"{len(report.refusals)} refused, {report.n_failed} failed"
        + (f", {report.n_skipped} skipped" if report.n_skipped else "")
        + f" in {report.seconds['total']:.1f} s."
    )
    if report.model_down and (report.n_failed or report.n_skipped):
        line += f" The model did not answer: {report.model_down}"
    elif report.model_down:
        line += f" The baseline was computed in this process, as the server did not answer: {report.model_down}"
    for sentence in report.not_calibrated[:3]:
        line += f"\n  not calibrated: {sentence}"
    if report.rivals:
        line += "\n  " + _rivals(report.rivals)
    for refusal in report.refusals[:3]:
        line += f"\n  refused ({refusal.code}): {refusal.message}"
    if len(report.refusals) > 3:
        line += f"\n  … and {len(report.refusals) - 3} more; see candlecast.job_items"
    return line


def replay_line(interval: str, report: "ReplayReport") -> str:
    """What a walk-forward did."""
    refused = ", ".join(f"{n} {code}" for code, n in sorted(report.refusals.items()))
    return (
        f"replay {interval}: {report.n_slots} slots, {report.n_written} forecasts written, "
        f"{report.n_exists} already there, {report.n_refused} refused{f' ({refused})' if refused else ''}."
        + (f" The model did not answer: {report.model_down}" if report.model_down else "")
        + "".join(f"\n  not calibrated: {sentence}" for sentence in report.not_calibrated[:3])
        + (f"\n  {_rivals(report.rivals)}" if report.rivals else "")
    )


def _rivals(rivals: Mapping[str, Mapping[str, int]]) -> str:
    """What became of the baselines beside the one that every run owes."""
    words = {"ok": "written", "exists": "already there", "refused": "refused", "skipped": "skipped", "failed": "failed"}
    each = (
        f"{name} {' and '.join(f'{counts[outcome]} {word}' for outcome, word in words.items() if outcome in counts)}"
        for name, counts in rivals.items()
    )
    return f"rivals: {', '.join(each)}"


def score_line(job: str, report: "ScoreReport") -> str:
    """What a scoring run did."""
    reasons = ", ".join(f"{n} {reason}" for reason, n in sorted(report.voids.items()))
    return (
        f"{job}: {report.n_scored} steps scored, {report.n_pending} still open, {report.n_voided} void"
        f"{f' ({reasons})' if reasons else ''} in {report.seconds:.1f} s."
        + "".join(f"\n  LEAK ALARM: {sentence}" for sentence in report.alarms)
    )


def ingest_line(job: str, report: "IngestReport") -> str:
    """What an import did."""
    return f"{job}: {report}"


def evaluation_line(name: str, evaluated: "Evaluated") -> str:
    """What an evaluation is about."""
    where = ", ".join(f"{record} {interval}" for record, interval in evaluated.records) or "nothing judged yet"
    line = f"{name}: {evaluated.n_cells} cells as of {evaluated.as_of:%Y-%m-%dT%H:%MZ} ({where}) "
    line += f"in {evaluated.seconds:.1f} s."
    return line + (f" LEAK ALARM in {evaluated.n_alarms} of them." if evaluated.n_alarms else "")


def report_line(name: str, written: "Written") -> str:
    """What a report is about, and where it lies."""
    models = f"{written.n_forecast_models} model{'' if written.n_forecast_models == 1 else 's'}"
    line = f"{name}: {written.n_cells} cells of {models} and the baselines in {written.folder}/report.md."
    if written.alarms:
        line += f" LEAK ALARM in {written.alarms} of them: a band is better than is honest."
    return line
