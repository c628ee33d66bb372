"""A forecast hangs on its own series alone: on no neighbour, no order, no other origin, nothing asked before."""

from dataclasses import fields

import numpy as np
import pytest

from candlecast.baselines import RandomWalk
from candlecast.forecasts import CLOSE, Forecaster
from jobs.baselines import baseline
from tests.leaks.series import ask, assert_alone, assert_blind, assert_no_memory, series, some
from tests.leaks.test_reading import plain_scale

LOOKBACK = {"rw": 100, "hourweek": 200, "snaive": 200, "garch": 230, "lgbm": 240}


@pytest.fixture(params=LOOKBACK)
def named(request: pytest.FixtureRequest) -> tuple[Forecaster, int]:
    return baseline(request.param), LOOKBACK[request.param]


def test_a_baseline_does_not_notice_its_neighbours(named: tuple[Forecaster, int]) -> None:
    forecaster, lookback = named
    assert_alone(forecaster, lookback, 6, 3)


@pytest.mark.parametrize("name", LOOKBACK)
def test_a_baseline_remembers_no_other_origin(name: str) -> None:
    assert_no_memory(lambda: baseline(name), LOOKBACK[name], 6, 3)


def test_a_baseline_reads_no_value_past_the_issue(named: tuple[Forecaster, int]) -> None:
    forecaster, lookback = named
    assert_blind(forecaster, lookback, 3, 2)


def test_the_walk_uses_the_volatility_expected_before_each_return() -> None:
    """The fan of one step, from residuals that were each divided by the volatility of all bars before."""
    one = some(150, 2)[0]
    close = one.ohlcv[:, CLOSE]
    moves = np.diff(np.log(close))
    variance, before = float(np.mean(moves**2)), []
    for move in moves:
        before.append(variance)
        variance = 0.97 * variance + 0.03 * move * move
    sizes = np.sort(np.abs(moves / np.sqrt(before)))
    upper = np.quantile(sizes, [0.2, 0.4, 0.6, 0.8, 0.9], method="weibull") * plain_scale(close)

    fan = ask(RandomWalk(), [one], 2)[0].fan[0]  # type: ignore[union-attr]

    assert np.log(fan[6:] / close[-1]) == pytest.approx(upper, rel=1e-9)
    assert np.log(fan[:5] / close[-1]) == pytest.approx(-upper[::-1], rel=1e-9)


def test_boosted_trees_learn_from_outcomes_inside_the_lookback_only() -> None:
    """Features of an origin do not change when the bars after it go; each target is the move of the bars it names."""
    from jobs.baselines.boosted import HORIZONS, known_at_origins, training_rows

    one = series("BTCUSDT", 900, 240, 6)
    values = np.log(one.ohlcv[:, CLOSE])
    whole = known_at_origins(values, one.opened_at)
    for end in (150, 200, 239):
        cut = known_at_origins(values[:end], one.opened_at[:end])
        n = len(cut.at)
        for one_of in fields(cut):
            assert np.array_equal(getattr(cut, one_of.name), getattr(whole, one_of.name)[:n]), one_of.name
    targets, learned = training_rows(values, whole, 6)[1:]
    assert learned == [h for h in HORIZONS if h <= 6]
    wanted = [
        abs(values[at + h] - values[at]) / (scale * h**0.5)
        for h in learned
        for at, scale in zip(whole.at, whole.scale, strict=True)
        if at + h < len(values)
    ]
    assert np.abs(targets) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", ["rw", "hourweek", "snaive"])
def test_a_baseline_has_no_skill_where_there_is_none(name: str) -> None:
    """Placebo: independent returns, so a correct band of 80 % holds the next close in about 80 of 100 cases."""
    lookback, forecaster = LOOKBACK[name], baseline(name)
    asked = [series("BTCUSDT", end, lookback, 1) for end in range(300, 2300, 10)]
    truth = [series("BTCUSDT", end + 1, 2, 1).last_close for end in range(300, 2300, 10)]
    # A hole in the bars makes the next one more than an hour away; those few do not matter here.
    fans = np.array([one.fan[0] for one in ask(forecaster, asked, 1, 0)])  # type: ignore[union-attr]
    inside = (fans[:, 1] <= truth) & (truth <= fans[:, 9])

    assert 0.715 < inside.mean() < 0.885
    sign = np.sign(fans[:, 5] - [one.last_close for one in asked])
    moved = np.sign(np.array(truth) - [one.last_close for one in asked])
    assert abs(np.mean(sign * moved)) < 0.22  # 3 standard deviations of 200 coins
