"""Every rule of validation on a row made to break it, and the laws that hold for any rows."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candlecast.bars import COLUMNS, BarsUnreadable, Finding, validate
from candlecast.instruments import Instrument, load_instruments
from candlecast.sessions import Sessions

INSTRUMENTS = {instrument.symbol: instrument for instrument in load_instruments()}
BTC, SPY, CL = INSTRUMENTS["BTCUSDT"], INSTRUMENTS["SPY"], INSTRUMENTS["CL"]

Row = tuple[str, float, float, float, float, float]


def frame(*rows: Row) -> pd.DataFrame:
    bars = pd.DataFrame(list(rows), columns=list(COLUMNS))
    bars["ts"] = pd.to_datetime(bars["ts"], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return bars.astype(dict.fromkeys(COLUMNS[1:], float))


def bar(hour: int, **changes: Any) -> Row:
    """A sound hourly bar of 2024-07-10, changed where `changes` says."""
    values = {
        "ts": f"2024-07-10T{hour:02}:00:00Z",
        "open": 10,
        "high": 12,
        "low": 9,
        "close": 11,
        "volume": 5,
    } | changes
    return tuple(values.values())  # type: ignore[return-value]


GOOD = [bar(0), bar(1), bar(2)]


def test_sound_bars_pass_with_their_closing_times_and_nothing_to_report() -> None:
    clean, report = validate(frame(*GOOD), BTC, "1h")

    assert list(clean.columns) == [*COLUMNS, "closed_at", "state"]
    assert (clean["closed_at"] - clean["ts"] == pd.Timedelta("1h")).all()
    assert clean["state"].tolist() == ["final"] * 3
    assert (report.n_read, report.n_clean, report.n_dropped, report.findings) == (3, 3, 0, ())


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("not_finite", {"close": float("nan")}),
        ("not_finite", {"high": float("inf")}),
        ("not_finite", {"volume": float("nan")}),
        ("low_above_body", {"low": 10.5}),
        ("high_below_body", {"high": 10.5}),
        ("price_not_positive", {"low": 0.0}),
        ("price_not_positive", {"low": -1.0}),
        ("volume_negative", {"volume": -1.0}),
        ("misplaced", {"ts": "2024-07-10T01:30:00Z"}),
        ("misplaced", {"ts": "2024-07-10T01:00:00.5Z"}),
        ("outside_calendar", {"ts": "1970-01-01T00:00:00Z"}),
        ("outside_calendar", {"ts": "2299-01-01T00:00:00Z"}),
        ("unparsable", {"ts": None}),
    ],
)
def test_a_row_that_cannot_be_a_bar_is_dropped_and_named_and_its_neighbours_stay(
    rule: str, changes: dict[str, Any]
) -> None:
    clean, report = validate(frame(bar(0), bar(1, **changes), bar(2)), BTC, "1h")

    assert [hour.hour for hour in clean["ts"]] == [0, 2]
    assert (report.n_dropped, report.count(rule)) == (1, 1)
    assert report.findings[0].dropped


def test_the_first_example_names_the_instant_and_the_numbers() -> None:
    _, report = validate(frame(bar(0), bar(2, low=10.5), bar(1, low=10.75)), BTC, "1h")

    assert report.findings[0] == Finding(
        "low_above_body", 2, "2024-07-10T01:00:00Z open 10 high 12 low 10.75 close 11 volume 5"
    )
    assert "2 × low_above_body (low above open or close), first 2024-07-10T01:00:00Z" in str(report)


def test_disorder_is_sorted_and_counted() -> None:
    clean, report = validate(frame(bar(2), bar(0), bar(1)), BTC, "1h")

    assert [hour.hour for hour in clean["ts"]] == [0, 1, 2]
    assert (report.count("disorder"), report.n_dropped) == (1, 0)


def test_the_same_bar_again_is_dropped() -> None:
    clean, report = validate(frame(*GOOD, bar(1), bar(1)), BTC, "1h")

    assert len(clean) == 3
    assert (report.count("duplicate"), report.count("conflict"), report.n_dropped) == (2, 0, 2)


def test_of_two_bars_of_one_hour_the_finished_one_is_kept() -> None:
    forming = bar(1, high=11.0, volume=2)

    for rows in ([bar(0), forming, bar(1), bar(2)], [bar(0), bar(1), forming, bar(2)]):
        clean, report = validate(frame(*rows), BTC, "1h")

        assert clean["volume"].tolist() == [5, 5, 5]
        assert (report.count("conflict"), report.count("duplicate")) == (1, 0)


def test_a_broken_duplicate_does_not_push_out_the_sound_bar() -> None:
    clean, _ = validate(frame(bar(0), bar(1), bar(1, low=99.0, volume=500)), BTC, "1h")

    assert clean["volume"].tolist() == [5, 5]


def test_a_bar_that_is_still_open_is_not_imported() -> None:
    clean, report = validate(frame(*GOOD), BTC, "1h", now=datetime(2024, 7, 10, 2, 59, 59, tzinfo=UTC))
    complete, _ = validate(frame(*GOOD), BTC, "1h", now=datetime(2024, 7, 10, 3, tzinfo=UTC))

    assert [hour.hour for hour in clean["ts"]] == [0, 1]
    assert report.count("still_open") == 1
    assert len(complete) == 3


def test_the_last_half_hour_of_a_us_session_counts_as_closed_at_20_utc() -> None:
    last = frame(("2024-07-10T19:30:00Z", 10, 12, 9, 11, 5))

    clean, _ = validate(last, SPY, "1h", now=datetime(2024, 7, 10, 20, tzinfo=UTC))

    assert clean["closed_at"].tolist() == [pd.Timestamp("2024-07-10T20:00Z")]


def test_crude_below_zero_is_kept_and_refused_elsewhere() -> None:
    # CL=F on 2020-04-20, as published.
    below_zero = frame(("2020-04-20T00:00:00Z", 17.73, 17.85, -40.32, -37.63, 247947))

    crude, _ = validate(below_zero, CL, "1d")
    other, report = validate(below_zero, INSTRUMENTS["BRENT"], "1d")

    assert crude["close"].tolist() == [-37.63]
    assert len(other) == 0
    assert report.count("price_not_positive") == 1


def test_holes_are_counted_against_the_sessions_and_never_filled() -> None:
    friday_and_monday = frame(
        ("2024-07-12T19:30:00Z", 10, 12, 9, 11, 5),
        ("2024-07-15T13:30:00Z", 10, 12, 9, 11, 5),
        ("2024-07-15T16:30:00Z", 10, 12, 9, 11, 5),
    )

    clean, report = validate(friday_and_monday, SPY, "1h")

    assert len(clean) == 3
    assert [(f.rule, f.count, f.first) for f in report.findings] == [("hole", 2, "2024-07-15T14:30:00Z")]


def test_a_bar_of_a_closed_hour_is_kept_and_reported() -> None:
    # CBOE publishes its index on some exchange holidays.
    holiday = frame(("2024-07-04T00:00:00Z", 12, 13, 12, 12.5, 0))

    clean, report = validate(holiday, INSTRUMENTS["VIX"], "1d")

    assert len(clean) == 1
    assert report.count("off_schedule") == 1


def test_no_volume_is_a_state_and_no_error() -> None:
    rows = frame(bar(0, volume=0), bar(1, open=11, high=11, low=11, close=11, volume=0), bar(2))

    clean, report = validate(rows, BTC, "1h")

    assert clean["state"].tolist() == ["final", "no_trade", "final"]
    assert (report.count("zero_volume"), report.count("no_trade"), report.n_dropped) == (2, 1, 0)


def test_nothing_at_all_is_no_error() -> None:
    clean, report = validate(frame(), BTC, "1h")

    assert (len(clean), report.n_read, report.findings) == (0, 0, ())


def test_what_the_reader_dropped_stays_in_the_count() -> None:
    _, report = validate(frame(*GOOD), BTC, "1h", unreadable=[Finding("unparsable", 2, "line 7")])

    assert (report.n_read, report.n_clean, report.count("unparsable")) == (5, 3, 2)


def test_a_frame_without_a_column_or_without_instants_is_refused() -> None:
    with pytest.raises(BarsUnreadable, match="BTCUSDT: column low, volume is missing"):
        validate(frame(*GOOD).drop(columns=["low", "volume"]), BTC, "1h")
    with pytest.raises(BarsUnreadable, match="ts holds"):
        validate(frame(*GOOD).assign(ts=[1, 2, 3]), BTC, "1h")


prices = st.one_of(st.floats(1, 100), st.sampled_from([0.0, -3.0, float("nan"), float("inf"), 1e300]))
stamps = st.one_of(
    st.integers(0, 60).map(lambda hour: pd.Timestamp("2024-07-08T00:30Z") + pd.Timedelta(hours=hour) / 2),
    st.sampled_from([pd.NaT, pd.Timestamp("1970-01-01", tz="UTC"), pd.Timestamp("2024-07-08T13:37:11.5Z")]),
)
wild_rows = st.tuples(stamps, prices, prices, prices, prices, st.one_of(st.just(0.0), prices))
hours = st.integers(0, 9).map(lambda hour: pd.Timestamp("2024-07-08T12:00Z") + pd.Timedelta(hours=hour))
sound_rows = st.tuples(hours, *[st.integers(2, 4)] * 4, st.integers(0, 2)).map(
    lambda row: (row[0], row[1], max(row[1:5]), min(row[1:5]), row[4], row[5])
)
rows = st.lists(st.one_of(sound_rows, wild_rows), max_size=40)
instruments = st.sampled_from([BTC, SPY, CL, INSTRUMENTS["VIX"], INSTRUMENTS["EURUSD"]])


def any_frame(values: list[Any]) -> pd.DataFrame:
    bars = pd.DataFrame(values, columns=list(COLUMNS))
    bars["ts"] = pd.to_datetime(bars["ts"], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
    return bars.astype(dict.fromkeys(COLUMNS[1:], float))


@settings(max_examples=200, deadline=None)
@given(rows, instruments, st.sampled_from(["1h", "1d"]))
def test_whatever_comes_in_only_bars_come_out(values: list[Any], instrument: Instrument, interval: str) -> None:
    clean, report = validate(any_frame(values), instrument, interval)

    assert np.isfinite(clean[list(COLUMNS[1:])].to_numpy()).all()
    assert (clean["low"] <= clean[["open", "close"]].min(axis=1)).all()
    assert (clean["high"] >= clean[["open", "close"]].max(axis=1)).all()
    assert (clean["volume"] >= 0).all()
    assert instrument.negative_prices or (clean["low"] > 0).all()
    assert clean["ts"].is_monotonic_increasing
    assert (clean["closed_at"][:-1].to_numpy() <= clean["ts"][1:].to_numpy()).all()
    assert report.n_read == len(values) == len(clean) + sum(f.count for f in report.findings if f.dropped)


@settings(max_examples=200, deadline=None)
@given(rows, instruments, st.sampled_from(["1h", "1d"]))
def test_validating_again_changes_nothing(values: list[Any], instrument: Instrument, interval: str) -> None:
    once, _ = validate(any_frame(values), instrument, interval)
    twice, report = validate(once, instrument, interval)

    pd.testing.assert_frame_equal(once, twice)
    assert report.n_dropped == 0


@settings(max_examples=200, deadline=None)
@given(rows, st.randoms(use_true_random=False), instruments)
def test_the_order_of_the_rows_does_not_matter(values: list[Any], random: Any, instrument: Instrument) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)

    clean, _ = validate(any_frame(values), instrument, "1h")
    other, _ = validate(any_frame(shuffled), instrument, "1h")

    pd.testing.assert_frame_equal(clean, other)


@given(st.sets(st.integers(0, 400), min_size=2))
def test_present_and_missing_bars_make_up_the_schedule(present: set[int]) -> None:
    sessions = Sessions.of("XNYS")
    opened_at, _ = sessions.next_bars("1h", datetime(2024, 6, 1, tzinfo=UTC), 401)
    chosen = opened_at[sorted(present)]
    bars = any_frame([(pd.Timestamp(str(at), tz="UTC"), 10.0, 12.0, 9.0, 11.0, 5.0) for at in chosen])

    _, report = validate(bars, SPY, "1h")

    assert report.count("hole") + len(present) == max(present) - min(present) + 1
