"""What may be said of a model beside the baseline, over many cells that are watched at once.

A cell is one tile of a page: a model on an interval, step and set of instruments, in one record. It comes as sums over
whole days of all its common pairs (those that model and baseline were both scored on), so that instruments that move
together count as one day and not as many. Hand over days that are over, not the running one: verdicts change once a
day, however often the page is drawn.

"better" and "worse" are said of the cells that e-BH picks among both sides of every cell given, at 5 % together, and
only where `n_eff` has reached `MIN_OUTCOMES`. Where no model differs from the baseline, the chance that such a page
*ever* shows a badge is at most 5 % (candlecast.statistics.sequences, .multiplicity; tests/statistics). That counts for
a fixed set of cells: hand over all cells of a page, those without pairs too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from candlecast.statistics.comparison import skill_of_sums
from candlecast.statistics.multiplicity import e_bh, false_discoveries
from candlecast.statistics.sequences import SkillSequence, days_to_decision, skill_sequence

Floats = NDArray[np.float64]
Judgement = Literal["better", "worse", "undecided", "not_compared"]

LEVEL: Final = 0.05  # share of wrong badges on a page; also of the intervals
MIN_OUTCOMES: Final = 30  # below this many independent outcomes nothing is decided
LARGEST_LOG: Final = 690.0  # an e-value beyond 1e299 is written as that


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """Sums of T days in order: of every day of the calendar, 0 in all three without pairs, or of days with pairs only.

    loss, base : [T] losses of the model and of the baseline on the common pairs of the day
    n_pairs : [T] number of common pairs
    overlap : over how many of these days scores share bars, see `overlap_in_days`
    """

    loss: Floats
    base: Floats
    n_pairs: NDArray[np.integer]
    overlap: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """A cell, judged. Skill is 1 - sum of losses / sum of the baseline's; None stands for what is not known yet.

    low, high : 95 % interval of the skill for somebody who looks once; p_value : of no skill, looked at once
    q_value : p_value after Benjamini and Hochberg over the cells given
    cs_low, cs_high : 95 % confidence sequence, for somebody who looks every day
    e_better, e_worse : evidence against "no better" and "no worse"; e_value : their mean, against "no difference"
    n_pairs : common pairs; n_days : days that have any; n_eff : days over the inflation by overlap
    days_to_decision : days from now until four records of five with this skill and noise would have a badge; 0 with a
        badge, None where that is not known or over a century
    """

    verdict: Judgement
    skill: float | None
    low: float | None
    high: float | None
    p_value: float | None
    q_value: float | None
    cs_low: float | None
    cs_high: float | None
    e_value: float
    e_better: float
    e_worse: float
    n_pairs: int
    n_days: int
    n_eff: float
    days_to_decision: float | None


def overlap_in_days(step: int, bars_per_day: float) -> float:
    """Days over which the scores of one instrument share bars: outcomes `step` bars long, one ending on every bar.

    bars_per_day : per day of the cell, of the instrument with the fewest: hourly 24 for crypto, 7 for US shares by
        themselves and 5 on days of the calendar; daily 1, or 5/7 on days of the calendar.
    """
    return (step - 1) / bars_per_day


def judge(cells: Sequence[Cell], level: float = LEVEL) -> list[Verdict]:
    """A verdict for each cell, in their order; the badges hold for all of them together."""
    if not cells:
        return []
    n_rows = max(1, *(len(cell.loss) for cell in cells))
    loss, base = np.zeros((len(cells), n_rows)), np.zeros((len(cells), n_rows))
    for k, cell in enumerate(cells):
        first = n_rows - len(cell.loss)  # days without pairs before a record begins count for nothing
        loss[k, first:], base[k, first:] = cell.loss, cell.base
    overlap = np.array([cell.overlap for cell in cells])
    sequence = skill_sequence(loss, base, overlap)
    badges = _badges(sequence, level)[:, -1]

    n_days, n_eff, n_obs = sequence.n_days[:, -1], sequence.n_eff[:, -1], sequence.n_obs[:, -1]
    cs_low, cs_high = (end[:, -1] for end in sequence.interval(LEVEL))
    with np.errstate(invalid="ignore", divide="ignore"):
        length = days_to_decision(sequence.skill[:, -1], sequence.se[:, -1], n_days, n_obs, level / len(cells))
        length = np.maximum(length, n_days * MIN_OUTCOMES / n_eff)
    waiting = np.where(badges != 0, 0.0, np.maximum(length - n_days, 1.0))
    once = [skill_of_sums(loss[k], base[k], overlap[k]) for k in range(len(cells))]
    p_values = [estimate.p_value if math.isfinite(estimate.se) else math.nan for estimate in once]
    q_values = false_discoveries(p_values)
    e_value, e_better, e_worse = (
        np.exp(np.minimum(log[:, -1], LARGEST_LOG)) for log in (sequence.log_e, sequence.log_better, sequence.log_worse)
    )
    return [
        Verdict(
            verdict=_judgement(int(badges[k]), float(n_days[k])),
            skill=_known(sequence.skill[k, -1]),
            low=_known(once[k].low),
            high=_known(once[k].high),
            p_value=_known(p_values[k]),
            q_value=_known(q_values[k]),
            cs_low=_known(cs_low[k]),
            cs_high=_known(cs_high[k]),
            e_value=float(e_value[k]),
            e_better=float(e_better[k]),
            e_worse=float(e_worse[k]),
            n_pairs=int(np.sum(cell.n_pairs)),
            n_days=int(n_days[k]),
            n_eff=float(n_eff[k]),
            days_to_decision=_known(waiting[k]),
        )
        for k, cell in enumerate(cells)
    ]


def watched(loss: ArrayLike, base: ArrayLike, overlap: ArrayLike, level: float = LEVEL) -> NDArray[np.int8]:
    """[K, T] the badges of K cells as the page showed them after each of T days: 1 better, -1 worse, 0 none.

    loss, base : [K, T] sums of each day; overlap : [K]. The last column is what `judge` says.
    """
    return _badges(skill_sequence(loss, base, overlap), level)


def _badges(sequence: SkillSequence, level: float) -> NDArray[np.int8]:
    ready = sequence.n_eff >= MIN_OUTCOMES
    # Minus infinity, an e-value of 0, and not 1: a process may not wait for luck before it begins.
    sides = [np.where(ready, side, -np.inf) for side in (sequence.log_better, sequence.log_worse)]
    named = e_bh(np.concatenate(sides).T, level).T.astype(np.int8)
    n = len(sequence.skill)
    return named[:n] - named[n:]


def _judgement(badge: int, n_days: float) -> Judgement:
    if n_days == 0:
        return "not_compared"
    return "undecided" if badge == 0 else "better" if badge > 0 else "worse"


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
