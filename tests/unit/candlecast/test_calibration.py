import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast import scoring
from candlecast.calibration import Correction, Labels, Tracker, corrected, corrected_paths, leak_alarm, replay, tracker
from candlecast.scoring import SCORED_STEPS

STEPS = SCORED_STEPS["1h"]
CLASS_OF = {"BTC": "crypto", "ETH": "crypto", "SPY": "equity"}
HOUR = np.timedelta64(3600, "s")
SETTLE = np.timedelta64(10, "s")
START = np.datetime64("2024-07-01T00:00:00", "s")
OFFSETS = np.array([-3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])  # distances of a fan, in per cent
P10, P50, P90 = 1, 5, 9


def fan_of(n: int, middle: float = 100.0) -> np.ndarray:
    return np.tile(middle * np.exp(0.01 * OFFSETS), (n, 1))


def labels(
    moves: list[float] | np.ndarray, symbol: str = "BTC", step: int = 1, every: int = 1, start: np.datetime64 = START
) -> Labels:
    """One forecast every `every` hours, and outcomes that lie `moves` per cent from its median."""
    n = len(moves)
    issued_at = start + np.arange(n) * every * HOUR
    return Labels(
        symbol=np.full(n, symbol),
        step=np.full(n, step),
        issued_at=issued_at,
        known_at=issued_at + step * HOUR + SETTLE,
        last_close=np.full(n, 100.0),
        fan=fan_of(n),
        outcome=100.0 * np.exp(0.01 * np.asarray(moves)),
    )


def joined(*parts: Labels) -> Labels:
    return Labels(*(np.concatenate([getattr(one, name) for one in parts]) for name in Labels.__slots__))


def correction(factors: list[float], steps: tuple[int, ...] = (1,)) -> Correction:
    return Correction(steps, np.array(factors, dtype=float).reshape(len(steps), -1), np.full(len(steps), 99.0))


def world(n: int, width: float, symbol: str = "BTC", seed: int = 0, every: int = 1) -> Labels:
    """Normal moves of which one in ten falls beyond `width` times p90, which is at 2 %."""
    return labels(np.random.default_rng(seed).normal(0.0, width * 2.0 / 1.2816, n), symbol, every=every)


def learned(*parts: Labels) -> Tracker:
    one = Tracker("1h", STEPS, CLASS_OF)
    one.learn(joined(*parts))
    return one


def factor(one: Tracker, level: int, symbol: str = "BTC", step: int = 1) -> float:
    return float(one.correction(symbol).factors[STEPS.index(step), level])


# Fans and paths


def test_distances_from_the_median_are_multiplied_in_log_price() -> None:
    twice_above = correction([1.0] * 6 + [2.0] * 5)

    moved = corrected(fan_of(1), 100.0, twice_above)

    assert moved[0, :6].tolist() == fan_of(1)[0, :6].tolist()
    assert moved[0, 6:] == pytest.approx(100.0 * np.exp(0.02 * OFFSETS[6:]))


def test_prices_that_are_not_all_positive_are_moved_as_differences() -> None:
    fan = np.array([[-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])

    moved = corrected(fan, -1.0, correction([2.0] * 5 + [1.0] + [0.5] * 5))

    assert moved[0].tolist() == [-9.0, -7.0, -5.0, -3.0, -1.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]


def test_a_fan_that_is_not_corrected_is_served_bit_for_bit() -> None:
    fan = np.sort(np.random.default_rng(1).lognormal(3.0, 0.5, (50, 11)), axis=1)

    assert corrected(fan, 20.0, correction([1.0] * 11)).tobytes() == fan.tobytes()


def test_the_band_gets_its_factor_and_its_neighbours_give_way() -> None:
    # 60 to 80 % would be put at 1, 2, 3 times 4, beyond p90 at 2 * 1; 95 % would come to 3 * 0.5
    wanted = correction([1.0] * 6 + [4.0, 4.0, 4.0, 1.0, 0.5])

    moved = 100.0 * np.log(corrected(fan_of(1), 100.0, wanted)[0] / 100.0)

    assert moved[6:] == pytest.approx([2.0, 2.0, 2.0, 2.0, 2.0])


@given(
    hnp.arrays(np.float64, (3, 11), elements=st.floats(-1e6, 1e6)),
    hnp.arrays(np.float64, 11, elements=st.floats(0.5, 4.0)),
)
def test_a_corrected_fan_rises_along_its_levels_and_keeps_its_median(values: np.ndarray, factors: np.ndarray) -> None:
    fan, factors = np.sort(values, axis=1), factors.copy()
    factors[P50] = 1.0

    moved = corrected(fan, float(fan[0, P50]), correction(factors.tolist()))

    assert np.isfinite(moved).all()
    assert (np.diff(moved, axis=1) >= 0.0).all()
    assert moved[:, P50].tolist() == fan[:, P50].tolist()


def test_a_fan_at_the_end_of_the_number_line_stays_finite() -> None:
    fan = np.array([[1e-300] * 3 + [1.0] * 5 + [1e300] * 3, [-1e308] * 5 + [0.0] + [1e308] * 5])

    moved = corrected(fan, 1.0, correction([4.0] * 5 + [1.0] + [4.0] * 5))

    assert np.isfinite(moved).all()
    assert (np.diff(moved, axis=1) >= 0.0).all()


def test_between_anchors_factors_are_interpolated_in_the_logarithm_of_the_step() -> None:
    two = Correction((2, 8), np.array([[1.0] * 11, [4.0] * 11]), np.zeros(2))

    along = two.along(np.array([1, 2, 4, 8, 100]))

    assert along[:, P90] == pytest.approx([1.0, 1.0, 2.0, 4.0, 4.0])  # 4 is halfway from 2 to 8


def test_a_correction_comes_back_from_json_bit_for_bit() -> None:
    one = Correction((1, 4), np.random.default_rng(2).uniform(0.5, 4.0, (2, 11)), np.array([0.1, 1 / 3]))

    again = Correction.from_json(json.loads(json.dumps(one.to_json())))

    assert again.steps == one.steps
    assert again.factors.tobytes() == one.factors.tobytes()
    assert again.n_eff.tobytes() == one.n_eff.tobytes()


def test_paths_move_as_their_fan_did() -> None:
    fan = fan_of(2)
    moved_fan = np.stack([corrected(fan, 100.0, correction([2.0] * 5 + [1.0] + [3.0] * 5))[0], fan[1]])
    # on a level, between two levels, beyond the last one, below the first one
    paths = 100.0 * np.exp(0.01 * np.array([[2.0, 2.0], [1.25, 1.25], [4.0, 4.0], [-5.0, -5.0]]))

    moved = corrected_paths(paths, fan, moved_fan)

    assert 100.0 * np.log(moved[:, 0] / 100.0) == pytest.approx([6.0, 3.75, 12.0, -10.0])
    assert moved[:, 1].tolist() == paths[:, 1].tolist()


@given(hnp.arrays(np.float64, (20, 1), elements=st.floats(50.0, 200.0)), st.floats(0.5, 4.0), st.floats(0.5, 4.0))
def test_moved_paths_keep_their_ranks(paths: np.ndarray, low: float, high: float) -> None:
    fan = fan_of(1)

    moved = corrected_paths(paths, fan, corrected(fan, 100.0, correction([low] * 5 + [1.0] + [high] * 5)))

    assert (np.diff(moved[np.argsort(paths[:, 0]), 0]) >= -1e-9).all()


# Learning


def test_one_miss_moves_both_sides_by_the_gain_of_its_error() -> None:
    one = learned(labels([2.5]))

    # p90 missed: error 0.9 above and -0.1 below, so the width gets 0.8 gains, the tilt 0.2 gains of 1.0. The first gain
    # would be 5 / 10 and is held at 0.15.
    assert np.log(factor(one, P90)) == pytest.approx(0.15 * (0.8 + 0.2))
    assert np.log(factor(one, P10)) == pytest.approx(0.15 * (0.8 - 0.2))


def test_the_gain_falls_with_what_was_learned_and_stays_above_its_floor() -> None:
    calm = [0.0] * 3000
    before, after = learned(labels(calm)), learned(labels([*calm, 2.5]))

    # 5 / (3000 + 10) is under the floor of 0.0025; the width is at its lower bound of 0.5 by then
    assert np.log(factor(after, P90) / factor(before, P90)) == pytest.approx(0.0025 * (0.8 + 0.2), rel=0.05)


def test_a_band_of_half_the_width_is_doubled_and_then_holds_what_it_should() -> None:
    one = learned(world(4000, width=2.0))

    assert factor(one, P10) == pytest.approx(2.0, rel=0.1)
    assert factor(one, P90) == pytest.approx(2.0, rel=0.1)


def test_a_band_that_misses_on_one_side_is_corrected_on_that_side() -> None:
    rng = np.random.default_rng(3)
    moves = rng.normal(0.0, 2.0 / 1.2816, 6000)
    one = learned(labels(np.where(moves > 0.0, 2.0 * moves, moves)))

    assert factor(one, P90) > 1.25 * factor(one, P10)


def test_a_band_is_widened_and_never_narrowed_before_thirty_independent_outcomes() -> None:
    outcomes = world(29, width=0.1)
    few, more = learned(outcomes), learned(world(60, width=0.1))

    assert few.correction("BTC").n_eff[0] == 29.0
    assert (few.correction("BTC").factors[0] == 1.0).all()
    assert factor(more, P10) < 1.0
    assert factor(more, P90) < 1.0


def test_overlapping_outcomes_count_for_less() -> None:
    n_eff = learned(labels([0.0] * 240, step=24)).correction("BTC").n_eff[STEPS.index(24)]

    assert n_eff == pytest.approx(240 / (0.46 * 24), rel=0.02)
    assert scoring.OVERLAP_PER_STEP == tracker.OVERLAP_PER_STEP


def test_outcomes_that_do_not_overlap_count_in_full() -> None:
    n_eff = learned(labels([0.0] * 50, step=24, every=24)).correction("BTC").n_eff[STEPS.index(24)]

    assert n_eff == pytest.approx(50.0, rel=0.02)


def test_two_months_of_a_forecast_a_day_teach_nearly_what_one_every_hour_does() -> None:
    hourly = learned(world(60 * 24, width=2.0, seed=4))
    daily = [learned(world(60, width=2.0, seed=seed, every=24)) for seed in range(5, 15)]

    logs = [np.log(factor(one, P90)) for one in daily]
    assert np.mean(logs) == pytest.approx(np.log(factor(hourly, P90)), rel=0.3)


def test_an_outcome_that_stands_for_days_still_is_one_outcome() -> None:
    """Three weeks between issues: the second outcome, beyond p90, may not change the band as a hundred would."""
    two = learned(labels([0.0, 2.5], every=500))

    assert factor(two, P90) < 1.2


def test_factors_are_clamped() -> None:
    wide = learned(labels(np.tile([-90.0, 90.0], 2000)))
    narrow = learned(labels(np.zeros(4000)))

    assert wide.correction("BTC").factors[0, [P10, P90]] == pytest.approx([4.0, 4.0], rel=0.01)
    assert narrow.correction("BTC").factors[0, [P10, P90]] == pytest.approx([0.5, 0.5], rel=0.01)


def test_a_symbol_without_outcomes_starts_with_the_factors_of_its_class() -> None:
    one = learned(world(3000, width=2.0))

    assert factor(one, P90, "ETH") == pytest.approx(factor(one, P90, "BTC"), rel=0.05)
    assert factor(one, P90, "SPY") == 1.0


def test_a_symbol_keeps_apart_from_its_class_as_its_outcomes_ask() -> None:
    one = learned(world(4000, 2.5, "BTC", seed=6), world(4000, 1.4, "ETH", seed=7))

    assert factor(one, P90, "BTC") > 1.15 * factor(one, P90, "ETH")


def test_ten_symbols_that_miss_together_count_as_one() -> None:
    names = [f"C{k}" for k in range(10)]
    many = Tracker("1h", STEPS, dict.fromkeys(names, "crypto"))
    many.learn(joined(*(labels([2.5, 2.5, 0.0, 2.5], name) for name in names)))
    single = learned(labels([2.5, 2.5, 0.0, 2.5]))

    assert factor(many, P90, "C3") == pytest.approx(factor(single, P90), rel=1e-12)


def test_an_outcome_is_measured_against_the_factor_in_force_at_its_issue() -> None:
    # Issued at one moment, 24 hours ahead; what is learned on the way cannot have widened these bands.
    quick = labels(np.full(23, 2.5), step=24)
    one = learned(quick)

    # Every one of the 23 was issued with factor 1 and missed, with gain 5 / (bars learned from + 10 * 0.46 * 24).
    wide = sum(0.8 * 5.0 / (learned_from + 110.4) for learned_from in range(23))
    assert np.log(factor(one, P90, step=24) * factor(one, P10, step=24)) / 2 == pytest.approx(wide, rel=1e-6)


def test_a_fan_without_width_teaches_nothing_and_breaks_nothing() -> None:
    flat = labels([1.0] * 40)
    one = learned(Labels(**{**_columns(flat), "fan": np.full((40, 11), 100.0)}))

    assert (one.correction("BTC").factors == 1.0).all()


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_teaches_nothing(broken: float) -> None:
    good = labels([2.5, 0.0])
    bad = Labels(**{**_columns(labels([0.0], start=START + 5 * HOUR)), "outcome": np.array([broken])})

    assert learned(good, bad).correction("BTC").factors.tolist() == learned(good).correction("BTC").factors.tolist()


def test_a_price_below_zero_is_a_miss_below() -> None:
    one = learned(Labels(**{**_columns(labels([0.0])), "outcome": np.array([-37.0])}))

    assert factor(one, P10) > factor(one, P90) > 1.0


# State


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=4), st.integers(0, 2**31), st.booleans())
def test_learning_piece_by_piece_gives_the_same_state_bit_for_bit(cuts: list[int], seed: int, stored: bool) -> None:
    rng = np.random.default_rng(seed)
    parts = [world(80, 2.0, symbol, seed=k) for k, symbol in enumerate(("ETH", "SPY", "BTC"))]
    parts += [labels(rng.normal(0.0, 3.0, 80), symbol, step=24) for symbol in ("BTC", "SPY")]
    everything = joined(*parts)
    everything = everything.where(rng.permutation(len(everything)))
    at_once = Tracker("1h", STEPS, CLASS_OF)
    at_once.learn(everything)

    piecewise = Tracker("1h", STEPS, CLASS_OF)
    edges = [START, *(START + cut * HOUR / 4 for cut in sorted(set(cuts))), START + 10_000 * HOUR]
    for begin, end in itertools.pairwise(edges):
        piecewise.learn(everything.where((everything.known_at > begin) & (everything.known_at <= end)))
        if stored:
            piecewise = Tracker.from_json(json.loads(json.dumps(piecewise.to_json())))

    assert json.dumps(piecewise.to_json()) == json.dumps(at_once.to_json())


def test_labels_of_the_past_are_refused() -> None:
    one = learned(labels([0.0, 0.0]))

    with pytest.raises(ValueError, match="1 of 2 labels were known by"):
        one.learn(labels([0.0, 0.0], start=START + HOUR))


def test_known_until_is_the_newest_label() -> None:
    assert learned(labels([0.0, 0.0], step=4)).known_until == START + 5 * HOUR + SETTLE


def test_a_replay_corrects_each_forecast_by_what_was_known_at_its_issue() -> None:
    everything = joined(world(200, 2.0, "BTC", seed=8), labels(np.full(200, 9.0), "ETH", step=4))
    factors = replay(everything, Tracker("1h", STEPS, CLASS_OF))

    for row in (0, 3, 150, 199, 204, 399):
        moment = everything.issued_at[row]
        told = Tracker("1h", STEPS, CLASS_OF)
        told.learn(everything.where(everything.known_at <= moment))
        at = STEPS.index(int(everything.step[row]))
        assert factors[row].tolist() == told.correction(str(everything.symbol[row])).factors[at].tolist()


def test_outcomes_after_an_issue_change_nothing_in_its_factors() -> None:
    clean = world(200, 2.0, seed=9)
    late = clean.known_at > clean.issued_at[120]
    poisoned = Labels(**{**_columns(clean), "outcome": np.where(late, 1e9, clean.outcome)})

    before, after = (replay(one, Tracker("1h", STEPS, CLASS_OF)) for one in (clean, poisoned))

    assert before[:121].tobytes() == after[:121].tobytes()
    assert before[199].tolist() != after[199].tolist()


# The canary


def test_the_alarm_wants_five_per_cent_beyond_the_sampling_error() -> None:
    assert leak_alarm(0.90, 1.0, se=0.02)  # 10 % better, 5 % is 2.5 standard errors off
    assert not leak_alarm(0.90, 1.0, se=0.04)  # 1.25 of them
    assert not leak_alarm(0.96, 1.0, se=0.0)
    assert not leak_alarm(1.10, 1.0, se=0.0)


@pytest.mark.parametrize(("calibrated", "base", "se"), [(np.nan, 1.0, 0.01), (0.5, 0.0, 0.0), (0.5, 1.0, np.nan)])
def test_what_cannot_be_judged_alarms_nobody(calibrated: float, base: float, se: float) -> None:
    assert not leak_alarm(calibrated, base, se)


def _columns(some: Labels) -> dict[str, np.ndarray]:
    return {name: getattr(some, name) for name in Labels.__slots__}
