"""Leaders beside a row: what closed within it, never what is still forming, never what closed long ago."""

import numpy as np
import pytest

from candlecast.leaders import LeaderBars, level_z, log_returns

HOUR = 3600


def hourly(closes: list[float], first_close_h: int = 1) -> LeaderBars:
    closed = (np.arange(len(closes)) + first_close_h) * HOUR
    return LeaderBars.of(closed.astype("datetime64[s]"), np.array(closes))


def hours(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64) * HOUR


def test_a_row_shows_the_return_of_the_bar_that_closed_with_it() -> None:
    returns = log_returns(hourly([100.0, 110.0, 99.0]))

    shown = returns.closing_within(hours(0, 1, 2), hours(1, 2, 3))

    assert shown == pytest.approx([0.0, np.log(1.1), np.log(0.9)])


def test_a_bar_that_is_still_forming_is_not_seen() -> None:
    returns = log_returns(hourly([100.0, 110.0, 99.0]))

    # Rows that close half an hour before the leader's bars do: each sees the bar before.
    shown = returns.closing_within(hours(1, 2) + HOUR // 2, hours(2, 3) + HOUR // 2)

    assert shown == pytest.approx([np.log(1.1), np.log(0.9)])


def test_while_the_leader_is_closed_the_row_is_zero_and_nothing_is_carried_forward() -> None:
    returns = log_returns(hourly([100.0, 110.0]))

    assert returns.closing_within(hours(2, 3, 50), hours(3, 4, 51)).tolist() == [0.0, 0.0, 0.0]


def test_a_close_at_a_rows_opening_belongs_to_the_row_before() -> None:
    returns = log_returns(hourly([100.0, 110.0]))

    assert returns.closing_within(hours(2), hours(3)).tolist() == [0.0]
    assert returns.closing_within(hours(1), hours(2))[0] != 0.0


def test_a_return_over_an_outage_or_a_price_below_zero_is_no_return() -> None:
    closed = np.array([1, 2, 3, 4, 4 + 24 * 6, 5 + 24 * 6]) * HOUR
    bars = LeaderBars.of(closed.astype("datetime64[s]"), np.array([10.0, -1.0, 10.0, 20.0, 30.0, 60.0]))

    assert log_returns(bars).value == pytest.approx([0, 0, 0, np.log(2), 0, np.log(2)])


def test_bars_out_of_order_twice_or_not_a_number_do_no_harm() -> None:
    closed = np.array([3, 1, 2, 2, 4]) * HOUR
    bars = LeaderBars.of(closed.astype("datetime64[s]"), np.array([30.0, 10.0, 20.0, 99.0, np.nan]))

    assert bars.closed.tolist() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert bars.value.tolist() == [10.0, 20.0, 30.0]


def test_a_level_is_measured_by_the_closes_before_it() -> None:
    # 20 closes 9, 11, 9, 11, …: mean 10, (n - 1) deviation sqrt(20 / 19). A close of 12 lies 2 above the mean.
    z = level_z(hourly([9.0, 11.0] * 10 + [12.0]))

    assert z.value[:20].tolist() == [0.0] * 20
    assert z.value[20] == pytest.approx(2.0 / np.sqrt(20 / 19))


def test_a_level_is_measured_by_no_more_than_252_closes() -> None:
    steady = [9.0, 11.0] * 126  # 252 closes
    expected = 2.0 / np.sqrt(252 / 251)

    assert level_z(hourly([*steady, 12.0])).value[-1] == pytest.approx(expected)
    assert level_z(hourly([500.0] * 40 + [*steady, 12.0])).value[-1] == pytest.approx(expected)


def test_a_level_after_equal_ones_is_zero_and_a_spike_is_bounded() -> None:
    assert level_z(hourly([15.0] * 30 + [80.0])).value[-1] == 0.0
    assert level_z(hourly([15.0, 15.1] * 15 + [80.0])).value[-1] == 10.0


@pytest.mark.parametrize("channel", [log_returns, level_z])
def test_no_leader_is_zero(channel) -> None:
    assert channel(None).closing_within(hours(0), hours(1)).tolist() == [0.0]
    assert channel(hourly([])).closing_within(hours(0), hours(1)).tolist() == [0.0]
