"""One HTTP connection to the inference server: what a status means, and whether asking again can help.

Between here and the server there may be a tunnel with a login in front. A redirect or a page of HTML is that login
speaking: it is never followed, and it ends the call as a failed authentication.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final

import httpx
import orjson

from candlecast.errors import CandlecastError
from candlecast.wire import JSON, NDJSON
from jobs.forecasters.errors import GpuDown, InferenceAuthError, InferenceRejected
from jobs.forecasters.patience import Again, Patience, TooLong, retry_after

RETRIED: Final = frozenset({429, 502, 503, 504, *range(520, 525), 530})
SILENT_TOO_LONG: Final = 524  # a tunnel that buffers sees no heartbeat, and gives up after its 100 s
ISOLATED: Final = frozenset({413, 500})  # about what was sent: a smaller chunk may fare better
BREAK_AFTER: Final = 3  # connections in a row that could not be made
RESTART_S: Final = 4.0  # the first pause for a server that was there a moment ago: it may be starting again
MAX_LINE: Final = 64_000_000


class Cut(Exception):
    """An answer that stopped before its end, or turned into something else."""


class Connection:
    """Sends requests to one server and tells its answers apart; stays broken once it could not be reached thrice."""

    def __init__(self, base_url: str, secrets: Mapping[str, str | None], *, idle_s: float, connect_s: float) -> None:
        address = httpx.URL(base_url.rstrip("/"))
        # httpx writes addresses into its log, so a user name and password travel as a header instead.
        self._base = address.copy_with(username=None, password=None)
        self.where = str(self._base)
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise CandlecastError(f"INFERENCE_URL is {self.where!r}, needed is http:// or https:// and a host")
        self._http = httpx.Client(
            headers={name: value for name, value in secrets.items() if value},
            auth=(address.username, address.password) if address.username else None,
            timeout=httpx.Timeout(idle_s, connect=connect_s),
            follow_redirects=False,
            trust_env=False,  # a .netrc or proxy variable must not see or change what is sent
        )
        self._n_unreached = 0
        self._was_there = False

    def close(self) -> None:
        """Close the sockets."""
        self._http.close()

    def request(
        self, method: str, path: str, *, content: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> httpx.Request:
        """A request for `send`."""
        return self._http.build_request(method, f"{self._base}{path}", content=content, headers=headers)

    def send(self, request: httpx.Request, patience: Patience) -> httpx.Response:
        """The open response to `request`: a good answer, or one of `ISOLATED`.

        Raises
        ------
        Again : after having waited, the same may be tried again.
        Cancelled : the caller wants no more.
        InferenceError : it may not.
        """
        patience.check(self.where)
        unit_s = RESTART_S if self._was_there else 1.0
        if self._n_unreached >= BREAK_AFTER:
            raise GpuDown(f"{self.where} could not be reached {self._n_unreached} times; not trying on")
        try:
            response = self._http.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            self._n_unreached += 1
            if self._n_unreached >= BREAK_AFTER:
                raise GpuDown(
                    f"{self.where} cannot be reached ({reason(error)}); is the inference server running?"
                ) from None
            patience.wait(f"{self.where} cannot be reached ({reason(error)})", unit_s=unit_s)
        except httpx.RequestError as error:
            self._n_unreached = 0
            patience.wait(f"{self.where} gave no answer ({reason(error)})", unit_s=unit_s)
        self._n_unreached = 0
        status = response.status_code
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if status == 200 and kind in (NDJSON, JSON):
            self._was_there = True
            return response
        if status == 413 or (status in ISOLATED and kind != "text/html"):
            return response  # a tunnel has a limit of its own, and says so with a page
        with closing(response):
            said = f"{self.where} answered {status}: {detail(response)}"
        if status in RETRIED:
            told = retry_after(response.headers.get("retry-after", ""))
            try:
                patience.wait(said, retry_after_s=told, unit_s=unit_s)
            except Again as again:
                raise TooLong if status == SILENT_TOO_LONG else again from None
        if status in (401, 403) or 300 <= status < 400 or kind == "text/html":
            raise InferenceAuthError(
                f"{self.where} answered {status} ({kind or 'no content type'}), not a forecast; check INFERENCE_TOKEN "
                "and CF_ACCESS_CLIENT_ID / CF_ACCESS_CLIENT_SECRET, and that the tunnel's service token has not expired"
            )
        raise InferenceRejected(said)


def lines(response: httpx.Response) -> Iterator[bytes]:
    """Whole lines of a response; a last one without its newline is not whole.

    Raises
    ------
    Cut : the connection failed or fell silent.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        for data in response.iter_bytes():
            first, *others = data.split(b"\n")
            pieces.append(first)
            size += len(first)
            for other in others:
                if line := b"".join(pieces).strip():
                    yield line
                pieces, size = [other], len(other)
            if size > MAX_LINE:
                raise Cut(f"a line is longer than {MAX_LINE} bytes")
    except httpx.RequestError as error:
        raise Cut(reason(error)) from None


def detail(response: httpx.Response) -> str:
    """The sentence of a problem document, or nothing worth repeating."""
    try:
        fields = orjson.loads(response.read())
    except (httpx.RequestError, orjson.JSONDecodeError):
        return "no reason given"
    sentence = fields.get("detail") if isinstance(fields, dict) else None
    return sentence[:300] if isinstance(sentence, str) else "no reason given"


def reason(error: Exception) -> str:
    """An error's kind and words; httpx puts neither headers nor bodies into them."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
