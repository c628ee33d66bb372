"""Limits: exact at their border, bounded in memory, and blind to what anybody may write into a header."""

import random
import sys

import limits
import pytest

from candlecast.settings import BadSetting
from gateway.clients import LOCAL, Clients
from gateway.limits import LEASE, Limiter, parse_rate, retry_after

V6 = "2001:db8:1:2"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(rate: str = "50/minute", n_clients: int = 100) -> tuple[Limiter, Clock]:
    clock = Clock()
    return Limiter(limits.parse(rate), clock=clock, n_clients=n_clients), clock


@pytest.mark.parametrize("amount", [1, LEASE - 1, LEASE, LEASE + 1, 2 * LEASE, 50])
def test_exactly_so_many_requests_are_admitted_and_the_next_one_waits_for_the_window_to_end(amount: int) -> None:
    limiter, clock = make(f"{amount}/minute")

    admitted = [limiter.admit("a") for _ in range(amount)]
    clock.now += 13.0

    assert admitted == [None] * amount
    assert limiter.admit("a") == 47.0  # of the minute that the first request began
    assert limiter.admit("b") is None


def test_a_new_window_admits_as_many_again_and_a_lease_does_not_outlive_its_window() -> None:
    limiter, clock = make("50/minute")
    for _ in range(5):
        limiter.admit("a")  # 15 of the first lease are left

    clock.now += 60.0

    assert [limiter.admit("a") for _ in range(51)] == [None] * 50 + [60.0]


def test_however_requests_are_spread_no_window_admits_more_than_its_number() -> None:
    choose = random.Random(1)
    limiter, clock = make("30/minute")
    begun, admitted = -1e9, 0
    for _ in range(5000):
        clock.now += choose.choice([0.0, 0.1, 1.0, 20.0])
        if clock.now >= begun + 60.0:
            begun, admitted = clock.now, 0
        wait_s = limiter.admit("a")
        assert (wait_s is None) == (admitted < 30)
        if wait_s is None:
            admitted += 1
        else:
            assert wait_s == pytest.approx(begun + 60.0 - clock.now)


def test_a_flood_of_addresses_is_remembered_within_bounds_and_who_is_over_the_limit_stays_so() -> None:
    limiter, _ = make("50/minute", n_clients=100)
    for number in range(10_000):
        limiter.admit(f"10.0.{number}")
    for _ in range(51):
        limiter.admit("greedy")
    for number in range(50):
        limiter.admit(f"10.1.{number}")

    assert len(limiter) == 100
    assert len(limiter.windows) == 100
    assert limiter.admit("greedy") == 60.0


def test_those_who_left_are_forgotten_as_others_come() -> None:
    limiter, clock = make("50/minute", n_clients=1000)
    for number in range(1000):
        limiter.admit(str(number))
    clock.now += 61.0
    for number in range(500):
        limiter.admit(f"new {number}")

    assert len(limiter.windows) == 500


@pytest.mark.slow
def test_a_flood_of_addresses_holds_less_than_forty_megabytes() -> None:
    limiter, _ = make("50/minute", n_clients=65_536)
    for number in range(150_000):
        limiter.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    windows, leases = limiter.windows._windows, limiter._leases
    held = sum(map(sys.getsizeof, (windows, leases, *windows, *windows.values(), *leases, *leases.values())))

    assert len(limiter) == len(limiter.windows) == 65_536
    assert held + 24 * 4 * 65_536 < 40e6  # 24 bytes for each number that is not shared


@pytest.mark.parametrize("text", ["often", "10", "0/minute", "-1/minute", "10/fortnight"])
def test_a_rate_that_says_nothing_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadSetting, match="GATEWAY_RATE"):
        parse_rate("GATEWAY_RATE", text)


def test_the_wait_is_told_in_whole_seconds_and_never_too_short() -> None:
    assert [retry_after(wait_s) for wait_s in (0.0, 0.2, 1.0, 1.01, 59.5)] == [1, 1, 1, 2, 60]


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        (f"{V6}:3:4:5:6", f"{V6}::/64"),
        (f"{V6}:ffff::1", f"{V6}::/64"),
        (None, LOCAL),
        ("", LOCAL),
    ],
)
def test_a_client_is_its_address_and_in_ipv6_its_network(peer: str | None, name: str) -> None:
    assert Clients([]).name(peer, []) == name


def test_only_a_trusted_proxy_may_name_another_client() -> None:
    clients = Clients(["10.0.0.0/8", "2001:db8::1"])
    said = [(b"x-real-ip", b"192.0.2.7"), (b"x-forwarded-for", b"203.0.113.9")]

    assert clients.name("10.1.2.3", said) == "192.0.2.7"
    assert clients.name("::ffff:10.1.2.3", said) == "192.0.2.7"
    assert clients.name("2001:db8::1", said) == "192.0.2.7"
    assert clients.name("11.1.2.3", said) == "11.1.2.3"
    assert Clients([]).name("127.0.0.1", said) == "127.0.0.1"


def test_a_proxy_that_passes_on_what_the_client_wrote_is_believed_about_its_own_line_only() -> None:
    clients = Clients(["10.0.0.0/8"])

    assert clients.name("10.1.2.3", [(b"x-real-ip", b"1.1.1.1"), (b"x-real-ip", b"192.0.2.7")]) == "192.0.2.7"
    assert clients.name("10.1.2.3", [(b"x-real-ip", b"\xff or so")]) == "10.1.2.3"
    assert clients.name("10.1.2.3", []) == "10.1.2.3"


@pytest.mark.parametrize("text", ["everyone", "10.0.0.0/33", "*"])
def test_a_proxy_that_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadSetting, match="GATEWAY_TRUSTED_PROXIES"):
        Clients([text])
