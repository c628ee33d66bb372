import numpy as np
import pytest

from candlecast.forecasts import LEVELS
from jobs.baselines.boosted import BURN_IN, Boosted, known_at_origins, training_rows
from tests.baseline_series import HOUR, MONDAY, issue, series, walk
from tests.unit.jobs.baselines.test_garch import garch_returns

HOURS = MONDAY + np.arange(500) * HOUR


# -- no look-ahead inside the lookback ------------------------------------------------------------------


@pytest.mark.parametrize("last", [BURN_IN, 100, 298])
def test_features_of_an_origin_do_not_change_when_every_later_bar_is_poisoned(last: int) -> None:
    values = np.log(walk(1, 300))
    poisoned = values.copy()
    poisoned[last + 1 :] = np.random.default_rng(2).normal(50, 20, 299 - last)
    times = HOURS[:300].copy()
    times[last + 1 :] += 7 * HOUR

    clean, spoilt = known_at_origins(values, HOURS[:300]), known_at_origins(poisoned, times)

    known = clean.at <= last
    assert known.sum() == last - BURN_IN + 1
    for name in ("scale", "features"):
        assert getattr(clean, name)[known].tobytes() == getattr(spoilt, name)[known].tobytes()
        assert not np.array_equal(getattr(clean, name)[~known], getattr(spoilt, name)[~known])


def test_targets_are_sizes_of_moves_in_sigmas_of_the_origin_and_end_with_the_lookback() -> None:
    values = np.log(walk(3, 200))
    origins = known_at_origins(values, HOURS[:200])

    rows, targets, learned = training_rows(values, origins, horizon=4)

    assert learned == [1, 2, 4]
    # 168 origins, bars 32 to 199; those whose outcome the lookback holds: 167, 166 and 164.
    assert len(rows) == len(targets) == 167 + 166 + 164
    assert targets[0] == pytest.approx(abs(values[33] - values[32]) / origins.scale[0])
    assert targets[-1] == pytest.approx(abs(values[199] - values[195]) / origins.scale[163] / 2)  # sqrt(4)
    assert rows[-1, 0] == pytest.approx(np.log(4))


def test_features_say_how_loud_it_is_what_just_happened_and_when() -> None:
    values = np.log(walk(3, 200))
    origins = known_at_origins(values, HOURS[:200])

    _, _, *last, trend, hour, weekday = origins.features[-1]

    assert (hour, weekday) == (199 % 24, 1)  # eight days and seven hours after Monday 0:00
    scale, steps = origins.scale[-1], np.abs(np.diff(values))
    assert last == pytest.approx([steps[-1] / scale, steps[-2] / scale, steps[-3] / scale])
    assert trend == pytest.approx(abs(values[199] - values[175]) / scale / np.sqrt(24))
    still = np.concatenate([values[:100], np.full(100, values[99])])
    loud = known_at_origins(still, HOURS[:200]).features[:, :2]
    # 33 bars without a move: each variance is what its decay leaves of it, and a volatility the root of that.
    assert loud[100] - loud[67] == pytest.approx([16.5 * np.log(0.8 / 0.97), 16.5 * np.log(0.97 / 0.99)])


def test_a_row_is_the_same_whether_or_not_later_bars_are_in_the_lookback() -> None:
    values = np.log(walk(5, 300))
    short, long = values[:220], values

    early, targets, _ = training_rows(short, known_at_origins(short, HOURS[:220]), horizon=8)
    late, more, _ = training_rows(long, known_at_origins(long, HOURS[:300]), horizon=8)

    n, first = 220 - BURN_IN - 1, 300 - BURN_IN - 1  # rows of one bar ahead come first
    assert n < first
    assert early[:n].tobytes() == late[:n].tobytes()
    assert targets[:n].tobytes() == more[:n].tobytes()


def test_the_scale_is_that_of_squared_returns_forgotten_by_three_percent_a_bar() -> None:
    values = np.log(walk(7, 250))
    squares = np.diff(values) ** 2
    first = squares[:32].mean()
    second = 0.97 * first + 0.03 * squares[32]

    origins = known_at_origins(values, HOURS[:250])

    assert origins.at[:2].tolist() == [32, 33]
    assert origins.scale[:2] == pytest.approx(np.sqrt([first, second]))


# -- what the trees make of it --------------------------------------------------------------------------


def test_bands_cover_what_they_claim_in_garch_worlds() -> None:
    n_worlds, horizon = 60, 24
    inside = np.zeros((n_worlds, horizon), dtype=bool)
    for world in range(n_worlds):
        closes = 100.0 * np.exp(np.cumsum(0.005 * garch_returns(world, 392 + horizon)))
        made = issue(Boosted(), series(closes[:392], horizon))
        inside[world] = (made.p10 <= closes[392:]) & (closes[392:] <= made.p90)

    assert inside.mean(axis=0)[[0, 3]] == pytest.approx([0.8, 0.8], abs=0.15)  # standard error 0.05
    assert inside.mean() == pytest.approx(0.8, abs=0.1)


def test_it_learns_at_which_hours_the_next_bar_is_loud() -> None:
    hours = np.arange(24 * 16 + 14) % 24
    sizes = np.where((hours >= 12) & (hours < 18), 4.0, 1.0)
    closes = 100.0 * np.exp(np.cumsum(0.004 * sizes * np.random.default_rng(4).standard_normal(len(hours))))

    night = issue(Boosted(), series(closes[: 24 * 16 + 3], horizon=1))
    day = issue(Boosted(), series(closes, horizon=1))

    assert np.log(day.p90 / day.p10)[0] > 1.5 * np.log(night.p90 / night.p10)[0]


def test_the_drift_of_a_lookback_is_not_taken_for_its_future() -> None:
    steps = 0.001 + 0.004 * np.random.default_rng(8).standard_normal(392)  # up by 48 % in a fortnight
    closes = 100.0 * np.exp(np.cumsum(steps))

    made, mirrored = issue(Boosted(), series(closes)), issue(Boosted(), series(1e4 / closes))

    assert (made.p50 == closes[-1]).all()
    assert mirrored.fan * closes[-1] / 1e4 == pytest.approx(made.fan / closes[-1], rel=1e-9)


def test_paths_follow_the_fan() -> None:
    made = issue(Boosted(), series(walk(2)), n_paths=4000)

    assert made.paths is not None
    below = (made.paths[:, :, None] < made.fan).mean(axis=0)
    assert below == pytest.approx(np.tile(LEVELS, (24, 1)), abs=5 * np.sqrt(0.25 / 4000))
