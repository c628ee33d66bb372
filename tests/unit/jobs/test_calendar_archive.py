"""The real calendar archive, against dates that its publishers announced and numbers worked out from its strings."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candlecast.events import CHANNELS, EventEncoder
from candlecast.sessions import Sessions
from jobs.providers.calendar_files import read_calendar_file

ARCHIVE = Path(__file__).parents[4] / "shared" / "market-data" / "economic_calendar.csv.gz"
pytestmark = pytest.mark.skipif(not ARCHIVE.exists(), reason="the real market data are not beside the checkout")

HOUR = np.timedelta64(3600, "s")
BTC: Any = SimpleNamespace(symbol="BTCUSDT", calendar="24/7", asset_class="crypto")
SPY: Any = SimpleNamespace(symbol="SPY", calendar="XNYS", asset_class="equity")
AT = {one.name: one.index for one in CHANNELS}

# 2023, as announced by the Bureau of Labor Statistics and the Federal Reserve.
PAYROLLS = ["01-06", "02-03", "03-10", "04-07", "05-05", "06-02", "07-07", "08-04", "09-01", "10-06", "11-03", "12-08"]
FOMC = ["02-01", "03-22", "05-03", "06-14", "07-26", "09-20", "11-01", "12-13"]


@pytest.fixture(scope="module")
def archive() -> pd.DataFrame:
    return read_calendar_file(ARCHIVE)[0]


@pytest.fixture(scope="module")
def encoder(archive: pd.DataFrame) -> EventEncoder:
    return EventEncoder(archive, {})


def hours(since: str, until: str) -> np.ndarray:
    return np.arange(np.datetime64(since, "s"), np.datetime64(until, "s"), HOUR)


def instant(moment: np.datetime64) -> datetime:
    return pd.Timestamp(moment).tz_localize("UTC").to_pydatetime()


def encode(encoder: EventEncoder, opened: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Hourly rows without gaps: `opened` behind the issue, `ahead` past it."""
    return encoder.encode(BTC, "1h", opened, opened + HOUR, ahead, ahead + HOUR, issued_at=instant(opened[-1] + HOUR))


def new_york(days: list[str], clock: str) -> np.ndarray:
    """Days of 2023 at a New York clock time, as UTC."""
    local = pd.DatetimeIndex([f"2023-{day} {clock}" for day in days]).tz_localize("America/New_York")
    return local.tz_convert("UTC").tz_localize(None).to_numpy("datetime64[s]")


def test_every_row_of_the_archive_is_read() -> None:
    frame, report = read_calendar_file(ARCHIVE)

    assert (report.n_rows, report.n_entries, report.bad_rows) == (29_588, 29_588, ())
    # Votes, auctions (yield|cover) and two words are all that is no number.
    assert {len(text.split("-")) == 3 or "|" in text or text in ("Pass", "Reject") for text in report.no_number} == {
        True
    }
    assert set(frame["source"]) == {"archive"}


def test_payrolls_of_2023_fall_on_the_hour_of_0830_new_york(encoder: EventEncoder) -> None:
    opened = hours("2023-01-01", "2024-01-01")

    tensor = encode(encoder, opened, opened[:0])

    flagged = opened[tensor[:, AT["is_nfp"]] == 1.0]
    np.testing.assert_array_equal(flagged, new_york(PAYROLLS, "08:00"))


def test_fomc_decisions_of_2023_fall_on_the_hour_of_1400_new_york_with_their_changes(encoder: EventEncoder) -> None:
    opened = hours("2023-01-01", "2024-01-01")

    tensor = encode(encoder, opened, opened[:0])

    flagged = tensor[:, AT["is_fomc"]] == 1.0
    np.testing.assert_array_equal(opened[flagged], new_york(FOMC, "14:00"))
    # Raised by 25 in February, March, May and July; held since.
    assert tensor[flagged, AT["fomc_hawkish_score"]].tolist() == [1, 1, 1, 0, 1, 0, 0, 0]
    assert np.count_nonzero(tensor[:, AT["fomc_hawkish_score"]]) == 4


def test_payrolls_are_on_the_first_bar_of_stocks_that_open_an_hour_later(encoder: EventEncoder) -> None:
    bars = Sessions.of("XNYS").scheduled("1h", datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 6, 1, tzinfo=UTC))
    opened, closed = (np.asarray(times).astype("datetime64[s]") for times in bars)

    tensor = encoder.encode(SPY, "1h", opened, closed, opened[:0], closed[:0], issued_at=instant(closed[-1]))

    # Good Friday, 7 April: no session; Monday's first bar answers.
    answers = new_york(["03-10", "04-10", "05-05"], "09:30")
    np.testing.assert_array_equal(opened[tensor[:, AT["is_nfp"]] == 1.0], answers)


def test_the_surprise_of_a_known_cpi_is_what_its_strings_say(encoder: EventEncoder) -> None:
    # 2024-01-11: 3.4% against 3.2%. In tenths, the 20 surprises before it (2022-05 to 2023-12):
    before = [2, 3, 4, -2, 2, 1, -2, -2, 0, 2, 0, -1, -1, -1, -1, -1, 1, 1, -1, 0]
    # sum 4, sum of squares 58, so σ² = (58 - 16 / 20) / 19.
    assert (sum(before), sum(one * one for one in before), len(before)) == (4, 58, 20)
    opened = hours("2024-01-10", "2024-01-12")

    tensor = encode(encoder, opened, opened[:0])

    row = int(np.flatnonzero(opened == np.datetime64("2024-01-11T13:00:00"))[0])
    assert np.flatnonzero(tensor[:, AT["cpi_surprise_z"]]).tolist() == [row]
    assert tensor[row, AT["cpi_surprise_z"]] == pytest.approx(2 / np.sqrt((58 - 0.8) / 19))
    assert tensor[row, AT["is_cpi"]] == 1.0


def test_the_emergency_meeting_of_march_2020_was_on_no_forecasts_horizon(encoder: EventEncoder) -> None:
    behind, ahead = hours("2020-03-13", "2020-03-15T20:00"), hours("2020-03-15T20:00", "2020-03-17")

    before = encode(encoder, behind, ahead)
    after = encode(encoder, np.r_[behind, ahead[:2]], ahead[2:])

    assert not before[:, AT["is_fomc"]].any()
    assert np.flatnonzero(after[:, AT["is_fomc"]]).tolist() == [len(behind) + 1]
    assert after[len(behind) + 1, AT["fomc_hawkish_score"]] == -1.0  # from 1.25% to below 0.25%


def test_a_scheduled_release_is_on_the_horizon_of_the_week_before(encoder: EventEncoder) -> None:
    behind, ahead = hours("2023-06-01", "2023-06-10"), hours("2023-06-10", "2023-06-15")

    tensor = encode(encoder, behind, ahead)[len(behind) :]

    assert ahead[tensor[:, AT["is_cpi"]] == 1.0].tolist() == [datetime(2023, 6, 13, 12)]
    assert ahead[tensor[:, AT["is_fomc"]] == 1.0].tolist() == [datetime(2023, 6, 14, 18)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(issued=st.integers(24 * 60, 24 * 365 * 7), seed=st.integers(0, 2**16))
def test_whatever_the_archive_says_later_changes_no_tensor(archive: pd.DataFrame, issued: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    issue = np.datetime64("2018-01-01T00:00:00") + issued * HOUR
    opened, ahead = issue - np.arange(392, 0, -1) * HOUR, issue + np.arange(120) * HOUR
    leader_closed = issue + np.arange(-600, 200) * HOUR
    closes = np.exp(np.cumsum(rng.normal(0, 0.01, 800)))
    near = archive[(archive["ts"] - pd.Timestamp(instant(issue))).abs() < pd.Timedelta(days=1200)]
    later = near["known_at"] > pd.Timestamp(instant(issue))
    moved = pd.to_timedelta(rng.integers(-90, 90, len(near)) * 3600, unit="s")
    poison = near.assign(
        **dict.fromkeys(("forecast", "previous", "actual"), 1e9), ts=(near["ts"] + moved).astype("datetime64[us, UTC]")
    )

    def tensor(frame: pd.DataFrame, close: np.ndarray) -> np.ndarray:
        leaders = dict.fromkeys(("BTC", "SPY", "DXY", "VIX"), (leader_closed, close))
        return encode(EventEncoder(frame, leaders), opened, ahead)

    clean = tensor(near, closes)
    dirty = tensor(near.where(~later, poison), np.where(leader_closed > issue, 1e9, closes))

    assert clean.any()
    assert clean.tobytes() == dirty.tobytes()


def test_the_horizon_of_a_long_range_is_ready_but_for_what_no_archive_tells(encoder: EventEncoder) -> None:
    states = encoder.readiness(SPY, datetime(2025, 5, 1, tzinfo=UTC) - timedelta(days=30))

    assert [name for name, state in states.items() if state == "proxy"] == ["fomc_hawkish_score"]
    assert [name for name, state in states.items() if state == "missing"] == [
        "is_earnings",
        "btc_log_return",
        "spy_log_return",
        "dxy_log_return",
        "vix_level_z",
    ]
