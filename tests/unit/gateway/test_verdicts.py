"""What may be said of a model: the interval by hand, the rule, and its words."""

from datetime import date
from typing import Any

import pytest
from scipy.special import stdtrit

from gateway.verdicts import STUDENT, Verdict, judge, percent, skill_interval, verdict_of


def test_the_interval_is_that_of_a_ratio_of_sums_over_blocks() -> None:
    skill, low, high = skill_interval([103.0, 105.0, 103.0, 105.0], [100.0] * 4)

    # residuals from 104 % of the baseline's loss: 1, -1, 1, -1; error sqrt(4 / 3 * 4) / 400; t with 3 degrees: 3.182
    assert skill == pytest.approx(-0.04)
    assert (low, high) == pytest.approx((-0.0583716, -0.0216284), abs=1e-6)


def test_a_block_weighs_what_its_pairs_lost_and_not_as_one_of_many() -> None:
    skill, low, high = skill_interval([2.0, 36.0], [1.0, 39.0])

    assert skill == pytest.approx(1 - 38 / 40)  # the mean of the ratios would be 54 % worse
    # residuals 0.95 - 2 and 37.05 - 36; error sqrt(2 * 2 * 1.05²) / 40 = 0.0525; t with one degree: 12.706
    assert (low, high) == pytest.approx((0.05 - 0.667065, 0.05 + 0.667065))


def test_one_block_has_a_skill_and_no_interval_and_none_has_neither() -> None:
    assert skill_interval([9.0], [10.0]) == (pytest.approx(0.1), None, None)
    assert skill_interval([], []) == (None, None, None)
    assert skill_interval([0.0], [0.0]) == (None, None, None)


def test_the_quantiles_are_those_of_students_distribution() -> None:
    expected = stdtrit(range(1, 20), 0.975)

    assert list(STUDENT) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("low", "high", "n_eff", "verdict"),
    [
        (0.01, 0.03, 30.0, "better"),
        (-0.03, -0.01, 30.0, "worse"),
        (-0.01, 0.03, 1e6, "undecided"),
        (0.0, 0.03, 1e6, "undecided"),
        (-0.03, 0.0, 1e6, "undecided"),
        (0.01, 0.03, 29.9, "undecided"),
        (-0.03, -0.01, 29.9, "undecided"),
        (None, None, 1e6, "undecided"),
    ],
)
def test_a_verdict_needs_an_interval_without_zero_and_thirty_outcomes(
    low: float | None, high: float | None, n_eff: float, verdict: str
) -> None:
    assert judge(0.02, low, high, n_eff) == verdict


def row(**changes: Any) -> dict[str, Any]:
    return {
        "model_name": "kronos-nano",
        "interval": "1h",
        "record": "replay",
        "n_common": 2480,
        "n_forecasts": 1240,
        "n_symbols": 23,
        "n_pairs": 2480,
        "n_eff": 300.0,
        "first_day": date(2025, 1, 1),
        "last_day": date(2025, 1, 4),
        "losses": [103.0, 105.0, 103.0, 105.0],
        "baseline_losses": [100.0] * 4,
    } | changes


def said(**changes: Any) -> Verdict:
    return verdict_of(row(**changes))


def test_a_model_that_is_worse_is_said_not_to_beat_the_baseline() -> None:
    assert said().sentence == (
        "kronos-nano, hourly, replay: CRPS 4.0% worse than baseline-rw over 1,240 common forecasts of 23 instruments "
        "(skill −4.0%, 95% interval −5.8% to −2.2%): it does not beat the baseline."
    )


def test_a_model_that_is_better_is_said_to_beat_it() -> None:
    better = said(interval="1d", record="live", losses=[97.0, 95.0, 97.0, 95.0], n_forecasts=1, n_symbols=1)

    assert better.verdict == "better"
    assert better.sentence == (
        "kronos-nano, daily, live: CRPS 4.0% better than baseline-rw over 1 common forecast of 1 instrument "
        "(skill +4.0%, 95% interval +2.2% to +5.8%): it beats the baseline."
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"losses": [98.0, 104.0, 98.0, 101.0]}, "undecided, the interval contains 0; it is not shown"),
        ({"n_eff": 29.99}, "undecided, these are worth 29 independent outcomes, fewer than 30; it is not shown"),
        ({"losses": [103.0], "baseline_losses": [100.0]}, "undecided, the record is too short for an interval; it is"),
    ],
)
def test_an_open_question_is_called_undecided_with_its_reason(changes: dict[str, Any], why: str) -> None:
    verdict = said(**changes)

    assert verdict.verdict == "undecided"
    assert why in verdict.sentence
    assert "it is not shown to beat the baseline" in verdict.sentence


def test_a_model_without_paths_has_no_crps_to_compare() -> None:
    bare = {"losses": None, "baseline_losses": None, "n_forecasts": 0, "n_symbols": 0, "n_pairs": 0, "n_eff": 0.0}

    without_paths, alone = said(**bare), said(**bare, n_common=0)

    assert (without_paths.verdict, alone.verdict) == ("not_compared", "not_compared")
    assert "no CRPS, because its forecasts carry no sample paths" in without_paths.sentence
    assert "not compared yet, because no forecast of baseline-rw was scored beside it" in alone.sentence
    assert without_paths.crps_skill is None


@pytest.mark.parametrize(
    ("share", "text"), [(0.0311, "+3.1%"), (-0.0311, "−3.1%"), (-0.0004, "0.0%"), (0.0, "0.0%"), (-1.5, "−150.0%")]
)
def test_a_share_is_told_to_a_tenth_of_a_per_cent(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_difference_too_small_to_be_told_is_neither_better_nor_worse() -> None:
    assert "CRPS the same as that of baseline-rw over" in said(losses=[100.01, 99.99, 100.0, 100.0]).sentence
