"""Whether a model beats the baseline: its pooled CRPS skill with an interval, and the sentence that says so."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Final, Literal

import orjson

from gateway.answers import Document
from gateway.database import Database, Row
from gateway.shelf import SYNTHETIC_STORE

BASELINE: Final = "baseline-rw"
MIN_OUTCOMES: Final = 30  # below this many independent outcomes nothing is decided
MINUS: Final = "\N{MINUS SIGN}"

# 97.5 % quantiles of Student's t with 1 to 19 degrees of freedom; there are at most 20 blocks.
STUDENT: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093,
)  # fmt: skip

INTERVALS: Final = {"1h": "hourly", "1d": "daily"}
RECORDS: Final = {"live": "live", "late": "late", "replay": "replay", "synthetic": "synthetic bars"}

NOTE: Final = (
    "crps_skill is 1 - CRPS / CRPS of baseline-rw, summed over the rows that both were scored on, in sigmas over the "
    "step's span; above 0 is better. low and high are its 95 % interval from blocks of days. better and worse are said "
    "only where the interval excludes 0 and n_eff is 30 or more. Records are never mixed: only `live` was issued "
    "before the outcome."
)

Judgement = Literal["better", "worse", "undecided", "not_compared"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model against the baseline, in one interval and record.

    crps_skill : None without common pairs; low, high : its 95 % interval, None where there are fewer than two blocks
    n_pairs : common (forecast, step); n_eff : what they are worth in independent outcomes
    """

    model_name: str
    interval: str
    record: str
    verdict: Judgement
    sentence: str
    crps_skill: float | None
    low: float | None
    high: float | None
    n_forecasts: int
    n_symbols: int
    n_pairs: int
    n_eff: float
    n_blocks: int
    first_day: date | None
    last_day: date | None


class Verdicts(Document):
    """All verdicts, and the body of /showcase/performance/verdicts. Scores come hourly: five minutes are fresh."""

    def __init__(self, verdicts: Sequence[Verdict]) -> None:
        synthetic = any(verdict.record == "synthetic" for verdict in verdicts)
        body = {
            "note": NOTE,
            "notice": SYNTHETIC_STORE if synthetic else None,
            "verdicts": [asdict(verdict) for verdict in verdicts],
        }
        super().__init__(orjson.dumps(body), max_age_s=60, fresh_s=300.0)
        self.verdicts = verdicts


async def read_verdicts(database: Database) -> Verdicts:
    """All verdicts by one query, in the order of models, hourly before daily, live first."""
    return Verdicts([verdict_of(row) for row in await database.rows("gateway_verdicts")])


def verdict_of(row: Row) -> Verdict:
    """A row of `gateway_verdicts`, judged."""
    losses: Sequence[float] = row["losses"] or []
    skill, low, high = skill_interval(losses, row["baseline_losses"] or [])
    verdict = judge(skill, low, high, row["n_eff"])
    return Verdict(
        model_name=row["model_name"],
        interval=row["interval"],
        record=row["record"],
        verdict=verdict,
        sentence=f"{subject(row['model_name'], row['interval'])}, {RECORDS.get(row['record'], row['record'])}: "
        + _finding(row, verdict, skill, low, high),
        crps_skill=skill,
        low=low,
        high=high,
        n_forecasts=row["n_forecasts"],
        n_symbols=row["n_symbols"],
        n_pairs=row["n_pairs"],
        n_eff=row["n_eff"],
        n_blocks=len(losses),
        first_day=row["first_day"],
        last_day=row["last_day"],
    )


def skill_interval(
    losses: Sequence[float], baseline_losses: Sequence[float]
) -> tuple[float | None, float | None, float | None]:
    """Skill 1 - sum / sum and the ends of its 95 % interval, from the sums of each block.

    The variance is that of a ratio of block totals to first order, with Student's t of one degree of freedom less than
    there are blocks. No interval from one block; no skill where the baseline lost nothing.
    """
    total = math.fsum(baseline_losses)
    if total <= 0.0:
        return None, None, None
    skill = 1.0 - math.fsum(losses) / total
    n = len(losses)
    if n < 2:
        return skill, None, None
    residuals = ((1.0 - skill) * base - loss for loss, base in zip(losses, baseline_losses, strict=True))
    error = math.sqrt(n / (n - 1) * math.fsum(residual**2 for residual in residuals)) / total
    half = STUDENT[n - 2] * error
    return skill, skill - half, skill + half


def judge(skill: float | None, low: float | None, high: float | None, n_eff: float) -> Judgement:
    """What may be said: nothing is decided by few outcomes, or by an interval that holds 0 or is missing."""
    if skill is None:
        return "not_compared"
    if low is None or high is None or n_eff < MIN_OUTCOMES or low <= 0.0 <= high:
        return "undecided"
    return "better" if low > 0.0 else "worse"


def subject(model_name: str, interval: str) -> str:
    """Whom a sentence is about."""
    return f"{model_name}, {INTERVALS.get(interval, interval)}"


def _finding(row: Row, verdict: Judgement, skill: float | None, low: float | None, high: float | None) -> str:
    if skill is None:
        if row["n_common"]:
            return "no CRPS, because its forecasts carry no sample paths; the track record has its pinball loss."
        return f"not compared yet, because no forecast of {BASELINE} was scored beside it."
    size = percent(abs(skill)).removeprefix("+")
    compared = (
        f"CRPS the same as that of {BASELINE}"
        if size == "0.0%"
        else f"CRPS {size} {'better' if skill > 0 else 'worse'} than {BASELINE}"
    )
    interval = f", 95% interval {percent(low)} to {percent(high)}" if low is not None and high is not None else ""
    facts = (
        f"{compared} over {counted(row['n_forecasts'], 'common forecast')} of "
        f"{counted(row['n_symbols'], 'instrument')} (skill {percent(skill)}{interval})"
    )
    match verdict:
        case "better":
            return f"{facts}: it beats the baseline."
        case "worse":
            return f"{facts}: it does not beat the baseline."
    if low is None:
        why = "the record is too short for an interval"
    elif row["n_eff"] < MIN_OUTCOMES:
        why = f"these are worth {math.floor(row['n_eff'])} independent outcomes, fewer than {MIN_OUTCOMES}"
    else:
        why = "the interval contains 0"
    return f"{facts}: undecided, {why}; it is not shown to beat the baseline."


def percent(share: float) -> str:
    """A share in per cent with its sign and one decimal."""
    text = f"{100 * share:+.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text.replace("-", MINUS)


def counted(n: int, noun: str) -> str:
    """`n` things."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
