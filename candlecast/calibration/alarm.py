"""The canary: a calibrated band cannot be much better than the best baseline unless it has seen the outcome."""

from typing import Final

LEAK_MARGIN: Final = 0.05  # in a GARCH world a perfect forecaster gains 3 % on the baseline's interval score at most
SURE: Final = 1.645  # standard errors; 5 % of honest records that stand on the margin itself would alarm


def leak_alarm(calibrated: float, best_baseline: float, se: float) -> bool:
    """Whether a calibrated mean interval score is better than the best baseline's by more than is honest.

    calibrated, best_baseline : mean interval scores on common rows
    se : standard error of the advantage 1 - calibrated / best_baseline, overlap and common days allowed for

    True only if the advantage is beyond 5 % by more than its sampling error explains. NaN alarms nobody.
    """
    if not best_baseline > 0.0:
        return False
    return 1.0 - calibrated / best_baseline - SURE * se > LEAK_MARGIN
