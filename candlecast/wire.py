"""Messages between a job and the inference server, as bytes of JSON.

A request is one document. An answer is one document too, or a stream of lines (NDJSON) where each line says
what it is: an `item` (a forecast or why there is none), a `heartbeat`, or the `end`. A stream without its end
was cut. Numbers survive the trip bit for bit: every float is written with the digits that bring it back.

Nothing from the other side is trusted. A request whose envelope is wrong is refused whole; an item that is wrong
becomes a `BadItem` and leaves the others alone; an answer is held against the series that it claims to be about.

Messages have a version, `PROTOCOL`. A field that one side does not know is left unread, so that fields can be added
without a new version; a message of another version is refused with a sentence by whoever reads it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import orjson

from candlecast.clock import INTERVALS
from candlecast.fields import (
    MessageError,
    epochs,
    instant_text,
    instants,
    loads,
    numbers,
    object_of,
    parse_instant,
    short,
    single,
    whole,
)
from candlecast.forecasts import LEVELS, Forecast, ModelInfo, Refusal, Result, Series, forecast_fault, series_fault

PROTOCOL: Final = 1
NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
PROBLEM: Final = "application/problem+json"

MAX_ITEMS: Final = 5_000
MAX_HORIZON: Final = 1_024
MAX_BARS: Final = 16_384
MAX_PATHS: Final = 10_000
MAX_CELLS: Final = 4_000_000  # paths times horizon of one item: 16 MB of floats

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class BadItem:
    """An item of a request that is no series; symbol and time are echoed where they could be read."""

    symbol: str | None
    issued_at: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class PredictRequest:
    """A `/predict` body: which model, how far, how many paths, for which series."""

    model_name: str
    interval: str
    horizon: int
    n_paths: int
    base_seed: int
    items: Sequence[Series | BadItem]
    return_paths: bool = True


# -- request -----------------------------------------------------------------------------------------


def encode_request(request: PredictRequest) -> bytes:
    """The body of a `POST /predict`; its items must be series."""
    return join_request(request, [encode_item(one) for one in request.items if isinstance(one, Series)])


def join_request(request: PredictRequest, items: Sequence[bytes]) -> bytes:
    """The body of a `POST /predict` about items that are encoded already, in place of the request's own."""
    return orjson.dumps(
        {
            "protocol": PROTOCOL,
            "model_name": request.model_name,
            "interval": request.interval,
            "horizon": request.horizon,
            "n_paths": request.n_paths,
            "base_seed": request.base_seed,
            "return_paths": request.return_paths,
            "items": [orjson.Fragment(one) for one in items],
        }
    )


def encode_item(series: Series, *, events: bool = True) -> bytes:
    """One item of a request; without `events` for a model that does not read them."""
    tensor = series.events if events else None
    fields = {
        "symbol": series.symbol,
        "issued_at": instant_text(series.issued_at),
        "ohlcv": np.ascontiguousarray(series.ohlcv, dtype=np.float64),
        "opened_at": epochs(series.opened_at),
        "target_opened_at": epochs(series.target_opened_at),
        "events": None if tensor is None else np.ascontiguousarray(tensor, dtype=np.float32),
    }
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_request(body: bytes) -> PredictRequest:
    """The request in `body`, each item a series or a `BadItem`.

    Raises
    ------
    MessageError : the envelope cannot be used; a wrong item never raises.
    """
    fields = object_of(loads(body, "the request"), "the request")
    _check_version(fields, "the request", "this server")
    if not isinstance(fields.get("model_name"), str):
        raise MessageError(f"model_name is {short(fields.get('model_name'))}, needed is the name of a model")
    interval = fields.get("interval")
    if not isinstance(interval, str) or interval not in INTERVALS:
        raise MessageError(f"interval is {short(interval)}, needed is one of {', '.join(INTERVALS)}")
    horizon = whole(fields, "horizon", 1, MAX_HORIZON)
    n_paths = whole(fields, "n_paths", 0, MAX_PATHS)
    base_seed = whole(fields, "base_seed", 0, 2**63 - 1, default=0)
    if n_paths * horizon > MAX_CELLS:
        raise MessageError(f"{n_paths} paths of {horizon} steps are more than {MAX_CELLS} values; ask for fewer paths")
    return_paths = fields.get("return_paths", True)
    if not isinstance(return_paths, bool):
        raise MessageError(f"return_paths is {short(return_paths)}, needed is true or false")
    items = fields.get("items")
    if not isinstance(items, list) or not 1 <= len(items) <= MAX_ITEMS:
        found = f"a list of {len(items)}" if isinstance(items, list) else short(items)
        raise MessageError(f"items is {found}, needed is a list of 1 to {MAX_ITEMS}")
    return PredictRequest(
        fields["model_name"],
        interval,
        horizon,
        n_paths,
        base_seed,
        tuple(_series(item, interval, horizon) for item in items),
        return_paths,
    )


def _series(item: object, interval: str, horizon: int) -> Series | BadItem:
    """One item of a request, never raising: whatever is wrong with it stays with it."""
    fields = item if isinstance(item, dict) else {}
    symbol, issued_text = fields.get("symbol"), fields.get("issued_at")
    symbol = symbol if isinstance(symbol, str) and _SYMBOL.fullmatch(symbol) else None
    try:
        issued_at = parse_instant(issued_text, "issued_at")
        if symbol is None:
            raise MessageError(f"symbol is {short(fields.get('symbol'))}, needed is a word of A-Z, 0-9, '.', '_', '-'")
        opened_at, targets = (instants(fields.get(name), name) for name in ("opened_at", "target_opened_at"))
        ohlcv = numbers(fields.get("ohlcv"), "ohlcv")
        if len(ohlcv) > MAX_BARS:
            raise MessageError(f"{len(ohlcv)} bars, at most {MAX_BARS} are taken")
        events = None
        if fields.get("events") is not None:
            events = single(numbers(fields["events"], "events"))
        series = Series(symbol, interval, issued_at, ohlcv, opened_at, targets, events)
        fault = series_fault(series, horizon)
    except MessageError as error:
        named = issued_text[:40] if isinstance(issued_text, str) else None
        return BadItem(symbol, named, "bad_item", f"{symbol or 'an item without a usable symbol'}: {error}")
    if fault is not None:
        return BadItem(symbol, instant_text(issued_at), fault.code, fault.message)
    return series


# -- answer ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemLine:
    """Answer to the item at `index` of the request: the fields of a forecast or of an error, not yet trusted."""

    index: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The server is alive and still at work."""


@dataclass(frozen=True, slots=True)
class End:
    """The answer is whole; `reason` says why it stopped early ("deadline", "draining"), if it did."""

    n_ok: int
    n_failed: int
    reason: str | None = None


def item_fields(index: int, result: Result | BadItem, *, return_paths: bool = True) -> dict[str, Any]:
    """The answer to one item, ready to be written by `encode`."""
    fields: dict[str, Any] = {"protocol": PROTOCOL, "type": "item", "index": index, "symbol": result.symbol}
    issued_at = result.issued_at
    fields["issued_at"] = instant_text(issued_at) if isinstance(issued_at, datetime) else issued_at
    if not isinstance(result, Forecast):
        return fields | {"error": {"code": result.code, "message": result.message}}
    fields |= {
        "interval": result.interval,
        "model_name": result.model_name,
        "model_version": result.model_version,
        "seed": result.seed,
        "p10": np.ascontiguousarray(result.p10),
        "p50": np.ascontiguousarray(result.p50),
        "p90": np.ascontiguousarray(result.p90),
        "fan": np.ascontiguousarray(result.fan, dtype=np.float64),
    }
    if return_paths and result.paths is not None:
        fields["paths"] = np.ascontiguousarray(result.paths, dtype=np.float32)
    return fields


def end_fields(end: End) -> dict[str, Any]:
    """The last line of a stream."""
    fields: dict[str, Any] = {"type": "end", "n_ok": end.n_ok, "n_failed": end.n_failed}
    return fields if end.reason is None else fields | {"reason": end.reason}


def heartbeat_fields() -> dict[str, Any]:
    """A line that says that there will be more."""
    return {"protocol": PROTOCOL, "type": "heartbeat"}


def encode(fields: Mapping[str, Any]) -> bytes:
    """One document or line, without its newline."""
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def parse_line(line: bytes) -> ItemLine | Heartbeat | End:
    """What one line of a stream says.

    Raises
    ------
    MessageError : garbage, or a type of line that this protocol does not have.
    """
    fields = object_of(loads(line, "a line of the answer"), "a line of the answer")
    _check_version(fields, "the answer", "this client")
    match fields.get("type"):
        case "item":
            return ItemLine(whole(fields, "index", 0, MAX_ITEMS - 1), fields)
        case "heartbeat":
            return Heartbeat()
        case "end":
            return parse_end(fields)
        case other:
            raise MessageError(f"a line of the answer is of type {short(other)}, known are item, heartbeat and end")


def parse_end(fields: Mapping[str, Any]) -> End:
    """The counts at the end of a stream or of a document."""
    reason = fields.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise MessageError(f"the end's reason is {short(reason)}, needed is a word")
    return End(whole(fields, "n_ok", 0, MAX_ITEMS), whole(fields, "n_failed", 0, MAX_ITEMS), reason)


def result_of(line: ItemLine, series: Series, *, model_name: str, horizon: int, n_paths: int) -> Result:
    """The result that `line` holds for `series`: a forecast, or the server's own refusal.

    Raises
    ------
    MessageError : the line is about another series, time or model, or its numbers cannot be issued (wrong
        length, not finite, a fan that falls or disagrees with its p10, p50, p90).
    """
    fields = line.fields
    for name, wanted in (("symbol", series.symbol), ("issued_at", instant_text(series.issued_at))):
        if fields.get(name) != wanted:
            raise MessageError(f"the answer has {name} {short(fields.get(name))}, asked was {wanted}")
    if "error" in fields:
        error = object_of(fields["error"], "error")
        code, message = error.get("code"), error.get("message")
        if not isinstance(code, str) or not isinstance(message, str):
            raise MessageError("the answer's error has no code and message")
        return Refusal(series.symbol, series.interval, series.issued_at, code, message)

    for name, wanted in (("interval", series.interval), ("model_name", model_name)):
        if fields.get(name) != wanted:
            raise MessageError(f"the answer has {name} {short(fields.get(name))}, asked was {wanted}")
    version = fields.get("model_version")
    if not isinstance(version, str) or not version:
        raise MessageError(f"the answer's model_version is {short(version)}, needed is the hash of the weights")
    fan = numbers(fields.get("fan"), "fan")
    paths = None
    if fields.get("paths") is not None:
        paths = single(numbers(fields["paths"], "paths"))
    forecast = Forecast(
        series.symbol,
        series.interval,
        series.issued_at,
        model_name,
        version,
        whole(fields, "seed", 0, 2**63 - 1),
        fan,
        paths,
    )
    if (fault := forecast_fault(forecast, horizon)) is not None:
        raise MessageError(f"the answer cannot be used, {fault}")
    if paths is not None and len(paths) != n_paths:
        raise MessageError(f"the answer has {len(paths)} paths, asked were {n_paths}")
    for name, column in (("p10", forecast.p10), ("p50", forecast.p50), ("p90", forecast.p90)):
        values = numbers(fields.get(name), name)
        if values.shape != column.shape or (values != column).any():
            raise MessageError(f"the answer's {name} is not the column of its fan")
    return forecast


# -- models ------------------------------------------------------------------------------------------


def models_fields(models: Sequence[ModelInfo]) -> dict[str, Any]:
    """The document of `GET /models`."""
    return {
        "protocol": PROTOCOL,
        "levels": LEVELS,
        "models": [
            {
                "name": one.name,
                "version": one.version,
                "max_context": one.max_context,
                "takes_events": one.takes_events,
                "determinism": one.determinism,
                "description": one.description,
                "gives_quantiles": one.gives_quantiles,
            }
            for one in models
        ],
    }


def parse_models(body: bytes) -> list[ModelInfo]:
    """The models in a `GET /models` document."""
    fields = object_of(loads(body, "the list of models"), "the list of models")
    _check_version(fields, "the list of models", "this client")
    models = fields.get("models")
    if not isinstance(models, list):
        raise MessageError("the list of models has no models")
    return [_model(object_of(one, "a model")) for one in models]


def _check_version(fields: Mapping[str, Any], what: str, reader: str) -> None:
    """Nothing for a message of our version, or one that names none; else a MessageError of the kind `version`."""
    spoken = fields.get("protocol", PROTOCOL)
    if spoken != PROTOCOL or isinstance(spoken, bool):
        raise MessageError(
            f"{what} speaks protocol {short(spoken)}, {reader} speaks {PROTOCOL}; update the older of the two",
            kind="version",
        )


def _model(fields: Mapping[str, Any]) -> ModelInfo:
    texts = [fields.get(name) for name in ("name", "version", "description")]
    flags = [fields.get(name) for name in ("takes_events", "gives_quantiles")]
    context, determinism = fields.get("max_context"), fields.get("determinism")
    sound = all(isinstance(text, str) for text in texts) and all(isinstance(flag, bool) for flag in flags)
    if not sound or determinism not in ("bitwise", "tolerance"):
        raise MessageError(f"a model in the list cannot be read: {short(dict(fields))}")
    return ModelInfo(
        name=str(texts[0]),
        version=str(texts[1]),
        max_context=None if context is None else whole(fields, "max_context", 1, 2**31),
        takes_events=bool(flags[0]),
        determinism=determinism,
        description=str(texts[2]),
        gives_quantiles=bool(flags[1]),
    )
