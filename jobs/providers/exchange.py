"""Fresh bars of the crypto instruments from Binance's public market data, through ccxt.

The wire format (`GET /api/v3/klines`): arrays of opening time, open, high, low, close, volume, closing time, …;
times in milliseconds (microseconds where the venue was asked so), prices as strings. The last bar is usually
still open. It is told by its closing time against the venue's clock and ours, never by its place.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
import pandas as pd

from candlecast.bars import COLUMNS, VALUES
from candlecast.clock import INTERVALS
from candlecast.errors import CandlecastError

BASE_URL: Final = "https://data-api.binance.vision"  # the venue's host for market data: no key, no account
PAGE: Final = 1000
PROBE_S: Final = 2.5
TIMEOUT_MS: Final = 10_000


class ExchangeUnreachable(CandlecastError):
    """The exchange did not answer, or not as an exchange does."""

    exit_code = 69

    def __init__(self, base_url: str, reason: str) -> None:
        super().__init__(
            f"the exchange at {base_url} does not answer: {reason}; check the network, "
            "or import bars from files with `candlecast ingest files FOLDER`"
        )
        self.base_url = base_url


class ExchangeRefused(CandlecastError):
    """The exchange answered, but not with bars."""

    def __init__(self, symbol: str, reason: str) -> None:
        super().__init__(
            f"{symbol}: the exchange refused its bars: {reason}; check provider_symbol in the instruments file"
        )
        self.symbol = symbol


def server_time(base_url: str = BASE_URL, *, within_s: float = PROBE_S) -> datetime:
    """What the exchange's clock says, asked for at most `within_s` seconds, name resolution included.

    Raises
    ------
    ExchangeUnreachable : no answer in time, or not that of an exchange.
    """
    answer: list[datetime | Exception] = []

    def ask() -> None:
        try:
            response = httpx.get(f"{base_url}/api/v3/time", timeout=within_s)
            answer.append(_instant(int(response.raise_for_status().json()["serverTime"])))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, OverflowError) as error:
            answer.append(error)

    # No timeout of httpx covers the look-up of a name, which may take a resolver's own ten seconds.
    probe = threading.Thread(target=ask, daemon=True)
    probe.start()
    probe.join(within_s)
    said = answer[0] if answer else TimeoutError(f"nothing within {within_s} seconds")
    if isinstance(said, Exception):
        raise ExchangeUnreachable(base_url, f"{type(said).__name__} {said}".strip()) from None
    return said


def is_reachable(base_url: str = BASE_URL, *, within_s: float = PROBE_S) -> bool:
    """Whether the exchange answers within `within_s` seconds."""
    try:
        server_time(base_url, within_s=within_s)
    except ExchangeUnreachable:
        return False
    return True


class Exchange:
    """One connection to the exchange: ccxt's client, which keeps to the venue's rate limit."""

    def __init__(self, base_url: str = BASE_URL) -> None:
        import ccxt  # half a second, and only those who talk to an exchange pay it

        self._errors = ccxt
        self._client = ccxt.binance({"enableRateLimit": True, "timeout": TIMEOUT_MS})
        self._client.urls["api"]["public"] = f"{base_url}/api/v3"
        self.base_url = base_url

    def closed_bars(self, symbol: str, interval: str, since: datetime, *, by: datetime) -> pd.DataFrame:
        """A frame of the bars of `symbol` that opened at `since` or later and had closed `by` then, unvalidated.

        `by` is the earlier of the venue's time and ours: a clock that runs ahead must not close a bar.

        Raises
        ------
        ExchangeUnreachable : no answer, or one that is no exchange's.
        ExchangeRefused : the symbol is not known there, or the answer holds no bars.
        """
        klines: list[list[Any]] = []
        start = since
        while start < by:
            page = self._page(symbol, interval, start)
            klines += page
            if len(page) < PAGE:
                break
            start = _instant(page[-1][0]) + INTERVALS[interval]
        rows = [
            (_instant(kline[0]), *map(float, kline[1:6]))
            for kline in klines
            if _instant(kline[6]) + timedelta(milliseconds=1) <= by
        ]
        frame = pd.DataFrame(rows, columns=list(COLUMNS))
        frame["ts"] = pd.to_datetime(frame["ts"], utc=True).dt.as_unit("us")
        return frame.astype(dict.fromkeys(VALUES, float))

    def _page(self, symbol: str, interval: str, start: datetime) -> list[list[Any]]:
        parameters = {
            "symbol": symbol,
            "interval": interval,
            "startTime": int(start.timestamp() * 1000),
            "limit": PAGE,
        }
        try:
            page = self._client.public_get_klines(parameters)
        except self._errors.NetworkError as error:
            raise ExchangeUnreachable(self.base_url, _first_line(error)) from error
        except self._errors.BaseError as error:
            raise ExchangeRefused(symbol, _first_line(error)) from error
        if not isinstance(page, list) or not all(_is_kline(kline) for kline in page):
            raise ExchangeRefused(symbol, f"it sent {str(page)[:80]!r} instead of bars")
        return page


def _is_kline(kline: object) -> bool:
    if not isinstance(kline, list) or len(kline) < 7:
        return False
    try:
        _instant(kline[0]), _instant(kline[6]), [float(value) for value in kline[1:6]]
    except (TypeError, ValueError, OverflowError, OSError):
        return False
    return True


def _instant(epoch: int | str) -> datetime:
    """An epoch in milliseconds or, above 1e14, in microseconds."""
    number = int(epoch)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number if number >= 10**14 else 1000 * number)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:200] if lines else type(error).__name__
