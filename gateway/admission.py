"""Whether a request may go on: it is counted for the holder of its key, or for the address it came from."""

from collections.abc import Iterable

from limits import RateLimitItem

from gateway.access import Access, presented
from gateway.answers import Header
from gateway.clients import Clients
from gateway.limits import Limiter


class Admission:
    """Counts requests by client. A key that opens nothing is counted for its address, so nobody guesses for free.

    Parameters
    ----------
    rate, key_rate : how often one address, and the holder of one key, may ask
    """

    def __init__(self, clients: Clients, access: Access, rate: RateLimitItem, key_rate: RateLimitItem) -> None:
        self.clients = clients
        self.by_address = Limiter(rate)
        self.by_key = Limiter(key_rate)
        self._access = access

    def wait_s(self, peer: str | None, headers: Iterable[Header]) -> float | None:
        """Count a request of the peer: None to go on, else the seconds that its client has to wait."""
        raw = presented(headers)
        key_id = None if raw is None else self._access.key_id(raw)
        if key_id is not None:
            return self.by_key.admit(key_id)
        return self.by_address.admit(self.clients.name(peer, headers))
