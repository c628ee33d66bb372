"""The calibrator over the ledger: what each forecast may be corrected by, from outcomes known when it was issued.

The record is `forecast_steps` and the bars. `calibration_states` holds snapshots of what was learned from them: a cache
that may be emptied at any time and gives the same corrections again. Live forecasts and replays of a model teach alike;
forecasts from generated bars teach only each other.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection, TextClause, text

from candlecast.calibration import CALIBRATION_VERSION, Correction, Labels, Tracker
from candlecast.instruments import Instrument
from candlecast.scoring import SCORED_STEPS, VOID_AFTER
from candlecast.store.arrays import fetch_arrays
from candlecast.store.instruments import read_instruments
from candlecast.store.sql import load, read
from candlecast.store.tables import BARS

SPAN: Final = timedelta(days=7)  # of labels in one statement, and in one transaction that holds the lock
TICK: Final = {"1h": timedelta(hours=1), "1d": timedelta(days=1)}  # outcomes wait for the next full one
LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('candlecast.calibration_states', 0))"

Instruments = Mapping[str, Instrument]


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """Up to when outcomes may be known, and whether those of real or of generated bars."""

    synthetic: bool
    at: datetime


@dataclass(frozen=True, slots=True)
class Asked:
    """A forecast that is to be corrected, and when it is issued."""

    symbol: str
    moment: Moment


@dataclass(frozen=True, slots=True, eq=False)
class _Leg:
    """What is to be learned up to a moment: everything that became known after `after`.

    start : a snapshot to begin with; None goes on with what the leg before has learned
    """

    moment: Moment
    after: datetime
    start: Tracker | None


def read_corrections(
    conn: Connection, interval: str, model_name: str, asked: Sequence[Asked], *, store: bool
) -> dict[Asked, Correction] | None:
    """The correction of each forecast by what was known when it is issued, in a constant number of statements.

    With `store`, snapshots are kept for the next call; the caller commits. None then says that there is more to learn
    than one transaction should take: what was learned is stored; commit, and call again.
    """
    key = {"interval": interval, "model_name": model_name}
    instruments = {one.symbol: one for one in read_instruments(conn)}
    moments = sorted({one.moment for one in asked})
    store = store and _alone(conn)
    legs = wanted = _legs(conn, key, moments, instruments, repair=store)
    if store:
        legs = _shortened(legs)

    found: dict[Asked, Correction] = {}
    snapshots: dict[Moment, str] = {}
    tracker = _new(interval, instruments)
    for leg, pieces in groupby(_labels(conn, key, legs), key=itemgetter(0)):
        tracker = leg.start or tracker
        for _, labels in pieces:
            tracker.learn(labels)
        if leg.after < leg.moment.at:
            snapshots[leg.moment] = encode(tracker, instruments)
        found |= {one: tracker.correction(one.symbol) for one in asked if one.moment == leg.moment}
    if store and snapshots:
        _keep(conn, key, [leg.moment for leg in legs], snapshots)
    if legs is not wanted:
        return None
    nothing = _new(interval, instruments)
    return {one: found.get(one) or nothing.correction(one.symbol) for one in asked}


def _alone(conn: Connection) -> bool:
    """Whether this transaction may store snapshots: nobody is writing rows that those would have to know.

    Other calibrators are waited for, they are done in milliseconds; a long import is not.
    """
    for pause_s in (0.02, 0.05, 0.1, 0.2, None):
        if conn.execute(text(LOCK)).scalar_one():
            return True
        if pause_s is not None:
            time.sleep(pause_s)
    return False


def encode(tracker: Tracker, instruments: Instruments) -> str:
    """A tracker as a snapshot holds it, with what else its numbers depend on."""
    state = tracker.to_json()
    settle_s = {symbol: instruments[symbol].settle_s for symbol in state["symbols"]}
    return json.dumps({"version": CALIBRATION_VERSION, "settle_s": settle_s, "tracker": state}, allow_nan=False)


def decode(snapshot: Mapping[str, Any], interval: str, instruments: Instruments) -> Tracker | None:
    """The tracker of a snapshot; None for one that other rules made, or other facts about its instruments."""
    try:
        state = snapshot["tracker"]
        classes = {symbol: one.asset_class for symbol, one in instruments.items()}
        agrees = (
            snapshot["version"] == CALIBRATION_VERSION
            and state["interval"] == interval
            and tuple(state["steps"]) == SCORED_STEPS[interval]
            and all(instruments[symbol].settle_s == settle_s for symbol, settle_s in snapshot["settle_s"].items())
            and all(classes[symbol] == state["asset_class_of"][symbol] for symbol in state["symbols"])
        )
        return Tracker.from_json({**state, "asset_class_of": classes}) if agrees else None
    except (KeyError, TypeError, ValueError):
        return None  # not a snapshot at all: it is made again


def _new(interval: str, instruments: Instruments) -> Tracker:
    classes = {symbol: one.asset_class for symbol, one in instruments.items()}
    return Tracker(interval, SCORED_STEPS[interval], classes)


def _legs(
    conn: Connection, key: Mapping[str, str], moments: Sequence[Moment], instruments: Instruments, *, repair: bool
) -> list[_Leg]:
    """The way to each of the moments, in their order; none to moments before which nothing can be known.

    Each begins at the newest snapshot of by then, or where the one before ended, whichever is later.
    """
    rows = conn.execute(
        load("calibration_begin"),
        {**key, "synthetic": [one.synthetic for one in moments], "moment": [one.at for one in moments]},
    ).all()
    first = rows[0].first_target_at
    if first is None:
        return []
    legs: list[_Leg] = []
    for moment, row in zip(moments, rows, strict=True):
        if legs and legs[-1].moment.synthetic == moment.synthetic:
            start, after = None, legs[-1].moment.at
        else:
            start, after = _new(key["interval"], instruments), first - timedelta(seconds=1)
        if row.known_until is not None and row.known_until > after:
            snapshot = decode(row.state, key["interval"], instruments)
            if snapshot is not None:
                start, after = snapshot, row.known_until
            elif repair:
                conn.execute(load("calibration_forget"), key)
                return _legs(conn, key, moments, instruments, repair=False)
        if after <= moment.at:
            legs.append(_Leg(moment, after, start))
    return legs


def _shortened(legs: list[_Leg]) -> list[_Leg]:
    """As much of the way as fits into one span; the same list where all of it does."""
    left = SPAN
    for place, leg in enumerate(legs):
        left -= leg.moment.at - leg.after
        if left < timedelta(0):
            last = _Leg(Moment(leg.moment.synthetic, leg.moment.at + left), leg.after, leg.start)
            return [*legs[:place], last]
    return legs


def _labels(conn: Connection, key: Mapping[str, str], legs: Sequence[_Leg]) -> Iterator[tuple[_Leg, Labels]]:
    """What is to be learned on each leg, in pieces that follow each other; at least one piece a leg."""
    batch: list[tuple[_Leg, datetime, datetime]] = []
    room = SPAN
    for leg in legs:
        after = leg.after
        while True:
            upto = min(leg.moment.at, after + SPAN)
            if batch and upto - after > room:
                yield from _read_labels(conn, key, batch)
                batch, room = [], SPAN
            batch.append((leg, after, upto))
            room -= upto - after
            after = upto
            if after >= leg.moment.at:
                break
    if batch:
        yield from _read_labels(conn, key, batch)


def _read_labels(
    conn: Connection, key: Mapping[str, str], batch: Sequence[tuple[_Leg, datetime, datetime]]
) -> Iterator[tuple[_Leg, Labels]]:
    found: dict[str, Any] = {"place": None}
    if any(after < upto for _, after, upto in batch):
        spans = {
            "synthetic": [leg.moment.synthetic for leg, _, _ in batch],
            "after": [after for _, after, _ in batch],
            "upto": [upto for _, _, upto in batch],
        }
        rules = {"void_after": VOID_AFTER, "tick": TICK[key["interval"]]}
        found = fetch_arrays(conn, _query(key["interval"]), {**key, **spans, **rules})
    labels = _no_labels() if found["place"] is None else _labels_of(found)
    for place, (leg, _, _) in enumerate(batch):
        yield leg, labels if found["place"] is None else labels.where(found["place"] == place)


@cache
def _query(interval: str) -> TextClause:
    return text(read("queries/calibration_labels").replace("ohlcv_1h", BARS[interval].name))


def _labels_of(found: Mapping[str, Any]) -> Labels:
    return Labels(
        symbol=np.array(found["symbol"]),
        step=found["step"].astype(np.int64),
        issued_at=found["issued_at"].astype("datetime64[s]"),
        known_at=found["known_at"].astype("datetime64[s]"),
        last_close=found["last_close"],
        fan=found["fan"],
        outcome=found["outcome"],
    )


def _no_labels() -> Labels:
    none, never = np.empty(0), np.empty(0, dtype="datetime64[s]")
    return Labels(np.empty(0, dtype=str), np.empty(0, dtype=np.int64), never, never, none, np.empty((0, 11)), none)


def _keep(conn: Connection, key: Mapping[str, str], moments: Sequence[Moment], snapshots: Mapping[Moment, str]) -> None:
    conn.execute(
        load("calibration_keep"),
        {
            **key,
            "synthetic": [one.synthetic for one in moments],
            "moment": [one.at for one in moments],
            "stored_synthetic": [one.synthetic for one in snapshots],
            "known_until": [one.at for one in snapshots],
            "state": list(snapshots.values()),
        },
    )
