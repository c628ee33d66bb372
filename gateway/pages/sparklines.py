"""Small pictures beside numbers: the last closes with the fan that follows them, and a band on a scale of moves."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.content.board import N_CLOSES, Line, Outlook

WIDTH: Final = 240
HEIGHT: Final = 46
EDGE: Final = 2.5
RANGE_WIDTH: Final = 120


@dataclass(frozen=True, slots=True)
class Sparkline:
    """Points of SVG shapes within WIDTH times HEIGHT, `closes` empty below two of them; `now` is the issue time's x."""

    closes: str
    band: str
    median: str
    now: float


def sparkline(line: Line) -> Sparkline:
    """The closes up to the issue time, and the median and 80 % band for as many bars ahead, all on one scale."""
    assert line.outlook is not None
    closes = list(line.closes) or [line.outlook.last_close]
    ahead = [place for place, step in enumerate(line.outlook.steps) if step <= N_CLOSES]
    steps = [0, *(line.outlook.steps[place] for place in ahead)]
    low, median, high = (
        [line.outlook.last_close, *(values[place] for place in ahead)]
        for values in (line.outlook.p10, line.outlook.p50, line.outlook.p90)
    )
    values = [*closes, *low, *high]
    floor, span = min(values), max(values) - min(values) or 1.0
    unit = WIDTH / (N_CLOSES - 1 + steps[-1])

    def place(bars: float, value: float) -> str:
        return f"{(N_CLOSES - 1 + bars) * unit:.1f},{EDGE + (HEIGHT - 2 * EDGE) * (1 - (value - floor) / span):.1f}"

    def points(bars: Sequence[int], heights: Sequence[float]) -> str:
        return " ".join(place(bar, height) for bar, height in zip(bars, heights, strict=True))

    return Sparkline(
        closes=points(range(1 - len(closes), 1), closes) if len(closes) > 1 else "",
        band=f"{points(steps, high)} {points(steps[::-1], low[::-1])}",
        median=points(steps, median),
        now=round((N_CLOSES - 1) * unit, 1),
    )


@dataclass(frozen=True, slots=True)
class Range:
    """A band as x positions within RANGE_WIDTH, zero in the middle."""

    low: float
    median: float
    high: float


def reach(outlook: Outlook) -> float:
    """How far the band at the last step goes from the last close, as a share of it."""
    scale = abs(outlook.last_close) or 1.0
    return max(abs(outlook.p10[-1] - outlook.last_close), abs(outlook.p90[-1] - outlook.last_close)) / scale


def range_of(outlook: Outlook, widest: float) -> Range:
    """The band at the last step, where `widest` is the share of the last close that reaches the edge."""
    scale = (abs(outlook.last_close) or 1.0) * (widest or 1.0)

    def place(value: float) -> float:
        return round(RANGE_WIDTH / 2 * (1 + (value - outlook.last_close) / scale), 1)

    return Range(place(outlook.p10[-1]), place(outlook.p50[-1]), place(outlook.p90[-1]))
