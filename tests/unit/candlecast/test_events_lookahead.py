"""No look-ahead: whatever became known later may say anything, and the tensor stays as it was, bit for bit.

Calendars are generated with reschedules, revisions, withdrawals, late prints and emergency meetings, so that every
rule of what-was-known has something to get wrong.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.events_plain import encode_plain
from candlecast.calendar import WITHDRAWN, vintages
from candlecast.events import CHANNELS, EventEncoder

START = datetime(2023, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
N_BARS, N_LOOKBACK, N_HORIZON = 24 * 40, 200, 60
AAPL: Any = SimpleNamespace(symbol="AAPL", calendar="24/7", asset_class="equity")
EVENTS = [
    ("USD", "CPI y/y"),
    ("USD", "Core CPI m/m"),
    ("USD", "Non-Farm Employment Change"),
    ("USD", "Federal Funds Rate"),
    ("USD", "Advance GDP q/q"),
    ("USD", "Core PCE Price Index m/m"),
    ("EUR", "Main Refinancing Rate"),
    ("USD", "Apple Inc. Earnings"),
    ("GBP", "Retail Sales m/m"),
]
Frame = pd.DataFrame
Poison = Callable[[Frame, pd.Timestamp, np.random.Generator], Frame]


def elapsed(calendar: str, closed_at: np.ndarray) -> np.ndarray:
    return (closed_at.astype("datetime64[s]").astype(np.int64) % 86400) / 86400


def calendar(rng: np.random.Generator, n_entries: int = 160) -> Frame:
    """Entries from 30 days before the bars to 20 days after them, each with one to six vintages."""
    rows: list[dict[str, Any]] = []
    for number in range(n_entries):
        currency, event = EVENTS[rng.integers(len(EVENTS))]
        ts = START + timedelta(minutes=int(rng.integers(-30 * 1440, 60 * 1440)))
        what = {
            "entry_id": f"{number}",
            "currency": currency,
            "event": event,
            "impact": rng.choice(["High", "High", "Medium"]),
            "symbol": "AAPL" if event.endswith("Earnings") else None,
        }
        forecast = float(rng.normal())
        print_at = ts + timedelta(minutes=int(rng.choice([0, 0, 1, 30, 600])))
        if rng.random() < 0.9:  # the rest are emergency meetings
            rows.append({**what, "known_at": ts - timedelta(days=int(rng.integers(1, 61))), "ts": ts})
            if rng.random() < 0.6:
                rows.append({**what, "known_at": ts - timedelta(hours=20), "ts": ts, "forecast": forecast})
        if rng.random() < 0.2:
            moved_at = ts - timedelta(minutes=int(rng.integers(-300, 3000)))
            ts += timedelta(hours=int(rng.integers(-40, 200)))
            print_at = max(print_at, ts)
            rows.append({**what, "known_at": moved_at, "ts": ts, "forecast": forecast})
        elif rng.random() < 0.1:
            rows.append({**what, "known_at": ts - timedelta(hours=3), "ts": ts, "impact": WITHDRAWN})
        values = {"forecast": forecast, "actual": forecast + float(rng.normal()), "previous": float(rng.normal())}
        rows.append({**what, "known_at": print_at, "ts": ts, **values})
        if rng.random() < 0.5:
            rows.append({**what, "known_at": print_at + timedelta(days=5), "ts": ts, **values, "actual": 77.0})
    # The store's primary key: an entry has one vintage at a moment. Of two, the order of rows would decide.
    return vintages(rows).drop_duplicates(["entry_id", "known_at"]).reset_index(drop=True)


def leaders(rng: np.random.Generator) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Hourly closes with holes, from 20 days before the bars to their end."""
    closed = np.datetime64("2022-12-13T00:00:00") + np.arange(24 * 60) * np.timedelta64(3600, "s")
    return {
        name: (closed[kept], 100 * np.exp(np.cumsum(rng.normal(0, 0.01, kept.sum()))))
        for name in ("BTC", "SPY", "DXY", "VIX")
        for kept in [rng.random(len(closed)) < 0.8]
    }


def grid(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hourly bars, some missing."""
    opened = np.datetime64("2023-01-02T00:00:00") + np.arange(N_BARS) * np.timedelta64(3600, "s")
    opened = opened[rng.random(N_BARS) < 0.9]
    return opened, opened + np.timedelta64(3600, "s")


class World:
    """One seeded calendar, leaders and bars, encoded as of any bar."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.frame, self.leaders = calendar(rng), leaders(rng)
        self.opened, self.closed = grid(rng)

    def issued_at(self, last: int) -> datetime:
        return pd.Timestamp(self.closed[last - 1]).tz_localize("UTC").to_pydatetime()

    def encode(
        self, last: int, frame: Frame | None = None, bars: dict[str, tuple[np.ndarray, np.ndarray]] | None = None
    ) -> np.ndarray:
        encoder = EventEncoder(
            self.frame if frame is None else frame, self.leaders if bars is None else bars, elapsed=elapsed
        )
        back, ahead = slice(last - N_LOOKBACK, last), slice(last, last + N_HORIZON)
        return encoder.encode(
            AAPL,
            "1h",
            self.opened[back],
            self.closed[back],
            self.opened[ahead],
            self.closed[ahead],
            issued_at=self.issued_at(last),
        )


def a_billion(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    return later.assign(forecast=1e9, previous=1e9, actual=1e9)


def not_a_number(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    return later.assign(forecast=np.nan, previous=np.inf, actual=-np.inf)


def deleted(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    return later.iloc[:0]


def moved_anywhere(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    """Their releases at any time, past and future; they still became known later."""
    shift = pd.to_timedelta(rng.integers(-40 * 86400, 40 * 86400, len(later)), unit="s")
    return later.assign(ts=(later["ts"] + shift).astype("datetime64[us, UTC]"), impact="High")


def known_even_later(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    return later.assign(known_at=later["known_at"] + pd.Timedelta(days=3))


def known_the_second_after(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    return later.assign(known_at=issued_at + pd.Timedelta(seconds=1)).drop_duplicates("entry_id")


def made_up(later: Frame, issued_at: pd.Timestamp, rng: np.random.Generator) -> Frame:
    """A later vintage of every entry there is, and as many entries that nobody heard of, at any time."""
    copies = [later, later.assign(entry_id="new" + later["entry_id"])]
    added = pd.concat(copies).assign(known_at=issued_at + pd.Timedelta(seconds=30), actual=5.0, family="CPI")
    return moved_anywhere(pd.concat([later, added.drop_duplicates("entry_id")]), issued_at, rng)


POISONS: list[Poison] = [
    a_billion,
    not_a_number,
    deleted,
    moved_anywhere,
    known_even_later,
    known_the_second_after,
    made_up,
]


def poisoned(frame: Frame, issued_at: datetime, poison: Poison, rng: np.random.Generator) -> Frame:
    moment = pd.Timestamp(issued_at)
    later = frame["known_at"] > moment
    mixed = pd.concat([poison(frame[later].copy(), moment, rng), frame[~later]])
    return mixed.sample(frac=1.0, random_state=int(rng.integers(2**31)))  # nor does the order say anything


def poisoned_leaders(
    bars: dict[str, tuple[np.ndarray, np.ndarray]], issued_at: datetime, rng: np.random.Generator
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Bars that close later at 1e9, some gone, some moved, some added; what had closed is left alone."""
    moment = np.datetime64(issued_at.replace(tzinfo=None), "s")
    poison = {}
    for name, (closed, close) in bars.items():
        later = closed > moment
        kept = ~later | (rng.random(len(closed)) < 0.7)
        shift = rng.integers(0, 1800, len(closed)) * later
        added = moment + np.timedelta64(1, "s") + np.arange(5) * np.timedelta64(7, "m")
        poison[name] = (
            np.r_[(closed + shift.astype("timedelta64[s]"))[kept], added],
            np.r_[np.where(later, 1e9, close)[kept], np.full(5, 1e9)],
        )
    return poison


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), last=st.integers(N_LOOKBACK, N_LOOKBACK + 500), poison=st.sampled_from(POISONS))
@example(seed=272, last=260, poison=a_billion)  # once two vintages of one entry at one moment
def test_nothing_that_became_known_after_the_issue_changes_the_tensor(seed: int, last: int, poison: Poison) -> None:
    world, rng = World(seed), np.random.default_rng(seed + 1)
    issued_at = world.issued_at(last)

    clean = world.encode(last)
    dirty = world.encode(
        last,
        poisoned(world.frame, issued_at, poison, rng),
        poisoned_leaders(world.leaders, issued_at, rng),
    )

    assert np.isfinite(clean).all()
    assert clean.tobytes() == dirty.tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), row=st.integers(0, N_LOOKBACK - 1), poison=st.sampled_from(POISONS))
def test_rows_up_to_a_bar_do_not_change_with_what_became_known_after_it_closed(
    seed: int, row: int, poison: Poison
) -> None:
    world, rng = World(seed), np.random.default_rng(seed + 1)
    last = N_LOOKBACK + 150
    closed_at = world.issued_at(last - N_LOOKBACK + row + 1)

    clean = world.encode(last)
    dirty = world.encode(
        last, poisoned(world.frame, closed_at, poison, rng), poisoned_leaders(world.leaders, closed_at, rng)
    )

    changed = [CHANNELS[at].name for at in np.flatnonzero((clean != dirty)[: row + 1].any(axis=0))]
    assert changed == []


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), shift=st.integers(1, 120))
def test_a_bar_says_the_same_in_every_lookback_that_holds_it(seed: int, shift: int) -> None:
    """Truncation: a tensor issued earlier equals the rows of one issued later, but for the first row's left edge."""
    world = World(seed)
    last = N_LOOKBACK + 150

    early, late = world.encode(last), world.encode(last + shift)

    assert np.array_equal(early[shift + 1 : N_LOOKBACK], late[1 : N_LOOKBACK - shift])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), last=st.integers(N_LOOKBACK, N_LOOKBACK + 500))
def test_later_revisions_of_what_was_printed_change_nothing(seed: int, last: int) -> None:
    """Even revisions that were known before the issue: only the first print counts."""
    world = World(seed)
    printed = world.frame[np.isfinite(world.frame["actual"])].drop_duplicates("entry_id")
    revised = printed.assign(actual=1e6, forecast=-1e6, previous=1e6, known_at=printed["known_at"] + pd.Timedelta("1s"))
    # A revision keeps the place of its entry, so that only values differ.
    newest = world.frame.drop_duplicates(["entry_id", "known_at"])
    revised = revised[
        ~revised.set_index(["entry_id", "known_at"]).index.isin(newest.set_index(["entry_id", "known_at"]).index)
    ]

    assert world.encode(last).tobytes() == world.encode(last, pd.concat([world.frame, revised])).tobytes()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), last=st.integers(N_LOOKBACK, N_LOOKBACK + 500))
def test_the_encoder_equals_the_definitions_read_one_bar_and_one_entry_at_a_time(seed: int, last: int) -> None:
    world = World(seed)
    rows = slice(last - N_LOOKBACK, last + N_HORIZON)
    opened, closed = (
        times[rows].astype("datetime64[s]").astype(int).tolist() for times in (world.opened, world.closed)
    )

    plain = encode_plain(
        world.frame, world.leaders, elapsed, "AAPL", "24/7", opened, closed, N_LOOKBACK, closed[N_LOOKBACK - 1]
    )

    np.testing.assert_allclose(world.encode(last), plain, rtol=1e-5, atol=1e-6)


def test_the_generated_worlds_fill_every_channel() -> None:
    """A poison test over zeros would prove nothing."""
    seen = np.zeros((2, 20), dtype=bool)
    for seed in range(12):
        tensor = World(seed).encode(N_LOOKBACK + 300)
        seen |= [(tensor[:N_LOOKBACK] != 0).any(axis=0), (tensor[N_LOOKBACK:] != 0).any(axis=0)]

    assert [CHANNELS[at].name for at in np.flatnonzero(~seen[0])] == []
    past_horizon = [one.index for one in CHANNELS if one.kind == "past_only"]
    assert np.flatnonzero(~seen[1]).tolist() == past_horizon


@pytest.mark.parametrize("poison", POISONS)
def test_each_poison_changes_a_tensor_that_is_issued_late_enough_to_see_it(poison: Poison) -> None:
    """The poisons bite: known in time, they do change the encoding."""
    world, rng = World(3), np.random.default_rng(4)
    early, last = world.issued_at(N_LOOKBACK), N_LOOKBACK + 500

    dirty = world.encode(last, poisoned(world.frame, early, poison, rng))

    assert not np.array_equal(world.encode(last), dirty)
