"""The routes that need a key: all forecasts on record, one by its id, the whole track record, and the ledger."""

from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from gateway import problems
from gateway.content.history import HistoryQuestion, read_history
from gateway.content.ledger import read_chain, read_ledger
from gateway.content.performance import MAX_ROWS, Record, Window, read_performance_page
from gateway.content.prediction import read_prediction
from gateway.cursors import HELP
from gateway.exports import MEDIA, Download, ExportQuestion, Exports, Format
from gateway.parameters import BAD, KEY_NEEDED, MODEL, Flag, Instant, errors, only, symbol_of
from gateway.patience import PROBE, Patient
from gateway.routes.site import Site
from gateway.schemas import keyed as schemas
from gateway.schemas.keyed import AssetClass
from gateway.schemas.showcase import Interval, Status

MAX_FORECASTS: Final = 200
MAX_HASHES: Final = 1000
UNAVAILABLE: Final = "The database cannot be read; Retry-After says when to ask again."

EXPORTED: Final[dict[str, Any]] = {
    "description": "The export.",
    "content": {media: {"schema": {"type": "string", "format": "binary"}} for media in MEDIA.values()},
    "headers": {
        "content-disposition": {"schema": {"type": "string"}},
        "x-ledger-rows": {"description": "Forecasts in the export.", "schema": {"type": "string"}},
        "x-ledger-chains": {"description": "Hash chains in the export.", "schema": {"type": "string"}},
        "repr-digest": {"description": "SHA-256 of a Parquet file (RFC 9530).", "schema": {"type": "string"}},
    },
}

Symbol = Annotated[str, Path(description="An instrument's symbol, e.g. `BTCUSDT`; upper or lower case.")]
ModelName = Annotated[str | None, Query(pattern=MODEL, description="A model's name, e.g. `baseline-rw`.")]
# Not in the OpenAPI document: it is no parameter to be filled in, but a part of the address in `next`.
Cursor = Annotated[str | None, Query(description=HELP, include_in_schema=False)]


def build(site: Site) -> APIRouter:
    """The routes below /v1/."""
    router = APIRouter(
        prefix="/v1", dependencies=[Depends(site.access.check)], tags=["keyed"], responses=errors(_401=KEY_NEEDED)
    )
    service = site.service
    patient = Patient(service.database)
    exports = Exports(service.database.url)

    @router.get(
        "/predictions/{symbol}",
        summary="The forecasts on record of an instrument, newest first",
        response_model=schemas.HistoryAnswer,
        responses=errors(_404="unknown_symbol or unknown_model.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("interval", "model_name", "as_of", "since", "until", "status", "limit", "cursor"))],
    )
    async def predictions(
        request: Request,
        symbol: Symbol,
        interval: Interval = "1h",
        model_name: ModelName = None,
        as_of: Annotated[
            Instant | None,
            Query(description="Only forecasts recorded by then: the answer about a past moment never changes."),
        ] = None,
        since: Annotated[Instant | None, Query(description="Only those issued from then on.")] = None,
        until: Annotated[Instant | None, Query(description="Only those issued before then.")] = None,
        status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_FORECASTS, description="Forecasts on a page.")] = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Pages that follow one another by `next` hold every forecast once, also while others arrive: what was on
        record when the first page was read. A page may be followed at any later time."""
        symbol = symbol_of(symbol)
        service.known_symbol(symbol)
        if model_name is not None:
            service.known_model(model_name)
        question = HistoryQuestion(symbol, interval, model_name, as_of, since, until, status)
        page, following = await read_history(patient, question, limit, cursor)
        return private(page | {"next": next_of(request, following)})

    @router.get(
        "/predictions/by-id/{prediction_id}",
        summary="Everything on record about one forecast",
        response_model=schemas.PredictionRecordAnswer,
        responses=errors(_404="unknown_prediction.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("paths"))],
    )
    async def prediction(
        prediction_id: UUID,
        paths: Annotated[Flag, Query(description="With its sample paths, where they are still kept.")] = False,
    ) -> Response:
        """Its fan as the model gave it and as it was served, what corrected it, the hashes that seal it, and its
        scores at every step that was judged."""
        return private(await read_prediction(patient, prediction_id, paths=paths))

    @router.get(
        "/performance",
        summary="The track record, all of it",
        response_model=schemas.PerformancePage,
        responses=errors(_404="unknown_symbol or unknown_model.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[
            Depends(
                only("symbol", "asset_class", "interval", "model_name", "step", "window", "record", "limit", "cursor")
            )
        ],
    )
    async def performance(
        request: Request,
        symbol: Annotated[str | None, Query(description="An instrument's symbol, upper or lower case.")] = None,
        asset_class: Annotated[AssetClass | None, Query()] = None,
        interval: Annotated[Interval | None, Query()] = None,
        model_name: ModelName = None,
        step: Annotated[int | None, Query(ge=1, le=1024, description="Bars ahead.")] = None,
        window: Annotated[Window | None, Query(description="Of the outcomes that are counted.")] = None,
        record: Annotated[Record | None, Query(description="Records are never mixed in one row.")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows on a page.")] = 500,
        cursor: Cursor = None,
    ) -> Response:
        """Rows of `signal_performance` in the order of record, symbol, interval, model_name, step and window. The
        scorer renews them all at once: rows whose as_of differs were read before and after it did."""
        if symbol is not None:
            symbol = symbol_of(symbol)
            service.known_symbol(symbol)
        if model_name is not None:
            service.known_model(model_name)
        filters = {
            "symbol": symbol,
            "asset_class": asset_class,
            "interval": interval,
            "model_name": model_name,
            "step": step,
            "window": window,
            "record": record,
        }
        page, following = await read_performance_page(patient, filters, limit, cursor)
        return private(page | {"next": next_of(request, following)})

    @router.get(
        "/ledger",
        summary="The hash chains of the ledger, and the newest days that were sealed",
        response_model=schemas.LedgerAnswer,
        responses=errors(_422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only())],
    )
    async def ledger() -> Response:
        return private(await read_ledger(patient))

    @router.get(
        "/ledger/export",
        summary="The ledger as a file, every value and every hash",
        response_class=Download,
        status_code=200,
        responses=errors(
            _404="unknown_model.",
            _422=BAD,
            _429="Too many requests, or as many exports as allowed are under way; Retry-After says when to ask again.",
            _501="Parquet is not installed on this server.",
            _503=UNAVAILABLE,
            _507="No room for a Parquet file of that size.",
        )
        | {200: EXPORTED},
        dependencies=[Depends(only("model_name", "interval", "since", "until", "format"))],
    )
    async def export(
        model_name: ModelName = None,
        interval: Annotated[Interval | None, Query()] = None,
        since: Annotated[Instant | None, Query(description="Only what was recorded from then on.")] = None,
        until: Annotated[Instant | None, Query(description="Only what was recorded before then.")] = None,
        format: Annotated[Format, Query(description="JSON lines, or a Parquet file.")] = "jsonl",
    ) -> Response:
        """Check it with `candlecast verify --ledger FILE --root SEAL`, which needs nothing but the file and the seals
        that were published. Of each chain a piece without a gap; with `since` and `until` the one that holds what was
        recorded in that span.

        JSON lines: one object per forecast, with a last line that counts them and has the SHA-256 of all before it.
        Parquet: one row per forecast; the header Repr-Digest has the SHA-256 of the file."""
        if model_name is not None:
            service.known_model(model_name)
        question = ExportQuestion(model_name, interval, since, until, format)
        exports.check(question)
        await patient.rows(PROBE)  # a database that is away is told at once
        return Download(exports, question)

    @router.get(
        "/ledger/{model_name}/{interval}",
        summary="The hashes of one chain, in its order",
        response_model=schemas.ChainRowsAnswer,
        responses=errors(_404="unknown_model.", _422=BAD, _503=UNAVAILABLE),
        dependencies=[Depends(only("after", "limit"))],
    )
    async def chain(
        model_name: Annotated[str, Path(pattern=MODEL)],
        interval: Interval,
        after: Annotated[int, Query(ge=0, lt=2**63, description="The chain_seq behind which to begin.")] = 0,
        limit: Annotated[int, Query(ge=1, le=MAX_HASHES, description="Rows in this piece.")] = 100,
    ) -> Response:
        """Rows never change and none is ever added in between, so a piece of a chain stays as it is."""
        service.known_model(model_name)
        if (model_name, interval) not in service.watch.chains:
            raise problems.Problem(
                "unknown_model",
                f"{model_name} has issued nothing on {interval}; GET /v1/ledger lists the chains that there are.",
            )
        return private(await read_chain(patient, model_name, interval, after, limit))

    return router


def private(body: dict[str, object] | bytes) -> Response:
    """An answer for the holder of a key alone: nobody on the way keeps it."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(data, headers={"cache-control": "private, no-store"}, media_type="application/json")


def next_of(request: Request, cursor: str | None) -> str | None:
    """The address of the next page: this one's with another cursor."""
    if cursor is None:
        return None
    kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*kept, ('cursor', cursor)])}"
