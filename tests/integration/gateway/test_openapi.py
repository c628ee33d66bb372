"""The OpenAPI document and the routes, held to each other by schemathesis: all its checks, thousands of requests."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts

KEY = "Zt5-openapi-Wq81_kTz70pLmBv2xYs9"
SEED = 20261120
MIN_CASES = 2000
FREELY = "100000/second"

# What no program reads: the pages, their files, and what speaks another protocol.
NOT_DESCRIBED = {
    "/",
    "/api",
    "/assets/{version}/{name:path}",
    "/evaluation",
    "/favicon.ico",
    "/instrument/{symbol}",
    "/mcp",
    "/method",
    "/openapi.json",
    "/status",
}


def issue_all(market: Any) -> None:
    """Something to be found by every route."""
    for symbol in ("BTCUSDT", "ETHUSDT", "EURUSD", "AAPL"):
        for interval in ("1h", "1d"):
            for model_name in ("baseline-rw", "kronos-nano"):
                market.issue(symbol, interval, model_name)


async def test_the_document_describes_exactly_the_routes_that_programs_read(running: Any) -> None:
    async with running() as (client, front):
        document = (await client.get("/openapi.json")).json()
        app: Any = front
        while not hasattr(app, "router"):
            app = app._app
        paths = {str(route.path) for route in iter_route_contexts(app.router.routes)}

    assert set(document["paths"]) == paths - NOT_DESCRIBED
    for path, item in document["paths"].items():
        assert set(item) == {"get"}, path
        keyed = path.startswith("/v1/") or path == "/statusz"
        assert ("security" in item["get"]) == keyed, path
        answers = set(item["get"]["responses"])
        assert ("401" in answers) == keyed, path
        assert ("429" in answers) == (path not in ("/healthz", "/readyz", "/metrics")), path
        assert item["get"]["summary"], path


@pytest.mark.slow
def test_schemathesis_finds_nothing_with_all_its_checks(
    market: Any, reader_url: str, serve: Any, tmp_path: Path
) -> None:
    issue_all(market)
    with serve(reader_url, showcase_api_key=KEY, rate=FREELY, key_rate=FREELY) as (client, front):
        before = dict(front.service.metrics.requests)
        done = subprocess.run(
            [
                Path(sys.executable).with_name("schemathesis"), "run", f"{client.base_url}/openapi.json",
                "--checks", "all", "--max-examples", "100", "--header", f"X-API-Key: {KEY}", "--continue-on-failure",
                "--suppress-health-check", "all", "--no-color",
                *(["--seed", str(SEED)] if os.environ.get("CI") else []),
            ],
            cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        asked = {labels: n - before.get(labels, 0) for labels, n in front.service.metrics.requests.items()}

    assert done.returncode == 0, done.stdout[-8000:]
    cases = re.search(r"^\s*(\d+) generated", done.stdout, re.MULTILINE)
    assert cases is not None, done.stdout[-2000:]
    assert int(cases[1]) >= MIN_CASES
    # It came in: every keyed route answered somebody with the key, and refused others.
    for route in {route for route, _, _ in asked if route.startswith("/v1/") or route == "/statusz"}:
        codes = {code for (of, method, code), n in asked.items() if of == route and method == "GET" and n}
        assert "401" in codes, (route, codes)
        assert codes - {"401", "405", "422"}, (route, codes)
    assert not [labels for labels in asked if labels[2] == "500"]


async def test_the_document_itself_says_how_to_bring_a_key(running: Any) -> None:
    async with running() as (client, _):
        answer = await client.get("/openapi.json")

    document: dict[str, Any] = json.loads(answer.content)
    schemes = document["components"]["securitySchemes"]
    assert schemes["ApiKey"] | {"description": ""} == {
        "type": "apiKey", "in": "header", "name": "X-API-Key", "description": ""
    }  # fmt: skip
    assert (schemes["Bearer"]["type"], schemes["Bearer"]["scheme"]) == ("http", "bearer")
    assert isinstance(answer, httpx.Response)
