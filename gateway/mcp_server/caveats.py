"""What has to be said beside a forecast: whether it is stale, synthetic or a replay, and how far to trust its model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway.content.verdicts import BASELINE, RECORDS, subject

DISCLAIMER: Final = "Not investment advice: a range of what may happen, to be judged by its track record."
STALE: Final = "This forecast is stale; stale_reason says why."
UNREAD: Final = "the scores cannot be read at the moment"
UNSCORED: Final = "it has no scores yet"
SKILL: Final = ("verdict", "record", "crps_skill", "cs_low", "cs_high", "n_eff", "sentence")


def record_of(status: str, synthetic: bool) -> str:
    """The record that a forecast belongs to."""
    return "synthetic" if synthetic else "live" if status == "on_time" else status


def skill_of(
    verdicts: Iterable[Mapping[str, Any]] | None, model_name: str, interval: str, record: str
) -> dict[str, Any]:
    """The pooled verdict on a model as the members of `Skill`; undecided where there is none."""
    for verdict in verdicts or ():
        cell = (verdict["asset_class"], verdict["step"], verdict["model_name"], verdict["interval"], verdict["record"])
        if cell == ("all", 0, model_name, interval, record):
            return {name: verdict[name] for name in SKILL}
    about = f"{subject(model_name, interval)}, {RECORDS[record]}"
    nothing = dict.fromkeys(SKILL) | {"verdict": "undecided", "record": record}
    if model_name == BASELINE:
        return nothing | {
            "verdict": "not_compared",
            "sentence": f"{about}: it is the baseline that the others are compared with, and claims no skill.",
        }
    why = UNREAD if verdicts is None else UNSCORED
    return nothing | {"sentence": f"{about}: undecided, {why}; it is not shown to beat the baseline."}


def caveats_of(body: Mapping[str, Any]) -> list[str]:
    """The sentences that belong to one forecast, given its members as a route sends them."""
    said = [STALE] if body["stale"] else []
    return said + ([body["notice"]] if body["notice"] else [])


def caveats_of_list(outlines: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same of many forecasts: how many are stale, synthetic, a replay, late."""
    n_stale = sum(one["stale"] for one in outlines)
    stale = "stale: a newer one is overdue or could not be looked for"
    return ([_counted(n_stale, outlines, stale)] if n_stale else []) + caveats_of_record(outlines)


def caveats_of_record(forecasts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same of forecasts that are not the newest, and so are never stale."""
    counts = {
        "synthetic: their bars were made by a random generator": sum(one["synthetic"] for one in forecasts),
        "replays: made after the fact, and no part of the live record": _n_of(forecasts, "replay"),
        "late: recorded after the first bar they speak about had closed": _n_of(forecasts, "late"),
    }
    return [_counted(n, forecasts, what) for what, n in counts.items() if n]


def _n_of(forecasts: Sequence[Mapping[str, Any]], status: str) -> int:
    return sum(one["status"] == status for one in forecasts)


def _counted(n: int, forecasts: Sequence[Mapping[str, Any]], what: str) -> str:
    return f"{n} of {len(forecasts)} forecasts are {what}."
