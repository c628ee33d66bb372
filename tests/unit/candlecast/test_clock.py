from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlecast.clock import SCHEDULES, missed_slots, next_slot, slot_at


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "now", "slot"),
    [
        ("55 * * * *", "2025-03-30T09:02", "2025-03-30T08:55"),
        ("55 * * * *", "2025-03-30T08:55", "2025-03-30T08:55"),
        ("55 * * * *", "2025-03-30T08:54:59", "2025-03-30T07:55"),
        ("45 5 * * *", "2025-01-01T05:44", "2024-12-31T05:45"),
        ("0 6 1 * *", "2024-03-01T05:59", "2024-02-01T06:00"),
        ("0 6 1 * *", "2024-02-29T23:59", "2024-02-01T06:00"),
    ],
)
def test_a_run_belongs_to_the_latest_slot_not_after_its_start(cron: str, now: str, slot: str) -> None:
    assert slot_at(cron, at(now)) == at(slot)


@given(st.integers(0, 59), st.integers(0, 59))
def test_an_hourly_run_that_starts_late_belongs_to_the_same_slot(minutes: int, seconds: int) -> None:
    slot = at("2025-10-26T00:55")  # the night in which Europe's clocks go back

    assert slot_at("55 * * * *", slot + timedelta(minutes=minutes, seconds=seconds)) == slot


@given(st.sampled_from(sorted(SCHEDULES.values())), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_the_next_slot_comes_after_now_and_none_lies_between(cron: str, moment: datetime) -> None:
    now = moment.replace(tzinfo=UTC, microsecond=0)
    following = next_slot(cron, now)

    assert following > now
    assert slot_at(cron, following) == following
    assert slot_at(cron, following - timedelta(minutes=1)) <= now


def test_missed_slots_are_those_between_the_last_run_and_the_newest_slot() -> None:
    # A laptop was closed from 10:00 to 15:10: 10:55 to 13:55 are gone, 14:55 can still be issued.
    missed = missed_slots("55 * * * *", at("2025-06-02T09:55"), at("2025-06-02T15:10"))

    assert missed == [at(f"2025-06-02T{hour}:55") for hour in (10, 11, 12, 13)]


def test_nothing_is_missed_when_the_last_run_was_the_slot_before() -> None:
    assert missed_slots("55 * * * *", at("2025-06-02T13:55"), at("2025-06-02T15:10")) == []
