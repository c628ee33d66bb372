"""Every seeded leak, by the part of the house that it is planted in."""

from typing import Final

from tools.leakbench.catalogue import bars, calibration, events, models, records, scores, training
from tools.leakbench.mutant import Mutant

MUTANTS: Final[tuple[Mutant, ...]] = (
    *bars.MUTANTS,
    *events.MUTANTS,
    *models.MUTANTS,
    *training.MUTANTS,
    *calibration.MUTANTS,
    *scores.MUTANTS,
    *records.MUTANTS,
)
