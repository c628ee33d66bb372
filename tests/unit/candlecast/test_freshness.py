"""Age, next forecast and staleness, on hand-made rows; times are UTC and the hourly run starts at minute 55."""

from datetime import UTC, datetime, timedelta

import pytest

from candlecast.freshness import GRACE, expected_next_at, freshness, stale_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_next_hourly_forecast_is_due_at_the_first_run_after_the_next_bar_closed() -> None:
    # The bar 09:00-10:00 is final at 10:00; the run at 09:55 cannot read it, the one at 10:55 can.
    assert expected_next_at("1h", at("2025-07-01T09:00"), [at("2025-07-01T10:00")]) == at("2025-07-01T10:55")


def test_a_bar_that_is_final_exactly_at_the_slot_belongs_to_that_slot() -> None:
    assert expected_next_at("1h", at("2025-07-01T09:00"), [at("2025-07-01T09:55")]) == at("2025-07-01T09:55")


def test_a_venue_that_settles_late_moves_its_forecast_to_the_following_run() -> None:
    due = expected_next_at("1h", at("2025-07-01T09:00"), [at("2025-07-01T09:54")], settle_s=90)

    assert due == at("2025-07-01T10:55")


def test_a_forecast_turns_stale_when_its_successor_is_overdue_by_the_grace_and_not_a_second_before() -> None:
    issued, targets = at("2025-07-01T09:00"), [at("2025-07-01T10:00")]
    deadline = at("2025-07-01T10:55") + GRACE["1h"]

    before = freshness("1h", issued, targets, deadline - timedelta(seconds=1))
    after = freshness("1h", issued, targets, deadline)

    assert (before.stale, before.stale_reason) == (False, None)
    assert after.stale
    assert after.stale_reason == "overdue: the next forecast was expected at 2025-07-01T10:55Z and has not arrived"


def test_a_weekend_is_not_stale() -> None:
    # EURUSD: the last bar of the week closes on Friday 21:00, the next one on Sunday 22:00.
    issued, targets = at("2025-06-27T21:00"), [at("2025-06-29T22:00")]

    saturday = freshness("1h", issued, targets, at("2025-06-28T12:00"))
    monday = freshness("1h", issued, targets, at("2025-06-30T00:00"))

    assert not saturday.stale
    assert saturday.expected_next_at == at("2025-06-29T22:55")
    assert saturday.age_seconds == 15 * 3600
    assert monday.stale


def test_a_daily_forecast_of_an_exchange_is_fresh_until_tuesday_after_a_monday_holiday() -> None:
    # Friday's bar closes on Saturday 00:00; Monday 2025-09-01 is Labor Day, so Tuesday's bar closes on Wednesday.
    issued, targets = at("2025-08-30T00:00"), [at("2025-09-03T00:00")]

    assert not freshness("1d", issued, targets, at("2025-09-03T05:44")).stale
    assert freshness("1d", issued, targets, at("2025-09-03T06:45")).stale  # 05:45 and one hour of grace


def test_a_forecast_made_today_for_a_past_slot_is_as_old_as_that_slot() -> None:
    seen = freshness("1h", at("2024-07-01T09:00"), [at("2024-07-01T10:00")], at("2025-07-01T09:00"))

    assert seen.age_seconds == 365 * 86_400
    assert seen.stale


def test_a_clock_behind_the_issue_time_gives_age_zero() -> None:
    assert freshness("1h", at("2025-07-01T09:00"), [at("2025-07-01T10:00")], at("2025-07-01T08:59")).age_seconds == 0


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_a_row_without_targets_is_judged_by_its_interval(interval: str) -> None:
    due = expected_next_at(interval, at("2025-07-01T00:00"), [])

    assert due == {"1h": at("2025-07-01T01:55"), "1d": at("2025-07-02T05:45")}[interval]
    assert stale_at(interval, due) > due
