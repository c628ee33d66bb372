"""The documents behind the tools: the same bodies that the routes send, from the same cache, read back."""

import re
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson

from gateway import problems
from gateway.content.chart import chart_key
from gateway.content.evaluation import evaluation_key
from gateway.content.history import HistoryQuestion, read_history
from gateway.content.performance import performance_key
from gateway.mcp_server.door import PATH
from gateway.parameters import MODEL, symbol_of
from gateway.patience import Patient
from gateway.service import OVERVIEW, VERDICTS, Service, Target

# A document as the routes send it.
Body = dict[str, Any]

T = TypeVar("T")

MODEL_NAME: Final = re.compile(MODEL)


class Reading:
    """Reads for the tools. Every method raises `Problem` as the routes do, within `READER_WAIT_S`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._patient = Patient(service.database)

    async def instruments(self) -> Body:
        """/showcase/instruments."""
        return await self._body(Target(PATH, OVERVIEW))

    async def forecast(self, symbol: str, interval: str, model_name: str | None) -> Body:
        """/showcase/ml-prediction/{symbol}."""
        target = Target(PATH, ("forecasts", symbol_of(symbol), interval), _named(model_name))
        body: Body = orjson.loads((await self._service.forecast(target)).body)
        return body

    async def chart(self, symbol: str, interval: str, model_name: str | None) -> Body:
        """/showcase/chart/{symbol}."""
        known = symbol_of(symbol)
        self.refuse_unknown(known, model_name)
        target = Target(PATH, chart_key(known, interval, model_name, None))
        missing = problems.nothing_predicted(known, interval, model_name)
        body: Body = orjson.loads((await self._service.chart(target, lambda: missing)).body)
        return body

    async def history(
        self, symbol: str, interval: str, model_name: str | None, as_of: datetime | None, limit: int, cursor: str | None
    ) -> tuple[Body, str | None]:
        """A page of /v1/predictions/{symbol}, and the cursor of the next. Whoever asks has to have shown a key."""
        known = symbol_of(symbol)
        self.refuse_unknown(known, model_name)
        question = HistoryQuestion(known, interval, model_name, as_of, since=None, until=None, status=None)
        page, following = await read_history(self._patient, question, limit, cursor)
        body: Body = orjson.loads(orjson.dumps(page))
        return body, following

    async def performance(self, **filters: Any) -> Body:
        """/showcase/performance."""
        if filters.get("symbol") is not None:
            filters["symbol"] = symbol_of(filters["symbol"])
        self.refuse_unknown(filters.get("symbol"), filters.get("model_name"))
        return await self._body(Target(PATH, performance_key(**filters)))

    async def evaluation(self, record: str, interval: str) -> Body:
        """/showcase/evaluation."""
        return await self._body(Target(PATH, evaluation_key(record, interval)))

    async def verdicts(self) -> list[Body]:
        """The rows of /showcase/performance/verdicts."""
        found: list[Body] = (await self._body(Target(PATH, VERDICTS)))["verdicts"]
        return found

    def refuse_unknown(self, symbol: str | None, model_name: str | None) -> None:
        """Refuse what is not on the lists, without asking the database."""
        if symbol is not None:
            self._service.known_symbol(symbol)
        if model_name is not None:
            self._service.known_model(_named(model_name) or "")

    async def _body(self, target: Target) -> Body:
        body: Body = orjson.loads((await self._service.answer(target)).body)
        return body


async def if_known(reading: Awaitable[T]) -> T | None:
    """What a reading gives, None where it cannot be read: what it goes with is then told without it."""
    try:
        return await reading
    except problems.Problem:
        return None


def _named(model_name: str | None) -> str | None:
    """A model's name; anything that cannot be one is an unknown model."""
    if model_name is not None and not MODEL_NAME.fullmatch(model_name):
        raise problems.unknown_model(model_name)
    return model_name
