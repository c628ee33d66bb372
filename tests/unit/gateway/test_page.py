"""Numbers as people read them."""

from datetime import timedelta

import pytest

from gateway.pages.wording import age_text, direction_of, move_text, price_text, span_text


@pytest.mark.parametrize(
    ("last_close", "value", "text"),
    [
        (100.0, 101.0, "+1.00%"),
        (100.0, 99.5, "−0.50%"),
        (100.0, 100.0, "±0.00%"),
        (100.0, 99.999, "±0.00%"),  # no sign without a digit that bears it
        (-37.63, -30.0, "+7.63"),  # oil on 2020-04-20: a per cent of a negative price means nothing
        (0.0, -1.5, "−1.5"),
    ],
)
def test_a_move_is_in_per_cent_where_the_price_allows_it(last_close: float, value: float, text: str) -> None:
    assert move_text(last_close, value) == text


@pytest.mark.parametrize(("value", "direction"), [(101.0, "up"), (99.5, "down"), (100.001, "flat"), (100.0, "flat")])
def test_a_move_goes_where_its_digits_say(value: float, direction: str) -> None:
    assert direction_of(move_text(100.0, value)) == direction


@pytest.mark.parametrize(
    ("price", "text"), [(61234.5, "61\u202f234.50"), (1.0832, "1.0832"), (0.07125, "0.071250"), (-37.63, "−37.6300")]
)
def test_a_price_keeps_the_digits_that_matter(price: float, text: str) -> None:
    assert price_text(price) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 min"), (3599, "59 min"), (3600, "1 h"), (172_799, "47 h"), (172_800, "2 days")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, text: str) -> None:
    assert age_text(seconds) == text


@pytest.mark.parametrize(("hours", "text"), [(1, "1 h"), (71, "71 h"), (120, "5 days"), (598, "25 days")])
def test_a_time_ahead_is_told_in_the_calendars_days(hours: int, text: str) -> None:
    assert span_text(timedelta(hours=hours)) == text
