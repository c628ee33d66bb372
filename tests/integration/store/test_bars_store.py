"""Bars in a real Postgres: importing twice is importing once, corrections forget nothing, reads know their moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from candlecast.bars import COLUMNS, VALUES, validate
from candlecast.instruments import load_instruments
from candlecast.store.bars import (
    ImportCounts,
    UnknownSymbol,
    copy_bars,
    copy_many,
    newest_bars,
    newest_close,
    read_closes,
    read_lookbacks,
)
from candlecast.store.instruments import upsert_instruments

INSTRUMENTS = {instrument.symbol: instrument for instrument in load_instruments()}
MIDNIGHT = datetime(2024, 7, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
LATER = MIDNIGHT + timedelta(days=30)

reuse_database = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bars(*closes: float, start: datetime = MIDNIGHT, symbol: str = "BTCUSDT", interval: str = "1h") -> pd.DataFrame:
    """Validated bars with these closes, one after the other from `start`."""
    length = HOUR if interval == "1h" else timedelta(days=1)
    rows = [(start + place * length, close, close + 1, close - 1, close, 5.0) for place, close in enumerate(closes)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype(
        {"ts": "datetime64[us, UTC]"} | dict.fromkeys(VALUES, float)
    )
    clean, report = validate(frame, INSTRUMENTS[symbol], interval)
    assert report.n_dropped == 0
    return clean


@pytest.fixture
def writer(engine: Engine, engine_as: Callable[[str], Engine]) -> Engine:
    """The jobs' own login on a database that has its instruments; BTCUSDT settles at once, ETHUSDT after a minute."""
    shipped = [replace(one, settle_s={"ETHUSDT": 60}.get(one.symbol, 0)) for one in INSTRUMENTS.values()]
    with engine.begin() as conn:
        upsert_instruments(conn, shipped)
    return engine_as("writer")


def store(
    engine: Engine, frame: pd.DataFrame, symbol: str = "BTCUSDT", interval: str = "1h", **how: Any
) -> ImportCounts:
    with engine.begin() as conn:
        return copy_bars(conn, symbol, interval, frame, **({"source": "test", "first_seen": "close"} | how))


def closes(engine: Engine, as_of: datetime = LATER, n_bars: int = 100, symbol: str = "BTCUSDT") -> list[float]:
    with engine.connect() as conn:
        found = read_lookbacks(conn, [symbol], "1h", as_of, n_bars)
    return found[symbol].ohlcv[:, 3].tolist() if found else []


def now_of(engine: Engine) -> datetime:
    with engine.connect() as conn:
        moment: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        return moment


def test_importing_twice_is_importing_once(writer: Engine) -> None:
    assert store(writer, bars(10, 11, 12)) == ImportCounts(inserted=3)
    assert store(writer, bars(10, 11, 12)) == ImportCounts(unchanged=3)
    assert closes(writer) == [10, 11, 12]


def test_new_bars_join_those_that_are_there(writer: Engine) -> None:
    store(writer, bars(11, 12, start=MIDNIGHT + HOUR))

    assert store(writer, bars(10, 11, 12, 13)) == ImportCounts(inserted=2, unchanged=2)
    assert closes(writer) == [10, 11, 12, 13]


def test_an_empty_import_is_an_import(writer: Engine) -> None:
    assert store(writer, bars()) == ImportCounts()
    with writer.begin() as conn:
        assert copy_many(conn, "1h", {}, source="test", first_seen="now") == {}


def test_each_interval_has_its_own_bars(writer: Engine) -> None:
    store(writer, bars(10, 11))
    store(writer, bars(20, interval="1d"), interval="1d")

    with writer.connect() as conn:
        daily = read_lookbacks(conn, ["BTCUSDT"], "1d", LATER, 10)["BTCUSDT"]
    assert daily.ohlcv[:, 3].tolist() == [20]
    assert daily.closed_at.tolist() == [datetime(2024, 7, 11)]
    assert closes(writer) == [10, 11]


def test_a_correction_replaces_the_bar_and_keeps_what_it_replaced(writer: Engine) -> None:
    store(writer, bars(10, 11, 12), source="first feed")

    assert store(writer, bars(10, 11.5, 12), source="second feed") == ImportCounts(unchanged=2, revised=1)

    assert closes(writer, as_of=now_of(writer)) == [10, 11.5, 12]
    with writer.connect() as conn:
        kept = conn.execute(
            text("SELECT ts, interval, old_close, old_source, source FROM candlecast.ohlcv_revisions")
        ).all()
        assert kept == [(MIDNIGHT + HOUR, "1h", 11.0, "first feed", "second feed")]


def test_a_correction_that_arrives_later_changes_nothing_as_of_then(writer: Engine) -> None:
    store(writer, bars(10, 11, 12))
    seen = [(now_of(writer), [10.0, 11.0, 12.0])]
    for close in (11.5, 11.25):
        store(writer, bars(10, close, 12))
        seen.append((now_of(writer), [10.0, close, 12.0]))

    for moment, known in seen:
        assert closes(writer, as_of=moment) == known
        with writer.connect() as conn:
            leaders = read_closes(conn, ["BTCUSDT"], "1h", MIDNIGHT, moment)
        assert leaders["BTCUSDT"][1].tolist() == known


def test_a_bar_is_read_only_once_it_closed_and_settled(writer: Engine) -> None:
    store(writer, bars(10, 11))
    store(writer, bars(20, 21, symbol="ETHUSDT"), symbol="ETHUSDT")  # settles a minute after its close

    second_close = MIDNIGHT + 2 * HOUR
    assert closes(writer, as_of=second_close - timedelta(seconds=1)) == [10]
    assert closes(writer, as_of=second_close) == [10, 11]
    assert closes(writer, as_of=second_close + timedelta(seconds=59), symbol="ETHUSDT") == [20]
    assert closes(writer, as_of=second_close + timedelta(seconds=60), symbol="ETHUSDT") == [20, 21]


def test_a_forming_bar_in_the_table_changes_nothing(writer: Engine) -> None:
    store(writer, bars(10, 11))
    before = closes(writer, as_of=MIDNIGHT + 2 * HOUR)

    store(writer, bars(1e9, start=MIDNIGHT + 2 * HOUR))

    assert closes(writer, as_of=MIDNIGHT + 2 * HOUR) == before


def test_a_bar_that_arrived_late_was_not_known_before(writer: Engine) -> None:
    store(writer, bars(10))
    before = now_of(writer)
    store(writer, bars(11, start=MIDNIGHT + HOUR), first_seen="now")

    assert closes(writer, as_of=before) == [10]
    assert closes(writer, as_of=now_of(writer)) == [10, 11]


def test_a_lookback_holds_the_newest_bars_oldest_first_with_their_times(writer: Engine) -> None:
    store(writer, bars(10, 11, 12, 13))

    with writer.connect() as conn:
        found = read_lookbacks(conn, ["ETHUSDT", "BTCUSDT", "NOWHERE"], "1h", LATER, 2)

    assert list(found) == ["BTCUSDT"]
    lookback = found["BTCUSDT"]
    assert lookback.ohlcv.tolist() == [[12, 13, 11, 12, 5], [13, 14, 12, 13, 5]]
    assert lookback.opened_at.tolist() == [datetime(2024, 7, 10, 2), datetime(2024, 7, 10, 3)]
    assert lookback.closed_at.tolist() == [datetime(2024, 7, 10, 3), datetime(2024, 7, 10, 4)]
    assert lookback.closed_at.dtype == np.dtype("datetime64[s]")
    assert not lookback.synthetic


def test_one_generated_bar_makes_a_lookback_synthetic(writer: Engine) -> None:
    store(writer, bars(10), source="synthetic")
    store(writer, bars(11, 12, start=MIDNIGHT + HOUR))

    with writer.connect() as conn:
        assert read_lookbacks(conn, ["BTCUSDT"], "1h", LATER, 3)["BTCUSDT"].synthetic
        assert not read_lookbacks(conn, ["BTCUSDT"], "1h", LATER, 2)["BTCUSDT"].synthetic


def test_a_lookback_names_the_source_of_its_newest_bar_as_it_was_known(writer: Engine, engine: Engine) -> None:
    store(writer, bars(11.0, 12.0), source="files")
    store(writer, bars(13.0, start=MIDNIGHT + timedelta(hours=2)), source="binance")
    store(writer, bars(15.0, symbol="ETHUSDT"), symbol="ETHUSDT", source="synthetic")
    store(writer, bars(14.0, start=MIDNIGHT + timedelta(hours=2)), source="files")  # corrected by another one
    revised_at = MIDNIGHT + timedelta(days=1)
    with engine.begin() as conn:
        conn.execute(text("UPDATE candlecast.ohlcv_revisions SET revised_at = :at"), {"at": revised_at})

    def feeds(as_of: datetime) -> dict[str, str]:
        with writer.connect() as conn:
            found = read_lookbacks(conn, ["ETHUSDT", "NOWHERE", "BTCUSDT"], "1h", as_of, 10)
        return {symbol: lookback.feed for symbol, lookback in found.items()}

    assert feeds(MIDNIGHT + timedelta(hours=2, minutes=30))["BTCUSDT"] == "files"
    assert feeds(MIDNIGHT + timedelta(hours=3, minutes=30)) == {"BTCUSDT": "binance", "ETHUSDT": "synthetic"}
    assert feeds(revised_at)["BTCUSDT"] == "files"


def test_all_lookbacks_are_one_query_and_do_not_mix(writer: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    symbols = [symbol for symbol, one in INSTRUMENTS.items() if one.calendar == "24/7"]
    with writer.begin() as conn:
        frames = {symbol: bars(10 * place, 10 * place + 1, symbol=symbol) for place, symbol in enumerate(symbols, 1)}
        counts = copy_many(conn, "1h", frames, source="test", first_seen="close")
    assert counts == dict.fromkeys(symbols, ImportCounts(inserted=2))

    executed: list[Any] = []
    execute = psycopg.Cursor.execute

    def counting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        executed.append(query)
        return execute(self, query, *args, **kwargs)

    with writer.connect() as conn:
        conn.execute(text("SELECT 1"))  # the pool has tested its connection
        monkeypatch.setattr(psycopg.Cursor, "execute", counting)
        found = read_lookbacks(conn, symbols[::-1], "1h", LATER, 100)

    assert len(executed) == 1
    assert list(found) == symbols[::-1]
    assert {symbol: found[symbol].ohlcv[:, 3].tolist() for symbol in symbols} == {
        symbol: [10 * place, 10 * place + 1] for place, symbol in enumerate(symbols, 1)
    }


def test_closes_begin_after_the_moment_asked_for(writer: Engine) -> None:
    store(writer, bars(10, 11, 12))

    with writer.connect() as conn:
        found = read_closes(conn, ["SPY", "BTCUSDT"], "1h", MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR)

    assert list(found) == ["BTCUSDT"]
    closed_at, close = found["BTCUSDT"]
    assert (closed_at.tolist(), close.tolist()) == ([datetime(2024, 7, 10, 2)], [11])


def test_the_newest_bar_of_each_instrument(writer: Engine) -> None:
    store(writer, bars(10, 11))
    store(writer, bars(20, symbol="ETHUSDT"), symbol="ETHUSDT", source="synthetic")

    with writer.connect() as conn:
        newest = newest_bars(conn, "1h")
        assert newest_close(conn, "1h") == MIDNIGHT + 2 * HOUR
        assert newest_close(conn, "1h", symbol="ETHUSDT") == MIDNIGHT + HOUR
        assert newest_close(conn, "1h", symbol="SPY") is None
        assert newest_close(conn, "1d") is None
    assert {symbol: bar.synthetic for symbol, bar in newest.items()} == {"BTCUSDT": False, "ETHUSDT": True}


def test_an_unknown_symbol_is_named_and_nothing_is_written(writer: Engine) -> None:
    with writer.begin() as conn, pytest.raises(UnknownSymbol, match="NOWHERE is not in the table of instruments"):
        copy_many(conn, "1h", {"BTCUSDT": bars(10), "NOWHERE": bars(10)}, source="test", first_seen="now")

    assert closes(writer) == []


def test_a_failed_import_leaves_nothing_and_the_next_one_works(writer: Engine) -> None:
    with writer.connect() as conn:  # and no commit
        copy_bars(conn, "BTCUSDT", "1h", bars(10, 11), source="test", first_seen="close")
    assert closes(writer) == []

    assert store(writer, bars(10, 11)) == ImportCounts(inserted=2)


def test_two_imports_of_one_symbol_at_once_store_it_once(writer: Engine) -> None:
    frame = bars(*np.linspace(10, 20, 400))

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: store(writer, frame), range(4)))

    assert sum(one.inserted for one in counts) == 400
    assert sum(one.unchanged for one in counts) == 1200


def test_readers_may_read_and_not_write(writer: Engine, engine_as: Callable[[str], Engine]) -> None:
    store(writer, bars(10, 11))
    reader = engine_as("reader")

    assert closes(reader) == [10, 11]
    with pytest.raises(ProgrammingError, match="permission denied"):
        store(reader, bars(12, start=MIDNIGHT + 2 * HOUR))


@reuse_database
@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=20))
def test_numbers_come_back_bit_for_bit(writer: Engine, values: list[float]) -> None:
    frame = bars(*[10.0] * len(values)).assign(open=values, high=values, low=values, close=values, volume=values)
    store(writer, frame)

    assert closes(writer, as_of=LATER + timedelta(days=36500))[: len(values)] == values


@reuse_database
@given(st.permutations(range(6)), st.sets(st.integers(1, 5)))
def test_bars_in_any_pieces_and_any_order_end_as_the_same_rows(
    writer: Engine, order: list[int], cuts: set[int]
) -> None:
    whole = bars(10, 11, 12, 13, 14, 15)
    bounds = [0, *sorted(cuts), 6]
    with writer.connect() as conn:
        for start, end in pairwise(bounds):
            piece = whole.iloc[sorted(order[start:end])]
            copy_bars(conn, "BTCUSDT", "1h", piece, source="test", first_seen="close")
        copy_bars(conn, "BTCUSDT", "1h", whole, source="test", first_seen="close")
        found = read_lookbacks(conn, ["BTCUSDT"], "1h", LATER, 10)["BTCUSDT"]
        assert found.ohlcv[:, 3].tolist() == [10, 11, 12, 13, 14, 15]
        assert conn.execute(text("SELECT count(*) FROM candlecast.ohlcv_revisions")).scalar_one() == 0
        conn.rollback()
