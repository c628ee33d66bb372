import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from candlecast.portfolio import Bars, Signals, calendar_time

HOUR = 3600


def ints(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def bars_of(closes: dict[int, float], series: int = 0) -> Bars:
    hours = sorted(closes)
    return Bars(
        np.full(len(hours), series, dtype=np.int64),
        ints([hour * HOUR for hour in hours]),
        np.array([closes[hour] for hour in hours]),
    )


def signals_of(*held: tuple[int, int, int]) -> Signals:
    issued, target, direction = zip(*held, strict=True)
    return Signals(
        np.zeros(len(held), dtype=np.int64),
        ints([hour * HOUR for hour in issued]),
        ints([hour * HOUR for hour in target]),
        np.array(direction),
        ints([0]),
    )


def test_six_bars_with_signals_of_two_steps_by_hand() -> None:
    # ln closes: 0, 1, 3, 2, 2, 6 at hours 0 to 5, so returns are +1, +2, -1, 0, +4 on bars 1 to 5.
    bars = bars_of({hour: float(np.exp(log)) for hour, log in enumerate([0, 1, 3, 2, 2, 6])})
    # Issued at 0: up; at 1: up; at 2: down; at 3: flat. Each is held for two bars.
    returns = calendar_time(signals_of((0, 2, 1), (1, 3, 1), (2, 4, -1), (3, 5, 0)), bars).returns

    # bar 1: {+}; bar 2: {+, +}; bar 3: {+, -}; bar 4: {-, 0}; bar 5: {0}
    assert (returns.closed_at // HOUR).tolist() == [1, 2, 3, 4, 5]
    assert returns.value == pytest.approx([1.0, 2.0, 0.0, 0.0, 0.0])


def test_a_bar_without_a_live_signal_has_no_return_rather_than_zero() -> None:
    bars = bars_of({hour: 100.0 + hour for hour in range(8)})

    returns = calendar_time(signals_of((0, 1, 1), (5, 6, -1)), bars).returns

    assert (returns.closed_at // HOUR).tolist() == [1, 6]


def test_a_hole_lengthens_one_return_and_shifts_none() -> None:
    # Hour 2 is missing: the bar at 3 carries the move from 1 to 3.
    bars = bars_of({0: 1.0, 1: 2.0, 3: 8.0, 4: 16.0})

    returns = calendar_time(signals_of((0, 4, 1), (1, 2, -1)), bars).returns

    # The signal of hour 1 ended inside the hole, before a return that it was held for was complete.
    assert (returns.closed_at // HOUR).tolist() == [1, 3, 4]
    assert returns.value == pytest.approx([np.log(2), np.log(4), np.log(2)])


def test_the_first_bar_and_prices_below_zero_have_no_return() -> None:
    bars = bars_of({1: 10.0, 2: -5.0, 3: 10.0, 4: 20.0})

    returns = calendar_time(signals_of((0, 4, 1)), bars).returns

    assert (returns.closed_at // HOUR).tolist() == [4]


def test_nothing_held_gives_nothing() -> None:
    nothing = Signals(ints([]), ints([]), ints([]), ints([]), ints([0]))

    found = calendar_time(nothing, bars_of({0: 1.0, 1: 2.0}))

    assert len(found.returns.value) == len(found.turnover.value) == 0


@settings(deadline=None)
@given(st.data())
def test_many_portfolios_at_once_equal_each_one_bar_by_bar(data: st.DataObject) -> None:
    n_series = data.draw(st.integers(1, 3))
    hours = [sorted(data.draw(st.sets(st.integers(0, 15), min_size=1, max_size=12))) for _ in range(n_series)]
    closes = [[data.draw(st.integers(1, 9)) for _ in of_one] for of_one in hours]
    n_portfolios = data.draw(st.integers(1, 4))
    series_of = [data.draw(st.integers(0, n_series - 1)) for _ in range(n_portfolios)]
    held = data.draw(
        st.lists(
            st.tuples(st.integers(0, n_portfolios - 1), st.integers(0, 15), st.integers(1, 5), st.integers(-1, 1)),
            max_size=25,
        )
    )
    expected, traded = [], []
    for portfolio, series in enumerate(series_of):
        before = 0.0
        for index in range(1, len(hours[series])):
            opened, closed = hours[series][index - 1], hours[series][index]
            live = [
                sign for of, issue, span, sign in held if of == portfolio and issue <= opened and closed <= issue + span
            ]
            if live:
                change = np.log(closes[series][index] / closes[series][index - 1])
                expected.append((portfolio, closed * HOUR, sum(live) / len(live) * change))
            position = sum(live) / len(live) if live else 0.0
            if position != before:
                traded.append((portfolio, closed * HOUR, abs(position - before)))
            before = position

    whole = calendar_time(
        Signals(
            ints([one[0] for one in held]),
            ints([one[1] * HOUR for one in held]),
            ints([(one[1] + one[2]) * HOUR for one in held]),
            ints([one[3] for one in held]),
            ints(series_of),
        ),
        Bars(
            ints([series for series, of_one in enumerate(hours) for _ in of_one]),
            ints([hour * HOUR for of_one in hours for hour in of_one]),
            np.array([float(close) for of_one in closes for close in of_one]),
        ),
    )

    for found, wanted in ((whole.returns, expected), (whole.turnover, traded)):
        assert list(zip(found.portfolio.tolist(), found.closed_at.tolist(), strict=True)) == [one[:2] for one in wanted]
        assert found.value == pytest.approx([one[2] for one in wanted], abs=1e-12)


def test_turnover_is_what_the_position_changes_by_at_each_bar() -> None:
    # The signals of the first test: the position is 1, 1, 0, -1/2, 0 over bars 1 to 5, and nothing before and after.
    bars = bars_of(dict.fromkeys(range(8), 100.0))

    turnover = calendar_time(signals_of((0, 2, 1), (1, 3, 1), (2, 4, -1), (3, 5, 0)), bars).turnover

    assert (turnover.closed_at // HOUR).tolist() == [1, 3, 4, 5]
    assert turnover.value.tolist() == [1.0, 1.0, 0.5, 0.5]


def test_the_last_signal_is_closed_on_the_bar_after_and_a_reversal_costs_twice() -> None:
    bars = bars_of(dict.fromkeys(range(6), 100.0))

    turnover = calendar_time(signals_of((0, 1, 1), (1, 2, -1)), bars).turnover

    assert (turnover.closed_at // HOUR).tolist() == [1, 2, 3]
    assert turnover.value.tolist() == [1.0, 2.0, 1.0]


def test_a_position_that_is_held_trades_nothing() -> None:
    bars = bars_of(dict.fromkeys(range(12), 100.0))

    turnover = calendar_time(signals_of(*((hour, hour + 4, 1) for hour in range(8))), bars).turnover

    assert turnover.closed_at.tolist() == [HOUR]  # and the last signal ends with the bars
