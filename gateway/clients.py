"""Who asks: the name under which a client's requests are counted.

It is the address of the peer. Only a peer that the operator trusts as a proxy may name somebody else, in X-Real-IP;
X-Forwarded-For is never read, since whoever asks may write into it what he likes.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from candlecast.settings import BadSetting
from gateway.answers import Header

LOCAL: Final = "local"  # a peer without an address: a Unix socket, or a test without a network


class Clients:
    """Names clients by their address; IPv6 by its /64, because that is what one customer gets."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        """`trusted_proxies` are addresses or networks, as `10.0.0.0/8`; raises BadSetting for any other text."""
        self._trusted = []
        for text in trusted_proxies:
            try:
                self._trusted.append(ip_network(text, strict=False))
            except ValueError as error:
                expected = "a list of addresses or networks such as 10.0.0.0/8, separated by commas"
                raise BadSetting("GATEWAY_TRUSTED_PROXIES", text, expected) from error

    def trusts(self, peer: str | None) -> bool:
        """Whether a peer is a proxy that says for whom it asks."""
        address = _address(peer) if peer and self._trusted else None
        return address is not None and any(address in network for network in self._trusted)

    def name(self, peer: str | None, headers: Iterable[Header]) -> str:
        """The name of the client behind a request. Where a proxy passed on an X-Real-IP of the client's own, its
        own comes last; one that is no address is as none."""
        if not self.trusts(peer):
            return direct(peer)
        named = [value for name, value in headers if name == b"x-real-ip"]
        address = _address(named[-1].decode("latin-1").strip()) if named else None
        return direct(peer) if address is None else _named(address)


@lru_cache(maxsize=4096)
def direct(peer: str | None) -> str:
    """The name of a client that is the peer itself."""
    address = _address(peer) if peer else None
    return LOCAL if address is None else _named(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one that is written as IPv6 as what it is; None for any other text."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _named(address: IPv4Address | IPv6Address) -> str:
    if address.version == 4:
        return str(address)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
