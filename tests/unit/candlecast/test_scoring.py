import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast.forecasts import LEVELS
from candlecast.scoring import Pairs, effective_sample, fair_crps, interval_loss, pinball_loss, score_pairs


def pairs(outcome: float, *, last: float = 100.0, scale: float = 0.01, fan: list[float] | None = None) -> Pairs:
    values = np.array(fan if fan is not None else [100.0 * np.exp(0.01 * (level - 0.5) * 4) for level in LEVELS])
    column = lambda value: np.array([value], dtype=np.float64)  # noqa: E731
    return Pairs(
        column(last),
        column(scale),
        column(values[1]),
        column(values[5]),
        column(values[9]),
        values[None],
        column(outcome),
        values[None],
        column(0.5),
    )


def test_each_quantile_pays_its_level_for_every_unit_it_fell_short() -> None:
    loss = pinball_loss(np.array([[8.0, 10.0, 13.0]]), np.array([12.0]), np.array([0.1, 0.5, 0.9]))

    assert loss[0] == pytest.approx([0.4, 1.0, 0.1])  # short by 4, short by 2, over by 1


def test_a_miss_pays_ten_times_its_distance_on_top_of_the_width() -> None:
    low, high = np.full(3, 1.0), np.full(3, 3.0)

    assert interval_loss(low, high, np.array([2.0, 0.5, 3.25])).tolist() == [2.0, 7.0, 4.5]


def test_fair_crps_of_two_paths_by_hand() -> None:
    # paths 1 and 4, outcome 2: mean distance (1 + 2) / 2, minus |1 - 4| / (2 * 1)
    assert fair_crps(np.array([[4.0, 1.0]]), np.array([2.0])).tolist() == [0.0]


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        np.float64, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=40), elements=st.floats(-50, 50)
    ),
    st.floats(-60, 60),
)
def test_fair_crps_equals_the_fair_estimator_of_scoringrules(paths: np.ndarray, outcome: float) -> None:
    outcomes = np.full(len(paths), outcome)

    ours = fair_crps(paths, outcomes)

    assert ours == pytest.approx(scoringrules.crps_ensemble(outcomes, paths, estimator="fair"), rel=1e-12, abs=1e-12)


def test_fair_crps_does_not_depend_on_the_number_of_paths_on_average() -> None:
    # A perfect forecaster of N(0, 1) pays 1 / sqrt(pi); the biased form would say 5 % more with 20 paths.
    rng = np.random.default_rng(7)
    mean = fair_crps(rng.normal(size=(200_000, 20)), rng.normal(size=200_000)).mean()

    assert mean == pytest.approx(1.0 / np.sqrt(np.pi), abs=0.004)


def test_one_path_has_no_crps() -> None:
    assert np.isnan(fair_crps(np.ones((2, 1)), np.ones(2))).all()


def test_losses_are_in_sigmas_of_log_returns() -> None:
    pair = pairs(100.0 * np.exp(0.03))  # three sigmas up; p90 is 1.6 sigmas up, p10 1.6 down

    scores = score_pairs(pair, (100.0 * np.exp(np.array([[0.01, 0.02]]))).astype(np.float32))

    assert scores.log_return[0] == pytest.approx(0.03)
    assert scores.width[0] == pytest.approx(3.2)
    assert scores.interval_score[0] == pytest.approx(3.2 + 10 * 1.4)
    assert scores.abs_error[0] == pytest.approx(3.0)
    assert scores.pinballs[0, 5] == pytest.approx(1.5)
    assert scores.crps[0] == pytest.approx(1.5 - 0.5, abs=1e-4)  # distances 2 and 1, spread 1 / 2; paths are float32
    assert (scores.inside[0], scores.below[0], scores.above[0]) == (False, False, True)


def test_the_loss_does_not_depend_on_the_unit_of_the_price() -> None:
    fan = [95.0, 96.0, 97.0, 98.0, 99.0, 101.0, 102.0, 103.0, 104.0, 105.0, 106.0]
    paths = np.array([[97.0, 101.0, 104.5]], dtype=np.float32)
    small = score_pairs(pairs(94.0, fan=fan), paths)
    large = score_pairs(pairs(94.0 * 1024, last=102_400.0, fan=[value * 1024 for value in fan]), paths * 1024)

    for name in ("log_return", "pinballs", "interval_score", "width", "abs_error", "crps"):
        assert getattr(large, name) == pytest.approx(getattr(small, name), rel=1e-12)


@pytest.mark.parametrize(
    ("p50", "outcome", "hit"),
    [(101.0, 102.0, 1), (101.0, 99.0, 0), (99.0, 98.0, 1), (100.0, 99.0, -1), (101.0, 100.0, -1)],
)
def test_a_pair_without_a_direction_is_not_counted(p50: float, outcome: float, hit: int) -> None:
    fan = [p50 - 5 + index for index in range(11)]

    assert score_pairs(pairs(outcome, fan=fan)).hit.tolist() == [hit]


@pytest.mark.parametrize("outcome", [100.0, 90.0, 110.0])
def test_a_band_of_no_width_is_scored_and_holds_its_own_value(outcome: float) -> None:
    scores = score_pairs(pairs(outcome, fan=[100.0] * 11), np.full((1, 5), 100.0, dtype=np.float32))

    assert scores.width.tolist() == [0.0]
    assert scores.inside.tolist() == [outcome == 100.0]
    assert scores.crps[0] == pytest.approx(abs(np.log(outcome / 100.0)) / 0.01)
    assert scores.interval_score[0] == pytest.approx(10 * scores.crps[0])


@pytest.mark.parametrize(
    ("outcome", "where"), [(95.0, "inside"), (105.0, "inside"), (94.99, "below"), (105.01, "above")]
)
def test_the_ends_of_the_band_belong_to_it(outcome: float, where: str) -> None:
    fan = [94.0, 95.0, 96.0, 97.0, 98.0, 100.0, 101.0, 102.0, 103.0, 105.0, 106.0]
    scores = score_pairs(pairs(outcome, fan=fan))

    assert [name for name in ("inside", "below", "above") if getattr(scores, name)[0]] == [where]


def test_below_zero_a_forecast_in_money_is_scored_in_money() -> None:
    fan = [-40.0, -39.0, -38.0, -37.5, -37.2, -37.0, -36.8, -36.5, -36.0, -35.0, -34.0]
    scores = score_pairs(pairs(-33.0, last=-37.0, scale=2.0, fan=fan))

    assert scores.log_return.tolist() == [4.0]  # dollars
    assert scores.width.tolist() == [2.0]  # 4 dollars in sigmas of 2
    assert scores.interval_score.tolist() == [2.0 + 10 * 1.0]


def test_an_outcome_below_zero_is_measured_with_the_scale_turned_into_money() -> None:
    # Issued at 20 with a sigma of 5 % (1 dollar); p90 at 21; the market closes at -37, as oil did in 2020.
    fan = [18.0, 19.0, 19.3, 19.6, 19.8, 20.0, 20.2, 20.4, 20.7, 21.0, 22.0]
    scores = score_pairs(pairs(-37.0, last=20.0, scale=0.05, fan=fan))

    assert scores.width[0] == pytest.approx(2.0)
    assert scores.interval_score[0] == pytest.approx(2.0 + 10 * 56.0)
    assert np.isfinite(scores.pinballs).all()


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_a_scale_that_is_no_volatility_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="1 of 1 pairs have a scale of 0 or a value that is not finite"):
        score_pairs(pairs(100.0, scale=scale))


@given(st.floats(1.0, 1000.0), st.floats(0.001, 0.1))
def test_the_score_of_a_pair_does_not_depend_on_its_neighbours(outcome: float, scale: float) -> None:
    alone = score_pairs(pairs(outcome, scale=scale))
    one, other = pairs(outcome, scale=scale), pairs(-3.0, last=20.0)
    both = Pairs(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in Pairs.__slots__))

    together = score_pairs(both)

    assert together.pinballs[0].tolist() == alone.pinballs[0].tolist()
    assert together.interval_score[0] == alone.interval_score[0]


def test_overlap_never_makes_a_sample_larger() -> None:
    assert effective_sample(100, 1) == 100
    assert effective_sample(1104, 24) == pytest.approx(100)
