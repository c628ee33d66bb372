"""What a browser opens: the pages, and the files they load."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from gateway import problems
from gateway.answers import HTML, Document, accepts_gzip
from gateway.content.board import board_key
from gateway.pages.assets import ASSETS, COMPRESSED, VERSION, modules
from gateway.pages.reference import draw_reference
from gateway.pages.shell import draw
from gateway.parameters import ModelName, only
from gateway.routes.site import Sent, Site
from gateway.schemas.showcase import Interval
from gateway.service import Target


def build(site: Site) -> APIRouter:
    """The pages. They stand outside the OpenAPI document, which describes what programs read."""
    router = APIRouter(include_in_schema=False)

    @router.get("/", dependencies=[Depends(only("interval", "model_name", "q"))])
    async def overview(
        request: Request,
        interval: Interval | None = None,
        model_name: ModelName = None,
        q: Annotated[str | None, Query(max_length=64)] = None,  # noqa: ARG001  (what the page's script searches for)
    ) -> Response:
        if model_name is not None:
            site.service.known_model(model_name)
        return await site.respond(request, Target("/", board_key(interval, model_name)))

    status_page = Document(draw("status.html", place="/status"), HTML, max_age_s=300)

    @router.get("/status", dependencies=[Depends(only())])
    async def status() -> Response:
        return Sent(status_page.at(site.service.moment()))

    # Every parameter is the script's: which record, interval, model, class and step the address names.
    frame = draw("evaluation.html", place="/evaluation", modules=modules("evaluation/evaluation.js"))
    evaluation_page = Document(frame, HTML, max_age_s=300)

    @router.get("/evaluation")
    async def evaluation() -> Response:
        return Sent(evaluation_page.at(site.service.moment()))

    method_page = Document(draw("method.html", place="/method"), HTML, max_age_s=300)

    @router.get("/method", dependencies=[Depends(only())])
    async def method() -> Response:
        return Sent(method_page.at(site.service.moment()))

    drawn: list[Document] = []  # once: the routes are those of the program

    @router.get("/api", dependencies=[Depends(only())])
    async def reference(request: Request) -> Response:
        if not drawn:
            drawn.append(Document(draw_reference(request.app.openapi()), HTML, max_age_s=300))
        return Sent(drawn[0].at(site.service.moment()))

    @router.get("/favicon.ico")
    async def favicon(request: Request) -> Response:
        return _file(request, "icon.svg", VERSION)

    @router.get("/assets/{version}/{name:path}")
    async def asset(request: Request, version: str, name: str) -> Response:
        return _file(request, name, version)

    return router


def _file(request: Request, name: str, version: str) -> Response:
    """One of the pages' files; for ever under the version of today, not to be kept under another."""
    if name not in ASSETS:
        raise problems.Problem("unknown_path", "There is no such file.")
    media_type, body = ASSETS[name]
    keep = "public, max-age=31536000, immutable" if version == VERSION else "no-cache"
    headers = {"cache-control": keep, "vary": "accept-encoding"}
    if name in COMPRESSED and accepts_gzip(request.headers.get("accept-encoding", "").encode("latin-1")):
        body, headers["content-encoding"] = COMPRESSED[name], "gzip"
    return Response(body, media_type=media_type.decode(), headers=headers)
