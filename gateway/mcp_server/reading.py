"""The documents behind the tools: the same bodies that the routes send, from the same cache, read back."""

import asyncio
import re
from typing import Any, Final

import orjson

from gateway import problems
from gateway.content.chart import chart_key
from gateway.content.performance import performance_key
from gateway.mcp_server.door import PATH
from gateway.parameters import MODEL, symbol_of
from gateway.service import OVERVIEW, VERDICTS, Service, Target

# A document as the routes send it.
Body = dict[str, Any]

MODEL_NAME: Final = re.compile(MODEL)


class Reading:
    """Reads for the tools. Every method raises `Problem` as the routes do, within `READER_WAIT_S`."""

    def __init__(self, service: Service) -> None:
        self._service = service

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
        self._refuse_unknown(known, model_name)
        target = Target(PATH, chart_key(known, interval, model_name, None))
        missing = problems.nothing_predicted(known, interval, model_name)
        body: Body = orjson.loads((await self._service.chart(target, lambda: missing)).body)
        return body

    async def performance(self, **filters: Any) -> Body:
        """/showcase/performance."""
        if filters.get("symbol") is not None:
            filters["symbol"] = symbol_of(filters["symbol"])
        self._refuse_unknown(filters.get("symbol"), filters.get("model_name"))
        return await self._body(Target(PATH, performance_key(**filters)))

    async def verdicts(self) -> list[Body]:
        """The rows of /showcase/performance/verdicts."""
        found: list[Body] = (await self._body(Target(PATH, VERDICTS)))["verdicts"]
        return found

    async def verdicts_if_known(self) -> list[Body] | None:
        """The same, None where they cannot be read: what they qualify is then told without them."""
        try:
            return await self.verdicts()
        except problems.Problem:
            return None

    async def chart_if_known(self, symbol: str, interval: str, model_name: str | None) -> Body | None:
        """The same as `chart`, None where it cannot be read."""
        try:
            return await self.chart(symbol, interval, model_name)
        except problems.Problem:
            return None

    async def forecast_and_verdicts(
        self, symbol: str, interval: str, model_name: str | None
    ) -> tuple[Body, list[Body] | None]:
        """Both at once, so that the waits of a dead database do not add up."""
        return await asyncio.gather(self.forecast(symbol, interval, model_name), self.verdicts_if_known())

    def _refuse_unknown(self, symbol: str | None, model_name: str | None) -> None:
        """Refuse what is not on the lists, without asking the database."""
        if symbol is not None:
            self._service.known_symbol(symbol)
        if model_name is not None:
            self._service.known_model(_named(model_name) or "")

    async def _body(self, target: Target) -> Body:
        body: Body = orjson.loads((await self._service.answer(target)).body)
        return body


def _named(model_name: str | None) -> str | None:
    """A model's name; anything that cannot be one is an unknown model."""
    if model_name is not None and not MODEL_NAME.fullmatch(model_name):
        raise problems.unknown_model(model_name)
    return model_name
