"""A forecast in plain words: what it knew, what it says, what became of earlier ones, what is ahead.

The sentences are made of numbers, times, symbols and model names. Names of instruments and texts of the calendar come
from elsewhere and never stand in a sentence: a reader who follows sentences must not follow theirs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

MINUS: Final = "\N{MINUS SIGN}"
FEW: Final = 30  # closes of earlier forecasts; fewer say next to nothing
BARS: Final = {"1h": "hourly", "1d": "daily"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands around a forecast.

    n_judged, n_inside : its own target bars that have closed, and how many of them inside the 80 % band
    ended : whether its last target is over
    earlier, events : members of `EarlierForecast` and `EventAhead`
    """

    n_judged: int
    n_inside: int
    ended: bool
    earlier: Sequence[Mapping[str, Any]]
    events: Sequence[Mapping[str, Any]]


def explained(
    body: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    chance: Mapping[str, Any] | None,
    surroundings: Surroundings | None,
) -> list[str]:
    """Sentences about a forecast, given as a route sends it.

    Parameters
    ----------
    steps : the steps to tell, with `step`, `target_at`, `p10`, `p50`, `p90`
    chance : members of `Chance`, None where nobody asked
    surroundings : None where they could not be read
    """
    told = [_knew(body)]
    if body["stale"]:
        told.append(f"It is stale ({body['stale_reason']}).")
    told += [*(_band(step, body) for step in steps), _what_a_band_is()]
    if chance is not None:
        told.append(_chance(chance))
    if surroundings is None:
        return [*told, "What became of earlier forecasts, and what is on the calendar, cannot be read at the moment."]
    return [*told, *_since(surroundings, body["horizon"]), _earlier(surroundings.earlier), *_events(surroundings)]


def surroundings_of(chart: Mapping[str, Any], body: Mapping[str, Any]) -> Surroundings:
    """What stands around a forecast, from the body of its chart."""
    outcomes = dict(zip(chart["after"]["closed_at"], chart["after"]["close"], strict=True))
    judged = [
        low <= outcomes[at] <= high
        for at, low, high in zip(body["target_at"], body["p10"], body["p90"], strict=True)
        if at in outcomes
    ]
    ended = instant(body["target_at"][-1]) <= instant(body["issued_at"]) + timedelta(seconds=body["age_seconds"])
    return Surroundings(
        n_judged=len(judged),
        n_inside=sum(judged),
        ended=ended,
        earlier=[{name: one[name] for name in ("issued_at", "n_judged", "n_inside")} for one in chart["previous"]],
        events=[
            {name: one[name] for name in ("at", "family", "event", "currency", "impact", "forecast")}
            for one in chart["events"]
            if one["scheduled"]
        ],
    )


def probability_above(price: float, levels: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """At least and at most: the probability of a close above `price`, from quantiles that rise along the levels.

    Between two quantiles the distribution function is taken as straight, so both are equal there. Outside of the
    outermost quantiles only a bound is known.
    """
    if price < values[0]:
        return 1.0 - levels[0], 1.0
    if price > values[-1]:
        return 0.0, 1.0 - levels[-1]
    for i in range(len(values) - 1):
        low, high = values[i], values[i + 1]
        if low <= price <= high:
            share = (price - low) / (high - low) if high > low else 0.5
            above = 1.0 - (levels[i] + share * (levels[i + 1] - levels[i]))
            return above, above
    raise ValueError("the quantiles do not rise along the levels")


def _knew(body: Mapping[str, Any]) -> str:
    return (
        f"The newest known {BARS[body['interval']]} forecast of {body['symbol']} by {body['model_name']} knew the bars "
        f"up to {at_text(body['issued_at'])}, {age_text(body['age_seconds'])} ago, when the last close was "
        f"{price_text(body['last_close'])}."
    )


def _band(step: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    last = body["last_close"]
    bars = "At the next close" if step["step"] == 1 else f"{step['step']} bars ahead"
    ahead = span_text(instant(step["target_at"]) - instant(body["issued_at"]))
    return (
        f"{bars} ({at_text(step['target_at'])}, {ahead} after what it knew): median {price_text(step['p50'])} "
        f"({move_text(last, step['p50'])}), 80% band {price_text(step['p10'])} to {price_text(step['p90'])} "
        f"({move_text(last, step['p10'])} to {move_text(last, step['p90'])})."
    )


def _what_a_band_is() -> str:
    return (
        "A band should hold four closes of five; one of ten should end below it and one above. The median is no target."
    )


def _chance(chance: Mapping[str, Any]) -> str:
    about = f"a close above {price_text(chance['above'])} {chance['step']} bars ahead ({at_text(chance['target_at'])})"
    if chance["probability"] is not None:
        return f"It gives {about} a probability of about {100 * chance['probability']:.0f}%."
    if chance["at_least"] > 0:
        return f"It gives {about} a probability of more than {100 * chance['at_least']:.0f}%; its fan says no more."
    return f"It gives {about} a probability of less than {100 * chance['at_most']:.0f}%; its fan says no more."


def _since(around: Surroundings, horizon: int) -> list[str]:
    n_judged, n_inside = around.n_judged, around.n_inside
    if around.ended and not n_judged:
        return ["Its last bar is over, so nothing of it lies ahead; what its bars closed at is not on record."]
    if around.ended:
        return [
            f"Its last bar is over, so nothing of it lies ahead: {n_inside} of {n_judged} closes were inside the band."
        ]
    if not n_judged:
        return []
    have = "has" if n_judged == 1 else "have"
    return [
        f"{n_judged} of its {horizon} bars {have} closed since, {n_inside} of them inside the band: look at the steps "
        "that are still to come."
    ]


def _earlier(earlier: Sequence[Mapping[str, Any]]) -> str:
    n_judged = sum(one["n_judged"] for one in earlier)
    if not n_judged:
        return "No earlier forecast of this kind has met a close yet."
    n_inside = sum(one["n_inside"] for one in earlier)
    forecasts = "the last earlier forecast" if len(earlier) == 1 else f"the last {len(earlier)} earlier forecasts"
    few = ", and these are few" if n_judged < FEW else ""
    return (
        f"Of {forecasts}, {n_inside} of {n_judged} closes so far ({100 * n_inside / n_judged:.0f}%) fell inside the "
        f"80% band. Closes of one forecast go together{few}: get_performance has the whole record."
    )


def _events(around: Surroundings) -> list[str]:
    if around.ended:
        return []
    if not around.events:
        return ["No release of FOMC (rates), CPI (inflation) or NFP (jobs) is on the calendar before its last bar."]
    counts = {family: sum(one["family"] == family for one in around.events) for family in ("FOMC", "CPI", "NFP")}
    named = ", ".join(f"{n} {family}" for family, n in counts.items() if n)
    first = at_text(around.events[0]["at"])
    return [f"On the calendar before its last bar: {named}, the first at {first}. Prices may jump then."]


def instant(text: str) -> datetime:
    """An instant as the routes write it."""
    return datetime.fromisoformat(text)


def at_text(text: str) -> str:
    """An instant to the minute."""
    return f"{instant(text):%Y-%m-%d %H:%M} UTC"


def price_text(price: float) -> str:
    """A price with five significant digits or more, without a separator of thousands: models read these too."""
    decimals = 2 if abs(price) >= 1000 else 4 if abs(price) >= 1 else 6
    return f"{price:.{decimals}f}"


def move_text(last_close: float, value: float) -> str:
    """The move from the last close: in per cent, or as a difference where a price at or below zero has no per cent."""
    move = value - last_close
    text = f"{100 * move / last_close:+.2f}%" if last_close > 0 else f"{move:+.4g}"
    return text.replace("-", MINUS) if text.strip("+-0.%") else text.strip("+-")


def age_text(seconds: int) -> str:
    """An age as people say it."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86_400} days"


def span_text(span: timedelta) -> str:
    """A time ahead, in the calendar's hours or days: 120 hourly bars of a stock exchange are weeks."""
    hours = round(span.total_seconds() / 3600)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
