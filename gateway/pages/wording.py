"""Numbers and times in the words of the pages: thin spaces group digits, and the minus is a minus."""

from datetime import timedelta
from typing import Final

MINUS: Final = "\N{MINUS SIGN}"
NEITHER: Final = "\N{PLUS-MINUS SIGN}"  # of a move that is zero in the digits shown
THIN: Final = "\N{NARROW NO-BREAK SPACE}"


def move_text(last_close: float, value: float) -> str:
    """The move from the last close: in per cent, or as a difference where a price at or below zero has no per cent."""
    move = value - last_close
    text = f"{100 * move / last_close:+.2f}%" if last_close > 0 else f"{move:+.4g}"
    sign = {"+": "+", "-": MINUS}[text[0]] if text.strip("+-0.%") else NEITHER
    return sign + text[1:].replace("-", MINUS)


def direction_of(move: str) -> str:
    """`up`, `down` or `flat`, of a text of `move_text`: as it is shown, not beyond its digits."""
    return {"+": "up", MINUS: "down"}.get(move[0], "flat")


def price_text(price: float) -> str:
    """A price with five significant digits or more, thousands set apart."""
    decimals = 2 if abs(price) >= 1000 else 4 if abs(price) >= 1 else 6
    return f"{price:,.{decimals}f}".replace("-", MINUS).replace(",", THIN)


def age_text(seconds: int) -> str:
    """An age as people say it."""
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    return f"{seconds // 86_400} days"


def span_text(span: timedelta) -> str:
    """A time ahead, in the calendar's hours or days: 120 hourly bars of a stock exchange are weeks."""
    hours = round(span.total_seconds() / 3600)
    return f"{hours} h" if hours < 72 else f"{round(hours / 24)} days"
