"""The scoring job under its lease and with its row in the ledger."""

from sqlalchemy import Engine

from jobs.score import run_score
from tests.integration.scores.market import add_bars, add_instruments, at, forecast, issue, rows_of


def test_a_run_leaves_its_counts_in_the_ledger(engine: Engine) -> None:
    add_instruments(engine)
    add_bars(engine, {0: 100.0, 1: 101.0})
    issue(engine, [forecast(0)])

    report = run_score(engine, "score-signals-1h", "1h", as_of=at(1), deadline_s=60)

    (run,) = rows_of(engine, "SELECT job, status, details FROM candlecast.job_runs")
    assert (run["job"], run["status"]) == ("score-signals-1h", "ok")
    assert run["details"]["n_scored"] == report.n_scored == 1
    assert report.facts()["n_pending"] == 1
