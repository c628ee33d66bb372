from dataclasses import replace

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

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


def served(pair: Pairs, factor: float) -> Pairs:
    """The same pair, served with every distance from the median (in log price) times `factor`."""
    calibrated = pair.p50[:, None] * (pair.fan / pair.p50[:, None]) ** factor
    return replace(pair, p10=calibrated[:, 1], p50=calibrated[:, 5], p90=calibrated[:, 9], calibrated=calibrated)


def test_the_band_that_was_served_is_scored_beside_the_one_of_the_model() -> None:
    pair = pairs(100.0 * np.exp(0.02))  # two sigmas up; the model's band reaches 1.6 sigmas each way

    scores = score_pairs(served(pair, 2.0))

    assert (scores.raw_inside[0], scores.raw_below[0], scores.raw_above[0]) == (False, False, True)
    assert (scores.inside[0], scores.below[0], scores.above[0]) == (True, False, False)
    assert (scores.raw_width[0], scores.width[0]) == pytest.approx((3.2, 6.4))
    assert (scores.raw_interval_score[0], scores.interval_score[0]) == pytest.approx((3.2 + 10 * 0.4, 6.4))
    # p60 is 0.4 sigmas up as the model gave it, 0.8 as served: short by 1.6 and 1.2
    assert (scores.pinballs[0, 6], scores.calibrated_pinballs[0, 6]) == pytest.approx((0.6 * 1.6, 0.6 * 1.2))
    assert scores.z[0] == pytest.approx(2.0)


def test_the_paths_as_served_have_a_crps_a_rank_and_a_chance_of_a_rise_of_their_own() -> None:
    pair = served(pairs(100.0 * np.exp(0.02)), 2.0)
    # In sigmas -1, 0.5, 1.5 as the model gave them; twice that as served.
    raw, moved = (100.0 * np.exp(0.01 * factor * np.array([[-1.0, 0.5, 1.5]])) for factor in (1.0, 2.0))

    scores = score_pairs(pair, raw.astype(np.float32), moved.astype(np.float32))

    # mean distance to 2: (3 + 1.5 + 0.5) / 3, spread (1.5 + 2.5 + 1) / 6; served (4 + 1 + 1) / 3 and twice the spread
    assert scores.crps[0] == pytest.approx(5 / 3 - 5 / 6, abs=1e-4)
    assert scores.calibrated_crps[0] == pytest.approx(2 - 10 / 6, abs=1e-4)
    assert (scores.pit[0], scores.calibrated_pit[0]) == pytest.approx((3.5 / 4, 2.5 / 4))
    assert (scores.p_up[0], scores.brier[0]) == pytest.approx((2 / 3, 1 / 9))


def test_what_was_not_corrected_was_served_as_the_model_gave_it() -> None:
    rng = np.random.default_rng(0)
    paths = (100.0 * np.exp(0.01 * rng.normal(size=(1, 30)))).astype(np.float32)

    scores = score_pairs(pairs(101.0), paths)

    for name in ("crps", "pit", "p_up", "brier", "pinballs"):
        assert getattr(scores, f"calibrated_{name}").tolist() == getattr(scores, name).tolist()
    for name in ("inside", "below", "above", "interval_score", "width"):
        assert getattr(scores, f"raw_{name}").tolist() == getattr(scores, name).tolist()


def test_corrected_pairs_among_others_are_scored_as_alone() -> None:
    rng = np.random.default_rng(1)
    plain, wide = pairs(101.0), served(pairs(98.0), 1.5)
    raw = (100.0 * np.exp(0.01 * rng.normal(size=(3, 20)))).astype(np.float32)
    moved = (100.0 * (raw[1:2] / 100.0) ** 1.5).astype(np.float32)
    mixed = Pairs(*(np.concatenate([getattr(one, name) for one in (plain, wide, plain)]) for name in Pairs.__slots__))

    together = score_pairs(mixed, raw, moved)

    alone = score_pairs(plain, raw[:1]), score_pairs(wide, raw[1:2], moved), score_pairs(plain, raw[2:])
    for name in ("crps", "calibrated_crps", "pit", "calibrated_pit", "p_up", "calibrated_brier"):
        assert getattr(together, name) == pytest.approx([getattr(one, name)[0] for one in alone], rel=1e-12)


def test_paths_of_corrected_pairs_are_asked_for() -> None:
    with pytest.raises(ValueError, match="1 pairs were corrected; their paths are needed"):
        score_pairs(served(pairs(101.0), 2.0), np.full((1, 5), 100.0, dtype=np.float32))


def test_a_rise_is_scored_by_brier_and_no_move_is_not() -> None:
    # Without paths: p50 lies at the last close, so the chance of a rise is one half.
    scores = [score_pairs(pairs(outcome)) for outcome in (101.0, 99.0, 100.0)]

    assert [float(one.p_up[0]) for one in scores] == pytest.approx([0.5, 0.5, 0.5])
    assert [float(one.brier[0]) for one in scores] == pytest.approx([0.25, 0.25, np.nan], nan_ok=True)


def test_a_forecaster_that_is_right_has_uniform_ranks_and_one_too_narrow_has_not() -> None:
    rng = np.random.default_rng(4)
    n, m = 5000, 20
    z = rng.normal(size=n)
    one = pairs(100.0)
    many = Pairs(*(np.repeat(getattr(one, name), n, axis=0) for name in Pairs.__slots__))
    many = replace(many, outcome=100.0 * np.exp(0.01 * z), v=rng.random(n))

    def ranks(spread: float) -> np.ndarray:
        return score_pairs(many, (100.0 * np.exp(0.01 * spread * rng.normal(size=(n, m)))).astype(np.float32)).pit

    assert stats.kstest(ranks(1.0), "uniform").pvalue > 1e-3
    assert stats.kstest(ranks(0.8), "uniform").pvalue < 1e-6


def test_overlap_shrinks_with_the_distance_between_issues() -> None:
    assert effective_sample(100, 24, spacing_bars=4.0) == pytest.approx(100 / (0.46 * 24 / 4))
    assert effective_sample(100, 24, spacing_bars=24.0) == 100
    assert effective_sample(100, 24, spacing_bars=0.5) == effective_sample(100, 24)
