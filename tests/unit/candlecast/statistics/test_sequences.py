import math

import numpy as np
import pytest
from scipy import integrate, stats

from candlecast.statistics.sequences import (
    PRIOR,
    SkillSequence,
    critical_t,
    days_to_decision,
    log_e_values,
    skill_sequence,
)


def sequence_of(gain: np.ndarray, overlap: float = 0.0) -> SkillSequence:
    """Of days with a baseline's loss of 1 each and these gains on it, in millionths."""
    return skill_sequence(1.0 - 1e-6 * gain, np.ones_like(gain), overlap)


def test_an_e_value_is_the_likelihood_of_t_under_the_prior_over_that_without_skill() -> None:
    """t is noncentral with effect * sqrt(n) under a mean of `effect` sds; the scale-invariant likelihood is t's."""
    n, t = 12, 2.7

    def weighed(effect: float) -> float:
        prior = 2.0 * stats.norm.pdf(effect, scale=1.0 / math.sqrt(PRIOR))
        return float(prior * stats.nct.pdf(t, n - 1, effect * math.sqrt(n)))

    better, worse = log_e_values(t, n)

    none = stats.t.pdf(t, n - 1)
    assert math.exp(better) == pytest.approx(integrate.quad(weighed, 0.0, 6.0)[0] / none, rel=1e-6)
    assert math.exp(worse) == pytest.approx(integrate.quad(weighed, -6.0, 0.0)[0] / none, rel=1e-6)


def test_the_critical_t_with_many_observations_is_robbins_boundary_for_a_known_variance() -> None:
    """Robbins (1970): |S| reaches sqrt((n + p) (2 log(1/a) + log((n + p) / p))) with probability a, ever."""
    n, level = 1e6, 0.05

    boundary = math.sqrt((n + PRIOR) * (2.0 * math.log(1.0 / level) + math.log((n + PRIOR) / PRIOR)))

    assert critical_t(n, level) == pytest.approx(boundary / math.sqrt(n), rel=1e-4)


def test_at_the_critical_t_the_e_value_is_one_over_the_level() -> None:
    for n in (8.0, 30.0, 400.0):
        sides = log_e_values(critical_t(n, 0.05), n)
        assert np.exp(sides).mean() == pytest.approx(20.0)


def test_no_t_decides_where_observations_are_too_few_for_the_level() -> None:
    assert np.isinf(critical_t([1.0, 2.0, 3.0], 1e-6)).all()


def test_two_thousand_watchers_of_nothing_see_evidence_of_twenty_in_at_most_one_of_twenty() -> None:
    """Ville's inequality over 400 days of independent normal sums; who looks for |t| > 1.96 every day is fooled."""
    days = np.random.default_rng(1).normal(size=(2000, 400))
    n = np.arange(1.0, 401.0)
    mean = days.cumsum(axis=1) / n
    sd = np.sqrt(((days**2).cumsum(axis=1) - n * mean**2)[:, 1:] / (n - 1.0)[1:])
    t = np.sqrt(n[1:]) * mean[:, 1:] / sd

    exact = np.exp(log_e_values(t, n[1:]))
    ours = sequence_of(days)

    for sides in exact:
        assert (sides.max(axis=1) >= 20.0).mean() <= 0.05
    assert 0.015 <= (exact.mean(axis=0).max(axis=1) >= 20.0).mean() <= 0.05
    assert (ours.log_e.max(axis=1) >= math.log(20.0)).mean() <= 0.05
    assert (np.abs(t[:, 28:]).max(axis=1) > 1.96).mean() > 0.3


def test_the_confidence_sequence_holds_the_skill_on_every_day_in_nineteen_records_of_twenty() -> None:
    rng = np.random.default_rng(2)
    base = rng.gamma(20.0, 1.0, size=(1000, 300))
    loss = 0.98 * base + rng.normal(0.0, 1.0, size=base.shape)

    low, high = skill_sequence(loss, base, 0.0).interval(0.05)

    missed = (low[:, 1:] > 0.02) | (high[:, 1:] < 0.02)
    assert missed.any(axis=1).mean() <= 0.05


def test_an_interval_leaves_out_no_skill_exactly_where_the_evidence_says_so() -> None:
    rng = np.random.default_rng(3)
    gain = rng.exponential(size=(50, 200)) - 1.0 + np.linspace(-0.6, 0.6, 50)[:, None]

    sequence = sequence_of(gain)
    low, high = sequence.interval(0.05)

    out = (low > 0.0) | (high < 0.0)
    assert out.any()
    assert not out.all()
    assert (out == (sequence.log_e > math.log(20.0)))[:, 2:].all()


def test_a_day_without_pairs_counts_for_nothing() -> None:
    gain = np.random.default_rng(4).normal(0.3, 1.0, size=90)
    base = np.ones(90)
    late = np.concatenate([np.zeros(10), base])

    alone = skill_sequence(base - 0.1 * gain, base, 0.5)
    after = skill_sequence(late - 0.1 * np.concatenate([np.zeros(10), gain]), late, 0.5)

    assert after.n_days[-1] == alone.n_days[-1] == 90.0
    assert after.log_better[-1] == pytest.approx(alone.log_better[-1], rel=1e-9)
    assert after.n_eff[-1] == alone.n_eff[-1]


def test_what_is_said_of_a_day_does_not_change_when_more_days_come() -> None:
    gain = np.random.default_rng(5).normal(0.3, 1.0, size=120)

    early, late = sequence_of(gain[:70], 2.0), sequence_of(gain, 2.0)

    for field in ("skill", "se", "n_obs", "log_better", "log_worse"):
        assert getattr(late, field)[:70] == pytest.approx(getattr(early, field), nan_ok=True)


def test_the_standard_error_of_independent_days_is_the_textbook_one() -> None:
    """Signs that alternate have no memory to raise the variance: sd / sqrt(n), with n - 1, around a mean of 0."""
    gain = np.tile([1.0, -1.0], 32)

    sequence = sequence_of(gain)

    assert sequence.n_obs[-1] == pytest.approx(64.0)
    assert sequence.se[-1] == pytest.approx(1e-6 * gain.std(ddof=1) / 8.0)


@pytest.mark.parametrize("span", [2, 5])
def test_the_standard_error_of_overlapping_outcomes_is_not_too_small(span: int) -> None:
    """Sums over `span` days: the mean of n of them varies by span / sqrt(n), to which the ends add little."""
    moves = np.random.default_rng(6).normal(size=(400, 400 + span))
    total = moves.cumsum(axis=1)

    sequence = sequence_of(total[:, span:] - total[:, :-span], overlap=float(span))

    assert 1e-6 * span / 20.0 <= np.sqrt((sequence.se[:, -1] ** 2).mean()) <= 1.35e-6 * span / 20.0


def test_days_that_follow_each_other_are_worth_less() -> None:
    rng = np.random.default_rng(7)
    gain = np.zeros(3000)
    for day in range(1, 3000):
        gain[day] = 0.6 * gain[day - 1] + rng.normal()

    sequence = sequence_of(gain)

    # An autoregression of 0.6 has (1 + 0.6) / (1 - 0.6) = 4 times the variance of independent days.
    assert 1.0 <= 3000.0 / sequence.n_obs[-1] / 4.0 <= 1.4


def test_a_skew_that_flatters_costs_evidence_and_its_mirror_does_not() -> None:
    """The same t either way: what gains little often and loses much seldom is the one to doubt."""
    rare = np.where(np.arange(100) % 10 == 5, -3.0, 1.0)
    drift = 0.6 - rare.mean()

    flattered, mirrored = sequence_of(rare + drift), sequence_of(-(rare - rare.mean()) + 0.6)

    assert flattered.skill[-1] == pytest.approx(mirrored.skill[-1])
    assert flattered.se[-1] == pytest.approx(mirrored.se[-1])
    assert flattered.log_better[-1] < mirrored.log_better[-1] - 1.0


def test_a_record_of_one_ratio_is_no_evidence() -> None:
    sequence = skill_sequence(np.full(50, 0.9), np.ones(50), 0.0)

    assert sequence.skill[-1] == pytest.approx(0.1)
    assert np.isnan(sequence.se).all()
    assert (sequence.log_e == 0.0).all()


def test_in_the_days_that_a_decision_takes_four_records_of_five_are_decided() -> None:
    effect = 0.4
    needed = float(days_to_decision(effect, 1.0 / math.sqrt(200.0), 200.0, 200.0, level=0.05 / 360.0))
    n = math.ceil(needed)

    # Exactly normal days: t is noncentral.
    power = stats.nct.sf(critical_t(float(n), 0.05 / 360.0), n - 1, effect * math.sqrt(n))

    assert power == pytest.approx(0.8, abs=0.03)


def test_a_skill_of_nothing_is_never_decided() -> None:
    assert np.isinf(days_to_decision(0.0, 0.01, 100.0, 100.0, level=0.05))
