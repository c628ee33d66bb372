"""Leaks of judgement: another bar than the one forecast, or that bar before or other than it was known."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

DUE: Final = "sql/queries/score_due.sql"

MUTANTS: Final = (
    Mutant(
        "outcome-is-the-next-bar",
        "a step is judged by the bar that opens at its target",
        "freqtrade PR #7737; nautilus_trader #4577: a bar found by its opening",
        (Edit(DUE, "AND bars.closed_at = looked_at.target_at", "AND bars.ts = looked_at.target_at"),),
        ("test_scores.py",),
    ),
    Mutant(
        "outcome-carried-forward",
        "where the bar is missing the last one before it is taken: a weekend's price judges a forecast",
        "Synth (subnet 50) #188, #196, #201: gold scored on weekends",
        (
            Edit(
                DUE,
                "          AND bars.closed_at = looked_at.target_at\n"
                "          AND bars.first_seen <= CAST(:as_of AS timestamptz)\n",
                "          AND bars.closed_at <= looked_at.target_at\n"
                "          AND bars.closed_at > looked_at.target_at - interval '9 days'\n"
                "          AND bars.first_seen <= CAST(:as_of AS timestamptz)\n"
                "        ORDER BY bars.closed_at DESC\n",
            ),
        ),
        ("test_scores.py",),
    ),
    Mutant(
        "outcome-before-it-came",
        "a bar judges before it has arrived",
        "Feast #6615; Synth #247, #260: missing last price, wait for the next candle",
        (Edit(DUE, "          AND bars.first_seen <= CAST(:as_of AS timestamptz)\n", ""),),
        ("test_scores.py",),
    ),
    Mutant(
        "outcome-before-it-settled",
        "a forecast is judged by a close that is not final yet",
        "Synth's _assert_settled: one candle past the last as a witness",
        (
            Edit(
                DUE,
                "WHERE looked_at.target_at <= CAST(:as_of AS timestamptz) - make_interval(secs => (",
                "WHERE looked_at.target_at <= CAST(:as_of AS timestamptz) - make_interval(secs => 0 * (",
            ),
        ),
        ("test_scores.py",),
    ),
    Mutant(
        "outcome-corrected-later",
        "a score as of a moment knows the correction that came after it",
        "Synth #238: an upsert corrupted scores; Feast #6615",
        (Edit(DUE, "coalesce(later.old_close, bar.close) AS outcome", "bar.close AS outcome"),),
        ("test_scores.py",),
    ),
    Mutant(
        "portfolio-earns-the-known-bar",
        "a signal earns the return of the bar that it was issued after",
        "LEAN PR #2996 (CoarseNoLookAheadBias): 100 % win rate before, no trades after",
        (
            Edit(
                "candlecast/portfolio.py",
                'start = np.searchsorted(axis, lane * stride + (signals.issued_at - origin), side="left") + 1',
                'start = np.searchsorted(axis, lane * stride + (signals.issued_at - origin), side="left")',
            ),
        ),
        ("test_scores.py",),
    ),
)
