"""Whether a model beats the baseline: the scorer's verdicts as numbers and as sentences."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, Literal

import orjson

from gateway.answers import Document, iso
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.database import Database, Row

BASELINE: Final = "baseline-rw"
MIN_OUTCOMES: Final = 30  # below this many independent outcomes the scorer decides nothing
MINUS: Final = "\N{MINUS SIGN}"
POOLED: Final = ("all", 0)  # asset class and step of the cell that the page tells of

INTERVALS: Final = {"1h": "hourly", "1d": "daily"}
RECORDS: Final = {"live": "live", "late": "late", "replay": "replay", "synthetic": "synthetic bars"}

NOTE: Final = (
    "crps_skill is 1 - CRPS / CRPS of baseline-rw, over the rows that both were scored on; above 0 is better. A cell "
    "is a model on an interval, asset class and step (asset_class `all` and step 0: pooled, each step in sigmas over "
    "its own span). low and high are the 95 % interval for somebody who looks once, cs_low and cs_high for somebody "
    "who looks every day. better and worse are said of cells that hold out against the number of cells (n_cells) and "
    "of looks together, and where n_eff is 30 or more. Records are never mixed: only `live` was issued before the "
    "outcome."
)

Judgement = Literal["better", "worse", "undecided", "not_compared"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A model against the baseline in one cell of a record; a row of `skill_verdicts` with its sentence.

    crps_skill : None without common pairs; the ends of its intervals and e_value's evidence are None or 1 while
        nothing can be said
    """

    model_name: str
    interval: str
    record: str
    asset_class: str
    step: int
    verdict: Judgement
    sentence: str
    crps_skill: float | None
    low: float | None
    high: float | None
    cs_low: float | None
    cs_high: float | None
    p_value: float | None
    q_value: float | None
    e_value: float
    n_forecasts: int
    n_symbols: int
    n_pairs: int
    n_days: int
    n_eff: float
    n_cells: int
    days_to_decision: float | None
    first_day: date | None
    last_day: date | None
    as_of: str

    @property
    def pooled(self) -> bool:
        """Whether it speaks of all classes and steps together."""
        return (self.asset_class, self.step) == POOLED


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


async def read_verdicts(database: Database, _: tuple[str, ...]) -> Verdicts:
    """All verdicts by one query, in the order of models, hourly before daily, live first, pooled first."""
    return Verdicts([verdict_of(row) for row in await database.rows("gateway_verdicts")])


def verdict_of(row: Row) -> Verdict:
    """A row of `gateway_verdicts` with its sentence."""
    told: dict[str, Any] = {name: row[name] for name in Verdict.__slots__ if name in row}
    about = f"{subject(row['model_name'], row['interval'])}, {RECORDS.get(row['record'], row['record'])}"
    return Verdict(
        **told | {"as_of": iso(utc(row["as_of"]))},
        crps_skill=row["skill"],
        sentence=f"{about}{_cell(row)}: {_finding(row)}",
    )


def subject(model_name: str, interval: str) -> str:
    """Whom a sentence is about."""
    return f"{model_name}, {INTERVALS.get(interval, interval)}"


def _cell(row: Row) -> str:
    names = {"forex_commodity": "currencies and commodities", "equity": "shares"}
    asset_class: str = row["asset_class"]
    about = [names.get(asset_class, asset_class)] if asset_class != "all" else []
    about += [f"step {row['step']}"] if row["step"] else []
    return f" ({', '.join(about)})" if about else ""


def _finding(row: Row) -> str:
    skill, low, high = row["skill"], row["cs_low"], row["cs_high"]
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
    known = low is not None and high is not None
    interval = f", 95% interval {percent(low)} to {percent(high)} however often one looks" if known else ""
    facts = (
        f"{compared} over {counted(row['n_forecasts'], 'common forecast')} of "
        f"{counted(row['n_symbols'], 'instrument')} (skill {percent(skill)}{interval})"
    )
    match row["verdict"]:
        case "better":
            return f"{facts}: it beats the baseline."
        case "worse":
            return f"{facts}: it does not beat the baseline."
    if row["n_eff"] < MIN_OUTCOMES:
        days = counted(row["n_days"], "day")
        worth = math.floor(row["n_eff"])
        outcomes = counted(worth, "independent outcome") if worth else "less than one independent outcome"
        why = f"{days} {'is' if row['n_days'] == 1 else 'are'} worth {outcomes}, fewer than {MIN_OUTCOMES}"
    else:
        why = f"that is no proof on a page of {row['n_cells']} cells that is looked at every day"
    waiting = row["days_to_decision"]
    more = f"; as it goes, {counted(math.ceil(waiting), 'more day')} would decide" if waiting else ""
    return f"{facts}: undecided, {why}{more}; it is not shown to beat the baseline."


def percent(share: float) -> str:
    """A share in per cent with its sign and one decimal."""
    text = f"{100 * share:+.1f}%"
    return "0.0%" if text in ("+0.0%", "-0.0%") else text.replace("-", MINUS)


def counted(n: int, noun: str) -> str:
    """`n` things."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
