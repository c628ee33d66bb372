"""Leaks of the record: what was said after the market spoke, counted as if it had been said before."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

RECORD_OF: Final = "sql/functions/record_of_1.sql"
KIND: Final = "WHEN status = 'on_time' THEN 'live' ELSE status END"

MUTANTS: Final = (
    Mutant(
        "replay-in-the-live-record",
        "forecasts made for past slots count as live",
        "Kronos demo: pages overwritten hourly, so nobody can tell (Kronos #323); freqtrade #5141",
        (Edit(RECORD_OF, KIND, "WHEN status IN ('on_time', 'replay') THEN 'live' ELSE status END"),),
        ("test_records.py",),
    ),
    Mutant(
        "late-in-the-live-record",
        "a forecast that was written after its first target counts as live",
        "Prefect #9054: a run executed 25 days late; forecasting.md §4: late is missed",
        (Edit(RECORD_OF, KIND, "WHEN status IN ('on_time', 'late') THEN 'live' ELSE status END"),),
        ("test_records.py",),
    ),
    Mutant(
        "synthetic-in-the-live-record",
        "forecasts of generated bars count as live",
        "Nixtla PR #1229: a fallback's intervals under the name of another model",
        (
            Edit(
                RECORD_OF,
                f"CASE WHEN synthetic THEN 'synthetic' {KIND}",
                f"CASE {KIND}",
            ),
        ),
        ("test_records.py",),
    ),
    Mutant(
        "late-by-the-last-target",
        "a row is on time as long as its last step has not closed",
        "forecasting.md §5.1: no row is made after its first target bar",
        (
            Edit(
                "sql/functions/seal_prediction_2.sql",
                "WHEN NEW.recorded_at >= NEW.target_at[1] THEN 'late'",
                "WHEN NEW.recorded_at >= NEW.target_at[NEW.horizon] THEN 'late'",
            ),
        ),
        ("test_records.py",),
    ),
    Mutant(
        "closed-steps-scored",
        "steps whose target had closed when the row was written are judged",
        "Synth: an answer has to come before start_time; TS-Arena's registration windows",
        (
            Edit(
                "sql/queries/score_queue.sql",
                "sealed.status <> 'replay' AND sealed.target_at[queued.step] <= sealed.recorded_at AS too_late",
                "false AS too_late",
            ),
        ),
        ("test_records.py",),
    ),
)
