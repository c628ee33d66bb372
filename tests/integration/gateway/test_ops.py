"""Every metric that the dashboard and the alert rules name is told by a running server."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from candlecast.store.checks import note_check
from jobs.servers import started
from tests.promql import parse, selectors

from .conftest import Market
from .test_status import BATCH, newest, ran

OPS = Path(__file__).resolve().parents[3] / "ops"
DASHBOARD = OPS / "grafana" / "candlecast.json"
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}


def expressions() -> Iterator[str]:
    """Every PromQL expression of both files, the variables of the dashboard filled in."""
    for group in yaml.safe_load((OPS / "prometheus" / "alerts.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.*), \w+\)", variable["query"]["query"])
            assert asked is not None, variable["name"]
            found.append(asked.group(1))
    yield from (re.sub(r"\$\w+", "x", text) for text in found)


def names_of(page: str) -> set[str]:
    """The names under which a page tells samples, or would once there are any."""
    return {
        f"{family.name}{suffix}"
        for family in text_string_to_metric_families(page)
        for suffix in SUFFIXES.get(family.type, ("",))
    }


async def test_every_metric_of_dashboard_and_alerts_is_told_by_a_running_server(
    market: Market, running: Callable[..., Any], tmp_path: Path
) -> None:
    market.issue()
    ran(market.engine, BATCH, newest(BATCH), server={"answered": True})
    note_check(market.engine, "verify-ledger", holds=True, seconds=0.1, details={"n_rows": 1})
    async with running() as (client, _):
        await client.get("/showcase/models")
        gateway = names_of((await client.get("/metrics")).text)
    with started("inference server", "inference_server", [], tmp_path) as url:
        inference = names_of(httpx.get(f"{url}/metrics", timeout=10).text)

    used = {name for text in expressions() for name in selectors(parse(text))}
    assert len(used) > 25
    assert used <= gateway | inference
    assert all(name.startswith(("forecast_", "gateway_", "modelserver_")) for name in used)


def test_the_dashboard_can_be_imported_into_any_grafana() -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]

    assert dashboard["schemaVersion"] >= 38
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", "no data source of ours is named"
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
    places = [(p["gridPos"]["x"], p["gridPos"]["y"], p["gridPos"]["w"], p["gridPos"]["h"]) for p in dashboard["panels"]]
    for number, (x, y, w, h) in enumerate(places):
        for x2, y2, w2, h2 in places[number + 1 :]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y, "two panels lie on each other"
