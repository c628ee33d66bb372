"""What may be said of a model, in words."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from gateway.content.verdicts import Verdict, percent, verdict_of


def row(**changes: Any) -> dict[str, Any]:
    return {
        "record": "replay",
        "interval": "1h",
        "model_name": "kronos-nano",
        "asset_class": "all",
        "step": 0,
        "verdict": "worse",
        "skill": -0.04,
        "low": -0.05,
        "high": -0.03,
        "p_value": 1e-6,
        "q_value": 1e-5,
        "cs_low": -0.058,
        "cs_high": -0.022,
        "e_value": 12_000.0,
        "n_common": 2480,
        "n_forecasts": 1240,
        "n_symbols": 23,
        "n_pairs": 2480,
        "n_days": 400,
        "n_eff": 70.0,
        "days_to_decision": 0.0,
        "n_cells": 20,
        "first_day": date(2025, 1, 1),
        "last_day": date(2026, 2, 4),
        "as_of": datetime(2026, 2, 5, tzinfo=UTC),
    } | changes


def said(**changes: Any) -> Verdict:
    return verdict_of(row(**changes))


def test_a_model_that_is_worse_is_said_not_to_beat_the_baseline() -> None:
    assert said().sentence == (
        "kronos-nano, hourly, replay: CRPS 4.0% worse than baseline-rw over 1,240 common forecasts of 23 instruments "
        "(skill −4.0%, 95% interval −5.8% to −2.2% however often one looks): it does not beat the baseline."
    )


def test_a_model_that_is_better_is_said_to_beat_it() -> None:
    better = {"verdict": "better", "skill": 0.04, "cs_low": 0.022, "cs_high": 0.058}

    assert said(**better, interval="1d", record="live", n_forecasts=1, n_symbols=1).sentence == (
        "kronos-nano, daily, live: CRPS 4.0% better than baseline-rw over 1 common forecast of 1 instrument "
        "(skill +4.0%, 95% interval +2.2% to +5.8% however often one looks): it beats the baseline."
    )


def test_a_cell_that_is_not_pooled_says_what_it_is_of() -> None:
    assert said(asset_class="equity", step=24).sentence.startswith(
        "kronos-nano, hourly, replay (shares, step 24): CRPS 4.0% worse"
    )
    assert not said(asset_class="equity").pooled
    assert not said(step=24).pooled
    assert said().pooled


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"days_to_decision": 91.2},
            "undecided, that is no proof on a page of 20 cells that is looked at every day; as it goes, 92 more days "
            "would decide; it is not shown",
        ),
        (
            {"n_eff": 29.99, "n_days": 65, "days_to_decision": None},
            "undecided, 65 days are worth 29 independent outcomes, fewer than 30; it is not shown",
        ),
        ({"n_eff": 0.9, "n_days": 5}, "undecided, 5 days are worth less than one independent outcome, fewer than 30"),
        (
            {"n_eff": 1.0, "n_days": 1, "cs_low": None, "cs_high": None, "days_to_decision": 30.0},
            "(skill −4.0%): undecided, 1 day is worth 1 independent outcome, fewer than 30; as it goes, 30 more days",
        ),
    ],
)
def test_an_open_question_is_called_undecided_with_its_reason(changes: dict[str, Any], why: str) -> None:
    verdict = said(verdict="undecided", **changes)

    assert why in verdict.sentence
    assert "it is not shown to beat the baseline" in verdict.sentence


def test_a_model_without_paths_has_no_crps_to_compare() -> None:
    bare = {"verdict": "not_compared", "skill": None, "cs_low": None, "cs_high": None, "n_pairs": 0, "n_eff": 0.0}

    without_paths, alone = said(**bare), said(**bare, n_common=0)

    assert "no CRPS, because its forecasts carry no sample paths" in without_paths.sentence
    assert "not compared yet, because no forecast of baseline-rw was scored beside it" in alone.sentence
    assert without_paths.crps_skill is None


@pytest.mark.parametrize(
    ("share", "text"), [(0.0311, "+3.1%"), (-0.0311, "−3.1%"), (-0.0004, "0.0%"), (0.0, "0.0%"), (-1.5, "−150.0%")]
)
def test_a_share_is_told_to_a_tenth_of_a_per_cent(share: float, text: str) -> None:
    assert percent(share) == text


def test_a_difference_too_small_to_be_told_is_neither_better_nor_worse() -> None:
    assert "CRPS the same as that of baseline-rw over" in said(verdict="undecided", skill=0.0001).sentence
