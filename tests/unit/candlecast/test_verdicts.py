import math

import numpy as np
import pytest

from candlecast.statistics.comparison import skill_of_sums
from candlecast.verdicts import LEVEL, MIN_OUTCOMES, Cell, judge, overlap_in_days, watched


def cell(skill: float, n_days: int, overlap: float = 0.0, noise: float = 0.05, seed: int = 0) -> Cell:
    """A cell of 24 pairs a day; `noise` is that of a day's skill."""
    base = np.full(n_days, 24.0)
    days = np.random.default_rng(seed).normal(skill, noise, n_days)
    return Cell(loss=base * (1.0 - days), base=base, n_pairs=np.full(n_days, 24), overlap=overlap)


EMPTY = Cell(loss=np.empty(0), base=np.empty(0), n_pairs=np.empty(0, dtype=np.int64), overlap=0.0)


def test_cells_are_better_worse_undecided_or_not_compared() -> None:
    verdicts = judge([cell(0.05, 100), cell(-0.05, 100, seed=1), cell(0.0, 100, seed=2), EMPTY])

    assert [verdict.verdict for verdict in verdicts] == ["better", "worse", "undecided", "not_compared"]


def test_a_verdict_says_what_it_rests_on() -> None:
    record = cell(0.05, 100)

    (verdict,) = judge([record])

    once = skill_of_sums(record.loss, record.base, record.overlap)
    assert verdict.skill == pytest.approx(1.0 - record.loss.sum() / record.base.sum())
    assert (verdict.low, verdict.high, verdict.p_value) == (once.low, once.high, once.p_value)
    assert verdict.q_value == verdict.p_value
    assert verdict.cs_low is not None
    assert verdict.cs_high is not None
    assert 0.0 < verdict.cs_low < verdict.skill < verdict.cs_high
    assert verdict.e_value == pytest.approx((verdict.e_better + verdict.e_worse) / 2.0)
    assert verdict.e_value > 1.0 / LEVEL
    assert (verdict.n_pairs, verdict.n_days, verdict.n_eff) == (2400, 100, 100.0)
    assert verdict.days_to_decision == 0.0


def test_what_is_not_known_is_none() -> None:
    (verdict,) = judge([EMPTY])

    assert verdict.skill is verdict.low is verdict.high is verdict.p_value is verdict.q_value is None
    assert verdict.cs_low is verdict.cs_high is verdict.days_to_decision is None
    assert (verdict.e_value, verdict.n_pairs, verdict.n_days, verdict.n_eff) == (1.0, 0, 0, 0.0)


def test_a_page_without_cells_has_no_verdicts() -> None:
    assert judge([]) == []


def test_nothing_is_decided_by_fewer_than_thirty_outcomes_however_clear() -> None:
    early, late = (judge([cell(0.5, n_days, noise=0.01)])[0] for n_days in (MIN_OUTCOMES - 1, MIN_OUTCOMES))

    assert early.e_better > 2.0 / LEVEL  # it is not for want of evidence
    assert (early.verdict, early.days_to_decision) == ("undecided", 1.0)
    assert late.verdict == "better"


def test_overlapping_days_are_worth_less_than_their_number() -> None:
    """Days share 119 hours with those before: 0.46 of such a span, itself included, is one outcome, so 30 take 83."""
    early, late = (judge([cell(0.5, n_days, overlap=overlap_in_days(120, 24.0), noise=0.01)])[0] for n_days in (82, 83))

    assert early.n_eff == pytest.approx(82.0 / (0.46 * (1.0 + 119.0 / 24.0)))
    assert early.verdict == "undecided"
    assert late.n_eff >= 30.0


def test_the_same_record_is_decided_alone_and_not_among_many() -> None:
    record = cell(0.022, 80)
    others = [cell(0.0, 80, seed=seed) for seed in range(1, 300)]

    (alone,) = judge([record])
    among = judge([record, *others])[0]

    assert alone.e_value == among.e_value
    assert alone.verdict == "better"
    assert among.verdict == "undecided"
    assert among.days_to_decision is not None
    assert among.days_to_decision > 0.0


def test_a_badge_needs_cells_over_level_of_evidence_when_it_is_the_only_one() -> None:
    others = [EMPTY] * 99
    for skill in np.linspace(0.01, 0.05, 15):
        verdict = judge([cell(float(skill), 60), *others])[0]
        assert (verdict.verdict == "better") == (verdict.e_better >= 2 * 100 / LEVEL)


def test_days_without_pairs_before_a_record_begins_change_nothing() -> None:
    record, longer = cell(0.02, 60), cell(0.0, 200, seed=3)

    assert judge([record])[0].e_value == judge([record, longer])[0].e_value


def test_the_page_shows_each_day_what_is_judged_on_that_day() -> None:
    cells = [
        cell(skill, 90, overlap, seed=seed)
        for seed, (skill, overlap) in enumerate([(0.04, 0.0), (-0.04, 0.0), (0.03, 1.0), (0.02, 0.0), (0.0, 3.0)])
    ]
    shown = watched(
        np.stack([one.loss for one in cells]), np.stack([one.base for one in cells]), [one.overlap for one in cells]
    )

    for day in (20, 45, 60, 90):
        until = [Cell(one.loss[:day], one.base[:day], one.n_pairs[:day], one.overlap) for one in cells]
        signs = {"better": 1, "worse": -1, "undecided": 0}
        assert [signs[verdict.verdict] for verdict in judge(until)] == shown[:, day - 1].tolist()
    assert {-1, 0, 1} == set(shown[:, -1].tolist())


def test_evidence_without_bound_stays_a_number() -> None:
    (verdict,) = judge([cell(0.9, 3000, noise=0.001)])

    assert math.isfinite(verdict.e_value)
    assert verdict.e_value > 1e290
