"""Every channel on bars and releases small enough to be worked out by hand."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from candlecast.calendar import WITHDRAWN, entry_id, vintages
from candlecast.channels import KNOWN_FUTURE, PAST_ONLY, LookbackRows, PastOnly
from candlecast.events import CHANNELS, BarTimesWrong, EventEncoder

NAMES = [one.name for one in CHANNELS]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2024, 6, 10, tzinfo=UTC)
BTC: Any = SimpleNamespace(symbol="BTCUSDT", calendar="24/7", asset_class="crypto")
AAPL: Any = SimpleNamespace(symbol="AAPL", calendar="XNYS", asset_class="equity")


def seconds(instants: list[datetime]) -> np.ndarray:
    return np.array([one.replace(tzinfo=None) for one in instants], dtype="datetime64[s]")


def closed(calendar: str, closed_at: np.ndarray) -> np.ndarray:
    return np.zeros(len(closed_at))


def row(
    known_at: datetime, ts: datetime, event: str, currency: str = "USD", impact: str = "High", **more: Any
) -> dict[str, Any]:
    listed_at = more.pop("listed_at", ts)
    what = {"known_at": known_at, "ts": ts, "currency": currency, "event": event, "impact": impact, **more}
    return {"entry_id": entry_id(currency, event, listed_at, more.get("symbol")), **what}


def scheduled(ts: datetime, event: str, currency: str = "USD", **more: Any) -> dict[str, Any]:
    return row(ts - 60 * DAY, ts, event, currency, **more)


def encoder(rows: list[dict[str, Any]], leaders: dict[str, Any] | None = None, elapsed: Any = closed) -> EventEncoder:
    return EventEncoder(vintages(rows), leaders or {}, elapsed=elapsed)


def bars(start: datetime, n: int, step: timedelta = HOUR) -> tuple[np.ndarray, np.ndarray]:
    opened = [start + at * step for at in range(n)]
    return seconds(opened), seconds([one + step for one in opened])


def encode(
    what: EventEncoder,
    n_lookback: int = 6,
    n_horizon: int = 4,
    start: datetime = MONDAY,
    step: timedelta = HOUR,
    instrument: Any = BTC,
) -> dict[str, list[float]]:
    """Each channel as a list over the rows of a grid without gaps that is issued after `n_lookback` bars."""
    issued_at = start + n_lookback * step
    tensor = what.encode(
        instrument, "1h", *bars(start, n_lookback, step), *bars(issued_at, n_horizon, step), issued_at=issued_at
    )
    assert tensor.shape == (n_lookback + n_horizon, 20)
    assert tensor.dtype == np.float32
    return dict(zip(NAMES, tensor.T.tolist(), strict=True))


def test_the_channels_are_the_twenty_of_the_plan_in_its_order() -> None:
    assert [one.index for one in CHANNELS] == list(range(20))
    assert NAMES[:5] == ["is_fomc", "is_cpi", "is_nfp", "is_gdp", "is_pce"]
    assert NAMES[5:10] == ["cpi_surprise_z", "fomc_hawkish_score", "nfp_surprise_z", "is_earnings", "is_rate_decision"]
    assert NAMES[10:14] == ["days_to_fomc_sin", "days_to_fomc_cos", "days_to_cpi_sin", "days_to_cpi_cos"]
    assert NAMES[14:17] == ["btc_log_return", "spy_log_return", "dxy_log_return"]
    assert NAMES[17:] == ["vix_level_z", "session_elapsed", "high_impact_ahead"]
    assert [one.index for one in PAST_ONLY] == [5, 6, 7, 14, 15, 16, 17]
    assert [one.index for one in KNOWN_FUTURE] == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 18, 19]


def test_nothing_known_is_all_zeros() -> None:
    assert not np.any(list(encode(encoder([])).values()))


@pytest.mark.parametrize(
    ("event", "channel"),
    [
        ("Federal Funds Rate", "is_fomc"),
        ("CPI m/m", "is_cpi"),
        ("Non-Farm Employment Change", "is_nfp"),
        ("Prelim GDP q/q", "is_gdp"),
        ("Core PCE Price Index m/m", "is_pce"),
    ],
)
def test_a_flag_is_set_on_the_bar_that_contains_the_release(event: str, channel: str) -> None:
    in_lookback, in_horizon = MONDAY + 2 * HOUR + timedelta(minutes=30), MONDAY + 8 * HOUR  # rows 2 and 8

    flags = encode(encoder([scheduled(in_lookback, event), scheduled(in_horizon, event)]))

    assert np.flatnonzero(flags[channel]).tolist() == [2, 8]
    others = {"is_fomc", "is_cpi", "is_nfp", "is_gdp", "is_pce"} - {channel}
    assert not any(any(flags[other]) for other in others)


def test_a_release_at_a_bars_close_belongs_to_the_next_bar() -> None:
    assert np.flatnonzero(encode(encoder([scheduled(MONDAY + 3 * HOUR, "CPI m/m")]))["is_cpi"]).tolist() == [3]


def test_a_daily_bar_carries_the_event_of_its_day() -> None:
    flags = encode(encoder([scheduled(MONDAY + 2 * DAY + 12.5 * HOUR, "CPI y/y")]), step=DAY)

    assert np.flatnonzero(flags["is_cpi"]).tolist() == [2]


def test_a_release_while_the_venue_is_closed_is_carried_by_the_bar_that_answers() -> None:
    # US stocks by the hour: the last bar of Tuesday closes 20:00Z, CPI comes Wednesday 12:30Z, trading opens 13:30Z.
    tuesday, wednesday = MONDAY + DAY, MONDAY + 2 * DAY
    opened = [tuesday + 18.5 * HOUR, tuesday + 19.5 * HOUR, wednesday + 13.5 * HOUR, wednesday + 14.5 * HOUR]
    closes = [tuesday + 19.5 * HOUR, tuesday + 20 * HOUR, wednesday + 14.5 * HOUR, wednesday + 15.5 * HOUR]
    what = encoder([scheduled(wednesday + 12.5 * HOUR, "CPI y/y")])

    behind = what.encode(AAPL, "1h", seconds(opened), seconds(closes), seconds([]), seconds([]), issued_at=closes[-1])
    ahead = what.encode(
        AAPL, "1h", seconds(opened[:2]), seconds(closes[:2]), seconds(opened[2:]), seconds(closes[2:]), closes[1]
    )

    assert behind[:, 1].tolist() == ahead[:, 1].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_a_release_before_the_first_bar_is_on_no_bar() -> None:
    assert not any(encode(encoder([scheduled(MONDAY - HOUR, "CPI y/y")]))["is_cpi"])


def test_any_major_central_bank_is_a_rate_decision_and_the_federal_reserve_is_both() -> None:
    flags = encode(
        encoder(
            [
                scheduled(MONDAY + 1 * HOUR, "Main Refinancing Rate", "EUR"),
                scheduled(MONDAY + 2 * HOUR, "Official Bank Rate", "GBP"),
                scheduled(MONDAY + 7 * HOUR, "FOMC Statement"),
            ]
        )
    )

    assert np.flatnonzero(flags["is_rate_decision"]).tolist() == [1, 2, 7]
    assert np.flatnonzero(flags["is_fomc"]).tolist() == [7]


def test_the_places_before_issue_win_over_a_reschedule_learnt_after_it() -> None:
    listed, moved = MONDAY + 7 * HOUR, MONDAY + 9 * HOUR
    rows = [scheduled(listed, "CPI y/y"), row(MONDAY + 6.5 * HOUR, moved, "CPI y/y", listed_at=listed)]

    assert np.flatnonzero(encode(encoder(rows))["is_cpi"]).tolist() == [7]


def test_a_reschedule_learnt_before_issue_moves_the_flag() -> None:
    listed, moved = MONDAY + 7 * HOUR, MONDAY + 9 * HOUR
    rows = [scheduled(listed, "CPI y/y"), row(MONDAY + 5.5 * HOUR, moved, "CPI y/y", listed_at=listed)]

    assert np.flatnonzero(encode(encoder(rows))["is_cpi"]).tolist() == [9]


def test_a_lookback_row_keeps_the_schedule_that_it_knew() -> None:
    # Postponed at 03:30 from 02:30 to 08:00, when the bar of the first place had closed.
    listed, moved = MONDAY + 2.5 * HOUR, MONDAY + 8 * HOUR
    rows = [scheduled(listed, "CPI y/y"), row(MONDAY + 3.5 * HOUR, moved, "CPI y/y", listed_at=listed)]

    assert np.flatnonzero(encode(encoder(rows))["is_cpi"]).tolist() == [2, 8]


def test_an_entry_taken_off_the_calendar_before_issue_is_on_no_bar() -> None:
    listed = MONDAY + 7 * HOUR
    rows = [scheduled(listed, "CPI y/y"), row(MONDAY, listed, "CPI y/y", impact=WITHDRAWN)]

    assert not any(encode(encoder(rows))["is_cpi"])


def test_an_unscheduled_meeting_is_seen_when_it_happens_and_not_before() -> None:
    happened = MONDAY + 2.5 * HOUR

    tensor = encode(encoder([row(happened, happened, "Federal Funds Rate")]))

    assert np.flatnonzero(tensor["is_fomc"]).tolist() == [2]
    assert not any(tensor["days_to_fomc_cos"])
    assert not any(tensor["high_impact_ahead"])


def surprises(values: list[float], last_at: datetime, event: str) -> list[dict[str, Any]]:
    """Monthly releases that end at `last_at`, forecast 3, with these surprises."""
    n = len(values)
    moments = [last_at - 30 * DAY * (n - 1 - at) for at in range(n)]
    return [row(at, at, event, forecast=3.0, actual=3.0 + one) for at, one in zip(moments, values, strict=True)]


@pytest.mark.parametrize(
    ("event", "channel"), [("CPI y/y", "cpi_surprise_z"), ("Non-Farm Employment Change", "nfp_surprise_z")]
)
def test_a_surprise_is_on_the_first_bar_that_closes_after_it_and_nowhere_else(event: str, channel: str) -> None:
    # σ of 0.1, -0.1, 0.1, -0.1, 0 is 0.1, so -0.15 is z = -1.5.
    rows = surprises([0.1, -0.1, 0.1, -0.1, 0.0, -0.15], MONDAY + 2.5 * HOUR, event)

    assert encode(encoder(rows))[channel] == pytest.approx([0, 0, -1.5, 0, 0, 0, 0, 0, 0, 0])


def test_a_surprise_that_reaches_us_late_is_on_the_bar_that_closes_after_that() -> None:
    rows = surprises([0.1, -0.1, 0.1, -0.1, 0.0, -0.15], MONDAY + 2.5 * HOUR, "CPI y/y")
    rows[-1]["known_at"] = MONDAY + 4 * HOUR  # the close of bar 3: too late for it

    assert np.flatnonzero(encode(encoder(rows))["cpi_surprise_z"]).tolist() == [4]


def test_a_surprise_with_fewer_than_five_before_it_is_zero_and_says_so() -> None:
    rows = surprises([0.1, -0.1, 0.1, -0.1, 5.0], MONDAY + 2.5 * HOUR, "CPI y/y")
    what = encoder(rows)

    assert not any(encode(what)["cpi_surprise_z"])
    assert what.readiness(BTC, MONDAY + 6 * HOUR)["cpi_surprise_z"] == "short"


def test_the_tone_is_the_change_of_the_rate_on_its_bar() -> None:
    decided = MONDAY + 2.5 * HOUR
    rows = [row(decided, decided, "Federal Funds Rate", actual_text="5.00%", previous_text="5.50%")]

    assert encode(encoder(rows))["fomc_hawkish_score"] == [0, 0, -1, 0, 0, 0, 0, 0, 0, 0]


def test_earnings_mark_every_bar_of_the_symbols_own_day() -> None:
    # Announced for 20:30Z on Tuesday; bars of 6 hours from Monday 00:00Z: Tuesday is rows 4 to 7.
    announced = MONDAY + DAY + 20.5 * HOUR
    what = encoder([scheduled(announced, "Apple Inc. Earnings", symbol="AAPL", impact="Low")])

    own = encode(what, step=6 * HOUR, instrument=AAPL)
    other = encode(what, step=6 * HOUR, instrument=BTC)

    assert np.flatnonzero(own["is_earnings"]).tolist() == [4, 5, 6, 7]
    assert not any(other["is_earnings"])


def test_instruments_that_no_event_tells_apart_share_a_tensor_and_the_others_have_their_own() -> None:
    rows = [scheduled(MONDAY + 3 * HOUR, "CPI m/m"), scheduled(MONDAY + 4 * HOUR, "Apple Inc. Earnings", symbol="AAPL")]
    what = encoder(rows)
    msft = SimpleNamespace(symbol="MSFT", calendar="XNYS", asset_class="equity")
    spy = SimpleNamespace(symbol="SPY", calendar="XNYS", asset_class="equity")
    fx = SimpleNamespace(symbol="EURUSD", calendar="XNYS", asset_class="forex_commodity")
    at = MONDAY + 6 * HOUR
    times = (*bars(MONDAY, 6), *bars(at, 4))

    made = {one.symbol: what.tensor_and_context(one, "1h", *times, issued_at=at) for one in (AAPL, msft, spy, fx, BTC)}

    assert made["SPY"][0] is made["MSFT"][0]
    for one in (AAPL, msft, spy, fx, BTC):
        alone = encoder(rows)
        tensor, context = made[one.symbol]
        assert tensor.tobytes() == alone.encode(one, "1h", *times, issued_at=at).tobytes()
        assert context == alone.context(one, "1h", *times, issued_at=at)
    assert made["AAPL"][1] != made["MSFT"][1]
    later = what.tensor_and_context(spy, "1h", *bars(MONDAY + HOUR, 6), *bars(at + HOUR, 4), issued_at=at + HOUR)
    assert later[0].tobytes() != made["SPY"][0].tobytes()


def test_earnings_that_move_to_another_day_leave_the_first_one() -> None:
    # Listed for Tuesday (rows 4 to 7), moved at noon on Monday to Wednesday, of which rows 8 and 9 are there.
    listed, moved = MONDAY + DAY + 20.5 * HOUR, MONDAY + 2 * DAY + 20.5 * HOUR
    named = {"event": "Apple Inc. Earnings", "symbol": "AAPL"}
    what = encoder([scheduled(listed, **named), row(MONDAY + 12 * HOUR, moved, listed_at=listed, **named)])

    assert np.flatnonzero(encode(what, step=6 * HOUR, instrument=AAPL)["is_earnings"]).tolist() == [8, 9]


@pytest.mark.parametrize(
    ("family_event", "channel"), [("Federal Funds Rate", "days_to_fomc"), ("CPI m/m", "days_to_cpi")]
)
def test_days_to_the_next_release_turn_once_in_45_days(family_event: str, channel: str) -> None:
    # Daily bars close 1 to 10 days after Monday; the release comes 15.25 days after Monday.
    tensor = encode(encoder([scheduled(MONDAY + 15.25 * DAY, family_event)]), step=DAY)

    angle = 2 * np.pi * (15.25 - np.arange(1, 11)) / 45
    assert tensor[f"{channel}_sin"] == pytest.approx(np.sin(angle), abs=1e-6)
    assert tensor[f"{channel}_cos"] == pytest.approx(np.cos(angle), abs=1e-6)


def test_days_to_are_measured_to_the_nearest_release_and_at_most_45() -> None:
    near, far = MONDAY + 2.5 * HOUR, MONDAY + 55 * DAY
    tensor = encode(encoder([scheduled(far, "CPI m/m"), scheduled(near, "CPI m/m")]))

    angle = 2 * np.pi * np.array([1.5, 0.5]) / 24 / 45
    assert tensor["days_to_cpi_sin"][:2] == pytest.approx(np.sin(angle), abs=1e-6)
    # After the near one the far one is next: 45 days at most, a whole turn.
    assert tensor["days_to_cpi_sin"][2:] == pytest.approx([0.0] * 8, abs=1e-6)
    assert tensor["days_to_cpi_cos"][2:] == pytest.approx([1.0] * 8)


def test_days_to_a_release_that_a_row_did_not_know_of_are_none() -> None:
    learnt_at = MONDAY + 3 * HOUR  # the close of bar 2
    tensor = encode(encoder([row(learnt_at, MONDAY + 10 * DAY, "CPI m/m")]))

    assert tensor["days_to_cpi_cos"][:2] == [0.0, 0.0]
    assert all(tensor["days_to_cpi_cos"][2:])


def test_leaders_show_their_own_bars_and_are_zero_past_issue() -> None:
    closes = np.array([100.0, 110.0, 99.0, 99.0, 100.0, 101.0, 500.0, 900.0])
    leader = (bars(MONDAY, 8)[1], closes)

    tensor = encode(encoder([], {"BTC": leader, "SPY": leader, "DXY": leader}))

    expected = [0.0, *np.log(closes[1:6] / closes[:5]), 0, 0, 0, 0]
    for channel in ("btc_log_return", "spy_log_return", "dxy_log_return"):
        assert tensor[channel] == pytest.approx(expected, abs=1e-7)


def test_the_level_of_the_vix_is_measured_by_its_past_and_masked_where_it_has_no_bar() -> None:
    # 20 closes 9, 11, … before Monday, then 12 at the close of bar 1, and none after.
    closes = np.array([9.0, 11.0] * 10 + [12.0])
    closed_at = seconds([*[MONDAY + at * HOUR for at in range(-19, 1)], MONDAY + 2 * HOUR])

    tensor = encode(encoder([], {"VIX": (closed_at, closes)}))

    assert tensor["vix_level_z"] == pytest.approx([0, 2 / np.sqrt(20 / 19), *[0] * 8])


def test_the_session_is_asked_at_each_bars_close() -> None:
    def elapsed(calendar: str, closed_at: np.ndarray) -> np.ndarray:
        assert calendar == "24/7"
        return (closed_at.astype(np.int64) % 86400) / 86400

    tensor = encode(encoder([], elapsed=elapsed))

    assert tensor["session_elapsed"] == pytest.approx(np.arange(1, 11) / 24)


def test_high_impact_releases_of_any_currency_in_the_24_hours_from_a_close_are_counted() -> None:
    # Daily closes at day 1, 2, …; day 2 itself is in the 24 hours from the close of row 1, not of row 0.
    rows = [
        scheduled(MONDAY + 2 * DAY, "CPI q/q", "NZD"),
        scheduled(MONDAY + 2.5 * DAY, "Cash Rate", "AUD"),
        scheduled(MONDAY + 2.6 * DAY, "GDP m/m", "CAD", impact="Medium"),
        scheduled(MONDAY + 7.5 * DAY, "CPI m/m"),
    ]

    tensor = encode(encoder(rows), step=DAY)

    assert tensor["high_impact_ahead"] == [0, 0.5, 0, 0, 0, 0, 0.25, 0, 0, 0]


def test_the_count_of_high_impact_releases_is_clipped() -> None:
    rows = [scheduled(MONDAY + 2.5 * HOUR, f"Speech {n}") for n in range(13)]

    assert encode(encoder(rows))["high_impact_ahead"][0] == 3.0


def test_past_only_channels_cannot_reach_the_horizon() -> None:
    """The part that computes them takes lookback rows alone, and gives no more rows than it took."""
    frame = vintages(surprises([0.1] * 8, MONDAY + 7.5 * HOUR, "CPI y/y"))
    opened, closes = (times.astype(np.int64) for times in bars(MONDAY, 6))

    columns = PastOnly(frame.assign(visible_at=0), {}).columns(LookbackRows(opened, closes, closes))

    assert set(columns) == {one.name for one in PAST_ONLY}
    assert {len(column) for column in columns.values()} == {6}


def test_a_release_in_the_horizon_sets_its_flag_and_no_value() -> None:
    rows = surprises([0.1, -0.1, 0.1, -0.1, 0.0, 0.2], MONDAY + 7.5 * HOUR, "CPI y/y")
    rows.append(row(MONDAY - DAY, MONDAY + 7.5 * HOUR, "CPI y/y", forecast=3.0))

    tensor = encode(encoder(rows))

    assert np.flatnonzero(tensor["is_cpi"]).tolist() == [7]
    assert not any(tensor["cpi_surprise_z"])


@pytest.mark.parametrize(
    ("opened", "closes", "target_opened", "target_closed", "issued"),
    [
        ([0, 1], [1, 3], [3], [4], 2),  # the lookback closes after the issue
        ([0, 1], [1, 2], [1], [2], 2),  # the horizon closes with it
        ([1, 0], [2, 1], [2], [3], 2),  # disorder
        ([0, 0], [1, 1], [2], [3], 2),  # twice the same bar
        ([0, 1], [1], [2], [3], 2),  # one close too few
        ([], [], [2], [3], 2),  # no lookback
    ],
)
def test_bars_that_cannot_carry_events_are_refused(
    opened: list[int], closes: list[int], target_opened: list[int], target_closed: list[int], issued: int
) -> None:
    times = [seconds([MONDAY + hour * HOUR for hour in one]) for one in (opened, closes, target_opened, target_closed)]

    with pytest.raises(BarTimesWrong, match="BTCUSDT 1h"):
        encoder([]).encode(BTC, "1h", *times, issued_at=MONDAY + issued * HOUR)


def test_an_issue_time_without_a_zone_is_refused() -> None:
    with pytest.raises(BarTimesWrong, match="time zone"):
        encoder([]).encode(BTC, "1h", *bars(MONDAY, 2), *bars(MONDAY + 2 * HOUR, 1), issued_at=datetime(2024, 6, 10))


def test_the_context_tells_what_happened_what_is_ahead_and_what_to_trust() -> None:
    rows = [
        *surprises([0.1, -0.1, 0.1, -0.1, 0.0, -0.15], MONDAY + 2.5 * HOUR, "CPI y/y"),
        row(MONDAY - DAY, MONDAY + 2.5 * HOUR, "CPI y/y"),
        scheduled(MONDAY + 8 * HOUR, "FOMC Statement"),
        scheduled(MONDAY + 9 * HOUR, "Apple Inc. Earnings", symbol="AAPL"),
        row(MONDAY + 7 * HOUR, MONDAY + 9 * HOUR, "CPI y/y"),  # learnt after issue
    ]

    context = encoder(rows).context(
        BTC, "1h", *bars(MONDAY, 6), *bars(MONDAY + 6 * HOUR, 4), issued_at=MONDAY + 6 * HOUR
    )

    assert context["events"] == {
        "channels": "events-20",
        "n_entries": 8,
        "recent": {"CPI": ["2024-06-10T02:30Z"]},
        "ahead": {"FOMC": ["2024-06-10T08:00Z"]},
        "surprises": [
            {
                "channel": "cpi_surprise_z",
                "visible_at": "2024-06-10T02:30Z",
                "value": -1.5,
                "direction": "down",
                "n_sigma": 5,
            }
        ],
        "n_sigma": {"cpi_surprise_z": 6, "nfp_surprise_z": 0},
        "readiness": {
            "ready": [0, 5, 8, 9, 10, 11, 18, 19],
            "short": [1, 12, 13],
            "missing": [2, 3, 4, 6, 7, 14, 15, 16, 17],
        },
    }


def test_readiness_tells_a_proxy_from_the_real_thing_and_a_stock_without_earnings_days() -> None:
    decided = MONDAY - DAY
    what = encoder([row(decided, decided, "Federal Funds Rate", actual=5.0, previous=5.0)])

    assert what.readiness(AAPL, MONDAY)["fomc_hawkish_score"] == "proxy"
    assert what.readiness(AAPL, MONDAY)["is_earnings"] == "missing"
    assert what.readiness(BTC, MONDAY)["is_earnings"] == "ready"


def test_a_frame_without_the_columns_says_what_it_lacks() -> None:
    from candlecast.calendar import CalendarColumnsMissing

    with pytest.raises(CalendarColumnsMissing, match="impact"):
        vintages([{"entry_id": "a", "known_at": MONDAY, "ts": MONDAY, "currency": "USD", "event": "CPI y/y"}])
    assert isinstance(vintages([]), pd.DataFrame)
