"""Answers as bytes: the splice, its compressed form, and what changes from one second to the next."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.answers import ForecastAnswer, Moment, accepts_gzip, deflate, gzip_spliced

ISSUED = datetime(2025, 7, 1, 9, tzinfo=UTC)
DUE = datetime(2025, 7, 1, 10, 55, tzinfo=UTC)


def at(answer: ForecastAnswer, moment: datetime, unconfirmed: str | None = None) -> dict[str, object]:
    rendered = answer.at(Moment(int(moment.timestamp()), 3, unconfirmed))
    body: dict[str, object] = json.loads(rendered.body)
    return body | {"etag": rendered.etag, "headers": dict(rendered.headers)}


def make() -> ForecastAnswer:
    return ForecastAnswer({"symbol": "BTCUSDT", "p50": [1.5]}, interval="1h", issued_at=ISSUED, expected_next_at=DUE)


def test_the_age_grows_by_the_second_and_the_tag_stays() -> None:
    answer = make()

    first, later = at(answer, ISSUED + timedelta(seconds=60)), at(answer, ISSUED + timedelta(seconds=61))

    assert (first["age_seconds"], later["age_seconds"]) == (60, 61)
    assert first["etag"] == later["etag"]
    assert first["symbol"] == "BTCUSDT"
    assert first["p50"] == [1.5]


def test_turning_stale_is_told_to_the_second_and_changes_the_tag() -> None:
    answer = make()
    overdue_at = DUE + timedelta(minutes=15)

    fresh, stale = at(answer, overdue_at - timedelta(seconds=1)), at(answer, overdue_at)

    assert (fresh["stale"], fresh["stale_reason"]) == (False, None)
    assert stale["stale"]
    assert "expected at 2025-07-01T10:55Z" in str(stale["stale_reason"])
    assert fresh["etag"] != stale["etag"]


def test_what_cannot_be_confirmed_is_stale_for_that_reason_and_recovers() -> None:
    answer = make()
    moment = ISSUED + timedelta(minutes=5)

    assert (
        at(answer, moment, "unconfirmed: the database is away")["stale_reason"] == "unconfirmed: the database is away"
    )
    assert not at(answer, moment)["stale"]


@pytest.mark.parametrize(
    ("minutes", "max_age"),
    [(5, 60), (114, 60), (114.5, 30), (115, 5), (600, 5)],  # due at minute 115; 3 s are added for the age
)
def test_caches_may_keep_it_a_minute_and_not_past_the_next_forecast(minutes: float, max_age: int) -> None:
    headers = at(make(), ISSUED + timedelta(minutes=minutes))["headers"]

    assert isinstance(headers, dict)
    assert headers[b"age"] == b"3"
    assert f"max-age={max_age + 3}," in headers[b"cache-control"].decode()


@given(st.binary(max_size=60_000), st.binary(max_size=5_000))
def test_the_spliced_gzip_unpacks_to_both_parts(front: bytes, rest: bytes) -> None:
    assert gzip.decompress(gzip_spliced(front, rest, deflate(rest))) == front + rest


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (b"gzip", True),
        (b"br, gzip;q=0.5", True),
        (b"*", True),
        (b"GZIP", True),
        (b"gzip;q=0", False),
        (b"gzip; q=0.0", False),
        (b"br", False),
        (b"", False),
        (b"identity", False),
    ],
)
def test_gzip_is_sent_to_those_who_take_it(header: bytes, taken: bool) -> None:
    assert accepts_gzip(header) is taken
