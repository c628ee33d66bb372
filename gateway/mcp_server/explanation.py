"""A forecast in plain words: what it knew, what it says, what became of earlier ones, what is ahead.

The sentences are made of numbers, times, symbols and model names. Names of instruments and texts of the calendar come
from elsewhere and never stand in a sentence: a reader who follows sentences must not follow theirs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

BAND: Final = 0.8
MINUS: Final = "\N{MINUS SIGN}"
BARS: Final = {"1h": "hourly", "1d": "daily"}
FEW: Final = 30  # closes of earlier forecasts; fewer say next to nothing


def explained(
    body: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    chance: Mapping[str, Any] | None,
    earlier: Sequence[Mapping[str, Any]] | None,
    events: Sequence[Mapping[str, Any]] | None,
) -> list[str]:
    """Sentences about a forecast, given as a route sends it.

    Parameters
    ----------
    steps : the steps to tell, with `step`, `target_at`, `p10`, `p50`, `p90`
    chance : members of `Chance`, None where nobody asked
    earlier, events : None where they could not be read
    """
    told = [_knew(body), *(_band(step, body) for step in steps), _what_a_band_is()]
    if chance is not None:
        told.append(_chance(chance))
    told.append(_earlier(earlier))
    told.append(_events(events))
    return told


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
        f"The newest {BARS[body['interval']]} forecast of {body['symbol']} by {body['model_name']} knew the bars up to "
        f"{at_text(body['issued_at'])}, {age_text(body['age_seconds'])} ago, when the last close was "
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


def _earlier(earlier: Sequence[Mapping[str, Any]] | None) -> str:
    if earlier is None:
        return "What became of its earlier forecasts cannot be read at the moment."
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


def _events(events: Sequence[Mapping[str, Any]] | None) -> str:
    if events is None:
        return "The economic calendar cannot be read at the moment."
    if not events:
        return "No rate decision (FOMC), inflation (CPI) or jobs (NFP) release is on the calendar before its last bar."
    counts = {family: sum(event["family"] == family for event in events) for family in ("FOMC", "CPI", "NFP")}
    named = ", ".join(f"{n} {family}" for family, n in counts.items() if n)
    return (
        f"On the calendar before its last bar: {named}; the first at {at_text(events[0]['at'])}. Prices may jump then."
    )


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
    return text.replace("-", MINUS)


def age_text(seconds: int) -> str:
    """An age as people say it."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // 86_400} days"


def span_text(span: timedelta) -> str:
    """A time ahead, in the calendar's hours or days: 120 hourly bars of a stock exchange are weeks."""
    hours = round(span.total_seconds() / 3600)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
