"""The calendar-time portfolio: what a reader of the signals would have earned, bar by bar.

A signal of h steps is held for h bars, so on any bar about h signals are live. The portfolio holds their average
direction (Jegadeesh and Titman 1993, Returns to Buying Winners and Selling Losers, J. Finance 48). That gives one
return per bar that overlaps with no other, where h-bar returns of every signal would count each bar h times and
inflate a Sharpe ratio by the square root of h. Gross of costs: those are a rate times the turnover, which is told too.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closes of one or more series, [B], sorted by series and then by time.

    series : number of the series; closed_at : seconds since 1970; close : price
    """

    series: Ints
    closed_at: Ints
    close: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Signals:
    """N signals of G portfolios, in any order.

    portfolio : [N] number from 0 to G - 1
    issued_at, target_at : [N] seconds since 1970; the signal is held from the one to the other
    direction : [N] 1, 0 or -1; a 0 is a signal too, to hold nothing
    series_of : [G] the series that each portfolio trades
    """

    portfolio: Ints
    issued_at: Ints
    target_at: Ints
    direction: NDArray[np.integer[Any]]
    series_of: Ints


@dataclass(frozen=True, slots=True, eq=False)
class BarValues:
    """[R] one value per portfolio and bar, by portfolio and then by time."""

    portfolio: Ints
    closed_at: Ints
    value: Floats


@dataclass(frozen=True, slots=True, eq=False)
class CalendarTime:
    """What the portfolios earned and what they traded.

    returns : one per bar on which a signal was live
    turnover : |change of position| where there is one, on the bar that the new position is held over; a portfolio
        begins with nothing and, when its last signal ends, goes back to nothing on the bar after
    """

    returns: BarValues
    turnover: BarValues


def calendar_time(signals: Signals, bars: Bars) -> CalendarTime:
    """The return of each portfolio on each bar on which at least one of its signals was live, and its turnover.

    The return of a bar runs from the close before it to its own close. A signal is live on it when it was issued
    no later than the former and its target is no earlier than the latter: it was held all the way. So a hole in the
    bars lengthens one return and shifts none. A series' first bar has no return, nor has one that touches a price
    of zero or less, where logarithms end. The position over a bar is the mean direction of the live signals, from -1
    to 1; without a live signal it is 0.
    """
    n_series = int(max(bars.series.max(initial=-1), signals.series_of.max(initial=-1))) + 1
    if not len(bars.series) or not len(signals.portfolio):
        nothing = BarValues(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return CalendarTime(nothing, nothing)
    first_bar = np.searchsorted(bars.series, np.arange(n_series + 1))

    # All series share one rising axis of time, so that one search serves every signal.
    origin = min(int(bars.closed_at.min()), int(signals.issued_at.min()))
    stride = max(int(bars.closed_at.max()), int(signals.target_at.max())) - origin + 2
    axis = bars.series * stride + (bars.closed_at - origin)
    lane = signals.series_of[signals.portfolio]
    # `start`: the bar after the first close not before the issue; `end`: past the last close not after the target
    start = np.searchsorted(axis, lane * stride + (signals.issued_at - origin), side="left") + 1
    end = np.searchsorted(axis, lane * stride + (signals.target_at - origin), side="right")

    # Lay out one row of bars per portfolio and mark where holdings begin and end; running sums give what is held.
    n_bars = np.diff(first_bar)[signals.series_of]
    row = np.concatenate([[0], np.cumsum(n_bars + 1)])
    shift = row[:-1] - first_bar[signals.series_of]
    held = start < end
    where = signals.portfolio[held]
    edges = np.concatenate([start[held] + shift[where], end[held] + shift[where]])
    direction = signals.direction[held].astype(np.float64)
    size = int(row[-1])
    total = np.cumsum(np.bincount(edges, np.concatenate([direction, -direction]), size))
    live = np.cumsum(np.bincount(edges, np.concatenate([np.ones_like(direction), -np.ones_like(direction)]), size))

    portfolio = np.repeat(np.arange(len(n_bars)), n_bars + 1)
    bar = np.arange(size) - shift[portfolio]
    inside = bar < first_bar[signals.series_of[portfolio] + 1]
    bar = np.where(inside, bar, 0)
    returns = _returns(bars)[bar]
    position = np.divide(np.rint(total), np.rint(live), out=np.zeros(size), where=inside & (live > 0.5))
    # Each row ends with a place for no bar, where nothing is held: so no row's position leaks into the next one's.
    traded = np.abs(np.diff(position, prepend=0.0))
    kept, moved = inside & (live > 0.5) & np.isfinite(returns), inside & (traded > 0.0)
    return CalendarTime(
        BarValues(portfolio[kept], bars.closed_at[bar[kept]], position[kept] * returns[kept]),
        BarValues(portfolio[moved], bars.closed_at[bar[moved]], traded[moved]),
    )


def _returns(bars: Bars) -> Floats:
    """[B] log return from the close before; NaN where there is none."""
    returns = np.full(len(bars.close), np.nan)
    positive = bars.close > 0.0
    joined = (bars.series[1:] == bars.series[:-1]) & positive[1:] & positive[:-1]
    after = np.flatnonzero(joined) + 1
    returns[after] = np.log(bars.close[after] / bars.close[after - 1])
    return returns
