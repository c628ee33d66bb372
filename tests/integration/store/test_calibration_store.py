"""What the calibrator is taught: labels that were known at the moment, from the record, whatever is cached.

At step 1 every label is one independent outcome, so n_eff counts the labels that a correction was made from.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, Engine, event, text

from candlecast.bars import validate
from candlecast.calibration import Correction
from candlecast.instruments import load_instruments
from candlecast.store import calibration
from candlecast.store.bars import copy_bars
from candlecast.store.calibration import Asked, Moment, read_corrections
from candlecast.store.embedded import Role
from candlecast.store.instruments import upsert_instruments
from candlecast.store.predictions import insert_predictions

from .forecast_rows import forecast_row

MODEL = "kronos-base"
INSTRUMENTS = {one.symbol: one for one in load_instruments()}
# Ahead of the clock, so that forecasts are on time, and inside the calendars.
ISSUED = datetime(datetime.now(UTC).year + 1, 1, 10, 9, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
CLOSE = ISSUED + HOUR  # of step 1 of a forecast issued at ISSUED


@pytest.fixture
def conn(engine: Engine) -> Any:
    """One transaction on a database with instruments; what a test writes is gone with it."""
    with engine.connect() as conn:
        set_up(conn)
        yield conn


def set_up(conn: Connection) -> None:
    upsert_instruments(conn, load_instruments())
    conn.execute(text("UPDATE candlecast.instruments SET settle_s = 0"))


def say(conn: Connection, *hours: float, symbol: str = "BTCUSDT", **changes: Any) -> None:
    """Forecasts issued so many hours after ISSUED; the band of step 1 is 100 ± 1.28."""
    given = {"model_name": MODEL, **changes}
    rows = [forecast_row(symbol, issued_at=ISSUED + hour * HOUR, **given) for hour in hours]
    insert_predictions(conn, rows, scored_steps=(1,), fence=None)


def bars(closes: Sequence[float], *, first_close: datetime = CLOSE, volume: float = 5.0) -> pd.DataFrame:
    prices = np.asarray(closes, dtype=np.float64)
    opened = [first_close - HOUR + number * HOUR for number in range(len(closes))]
    width = 0.0 if volume == 0.0 else 1.0
    return pd.DataFrame(
        {"ts": pd.DatetimeIndex(opened), "open": prices, "high": prices + width, "low": prices - width,
         "close": prices, "volume": volume}
    )  # fmt: skip


def answer(
    conn: Connection, closes: Sequence[float], *, symbol: str = "BTCUSDT", source: str = "test", **places: Any
) -> None:
    """The market's answer, from CLOSE on, one bar an hour, known when it closed."""
    frame = validate(bars(closes, **places), INSTRUMENTS[symbol], "1h")[0]
    copy_bars(conn, symbol, "1h", frame, source=source, first_seen="close")


def ask(
    conn: Connection, at: datetime, *, symbol: str = "BTCUSDT", synthetic: bool = False, store: bool = False
) -> Correction:
    asked = Asked(symbol, Moment(synthetic, at))
    while (found := read_corrections(conn, "1h", MODEL, [asked], store=store)) is None:
        pass
    return found[asked]


def n_labels(conn: Connection, at: datetime, **how: Any) -> float:
    return float(ask(conn, at, **how).n_eff[0])


def n_snapshots(conn: Connection) -> int:
    return int(conn.execute(text("SELECT count(*) FROM candlecast.calibration_states")).scalar_one())


def numbers(correction: Correction) -> tuple[Any, ...]:
    return correction.steps, correction.factors.tolist(), correction.n_eff.tolist()


def test_an_outcome_teaches_from_the_second_at_which_it_is_known(conn: Connection) -> None:
    say(conn, 0)
    answer(conn, [100.0])

    assert n_labels(conn, CLOSE - SECOND) == 0
    assert n_labels(conn, CLOSE) == 1


def test_an_outcome_teaches_at_the_full_hour_after_it_has_settled(conn: Connection) -> None:
    say(conn, 0)
    answer(conn, [100.0])
    for settle_s, known_at in ((0, CLOSE), (1, CLOSE + HOUR), (3600, CLOSE + HOUR), (3601, CLOSE + 2 * HOUR)):
        conn.execute(text("UPDATE candlecast.instruments SET settle_s = :s"), {"s": settle_s})

        assert n_labels(conn, known_at - SECOND) == 0
        assert n_labels(conn, known_at) == 1


def test_an_outcome_teaches_at_the_full_hour_after_it_has_arrived(conn: Connection) -> None:
    say(conn, 0)
    answer(conn, [100.0])
    for late, known_at in (
        (timedelta(0), CLOSE),
        (timedelta(microseconds=1), CLOSE + HOUR),
        (timedelta(minutes=50), CLOSE + HOUR),
        (HOUR, CLOSE + HOUR),
        (HOUR + timedelta(microseconds=1), CLOSE + 2 * HOUR),
    ):
        conn.execute(text("UPDATE candlecast.ohlcv_1h SET first_seen = :at"), {"at": CLOSE + late})

        assert n_labels(conn, known_at - SECOND) == 0
        assert n_labels(conn, known_at) == 1


def test_a_daily_outcome_teaches_at_the_next_midnight(conn: Connection) -> None:
    day = timedelta(days=1)
    issued_at = ISSUED.replace(hour=0)
    targets = [issued_at + number * day for number in (1, 2, 3, 4)]
    row = forecast_row(issued_at=issued_at, interval="1d", model_name=MODEL, target_at=targets)
    insert_predictions(conn, [row], scored_steps=(1,), fence=None)
    prices = {name: [100.0] for name in ("open", "high", "low", "close")}
    frame = pd.DataFrame({"ts": pd.DatetimeIndex([issued_at]), **prices, "volume": [5.0]})
    frame["high"] += 1.0
    copy_bars(
        conn, "BTCUSDT", "1d", validate(frame, INSTRUMENTS["BTCUSDT"], "1d")[0], source="test", first_seen="close"
    )
    conn.execute(text("UPDATE candlecast.instruments SET settle_s = 10"))

    def n_daily(at: datetime) -> float:
        asked = Asked("BTCUSDT", Moment(False, at))
        found = read_corrections(conn, "1d", MODEL, [asked], store=True)
        assert found is not None
        return float(found[asked].n_eff[0])

    assert n_daily(targets[1] - SECOND) == 0
    assert n_daily(targets[1]) == 1


def test_bars_that_came_with_the_hour_teach_the_same_numbers_as_an_archive(conn: Connection) -> None:
    say(conn, *range(30))
    answer(conn, 100.0 + 3.0 * np.sin(np.arange(30.0)))
    conn.execute(text("UPDATE candlecast.instruments SET settle_s = 10"))  # as shipped
    moments = [CLOSE + hour * HOUR for hour in range(1, 31)]
    archive = [numbers(ask(conn, at)) for at in moments]

    late = "closed_at + make_interval(mins => 40 + (10 * random())::int)"
    conn.execute(text(f"UPDATE candlecast.ohlcv_1h SET first_seen = {late}"))

    assert [numbers(ask(conn, at)) for at in moments] == archive
    assert archive[-1] != archive[0]


def test_forecasts_of_one_slot_learn_only_what_was_known_when_each_is_issued(conn: Connection) -> None:
    say(conn, 0, 1, 2)
    answer(conn, [100.0, 100.0, 100.0])
    moments = [CLOSE - HOUR, CLOSE, CLOSE + HOUR, CLOSE + 2 * HOUR]
    asked = [Asked("BTCUSDT", Moment(False, at)) for at in reversed(moments)]

    found = read_corrections(conn, "1h", MODEL, asked, store=True)

    assert found is not None
    assert [found[one].n_eff[0] for one in reversed(asked)] == [0, 1, 2, 3]


def test_a_correction_that_arrives_later_teaches_nothing(conn: Connection) -> None:
    say(conn, 0)
    answer(conn, [110.0])  # far above the band
    before = numbers(ask(conn, CLOSE))
    assert before[1][0][9] > before[1][0][1]  # p90 is moved out further than p10

    answer(conn, [90.0])
    conn.execute(text("UPDATE candlecast.ohlcv_revisions SET revised_at = :at"), {"at": CLOSE + SECOND})

    assert numbers(ask(conn, CLOSE + HOUR)) == before

    # One that was there in time is the outcome.
    conn.execute(text("UPDATE candlecast.ohlcv_revisions SET revised_at = :at"), {"at": CLOSE})
    known_in_time = ask(conn, CLOSE)
    assert known_in_time.factors[0, 1] > known_in_time.factors[0, 9]


def test_what_the_scorer_leaves_out_teaches_nothing(conn: Connection) -> None:
    say(conn, 0, 1, 2, 3, feed="test")
    answer(conn, [100.0])
    answer(conn, [100.0], first_close=CLOSE + HOUR, volume=0.0)  # nobody traded
    answer(conn, [100.0], first_close=CLOSE + 2 * HOUR, source="binance")  # of another feed
    answer(conn, [100.0], first_close=CLOSE + 3 * HOUR)  # arrives when nobody waits for it any more
    conn.execute(
        text("UPDATE candlecast.ohlcv_1h SET first_seen = :late WHERE closed_at = :closed"),
        {"late": CLOSE + timedelta(days=7, hours=3, seconds=1), "closed": CLOSE + 3 * HOUR},
    )

    assert n_labels(conn, CLOSE + timedelta(days=30)) == 1


def test_a_forecast_whose_target_had_closed_when_it_was_written_teaches_nothing(conn: Connection) -> None:
    past = ISSUED.replace(year=2024)
    late = forecast_row(issued_at=past, model_name=MODEL)
    replayed = forecast_row(issued_at=past + HOUR, model_name=MODEL, replay=True)
    insert_predictions(conn, [late, replayed], scored_steps=(1,), fence=None)
    answer(conn, [100.0, 100.0], first_close=past + HOUR)

    assert n_labels(conn, past + HOUR) == 0
    assert n_labels(conn, past + 2 * HOUR) == 1


def test_live_forecasts_and_replays_teach_alike_and_generated_bars_apart(conn: Connection) -> None:
    say(conn, 0)
    say(conn, 1, replay=True)
    say(conn, 2, synthetic=True)
    say(conn, 3, 4, model_name="chronos-2")
    answer(conn, [100.0] * 9)

    assert n_labels(conn, CLOSE + 9 * HOUR) == 2
    assert n_labels(conn, CLOSE + 9 * HOUR, synthetic=True) == 1


def test_emptied_snapshots_give_the_same_corrections(conn: Connection) -> None:
    hours = range(40)
    say(conn, *hours)
    say(conn, *hours, symbol="ETHUSDT")
    answer(conn, 100.0 + 3.0 * np.sin(np.arange(41.0)))
    answer(conn, 100.0 + 4.0 * np.cos(np.arange(41.0)), symbol="ETHUSDT")
    ends = [CLOSE + hour * HOUR for hour in hours]

    cached = [numbers(ask(conn, at, store=True)) for at in ends]
    assert n_snapshots(conn) > 0
    conn.execute(text("DELETE FROM candlecast.calibration_states"))

    assert [numbers(ask(conn, at)) for at in ends] == cached
    assert len({str(one) for one in cached}) == len(cached)  # each hour taught something


def test_no_snapshot_of_the_future_is_used_and_none_of_other_rules(conn: Connection) -> None:
    say(conn, 0, 1, 2)
    answer(conn, [101.0, 104.0, 90.0])
    wanted = numbers(ask(conn, CLOSE + HOUR))
    ask(conn, CLOSE + 2 * HOUR, store=True)

    assert numbers(ask(conn, CLOSE + HOUR)) == wanted

    for broken in (
        "'{}'",
        "'[1]'",
        "jsonb_set(state, '{version}', '0')",
        "jsonb_set(state, '{tracker, steps}', '[1]')",
    ):
        conn.execute(text("DELETE FROM candlecast.calibration_states"))
        ask(conn, CLOSE, store=True)
        conn.execute(text(f"UPDATE candlecast.calibration_states SET state = {broken}"))
        assert numbers(ask(conn, CLOSE + HOUR)) == wanted
        assert numbers(ask(conn, CLOSE + HOUR, store=True)) == wanted
        assert numbers(ask(conn, CLOSE + HOUR, store=True)) == wanted


def test_a_snapshot_does_not_outlive_the_facts_it_was_made_of(conn: Connection) -> None:
    say(conn, 0, 1)
    answer(conn, [101.0, 104.0])
    ask(conn, CLOSE + HOUR, store=True)

    conn.execute(text("UPDATE candlecast.instruments SET settle_s = 1 WHERE symbol = 'BTCUSDT'"))

    assert n_labels(conn, CLOSE + HOUR, store=True) == 1
    assert n_labels(conn, CLOSE + 2 * HOUR, store=True) == 2


@pytest.mark.parametrize("what", ["a replay of an older slot", "bars of an archive"])
def test_what_is_added_to_the_past_is_learned_though_a_snapshot_lacks_it(conn: Connection, what: str) -> None:
    say(conn, 0)
    if what == "bars of an archive":
        say(conn, 5)
    answer(conn, [100.0] * 3, first_close=CLOSE)
    answer(conn, [100.0] * 3, first_close=CLOSE + 10 * HOUR)
    if what == "a replay of an older slot":
        answer(conn, [100.0] * 7, first_close=CLOSE + 3 * HOUR)
    assert n_labels(conn, CLOSE + 12 * HOUR, store=True) == 1
    before = n_snapshots(conn)

    if what == "a replay of an older slot":
        say(conn, 5, replay=True)
    else:
        answer(conn, [100.0] * 7, first_close=CLOSE + 3 * HOUR)

    assert n_snapshots(conn) < before
    assert n_labels(conn, CLOSE + 12 * HOUR, store=True) == 2


def test_a_long_past_is_learned_in_transactions_of_a_week_with_the_same_result(conn: Connection) -> None:
    hours = range(0, 24 * 30, 6)
    say(conn, *hours)
    answer(conn, 100.0 + 3.0 * np.sin(np.arange(24.0 * 31)))
    end = CLOSE + timedelta(days=30)
    asked = [Asked("BTCUSDT", Moment(False, at)) for at in (end - 50 * HOUR, end)]

    at_once = read_corrections(conn, "1h", MODEL, asked, store=False)
    n_calls, piece_by_piece = 1, None
    while (piece_by_piece := read_corrections(conn, "1h", MODEL, asked, store=True)) is None:
        n_calls += 1

    assert n_calls == 5  # 30 days in weeks
    assert at_once is not None
    assert [numbers(piece_by_piece[one]) for one in asked] == [numbers(at_once[one]) for one in asked]
    assert at_once[asked[1]].n_eff[0] == len(hours)


def test_snapshots_stay_few(conn: Connection) -> None:
    say(conn, *range(0, 24 * 60, 12))
    answer(conn, [100.0] * (24 * 60))
    for half_day in range(1, 100):
        ask(conn, CLOSE + half_day * 12 * HOUR, store=True)

    kept = list(
        conn.execute(text("SELECT known_until FROM candlecast.calibration_states ORDER BY known_until")).scalars()
    )

    # 50 days: the ends of eight days, and of the months before.
    assert kept[-1] == CLOSE + 99 * 12 * HOUR
    assert len(kept) <= 8 + 2 + 1


def test_no_snapshot_is_stored_while_somebody_writes_what_it_has_to_know(
    engine: Engine, engine_as: Callable[[Role], Engine]
) -> None:
    with engine.begin() as conn:
        set_up(conn)
        say(conn, 0, 1)
        answer(conn, [101.0, 104.0])
    writer = engine_as("writer")
    with engine.connect() as replaying, writer.begin() as conn:
        say(replaying, 2, replay=True)
        assert n_labels(conn, CLOSE + HOUR, store=True) == 2
        assert n_snapshots(conn) == 0
    with writer.begin() as conn:
        assert n_labels(conn, CLOSE + HOUR, store=True) == 2
        assert n_snapshots(conn) == 1


def test_the_number_of_statements_grows_neither_with_instruments_nor_with_moments(
    conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    fetch = calibration.fetch_arrays

    def counted(*arguments: Any) -> dict[str, Any]:
        statements.append("labels")
        return fetch(*arguments)

    monkeypatch.setattr(calibration, "fetch_arrays", counted)
    event.listen(conn, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    def n_statements(symbols: Sequence[str], *moments: datetime) -> int:
        conn.execute(text("DELETE FROM candlecast.calibration_states"))
        statements.clear()
        asked = [Asked(symbol, Moment(False, at)) for symbol in symbols for at in moments]
        assert read_corrections(conn, "1h", MODEL, asked, store=True) is not None
        return len(statements)

    for symbol in INSTRUMENTS:
        say(conn, *range(5), symbol=symbol)
        if INSTRUMENTS[symbol].calendar == "24/7":
            answer(conn, [100.0] * 5, symbol=symbol)

    one = n_statements(["BTCUSDT"], CLOSE + 4 * HOUR)
    assert n_statements(sorted(INSTRUMENTS), *(CLOSE + hour * HOUR for hour in range(5))) == one == 5
