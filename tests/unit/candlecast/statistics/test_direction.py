import math

import numpy as np
import pytest

from candlecast.statistics.direction import (
    hit_rate_of_sums,
    hits_above_naive,
    pesaran_timmermann,
    pesaran_timmermann_of_sums,
)

RNG = np.random.default_rng(6)


def signs(n: int, up: float) -> np.ndarray:
    return np.where(RNG.random(n) < up, 1, -1)


def test_the_excess_of_hits_over_independence_by_hand() -> None:
    """40 both up, 20 up and fell, 10 down and rose, 30 both down: 70 % hits, 0.6·0.5 + 0.4·0.5 = 50 % by chance."""
    signal = np.repeat([1, 1, -1, -1], [40, 20, 10, 30])
    move = np.repeat([1, -1, 1, -1], [40, 20, 10, 30])

    assert pesaran_timmermann(signal, move, overlap=1).value == pytest.approx(0.2)


def test_for_independent_pairs_the_statistic_is_that_of_pesaran_and_timmermann() -> None:
    """Their S_n = (P - P*) / √(V(P) - V(P*)), formulas 4 to 6 of the paper; ours estimates the error from the data."""
    n = 20_000
    signal, move = signs(n, 0.6), signs(n, 0.55)
    p_s, p_m, hits = np.mean(signal > 0), np.mean(move > 0), np.mean(signal == move)
    by_chance = p_s * p_m + (1 - p_s) * (1 - p_m)
    v_hits = by_chance * (1 - by_chance) / n
    v_chance = (
        (2 * p_m - 1) ** 2 * p_s * (1 - p_s) / n
        + (2 * p_s - 1) ** 2 * p_m * (1 - p_m) / n
        + 4 * p_m * p_s * (1 - p_m) * (1 - p_s) / n**2
    )

    estimate = pesaran_timmermann(signal, move, overlap=1)

    assert estimate.value == pytest.approx(hits - by_chance)
    # 302 cosines know a standard error to 4 %
    assert estimate.se == pytest.approx(math.sqrt(v_hits - v_chance), rel=0.12)


def test_sums_over_days_give_the_value_of_the_pairs() -> None:
    signal, move = signs(30 * 24, 0.6), signs(30 * 24, 0.5)
    counts = (signal == move, signal > 0, move > 0)
    days = [count.reshape(30, 24).sum(axis=1) for count in counts]

    by_day, by_pair = pesaran_timmermann_of_sums(np.full(30, 24), *days, 1.0), pesaran_timmermann(signal, move, 1)

    assert by_day.value == pytest.approx(by_pair.value)


def test_a_pair_that_did_not_move_is_not_counted() -> None:
    signal, move = signs(200, 0.5), signs(200, 0.5)
    still = np.zeros(50, dtype=int)

    with_still = pesaran_timmermann(np.r_[signal, still, signal[:50]], np.r_[move, move[:50], still], 1)

    assert with_still == pesaran_timmermann(signal, move, 1)


def test_a_forecaster_that_always_says_up_knows_nothing_and_is_told_so() -> None:
    always = pesaran_timmermann(np.ones(500, dtype=int), signs(500, 0.7), 1)

    assert (always.value, always.p_value) == (0.0, 1.0)


def test_a_forecaster_that_knows_is_found() -> None:
    move = signs(1000, 0.5)
    signal = np.where(RNG.random(1000) < 0.6, move, -move)

    assert pesaran_timmermann(signal, move, 1).low > 0.0


def test_hits_are_set_against_the_better_of_always_up_and_always_down() -> None:
    """Of 100 on each of 10 days 60 rose: 70 hits are 10 points above always up; of 40 that rose, above always down."""
    n, wiggle = np.full(10, 100), np.tile([1, -1], 5)

    for rises in (60, 40):
        found = hits_above_naive(n, 70 + wiggle, np.full(10, rises), 1.0)
        assert found.value == pytest.approx(0.1)
        assert found.low > 0.0


def test_the_hit_rate_stays_within_0_to_1_and_is_tested_against_a_half() -> None:
    rate = hit_rate_of_sums(np.full(10, 100), 50 + np.tile([3, -3], 5), 1.0)

    assert rate.value == 0.5
    assert rate.p_value == pytest.approx(1.0)
    assert 0.0 < rate.low < 0.5 < rate.high < 1.0


def test_nothing_judged_has_no_direction() -> None:
    assert math.isnan(pesaran_timmermann(np.zeros(10, dtype=int), np.ones(10, dtype=int), 1).value)
