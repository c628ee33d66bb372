"""The event tensor: [T, 20] float32, a row for each bar of lookback and horizon, as known when the forecast is issued.

Axes: L lookback bars, H horizon bars, T = L + H. Always finite; 0 means nothing known. What each row may know:

* a lookback row: what was known by its own close, so nothing stamped later ever changes it;
* a horizon row: the schedule that was known at `issued_at`, and no value at all.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.calendar import FAMILIES, Floats, Schedule, first_prints
from candlecast.channels import (
    CHANNELS,
    DAY_S,
    KNOWN_FUTURE,
    N_CHANNELS,
    PAST_ONLY,
    Channel,
    Instants,
    KnownFuture,
    LookbackRows,
    PastOnly,
    TimelineRows,
)
from candlecast.errors import CandlecastError
from candlecast.leaders import MIN_LEVELS, LeaderBars
from candlecast.sessions import Sessions

if TYPE_CHECKING:
    from candlecast.instruments import Instrument

__all__ = ["CHANNELS", "N_CHANNELS", "BarTimesWrong", "Channel", "EventEncoder"]

RECENT_ROWS: Final = 24  # how much of the lookback's end the context tells about
_KNOWN_FUTURE: Final = np.array([one.index for one in KNOWN_FUTURE])
_PAST_ONLY: Final = np.array([one.index for one in PAST_ONLY])


class BarTimesWrong(CandlecastError):
    """The times of the bars cannot carry events: disordered, or a lookback that ends after the issue."""


class EventEncoder:
    """Encodes the events of any instrument from one calendar and one set of leaders, loaded before.

    Parameters
    ----------
    entries : calendar vintages, a frame with the columns of `candlecast.calendar.COLUMNS`. It may hold vintages
        that became known after an issue time: they are not read.
    leaders : by name (BTC, SPY, DXY, VIX) closing times [n] (datetime64, UTC) and closes [n] of the leader's bars in
        the interval that will be encoded; a leader that is not there is 0 throughout. `vix_level_z` wants 252 bars
        before the lookback starts.
    elapsed : part of the session of a venue's calendar that lies behind each instant, 0 while closed

    References
    ----------
    The 20 channels: ORIGIN.md and REQUIREMENTS_BATCH.md B6 beside the design.
    """

    def __init__(
        self,
        entries: pd.DataFrame,
        leaders: Mapping[str, tuple[Instants, Floats]],
        *,
        elapsed: Callable[[str, Instants], Floats] | None = None,
    ) -> None:
        bars = {name: LeaderBars.of(closed_at, close) for name, (closed_at, close) in leaders.items()}
        self._known_future = KnownFuture(Schedule.of(entries), elapsed or _session_elapsed)
        self._past_only = PastOnly(first_prints(entries), bars)
        self._told_apart = set(self._known_future.all.symbol.tolist())
        self._made: dict[tuple[object, ...], tuple[NDArray[np.float32], dict[str, Any]]] = {}

    def tensor_and_context(
        self,
        instrument: "Instrument",
        interval: str,
        opened_at: Instants,
        closed_at: Instants,
        target_opened_at: Instants,
        target_closed_at: Instants,
        issued_at: datetime,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """`encode` and `context`, made once for all instruments that no event tells apart; not to be written into.

        Thousands of instruments share a calendar and its hours; only one that the calendar names has events of its own.
        """
        times = (opened_at, closed_at, target_opened_at, target_closed_at)
        own = instrument.symbol if instrument.symbol in self._told_apart else ""
        key = (
            (instrument.calendar, instrument.asset_class, own, interval, issued_at),
            *(at.astype("datetime64[s]").tobytes() for at in times),
        )
        if key not in self._made:
            tensor = self.encode(instrument, interval, *times, issued_at=issued_at)
            self._made[key] = tensor, self.context(instrument, interval, *times, issued_at=issued_at)
        return self._made[key]

    def encode(
        self,
        instrument: "Instrument",
        interval: str,
        opened_at: Instants,
        closed_at: Instants,
        target_opened_at: Instants,
        target_closed_at: Instants,
        issued_at: datetime,
    ) -> NDArray[np.float32]:
        """Channels of the lookback's L bars and of the H bars after it: [L + H, 20].

        Raises
        ------
        BarTimesWrong : bars not rising in time, a lookback bar that closes after `issued_at`, a horizon bar that
            closes before it.
        """
        lookback, timeline = _rows(
            instrument, interval, opened_at, closed_at, target_opened_at, target_closed_at, issued_at
        )
        tensor = np.zeros((len(timeline.closed), N_CHANNELS), dtype=np.float32)
        known_future = self._known_future.columns(instrument, timeline)
        past_only = self._past_only.columns(lookback)
        tensor[:, _KNOWN_FUTURE] = _stack(known_future, KNOWN_FUTURE)
        tensor[: len(lookback.closed), _PAST_ONLY] = _stack(past_only, PAST_ONLY)
        return tensor

    def context(
        self,
        instrument: "Instrument",
        interval: str,
        opened_at: Instants,
        closed_at: Instants,
        target_opened_at: Instants,
        target_closed_at: Instants,
        issued_at: datetime,
    ) -> dict[str, Any]:
        """What the ledger keeps about the events behind a forecast, JSON.

        `recent` are the events of the last 24 lookback bars and `ahead` those scheduled in the horizon, each with its
        release time; `surprises` the value, direction and σ sample size of each print in those bars; `n_sigma`
        how many earlier surprises the next one would be measured against; `readiness` see `readiness`.
        """
        lookback, timeline = _rows(
            instrument, interval, opened_at, closed_at, target_opened_at, target_closed_at, issued_at
        )
        issued = _seconds_of(issued_at)
        since = int(lookback.opened[-min(RECENT_ROWS, len(lookback.opened))])
        known = self._known_future.all.known_at(issued)
        mine = known.where((known.family >= 0) & ((known.symbol == "") | (known.symbol == instrument.symbol)))
        return {
            "events": {
                "channels": "events-20",
                "n_entries": len(known.ts),
                "recent": _by_family(mine, since, int(lookback.closed[-1])),
                "ahead": _by_family(mine, issued, int(timeline.closed[-1])),
                "surprises": [
                    {
                        "channel": name,
                        "visible_at": _iso(int(prints.visible_at[at])),
                        "value": round(float(prints.value[at]), 4),
                        "direction": ("down", "none", "up")[int(np.sign(prints.value[at])) + 1],
                        "n_sigma": int(prints.n_before[at]),
                    }
                    for name, prints in self._past_only.prints.items()
                    for at in np.flatnonzero((prints.visible_at >= since) & (prints.visible_at < issued))
                ],
                "n_sigma": {
                    name: min(int(np.searchsorted(prints.visible_at, issued)), 20)
                    for name, prints in self._past_only.prints.items()
                    if name.endswith("_surprise_z")
                },
                "readiness": _grouped(self.readiness(instrument, issued_at)),
            }
        }

    def readiness(self, instrument: "Instrument", issued_at: datetime) -> dict[str, str]:
        """How far each channel can be trusted at `issued_at`, by name.

        ready : its source is there; proxy : a stand-in for what the channel is called; short : there is a source,
        but nothing scheduled ahead, nothing recent, or fewer than 5 surprises; missing : there is none, so it is 0.
        """
        issued = _seconds_of(issued_at)
        schedule, values = self._known_future, self._past_only
        state: dict[str, str] = {name: _scheduled(spells, issued) for name, spells in schedule.flags.items()}
        for name in ("fomc", "cpi"):
            state[f"days_to_{name}_sin"] = state[f"days_to_{name}_cos"] = state[f"is_{name}"]
        # What is no stock has no earnings: its zeros are the truth.
        own = schedule.earnings.get(instrument.symbol)
        state["is_earnings"] = (
            "ready" if instrument.asset_class != "equity" else "missing" if own is None else _scheduled(own, issued)
        )
        for name, prints in values.prints.items():
            visible = int(np.searchsorted(prints.visible_at, issued))
            state[name] = "missing" if visible == 0 else "ready" if prints.told[visible - 1] else "short"
        if state["fomc_hawkish_score"] == "ready":
            state["fomc_hawkish_score"] = "proxy"
        for name, leader in values.leaders.items():
            closed = leader.closed[leader.closed <= issued]
            enough = len(closed) > (MIN_LEVELS if name == "vix_level_z" else 1)
            recent = enough and closed[-1] > issued - 5 * DAY_S
            state[name] = "ready" if recent else "short" if len(closed) else "missing"
        state["session_elapsed"] = "ready"
        state["high_impact_ahead"] = _scheduled(schedule.high, issued)
        return {channel.name: state[channel.name] for channel in CHANNELS}


def _rows(
    instrument: "Instrument",
    interval: str,
    opened_at: Instants,
    closed_at: Instants,
    target_opened_at: Instants,
    target_closed_at: Instants,
    issued_at: datetime,
) -> tuple[LookbackRows, TimelineRows]:
    issued = _seconds_of(issued_at)
    opened, closed, target_opened, target_closed = (
        np.asarray(times).astype("datetime64[s]").astype(np.int64)
        for times in (opened_at, closed_at, target_opened_at, target_closed_at)
    )
    whose = f"{instrument.symbol} {interval} issued {_iso(issued)}"
    if len(closed) == 0 or len(opened) != len(closed) or len(target_opened) != len(target_closed):
        raise BarTimesWrong(
            f"{whose}: {len(opened)} opening and {len(closed)} closing times of the lookback, {len(target_opened)} and "
            f"{len(target_closed)} of the horizon; give one of each for every bar and at least one lookback bar"
        )
    if closed[-1] > issued or (len(target_closed) and target_closed[0] <= issued):
        raise BarTimesWrong(
            f"{whose}: the lookback closes {_iso(int(closed[-1]))} and the first horizon bar "
            f"{_iso(int(target_closed[0])) if len(target_closed) else 'never'}; the issue must lie between them"
        )
    timeline_opened, timeline_closed = np.r_[opened, target_opened], np.r_[closed, target_closed]
    if (np.diff(timeline_opened) <= 0).any() or (np.diff(timeline_closed) <= 0).any():
        raise BarTimesWrong(f"{whose}: bars must rise in time; sort them and drop duplicates")
    knows = np.r_[closed, np.full(len(target_closed), issued)]
    return LookbackRows(opened, closed, closed), TimelineRows(timeline_opened, timeline_closed, knows)


def _stack(columns: dict[str, Floats], channels: Sequence[Channel]) -> NDArray[np.float32]:
    """Columns in the order of their channels, [rows, len(channels)]; one that is not among them is a KeyError."""
    wanted = [one.name for one in channels]
    if columns.keys() != set(wanted):
        raise KeyError(f"columns {sorted(columns)} are not the channels {wanted}")
    return np.column_stack([columns[name] for name in wanted]).astype(np.float32)


def _session_elapsed(calendar: str, closed_at: Instants) -> Floats:
    return Sessions.of(calendar).session_elapsed(closed_at)


def _scheduled(spells: Schedule, issued: int) -> str:
    known = spells.known_at(issued)
    return "ready" if (known.ts >= issued).any() else "short" if len(known.ts) else "missing"


def _by_family(known: Schedule, since: int, until: int) -> dict[str, list[str]]:
    inside = (known.ts >= since) & (known.ts < until)
    pairs = sorted(set(zip(known.ts[inside].tolist(), known.family[inside].tolist(), strict=True)))
    return {
        name: [_iso(ts) for ts, family in pairs if family == code]
        for code, name in enumerate(FAMILIES)
        if any(family == code for _, family in pairs)
    }


def _grouped(states: dict[str, str]) -> dict[str, list[int]]:
    """Channel indices by state: a ledger row holds numbers, not twenty names."""
    groups: dict[str, list[int]] = {}
    for channel in CHANNELS:
        groups.setdefault(states[channel.name], []).append(channel.index)
    return groups


def _seconds_of(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise BarTimesWrong(f"the issue time {instant} has no time zone; give it in UTC")
    return int(instant.timestamp())


def _iso(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%MZ}"
