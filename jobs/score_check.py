"""Make every stored score anew from what it was made from, and say whether the same comes out."""

from collections.abc import Callable

from sqlalchemy import Engine

from candlecast.clock import Interval
from candlecast.store.score_checks import CheckReport, check_scores


def check(
    engine: Engine, interval: Interval, *, progress: Callable[[CheckReport], None] = lambda report: None
) -> CheckReport:
    """The counts over all scores of the interval, of one state of the store; nothing is written."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as conn, conn.begin():
        report = CheckReport()
        for report in check_scores(conn, interval):
            progress(report)
    return report


def check_line(interval: str, report: CheckReport) -> str:
    """What a check found."""
    line = (
        f"score --check {interval}: {report.n_agree} of {report.n_checked} stored scores come out again, "
        f"{report.n_identical} of them bit for bit"
    )
    if report.n_without_paths:
        line += f"; of {report.n_without_paths} the paths are gone, so only the rest of those was made anew"
    line += "."
    if report.holds:
        return line
    line += (
        f" {report.n_different} do not, {report.n_lost} are missing, {report.n_unknown} belong to no forecast "
        "of the ledger."
    )
    for difference in report.differences[:20]:
        line += f"\n  {difference}"
    if len(report.differences) > 20:
        line += f"\n  … and {len(report.differences) - 20} more; --json has up to 1000 of each"
    return line
