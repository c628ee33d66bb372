"""From the bars of one instrument to the series that a model is asked about, or the reason why not.

Axes: L lookback bars, H horizon steps. A hole stays a hole: nothing is filled, and a lookback with too many
is refused, because a forecast from it would silently shift in time.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from candlecast.bars import Lookback
from candlecast.baselines import ewma_scale
from candlecast.clock import Interval
from candlecast.events import EventEncoder
from candlecast.forecasts import AMOUNT, CLOSE, HIGH, LOW, OPEN, VOLUME, Refusal, Series
from candlecast.instruments import Instrument
from candlecast.sessions import Sessions

MIN_BARS: Final = 64
MAX_HOLE_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A series with everything that its ledger row will say about where it came from.

    target_at : [H] closes of the scheduled bars that the forecast speaks about
    scale : σ per bar at issue, in log units (price units where prices are not positive)
    data_hash : sha256 over every number that a forecaster may read
    n_holes : scheduled bars that the lookback lacks
    feed : source of the lookback's newest bar
    """

    series: Series
    target_at: NDArray[np.datetime64]
    scale: float
    lookback_start: datetime
    lookback_end: datetime
    data_hash: bytes
    event_context: dict[str, Any]
    synthetic: bool
    n_holes: int
    feed: str


def prepare(
    instrument: Instrument,
    interval: Interval,
    lookback: Lookback | None,
    *,
    as_of: datetime,
    horizon: int,
    encoder: EventEncoder | None,
) -> Prepared | Refusal:
    """The series as it was known at `as_of`, or a refusal that says what is missing.

    A refusal has one of the codes `no_bars`, `too_few_bars`, `stale_bars`, `holes`.
    """

    def refuse(code: str, sentence: str) -> Refusal:
        return Refusal(instrument.symbol, interval, as_of, code, f"{instrument.symbol}: {sentence}")

    if lookback is None or len(lookback.opened_at) == 0:
        return refuse("no_bars", f"no {interval} bars before {as_of:%Y-%m-%dT%H:%MZ}; ingest some and run again")
    n_bars = len(lookback.opened_at)
    if n_bars < MIN_BARS:
        return refuse("too_few_bars", f"{n_bars} {interval} bars before {as_of:%Y-%m-%dT%H:%MZ}, {MIN_BARS} are needed")

    issued_at = instant_of(lookback.closed_at[-1])
    sessions = Sessions.of(instrument.calendar)
    target_opened_at, target_at = sessions.next_bars(interval, issued_at, horizon)

    due_at = instant_of(target_at[0]) + timedelta(seconds=instrument.settle_s)
    if due_at <= as_of:
        return refuse(
            "stale_bars",
            f"the newest {interval} bar closed {issued_at:%Y-%m-%dT%H:%MZ}, but the one that closed "
            f"{instant_of(target_at[0]):%Y-%m-%dT%H:%MZ} is missing; ingest it and run again",
        )
    n_holes = len(sessions.missing(interval, lookback.opened_at))
    if n_holes > MAX_HOLE_SHARE * (n_bars + n_holes):
        return refuse(
            "holes",
            f"{n_holes} of {n_bars + n_holes} scheduled {interval} bars are missing from the lookback, "
            f"more than {MAX_HOLE_SHARE:.0%}; ingest them and run again",
        )

    ohlcv = np.empty((n_bars, 6))
    ohlcv[:, :AMOUNT] = lookback.ohlcv
    # Venues that do not tell the traded amount: the same stand-in as the model family was trained with.
    ohlcv[:, AMOUNT] = ohlcv[:, VOLUME] * ohlcv[:, [OPEN, HIGH, LOW, CLOSE]].mean(axis=1)

    events = None
    context: dict[str, Any] = {"events": None}
    if encoder is not None:
        times = (lookback.opened_at, lookback.closed_at, target_opened_at, target_at)
        events, context = encoder.tensor_and_context(instrument, interval, *times, issued_at=issued_at)
    if n_holes:
        context = {**context, "holes": n_holes}

    series = Series(instrument.symbol, interval, issued_at, ohlcv, lookback.opened_at, target_opened_at, events)
    return Prepared(
        series=series,
        target_at=target_at,
        scale=ewma_scale(ohlcv[:, CLOSE]),
        lookback_start=instant_of(lookback.opened_at[0]),
        lookback_end=issued_at,
        data_hash=_data_hash(series, target_at),
        event_context=context,
        synthetic=lookback.synthetic,
        n_holes=n_holes,
        feed=lookback.feed,
    )


def _data_hash(series: Series, target_at: NDArray[np.datetime64]) -> bytes:
    digest = hashlib.sha256(f"{series.symbol}|{series.interval}".encode())
    digest.update(series.ohlcv.astype("<f8").tobytes())
    for times in (series.opened_at, series.target_opened_at, target_at):
        digest.update(times.astype("datetime64[s]").astype("<i8").tobytes())
    if series.events is not None:
        digest.update(series.events.astype("<f4").tobytes())
    return digest.digest()


def instant_of(moment: np.datetime64) -> datetime:
    """The same instant, aware of UTC."""
    return datetime.fromtimestamp(int(moment.astype("datetime64[s]").astype(np.int64)), UTC)
