import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from candlecast.scoring.ranks import mixed, p_up_of_fan, p_up_of_paths, pit_of_fan, pit_of_paths, uniforms

# Returns at the levels 0.05, 0.1, 0.2, ..., 0.9, 0.95.
FAN = np.array([[-6.0, -5.0, -4.0, -3.0, -1.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])


def ids(n: int) -> np.ndarray:
    return np.array([uuid.uuid5(uuid.NAMESPACE_URL, str(i)).bytes for i in range(n)], dtype="V16")


def test_the_mixing_is_splitmix64() -> None:
    # The first two numbers of the generator seeded with 1234567, as its author's C program prints them.
    state = np.array([1234567, 1234567 + 0x9E3779B97F4A7C15], dtype=np.uint64)

    assert mixed(state).tolist() == [6457827717110365317, 3203168211198807973]


def test_the_coin_of_a_pair_is_the_same_every_time_and_another_for_every_step() -> None:
    one, steps = ids(1), np.array([1])

    assert uniforms(one, steps) == uniforms(one, steps.astype(np.int32))
    assert len({float(uniforms(one, np.array([step]))[0]) for step in range(1, 121)}) == 120


def test_the_coins_are_uniform_over_forecasts_and_steps() -> None:
    n = 4000
    by_step = [uniforms(ids(n), np.full(n, step)) for step in (1, 4, 24, 120)]

    assert min(stats.kstest(of_step, "uniform").pvalue for of_step in by_step) > 1e-3
    assert np.abs(np.corrcoef(by_step) - np.eye(4)).max() < 0.06
    assert all(of_step.min() >= 0.0 and of_step.max() < 1.0 for of_step in by_step)


def test_the_rank_of_an_outcome_among_four_paths_by_hand() -> None:
    paths = np.array([[1, 2, 3, 4], [1, 2, 2, 4], [5, 6, 7, 8]], dtype=np.float32)

    u = pit_of_paths(paths, np.array([2.5, 2.0, 9.0]), np.array([0.25, 0.5, 0.5]))

    # two below of four; one below and two ties, so three places; all four below
    assert u.tolist() == pytest.approx([2.25 / 5, 2.5 / 5, 4.5 / 5])


@pytest.mark.parametrize("law", ["normal", "counts"])
def test_the_rank_is_uniform_when_outcome_and_paths_are_of_one_law(law: str) -> None:
    rng = np.random.default_rng(3)
    draws = rng.normal(size=(20_000, 8)) if law == "normal" else rng.poisson(1.5, size=(20_000, 8))

    u = pit_of_paths(draws[:, 1:].astype(np.float32), draws[:, 0].astype(np.float64), rng.random(20_000))

    assert stats.kstest(u, "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("outcome", "v", "u"),
    [(-3.5, 0.5, 0.25), (0.0, 0.0, 0.4), (-7.0, 0.5, 0.025), (9.0, 0.5, 0.975), (2.0, 0.25, 0.55)],
)
def test_within_a_fan_the_coin_picks_the_place_between_two_levels(outcome: float, v: float, u: float) -> None:
    # The last outcome lies on the level 0.6 itself, so anywhere between the levels 0.5 and 0.7.
    assert pit_of_fan(FAN, np.array([outcome]), np.array([v])).tolist() == pytest.approx([u])


def test_within_a_fan_without_width_any_rank_is_as_good() -> None:
    assert pit_of_fan(np.full((1, 11), 5.0), np.array([5.0]), np.array([0.3])).tolist() == [0.3]


def test_a_path_at_the_last_close_counts_half() -> None:
    paths = np.array([[99.0, 100.0, 101.0, 102.0]], dtype=np.float32)

    assert p_up_of_paths(paths, np.array([100.0])).tolist() == [2.5 / 4]


@pytest.mark.parametrize(("shift", "p_up"), [(0.0, 0.55), (1.0, 0.6), (-1.0, 0.5), (9.0, 0.95), (-9.0, 0.05)])
def test_without_paths_the_chance_of_a_rise_is_read_between_the_levels(shift: float, p_up: float) -> None:
    # Zero lies halfway between the levels 0.4 and 0.5, on 0.4, on 0.5, below all and above all.
    assert p_up_of_fan(FAN + shift).tolist() == pytest.approx([p_up])


def test_levels_at_the_last_close_count_half() -> None:
    returns = np.array([[-3.0, -2.0, -1.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]])  # levels 0.3 to 0.5 lie there

    assert p_up_of_fan(returns).tolist() == pytest.approx([1.0 - 0.4])


@given(st.lists(st.integers(-4, 4), min_size=11, max_size=11))
def test_the_chance_of_a_fall_is_the_chance_of_a_rise_of_the_mirrored_fan(values: list[int]) -> None:
    returns = np.sort(np.array([values], dtype=np.float64), axis=1)

    assert p_up_of_fan(returns) + p_up_of_fan(-returns[:, ::-1]) == pytest.approx(1.0)
