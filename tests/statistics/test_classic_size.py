"""Zero skill is found at the stated rate, 5 %, by the tests that the product uses.

Monte-Carlo error: a rate of 5 % over 1,000 worlds is known to ± 0.7 points (one standard error).
"""

from functools import cache

import numpy as np
import pytest
from scipy import stats

from candlecast.statistics.bootstrap import circular_block
from candlecast.statistics.comparison import diebold_mariano, skill_of_sums
from candlecast.statistics.direction import hit_rate_of_sums, pesaran_timmermann, pesaran_timmermann_of_sums
from candlecast.statistics.longrun import equal_weighted_cosines, newey_west
from candlecast.statistics.overlap import span_days
from tests.statistics.classic_worlds import day_sums, rate, with_weekends, zero_skill

HORIZONS = (1, 24, 120)
QUARTER = 90 * 24  # hourly bars


def holds(rejections: list[bool]) -> bool:
    """The product's promise: between 3 and 8 %."""
    return 0.03 <= rate(rejections) <= 0.08


@pytest.mark.parametrize("step", HORIZONS)
@pytest.mark.parametrize("n_series", [1, 5])
def test_hourly_losses_of_zero_skill_are_told_apart_in_5_percent_of_worlds(step: int, n_series: int) -> None:
    world = zero_skill(np.random.default_rng(step + n_series), 1000 if n_series == 1 else 500, QUARTER, step, n_series)

    rejections = [diebold_mariano(a, b, step).excludes() for a, b in zip(*world.losses(), strict=True)]

    assert holds(rejections), f"rejected {rate(rejections):.1%}"


@pytest.mark.parametrize("step", HORIZONS)
@pytest.mark.parametrize("n_series", [1, 5])
def test_skill_from_daily_sums_of_crypto_keeps_its_size_over_90_days(step: int, n_series: int) -> None:
    world = zero_skill(
        np.random.default_rng(7 + step + n_series), 1000 if n_series == 1 else 500, QUARTER, step, n_series
    )
    losses, base = (day_sums(loss, 24) for loss in world.losses())

    rejections = [skill_of_sums(a, b, span_days(step, 168)).excludes() for a, b in zip(losses, base, strict=True)]

    assert holds(rejections), f"rejected {rate(rejections):.1%}"


@pytest.mark.parametrize("step", HORIZONS)
@pytest.mark.parametrize(("n_days", "n_worlds"), [(64, 1500), (260, 700)])
def test_skill_from_daily_sums_of_shares_keeps_its_size(step: int, n_days: int, n_worlds: int) -> None:
    """90 days and a year of sessions of 7 bars; 120 bars are 17 sessions or 24 days."""
    world = zero_skill(np.random.default_rng(step + n_days), n_worlds, 7 * n_days, step)
    losses, base = (with_weekends(day_sums(loss, 7)) for loss in world.losses())

    estimates = [skill_of_sums(a, b, span_days(step, 35)) for a, b in zip(losses, base, strict=True)]

    assert all(np.isfinite(estimate.se) for estimate in estimates)  # 90 days are just enough for 120 bars
    rejections = [estimate.excludes() for estimate in estimates]
    assert holds(rejections), f"rejected {rate(rejections):.1%}"


@pytest.mark.parametrize("step", HORIZONS)
def test_skill_from_daily_sums_of_crypto_keeps_its_size_over_a_year(step: int) -> None:
    rng = np.random.default_rng(365 + step)
    rejections = []
    for _ in range(6):  # in pieces, for memory
        world = zero_skill(rng, 100, 365 * 24, step)
        losses, base = (day_sums(loss, 24) for loss in world.losses())
        rejections += [skill_of_sums(a, b, span_days(step, 168)).excludes() for a, b in zip(losses, base, strict=True)]

    assert holds(rejections), f"rejected {rate(rejections):.1%}"


def test_skill_keeps_its_size_when_the_number_of_pairs_varies_from_day_to_day() -> None:
    """Instruments come and go: a third of the pairs is missing at random, and whole days are."""
    rng = np.random.default_rng(31)
    world = zero_skill(rng, 500, QUARTER, 24, 5)
    present = rng.random(world.outcome.shape) < 2 / 3
    present[:, rng.random(QUARTER // 24).repeat(24) < 0.1] = False
    losses, base = (day_sums(loss * present, 24) for loss in world.losses())

    rejections = [skill_of_sums(a, b, 1.0).excludes() for a, b in zip(losses, base, strict=True)]

    assert holds(rejections), f"rejected {rate(rejections):.1%}"


@pytest.mark.parametrize("step", HORIZONS)
def test_signals_without_skill_know_the_direction_in_5_percent_of_worlds(step: int) -> None:
    world = zero_skill(np.random.default_rng(50 + step), 1000, QUARTER, step)
    signal, move = world.signal[..., 0].astype(int), np.sign(world.outcome[..., 0]).astype(int)

    hourly = [pesaran_timmermann(s, m, step).excludes() for s, m in zip(signal, move, strict=True)]
    days = [day_sums(counts[..., None].astype(float), 24) for counts in (signal == move, signal > 0, move > 0)]
    n = np.full(90, 24.0)
    daily = [pesaran_timmermann_of_sums(n, *sums, span_days(step, 168)).excludes() for sums in zip(*days, strict=True)]
    hit_rate = [hit_rate_of_sums(n, hits, span_days(step, 168)).excludes(0.5) for hits in days[0]]

    assert holds(hourly), f"rejected {rate(hourly):.1%}"
    assert holds(daily), f"rejected {rate(daily):.1%}"
    assert holds(hit_rate), f"rejected {rate(hit_rate):.1%}"


def test_in_a_rising_market_half_is_no_yardstick_and_independence_is() -> None:
    """With a drift of 0.15 sigma a bar, momentum is mostly up and mostly right, and knows nothing."""
    world = zero_skill(np.random.default_rng(4), 400, QUARTER, 24, drift=0.15)
    signal, move = world.signal[..., 0].astype(int), np.sign(world.outcome[..., 0]).astype(int)

    fooled = [equal_weighted_cosines(hits - 0.5, overlap=24).excludes() for hits in world.hits[..., 0]]
    known = [pesaran_timmermann(s, m, 24).excludes() for s, m in zip(signal, move, strict=True)]

    assert rate(fooled) > 0.5
    assert rate(known) <= 0.08


@cache
def centred_hits(step: int) -> np.ndarray:
    """[W, N] of 1,000 worlds: hits of momentum less one half."""
    return zero_skill(np.random.default_rng(100 + step), 1000, QUARTER, step).hits[..., 0] - 0.5


class TestTypeOneErrorsOfTheTable:
    """forecasting.md §3.5: momentum hits, 90 days hourly, nominal 5 %.

    The table's own error is unknown; with about 400 worlds it would be 2.5 points at 57 % and 1.3 at 7.5 %. Ours,
    with 1,000, is 1.6 and 0.8. The tolerances are twice both together.
    """

    @pytest.mark.parametrize(("step", "table"), [(24, 0.57), (120, 0.55)])
    def test_counting_overlapping_hits_as_independent_rejects_more_than_half(self, step: int, table: float) -> None:
        naive = rate(list(np.abs(centred_hits(step).mean(axis=1)) > 1.96 * np.sqrt(0.25 / QUARTER)))
        assert naive == pytest.approx(table, abs=0.06)
        assert naive > 0.5

    def test_newey_west_with_too_few_lags_rejects_twice_as_often_as_it_says(self) -> None:
        few = rate([newey_west(hits, 23).excludes() for hits in centred_hits(24)])
        assert few == pytest.approx(0.10, abs=0.035)

    @pytest.mark.parametrize(("step", "table"), [(24, 0.075), (120, 0.075)])
    def test_newey_west_with_twice_the_step_still_rejects_a_little_too_often(self, step: int, table: float) -> None:
        double = rate([newey_west(hits, 2 * step).excludes() for hits in centred_hits(step)])
        assert double == pytest.approx(table, abs=0.03)

    @pytest.mark.parametrize(("step", "table"), [(24, 0.055), (120, 0.047)])
    def test_cosines_reject_as_often_as_they_say(self, step: int, table: float) -> None:
        cosines = rate([equal_weighted_cosines(hits, overlap=step).excludes() for hits in centred_hits(step)])
        assert cosines == pytest.approx(table, abs=0.026)
        assert 0.03 <= cosines <= 0.08

    @pytest.mark.parametrize(("step", "table"), [(24, 0.055), (120, 0.023)])
    def test_hits_that_do_not_overlap_are_a_binomial_sample(self, step: int, table: float) -> None:
        alone = centred_hits(step)[:, ::step]
        z = alone.mean(axis=1) / np.sqrt(0.25 / alone.shape[1])
        assert rate(list(np.abs(z) > 1.96)) == pytest.approx(table, abs=0.026)


def test_the_block_bootstrap_of_daily_hits_rejects_somewhat_too_often() -> None:
    """The table's 7.5 % for blocks of 2h at h = 24: here 48 hours are 2 days.

    300 worlds know 7.5 % to ± 1.5 points and the table perhaps to 1.3; twice both together are 4.
    """
    hits = day_sums(zero_skill(np.random.default_rng(5), 300, QUARTER, 24).hits - 0.5, 24) / 24

    rejections = [circular_block(np.mean, (days,), block=2, n=199).excludes() for days in hits]

    assert rate(rejections) == pytest.approx(0.075, abs=0.04)


@pytest.mark.parametrize("method", ["nw", "hln"])
def test_the_other_diebold_mariano_tests_hold_one_step_ahead(method) -> None:
    world = zero_skill(np.random.default_rng(12), 500, 1000, 1)

    rejections = [diebold_mariano(a, b, 1, method).excludes() for a, b in zip(*world.losses(), strict=True)]

    assert holds(rejections), f"rejected {rate(rejections):.1%}"


def test_pooled_instruments_counted_one_by_one_reject_far_too_often() -> None:
    """What averaging over the instruments of a bar first is for: five that move together are not five."""
    world = zero_skill(np.random.default_rng(13), 300, 1000, 1, 5)
    naive = [stats.ttest_1samp((b - a).ravel(), 0.0).pvalue < 0.05 for a, b in zip(*world.losses(), strict=True)]
    clustered = [diebold_mariano(a, b, 1).excludes() for a, b in zip(*world.losses(), strict=True)]

    assert rate(naive) > 0.15
    assert holds(clustered), f"rejected {rate(clustered):.1%}"
