"""Asking the inference server over a network that fails: chunks, retries, and nothing lost that arrived.

Items go out in chunks that take about half a minute each and come back line by line; every result is handed
on as soon as it is here. What was cut off is asked for once more, and the server's seeds make the second answer
equal the first. What an answer claims is held against what was asked (`candlecast.wire`) before anybody sees it.
"""

import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import httpx

from candlecast.fields import MessageError
from candlecast.forecasts import ModelInfo, Refusal, Result, Series
from candlecast.wire import (
    JSON,
    NDJSON,
    End,
    Heartbeat,
    ItemLine,
    PredictRequest,
    encode_request,
    parse_line,
    parse_models,
    result_of,
)
from jobs.inference_connection import ISOLATED, Connection, Cut, detail, lines, reason
from jobs.inference_errors import InferenceAuthError, InferenceError, InferenceRejected, InferenceUnavailable
from jobs.patience import Again, Patience

__all__ = [
    "InferenceAuthError",
    "InferenceClient",
    "InferenceError",
    "InferenceRejected",
    "InferenceUnavailable",
]

FIRST_CHUNK: Final = 8  # items, before any was timed
LARGEST_CHUNK: Final = 256


class InferenceClient:
    """A connection to one inference server.

    Parameters
    ----------
    base_url : such as http://127.0.0.1:8200
    api_key : sent as X-API-Key
    access_id, access_secret : a Cloudflare Access service token
    idle_s : longest silence between two reads; the server sends a heartbeat more often than that
    chunk_s : how long one request should take
    sleep, jitter : what waits between attempts, and a draw from [0, 1); for tests
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        access_id: str | None = None,
        access_secret: str | None = None,
        idle_s: float = 25.0,
        connect_s: float = 5.0,
        chunk_s: float = 30.0,
        max_body: int = 8_000_000,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        secrets = {"X-API-Key": api_key, "CF-Access-Client-Id": access_id, "CF-Access-Client-Secret": access_secret}
        self._connection = Connection(base_url, secrets, idle_s=idle_s, connect_s=connect_s)
        self._where = self._connection.where
        self._chunk_s, self._max_body = chunk_s, max_body
        self._sleep, self._jitter = sleep, jitter
        self._item_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"InferenceClient({self._where!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def models(self) -> list[ModelInfo]:
        """What the server serves.

        Raises
        ------
        InferenceError : it cannot be had.
        """
        patience = Patience(None, self._sleep, self._jitter)
        while True:
            try:
                response = self._connection.send(self._connection.request("GET", "/models"), patience)
            except Again:
                continue
            try:
                with closing(response):
                    response.read()
                    return parse_models(response.content)
            except (MessageError, httpx.RequestError) as error:
                raise InferenceUnavailable(f"{self._where}: {reason(error)}") from None

    def forecast(
        self,
        model_name: str,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        deadline_s: float | None = None,
        on_result: Callable[[Result], None] = lambda result: None,
    ) -> list[Result]:
        """One result per series, in order; `on_result` hears each the moment it is here.

        All series share one interval. An item that the server answers wrongly (another symbol or time, wrong
        lengths, values that are not finite, a fan that falls) or fails on becomes a `Refusal`.

        Raises
        ------
        InferenceUnavailable : some items stay without an answer, now or within `deadline_s`.
        InferenceAuthError : key or token were not accepted.
        InferenceRejected : the request as a whole is refused, such as for a model that is not there.
        """
        if intervals := {one.interval for one in series} - {series[0].interval if series else ""}:
            raise ValueError(f"one request is about one interval, got {series[0].interval} and {sorted(intervals)}")
        ask = PredictRequest(model_name, series[0].interval if series else "", horizon, n_paths, base_seed, ())
        patience = Patience(deadline_s, self._sleep, self._jitter)
        call = _Call(self._connection, ask, series, patience, on_result, self._max_body)
        todo = list(range(len(series)))
        while todo:
            begun, n_before = time.monotonic(), len(call.results)
            call.ask(todo[: self._chunk_size(model_name)])
            self._item_s[model_name] = (time.monotonic() - begun) / (len(call.results) - n_before)
            todo = [index for index in todo if index not in call.results]
        return [call.results[index] for index in range(len(series))]

    def _chunk_size(self, model_name: str) -> int:
        item_s = self._item_s.get(model_name)
        return FIRST_CHUNK if item_s is None else max(1, min(LARGEST_CHUNK, int(self._chunk_s / max(item_s, 1e-9))))


class _Call:
    """One call of `forecast`: what is asked, how patiently, and what has arrived; items go by their index."""

    def __init__(
        self,
        connection: Connection,
        request: PredictRequest,
        series: Sequence[Series],
        patience: Patience,
        on_result: Callable[[Result], None],
        max_body: int,
    ) -> None:
        self.connection, self.request, self.series = connection, request, series
        self.patience, self.on_result, self.max_body = patience, on_result, max_body
        self.results: dict[int, Result] = {}

    def ask(self, chunk: Sequence[int]) -> None:
        """Every item of `chunk` answered, or an error; a chunk that is too much is taken in halves."""
        left = list(chunk)
        n_cut = 0
        self.patience.fresh()
        while left:
            body = encode_request(replace(self.request, items=[self.series[index] for index in left]))
            if len(body) > self.max_body:
                most = f"this client sends {self.max_body} at most; shorten the lookback"
                return self._smaller(left, "too_large", f"the request is {len(body)} bytes, {most}")
            headers = {"Content-Type": JSON, "Accept": NDJSON, **self.patience.header()}
            request = self.connection.request("POST", "/predict", content=body, headers=headers)
            try:
                with closing(self.connection.send(request, self.patience)) as response:
                    if response.status_code in ISOLATED:
                        said = f"{self.connection.where} answered {response.status_code}: {detail(response)}"
                        return self._smaller(left, "server_error", said)
                    self._read(left, response)
            except Again:
                continue
            except Cut as cut:
                n_cut += 1
                left = [index for index in left if index not in self.results]
                if n_cut > 1 and left:
                    missing = f"{len(left)} of {len(chunk)} items are missing"
                    raise InferenceUnavailable(
                        f"{self.connection.where}: the answer was cut twice, {missing} ({cut})"
                    ) from None
            else:
                return None
        return None

    def _smaller(self, chunk: Sequence[int], code: str, message: str) -> None:
        """The same by halves, so that the one item that is at fault is found and does not take the others with it."""
        if len(chunk) == 1:
            return self._take(chunk[0], _refused(self.series[chunk[0]], code, message))
        self.ask(chunk[: len(chunk) // 2])
        return self.ask(chunk[len(chunk) // 2 :])

    def _take(self, index: int, result: Result) -> None:
        self.results[index] = result
        self.on_result(result)

    def _read(self, chunk: Sequence[int], response: httpx.Response) -> None:
        """Take each item of `chunk` as its line comes.

        Raises
        ------
        Cut : the stream failed, held garbage, or ended before its end; what came before is taken.
        """
        n_taken = 0
        for line in lines(response, self.patience):
            try:
                said = parse_line(line)
            except MessageError as error:
                raise Cut(str(error)) from None
            if isinstance(said, Heartbeat):
                continue
            if isinstance(said, End):
                if n_taken < len(chunk):
                    raise Cut(f"the server stopped after {n_taken} items: {said.reason or 'no reason given'}")
                return
            if said.index >= len(chunk) or chunk[said.index] in self.results:
                raise Cut(f"a line about item {said.index}, {len(chunk)} were asked for, each once")
            n_taken += 1
            self._take(chunk[said.index], self._believed(said, self.series[chunk[said.index]]))
        raise Cut("the answer has no end")

    def _believed(self, line: ItemLine, series: Series) -> Result:
        """What the line says about `series`, or a refusal where it cannot be true."""
        asked = self.request
        try:
            return result_of(line, series, model_name=asked.model_name, horizon=asked.horizon, n_paths=asked.n_paths)
        except MessageError as error:
            return _refused(series, "bad_answer", str(error))


def _refused(series: Series, code: str, message: str) -> Refusal:
    return Refusal(series.symbol, series.interval, series.issued_at, code, f"{series.symbol}: {message}")
