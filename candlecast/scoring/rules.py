"""What was fixed before any forecast was issued: which steps are judged, how long an outcome is waited for.

The rules by which a bar that is there may not judge a forecast stand in `sql/functions/void_reason_1.sql`.
"""

from datetime import timedelta
from typing import Final

# Of the rules of this package; raise it when a rule changes, stored scores keep theirs. 2: what was served is scored
# beside what the model said, and sets of paths are scored.
SCORE_VERSION: Final = 2

# The steps that are scored: one bar, a short day, about a day or month, the whole horizon.
SCORED_STEPS: Final[dict[str, tuple[int, ...]]] = {"1h": (1, 4, 24, 120), "1d": (1, 5, 20, 120)}

# A target whose bar has not come this long after its close is void.
VOID_AFTER: Final = timedelta(days=7)

# Every reason for a void, and the column of the sums that counts it.
VOID_REASONS: Final[dict[str, str]] = {
    "target had closed": "n_voids_closed",
    "no bar": "n_voids_no_bar",
    "halt": "n_voids_halt",
    "no trade": "n_voids_no_trade",
    "feed switched": "n_voids_feed",
}

# Variance of the mean of overlapping 80 % hits over that of independent ones, per step (simulated, h = 24 and 120).
OVERLAP_PER_STEP: Final = 0.46


def effective_sample(n: float, step: int, spacing_bars: float = 1.0) -> float:
    """How many independent outcomes `n` pairs are worth, when a forecast is issued every `spacing_bars` bars.

    Targets of neighbours on consecutive bars overlap in step - 1 of their bars, which inflates the variance of a mean
    by about 0.46 times the step, never below 1; forecasts issued less often overlap less.
    """
    return n / max(1.0, OVERLAP_PER_STEP * step / max(1.0, spacing_bars))


def longest_span(interval: str, step: int) -> timedelta:
    """More time than `step` bars of any venue take, weekends and holidays included.

    The slowest hourly venue has 35 bars a week (4.8 hours each), the slowest daily one 5 (1.4 days each).
    """
    bar = timedelta(hours=6) if interval == "1h" else timedelta(days=2)
    return step * bar + timedelta(days=15)
