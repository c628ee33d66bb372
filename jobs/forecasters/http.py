"""Forecasts from the inference server, over a network that fails: chunks, retries, and nothing lost that arrived.

Series go out in chunks that take half a minute and hold 20 MB at most, and come back line by line; every result is
handed on as soon as those before it are here. What was cut off is asked for again, alone, and the server's seeds make
the second answer equal the first. What an answer claims is held against what was asked (`candlecast.wire`) before
anybody sees it.
"""

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from types import TracebackType
from typing import Final, Self

import httpx

from candlecast.fields import MessageError
from candlecast.forecasts import ModelInfo, Result, Series, never, refuse, series_fault
from candlecast.wire import (
    JSON,
    NDJSON,
    End,
    Heartbeat,
    ItemLine,
    PredictRequest,
    encode_item,
    join_request,
    parse_line,
    parse_models,
    result_of,
)
from jobs.forecasters.connection import ISOLATED, Connection, Cut, detail, lines, reason
from jobs.forecasters.errors import InferenceRejected, InferenceUnavailable
from jobs.forecasters.patience import Again, Cancelled, Patience, TooLong

FIRST_CHUNK: Final = 8  # series, before any was timed
LARGEST_CHUNK: Final = 256
MAX_BODY: Final = 20_000_000  # bytes of a request, as many as the server takes
MAX_ALONE: Final = 5  # series in a row that the server fails on, each alone: then it is the server


def nothing() -> None:
    """The `on_wait` of a caller who has nothing to do meanwhile."""


class HttpForecaster:
    """One model of one inference server, as a `Forecaster`.

    Parameters
    ----------
    base_url : such as http://127.0.0.1:8200
    model_name : as `GET /models` lists it
    api_key : sent as X-API-Key
    access_id, access_secret : a Cloudflare Access service token
    idle_s : longest silence between two reads; the server sends a heartbeat more often than that
    chunk_s : how long one request should take at most
    max_body : bytes of one request at most
    sleep, jitter : what waits between attempts, and a draw from [0, 1); for tests
    """

    def __init__(
        self,
        base_url: str,
        model_name: str,
        *,
        api_key: str | None = None,
        access_id: str | None = None,
        access_secret: str | None = None,
        idle_s: float = 25.0,
        connect_s: float = 5.0,
        chunk_s: float = 30.0,
        max_body: int = MAX_BODY,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        secrets = {"X-API-Key": api_key, "CF-Access-Client-Id": access_id, "CF-Access-Client-Secret": access_secret}
        self.connection = Connection(base_url, secrets, idle_s=idle_s, connect_s=connect_s)
        self.model_name, self.chunk_s, self.max_body = model_name, chunk_s, max_body
        self.item_s: float | None = None  # as last measured
        self._sleep, self._jitter = sleep, jitter
        self._info: ModelInfo | None = None

    def __repr__(self) -> str:
        return f"HttpForecaster({self.connection.where!r}, {self.model_name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.connection.close()

    @property
    def info(self) -> ModelInfo:
        """What the server says about the model; asked once.

        Raises
        ------
        InferenceError : it cannot be had, or the model is not served.
        """
        if self._info is None:
            served = {one.name: one for one in self.models()}
            if self.model_name not in served:
                raise InferenceRejected(f"{self.connection.where} serves {', '.join(served)}, not {self.model_name}")
            self._info = served[self.model_name]
        return self._info

    def models(self) -> list[ModelInfo]:
        """What the server serves.

        Raises
        ------
        InferenceError : it cannot be had.
        """
        patience = self._patience(None, never, nothing)
        while True:
            try:
                with closing(self.connection.send(self.connection.request("GET", "/models"), patience)) as response:
                    response.read()
                    return parse_models(response.content)
            except Again:
                continue
            except MessageError as error:
                raise InferenceRejected(f"{self.connection.where}: {error}") from None
            except httpx.RequestError as error:
                raise InferenceUnavailable(f"{self.connection.where}: {reason(error)}") from None

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
        deadline_s: float | None = None,
        on_wait: Callable[[], None] = nothing,
    ) -> Iterator[Result]:
        """One result per series, in order, each as soon as it is here; ends early once `cancel()` is true.

        All series share one interval. A series that no model should be shown is refused without asking; one that the
        server answers wrongly (another symbol or time, wrong lengths, values that are not finite, a fan that falls)
        or fails on becomes a `Refusal`. `on_wait` is called whenever the next result will take a while.

        Raises
        ------
        GpuDown : the server cannot be reached.
        InferenceUnavailable : some series stay without an answer, now or within `deadline_s`.
        InferenceAuthError : key or token were not accepted.
        InferenceRejected : the request as a whole is refused, such as for a model that is not there.
        """
        if intervals := {one.interval for one in series} - {series[0].interval if series else ""}:
            raise ValueError(f"one request is about one interval, got {series[0].interval} and {sorted(intervals)}")
        asked = PredictRequest(self.model_name, series[0].interval if series else "", horizon, n_paths, base_seed, ())
        call = _Call(self, asked, series, self._patience(deadline_s, cancel, on_wait))
        arrived: dict[int, Result] = {}
        n_given = 0
        try:
            for index, result in call.answers():
                arrived[index] = result
                while n_given in arrived:
                    yield arrived.pop(n_given)
                    n_given += 1
        except Cancelled:
            return

    def _patience(self, deadline_s: float | None, cancel: Callable[[], bool], on_wait: Callable[[], None]) -> Patience:
        return Patience(deadline_s, cancel=cancel, on_wait=on_wait, sleep=self._sleep, jitter=self._jitter)

    def chunk_size(self) -> int:
        """How many series the next request may hold, by the time that the last ones took."""
        if self.item_s is None:
            return FIRST_CHUNK
        return max(1, min(LARGEST_CHUNK, int(self.chunk_s / max(self.item_s, 1e-9))))

    def takes_events(self) -> bool:
        """False for a model that is known to read no events: they are most of a request's bytes."""
        return self._info is None or self._info.takes_events


Indexed = Iterator[tuple[int, Result]]


class _Call:
    """One call of `forecast`: what is asked and how patiently; series go by their index."""

    def __init__(self, to: HttpForecaster, asked: PredictRequest, series: Sequence[Series], patience: Patience) -> None:
        self.to, self.asked, self.series, self.patience = to, asked, series, patience
        self.n_alone = 0

    def answers(self) -> Indexed:
        """Index and result of every series, as they come."""
        chunk: list[int] = []
        items: list[bytes] = []
        size = 0
        for index, one in enumerate(self.series):
            if (fault := series_fault(one, self.asked.horizon)) is not None:
                yield index, fault
                continue
            item = encode_item(one, events=self.to.takes_events())
            if size + len(item) > self._room() or len(chunk) >= self.to.chunk_size():
                yield from self.ask(chunk, items)
                chunk, items, size = [], [], 0
            if len(item) > self._room():
                most = f"one request holds {self.to.max_body} at most; shorten the lookback"
                yield index, refuse(one, "too_large", f"it is {len(item)} bytes as a request, {most}")
                continue
            chunk.append(index)
            items.append(item)
            size += len(item) + 1
        yield from self.ask(chunk, items)

    def _room(self) -> int:
        """Bytes that a request has for its items."""
        return self.to.max_body - len(join_request(self.asked, []))

    def ask(self, chunk: Sequence[int], items: Sequence[bytes]) -> Indexed:
        """Every series of `chunk` answered, or an error; where the chunk is too much it is taken in halves."""
        left = dict(zip(chunk, items, strict=True))
        self.patience.fresh()
        while left:
            asked = tuple(left)
            try:
                with closing(self._post(list(left.values()))) as response:
                    if response.status_code in ISOLATED:
                        said = f"{self.to.connection.where} answered {response.status_code}: {detail(response)}"
                        response.close()
                        yield from self._smaller(left, said)
                        return
                    for index, result in self._read(asked, response):
                        del left[index]
                        self.n_alone = 0
                        yield index, result
            except TooLong:
                if len(left) > 1:
                    self.to.item_s = self.to.chunk_s / (len(left) // 2)
                    yield from self._halves(left)
                    return
            except Again:
                continue
            except Cut as cut:
                if len(left) < len(asked):
                    self.patience.fresh()
                    self.patience.on_wait()
                    continue
                self.patience.check(self.to.connection.where)
                missing = f"{len(left)} of {len(chunk)} items are missing"
                with suppress(Again):
                    self.patience.wait(f"{self.to.connection.where}: the answer was cut, {missing} ({cut})")

    def _post(self, items: Sequence[bytes]) -> httpx.Response:
        body = join_request(self.asked, items)
        # By what is asked: a retry, and even a job that starts again, joins the work that is under way or done.
        key = hashlib.sha256(body).hexdigest()[:32]
        headers = {"Content-Type": JSON, "Accept": NDJSON, "Idempotency-Key": key, **self.patience.header()}
        request = self.to.connection.request("POST", "/predict", content=body, headers=headers)
        return self.to.connection.send(request, self.patience)

    def _smaller(self, left: dict[int, bytes], said: str) -> Indexed:
        """By halves, so that the one item that is at fault is found and does not take the others with it."""
        if len(left) > 1:
            yield from self._halves(left)
            return
        self.n_alone += 1
        if self.n_alone >= MAX_ALONE:
            raise InferenceUnavailable(f"{said}; so it did for {self.n_alone} items in a row, each asked alone")
        (index,) = left
        yield index, refuse(self.series[index], "server_error", said)

    def _halves(self, left: dict[int, bytes]) -> Indexed:
        chunk, items, half = list(left), list(left.values()), len(left) // 2
        yield from self.ask(chunk[:half], items[:half])
        yield from self.ask(chunk[half:], items[half:])

    def _read(self, chunk: Sequence[int], response: httpx.Response) -> Indexed:
        """Each item of `chunk` as its line comes.

        Raises
        ------
        Cut : the stream failed, held garbage, or ended before its end; what came before is given.
        """
        begun = time.monotonic()
        missing = set(chunk)
        for line in lines(response):
            said = self._parsed(line)
            if isinstance(said, Heartbeat):
                self.patience.on_wait()
            elif isinstance(said, End):
                if missing:
                    n_taken = len(chunk) - len(missing)
                    raise Cut(f"the server stopped after {n_taken} items: {said.reason or 'no reason given'}")
                self.to.item_s = (time.monotonic() - begun) / len(chunk)
                return
            elif said.index >= len(chunk) or chunk[said.index] not in missing:
                raise Cut(f"a line about item {said.index}, {len(chunk)} were asked for, each once")
            else:
                index = chunk[said.index]
                missing.remove(index)
                yield index, self._believed(said, self.series[index])
            self.patience.check(self.to.connection.where)
        raise Cut("the answer has no end")

    def _parsed(self, line: bytes) -> ItemLine | Heartbeat | End:
        try:
            return parse_line(line)
        except MessageError as error:
            if error.kind == "version":
                raise InferenceRejected(f"{self.to.connection.where}: {error}") from None
            raise Cut(str(error)) from None

    def _believed(self, line: ItemLine, series: Series) -> Result:
        """What the line says about `series`, or a refusal where it cannot be true."""
        asked = self.asked
        try:
            return result_of(line, series, model_name=asked.model_name, horizon=asked.horizon, n_paths=asked.n_paths)
        except MessageError as error:
            return refuse(series, "bad_answer", str(error))
