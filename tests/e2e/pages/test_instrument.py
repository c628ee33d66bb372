"""The page of an instrument, as a reader uses it: what it shows is what the API tells."""

import csv
import io
import json
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route

Open = Callable[..., Page]
Document = dict[str, Any]

PAGE: Final = "/instrument/BTCUSDT"
BUDGET: Final = 150_000  # bytes of script, compressed
LEVELS: Final = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
NAMES: Final = ["p05", "p10", "p20", "p30", "p40", "p50", "p60", "p70", "p80", "p90", "p95"]
NONE_EARLIER: Final = "on synthetic bars the newest forecast is no replay, and those before it are"
SHOWN: Final = """async () => {
  const address = document.querySelector('script[src$="/instrument.js"]').src;
  const { chart, place, step, drawn } = (await import(address)).shown();
  return { place, step, drawn, id: chart.forecast.prediction_id };
}"""


def settled(page: Page) -> Page:
    page.wait_for_selector('#instrument[aria-busy="false"]')
    return page


def shown(page: Page) -> Document:
    """What the script drew and reads out."""
    found: Document = page.evaluate(SHOWN)
    return found


def asked(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def answer_of(api: httpx.Client, path: str, **query: str) -> Document:
    """A document of the API; one that is not in the cache yet is asked for again, as the 503 says."""
    for _ in range(20):
        answer = api.get(path, params=query)
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["retry-after"]))
    assert answer.status_code == 200, answer.text
    document: Document = answer.json()
    return document


def chart_of(api: httpx.Client, symbol: str = "BTCUSDT", **query: str) -> Document:
    return answer_of(api, f"/showcase/chart/{symbol}", **query)


@pytest.fixture(scope="module", autouse=True)
def _cached(api: httpx.Client) -> None:
    """What these pages ask for is in the cache: the first answer on a busy machine may be a 503, which browsers log."""
    for interval in ("1h", "1d"):
        chart = chart_of(api, interval=interval)
        for one in chart["previous"]:
            chart_of(api, interval=interval, prediction_id=one["prediction_id"])
        chart_of(api, interval=interval, model_name="baseline-rw")
        for model_name in (chart["forecast"]["model_name"], "baseline-rw"):
            record = "synthetic" if chart["synthetic"] else "replay"
            asked = {"symbol": "BTCUSDT", "interval": interval, "model_name": model_name}
            answer_of(api, "/showcase/performance", **asked, window="all", record=record)
    answer_of(api, "/showcase/performance/verdicts")


def read(page: Page) -> dict[str, float]:
    """The values in the read-out, by name, in full."""
    pairs: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#reading dl div')].map(one => [one.children[0].textContent,"
        " one.children[1].dataset.value])"
    )
    return {name: float(value) for name, value in pairs if value is not None}


def inside(document: Document) -> tuple[int, int]:
    """How many closes after the issue there are, and how many lie between p10 and p90, ends included."""
    close = dict(zip(document["after"]["closed_at"], document["after"]["close"], strict=True))
    forecast = document["forecast"]
    told = [(fan, close[at]) for fan, at in zip(forecast["fan"], forecast["target_at"], strict=True) if at in close]
    return len(told), sum(fan[1] <= value <= fan[9] for fan, value in told)


@pytest.fixture
def older(api: httpx.Client) -> Document:
    """The chart of a forecast that has been replaced, and of which the outcome is known."""
    newest = chart_of(api, interval="1h")
    if not newest["previous"]:
        pytest.skip(NONE_EARLIER)
    document = chart_of(api, interval="1h", prediction_id=newest["previous"][0]["prediction_id"])
    assert not document["newest"]
    assert inside(document)[0] > 0
    return document


def test_the_chart_draws_the_numbers_of_the_api(opened: Open, api: httpx.Client) -> None:
    document = chart_of(api, interval="1d")
    forecast = document["forecast"]
    assert forecast["levels"] == LEVELS

    drawn = shown(settled(opened(f"{PAGE}?interval=1d")))["drawn"]

    n = len(document["bars"]["close"])
    assert drawn["x"] == list(range(1 - n, forecast["horizon"] + 1))
    assert drawn["close"][:n] == document["bars"]["close"]
    for name in ("p05", "p10", "p50", "p90", "p95"):
        assert drawn[name][n:] == [row[NAMES.index(name)] for row in forecast["fan"]]
    # No level of 25 or 75 % was served: half-way between its neighbours, to the last digits.
    assert drawn["p25"][n:] == pytest.approx([(row[2] + row[3]) / 2 for row in forecast["fan"]], rel=1e-12)
    assert drawn["p75"][n:] == pytest.approx([(row[7] + row[8]) / 2 for row in forecast["fan"]], rel=1e-12)
    # The fan opens from the last close, and nothing of it lies in the past.
    assert all(drawn[name][n - 1] == forecast["last_close"] for name in ("p05", "p25", "p50", "p75", "p95"))
    assert all(value is None for value in drawn["p50"][: n - 1])


def test_the_horizon_moves_the_reading_the_sentence_and_the_address(opened: Open, api: httpx.Client) -> None:
    forecast = chart_of(api, interval="1h")["forecast"]
    page = settled(opened(PAGE))
    assert read(page) == dict(zip(NAMES, forecast["fan"][-1], strict=True))

    page.focus("#step")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")

    assert read(page) == dict(zip(NAMES, forecast["fan"][1], strict=True))
    assert asked(page)["horizon"] == "2"
    told = page.inner_text("#told").replace("\u202f", "")
    assert f"{forecast['fan'][1][1]:.2f}" in told
    assert f"{forecast['fan'][1][9]:.2f}" in told
    assert "four times out of five" in told


def test_interval_and_model_change_what_is_shown_and_the_address_brings_it_back(
    opened: Open, api: httpx.Client
) -> None:
    page = settled(opened(PAGE))
    page.locator('input[name="interval"][value="1d"]').check()
    settled(page)
    page.select_option("#model", "baseline-rw")
    page.wait_for_function("() => document.querySelector('#facts').textContent.includes('baseline-rw')")
    wanted = chart_of(api, interval="1d", model_name="baseline-rw")["forecast"]["prediction_id"]
    assert shown(settled(page))["id"] == wanted
    address = page.url

    page.reload()

    assert shown(settled(page))["id"] == wanted
    assert page.url == address
    assert page.locator("#model").input_value() == "baseline-rw"
    page.go_back()
    page.wait_for_function("() => !document.querySelector('#facts').textContent.includes('baseline-rw')")
    assert "model_name" not in asked(page)


def test_a_permalink_shows_the_older_forecast_and_nothing_after_its_issue(
    opened: Open, older: Document, kept: Callable[[Page, str], None]
) -> None:
    page = settled(opened(older["forecast"]["href"]))
    seen = shown(page)

    assert seen["id"] == older["forecast"]["prediction_id"]
    n = len(older["bars"]["close"])
    assert seen["drawn"]["close"][:n] == older["bars"]["close"]
    assert older["bars"]["closed_at"][-1] <= older["forecast"]["issued_at"]
    assert set(seen["drawn"]["close"][n:]) == {None}
    assert "closed at" not in page.inner_text("#told")
    assert page.locator(".notice.newer a").get_attribute("href") is not None

    page.locator("#outcome").check()

    after = dict(zip(older["after"]["closed_at"], older["after"]["close"], strict=True))
    assert shown(page)["drawn"]["close"][n:] == [after.get(at) for at in older["forecast"]["target_at"]]
    n_judged, n_inside = inside(older)
    assert f"{n_inside} of {n_judged}" in page.inner_text("#earlier")
    assert f"{n_inside} of {n_judged} closes" in page.inner_text("#told")
    kept(page, "instrument-outcome")
    page.reload()
    assert settled(page).locator("#outcome").is_checked()


def test_the_csv_has_the_digits_of_the_api(opened: Open, older: Document) -> None:
    page = settled(opened(older["forecast"]["href"]))

    with page.expect_download() as downloading:
        page.click("#csv")

    assert downloading.value.suggested_filename.startswith("candlecast-BTCUSDT-1h-")
    rows = list(csv.DictReader(io.StringIO(Path(downloading.value.path()).read_text())))
    forecast = older["forecast"]
    assert [[float(row[name]) for name in NAMES] for row in rows] == forecast["fan"]
    assert [row["target_at"] for row in rows] == forecast["target_at"]
    after = dict(zip(older["after"]["closed_at"], older["after"]["close"], strict=True))
    outcomes = [float(row["outcome"]) if row["outcome"] else None for row in rows]
    assert outcomes == [after.get(at) for at in forecast["target_at"]]
    assert {row["status"] for row in rows} == {older["status"]}


def test_the_png_is_a_picture_of_the_chart_with_room_for_its_words(opened: Open) -> None:
    page = settled(opened(PAGE))
    canvas = page.locator("#chart canvas").evaluate("one => [one.width, one.height]")

    with page.expect_download() as downloading:
        page.click("#png")

    data = Path(downloading.value.path()).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert width > canvas[0]
    assert height > canvas[1] + 60
    assert len(data) > 20_000, "a chart does not compress to less"


def test_everything_can_be_done_by_keyboard(opened: Open, api: httpx.Client, older: Document) -> None:
    document = chart_of(api, interval="1h")
    page = settled(opened(PAGE))
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "chart":
            break
    assert page.evaluate("document.activeElement.id") == "chart"

    page.keyboard.press("Home")
    first = shown(page)["drawn"]["low"]
    page.keyboard.press("ArrowRight")
    assert shown(page)["place"] == first + 1
    bar = len(document["bars"]["close"]) - 1 + first + 1
    assert read(page)["Close"] == document["bars"]["close"][bar]
    assert read(page)["High"] == document["bars"]["high"][bar]
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    assert shown(page)["place"] == document["forecast"]["horizon"] - 1
    assert read(page) == dict(zip(NAMES, document["forecast"]["fan"][-2], strict=True))
    page.wait_for_function("() => document.querySelector('#said').textContent.startsWith('Step 119')")
    page.keyboard.press("t")
    assert page.locator("#table-view").is_visible()
    page.keyboard.press("ArrowDown")
    older_id = older["forecast"]["prediction_id"]
    page.wait_for_function("id => location.search.includes(id)", arg=older_id)
    page.wait_for_function("() => !document.querySelector('#newer').disabled")
    assert shown(settled(page))["id"] == older_id
    page.keyboard.press("ArrowUp")
    page.wait_for_function("() => !location.search.includes('prediction_id')")


def test_the_table_says_the_same_as_the_chart(opened: Open, older: Document) -> None:
    page = settled(opened(older["forecast"]["href"] + "&outcome=shown"))
    page.click("#table-toggle")

    cells: list[list[str]] = page.evaluate(
        "[...document.querySelectorAll('#table tbody tr')].map(row => [...row.cells].map(one => one.textContent))"
    )

    fan = older["forecast"]["fan"]
    assert [int(row[0]) for row in cells] == list(range(1, len(fan) + 1))
    numbers = [[float(text.replace("\u202f", "")) for text in row[2:13]] for row in cells]
    assert numbers == [pytest.approx(row, abs=0.0051) for row in fan]
    n_judged, n_inside = inside(older)
    assert [row[14] for row in cells].count("inside") == n_inside
    assert [row[14] for row in cells].count("open") == len(fan) - n_judged


def test_releases_are_marked_where_the_document_has_them(opened: Open, api: httpx.Client) -> None:
    document = chart_of(api, interval="1d")
    wanted = {(event["at"], event["family"]) for event in document["events"]}
    if not wanted:
        pytest.skip("the demo's calendar has no releases in this chart")

    page = settled(opened(f"{PAGE}?interval=1d"))
    page.locator('input[name="span"][value="all"]').check()

    flags = shown(page)["drawn"]["flags"]
    assert {(flag["at"], flag["family"]) for flag in flags} == wanted
    assert page.locator("#releases li").count() == len(wanted)
    tip = page.locator("#chart .flag").first.get_attribute("data-tip") or ""
    assert tip.split(":")[0].split(" ")[0] in {"FOMC", "CPI", "NFP"}


def test_a_permalink_does_not_tell_what_releases_printed_after_it(opened: Open, api: httpx.Client) -> None:
    newest = chart_of(api, interval="1d")
    if not newest["previous"]:
        pytest.skip(NONE_EARLIER)
    forecast = chart_of(api, interval="1d", prediction_id=newest["previous"][0]["prediction_id"])
    issued = forecast["forecast"]["issued_at"]
    later = {(event["at"], event["family"]) for event in forecast["events"] if event["at"] > issued}
    if not later:
        pytest.skip("the demo's calendar has no releases after the older forecast")

    page = settled(opened(forecast["forecast"]["href"]))

    releases = page.locator("#releases li")
    assert sum("(scheduled)" in text for text in releases.all_inner_texts()) == len(later)
    assert not any("(scheduled)" in text and "came in" in text for text in releases.all_inner_texts())
    page.locator("#outcome").check()
    told = any(event["actual"] is not None for event in forecast["events"] if event["at"] > issued)
    assert any("came in" in text for text in releases.all_inner_texts()[: len(later)]) == told


def test_a_new_forecast_comes_by_itself(opened: Open, api: httpx.Client, older: Document) -> None:
    newest = chart_of(api, interval="1h")["forecast"]["prediction_id"]
    page = opened("/api")
    old = {**older, "newest": True}
    page.route("**/showcase/chart/**", lambda route: route.fulfill(json=old))
    page.goto(page.url.replace("/api", PAGE))
    assert shown(settled(page))["id"] == older["forecast"]["prediction_id"]

    page.unroute("**/showcase/chart/**")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # as when a reader comes back to the page

    page.wait_for_function("id => document.querySelector('#facts').textContent.includes(id)", arg=newest)
    assert "prediction_id" not in asked(page)


def test_a_newest_forecast_of_another_record_leaves_the_way_to_older_ones(opened: Open, api: httpx.Client) -> None:
    newest = chart_of(api, interval="1d")
    if not newest["previous"]:
        pytest.skip(NONE_EARLIER)
    live = {**newest, "status": "on_time", "previous": []}
    page = opened("/api")
    page.route(
        "**/showcase/chart/**",
        lambda route: route.continue_() if "prediction_id" in route.request.url else route.fulfill(json=live),
    )

    with page.expect_request(lambda one: "/showcase/chart/" in one.url and "prediction_id" not in one.url):
        page.goto(
            page.url.replace("/api", f"{PAGE}?interval=1d&prediction_id={newest['previous'][0]['prediction_id']}")
        )
    settled(page)

    known = chart_of(api, interval="1d", prediction_id=newest["previous"][0]["prediction_id"])["previous"]
    assert page.locator("#older").is_enabled() == bool(known)


def test_while_the_api_is_away_the_last_data_stay_and_a_page_without_data_says_so(opened: Open) -> None:
    def broken(route: Route) -> None:
        problem = {"code": "not_ready", "detail": "There is nothing to serve at the moment. Ask again in 2 s."}
        route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(problem))

    page = settled(opened(PAGE, expect_errors=True))
    page.route("**/showcase/chart/**", broken)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector(".notice.bad")
    assert "nothing to serve" in page.inner_text(".notice.bad")
    assert page.locator("#chart canvas").is_visible()

    page.goto(page.url.split("?")[0] + "?interval=1d")
    page.wait_for_selector("#failed:visible")
    assert "Ask again in 2 s." in page.inner_text("#failed-why")
    page.unroute("**/showcase/chart/**")
    page.click("#retry")
    assert settled(page).locator("#chart canvas").is_visible()
    assert page.locator("#failed").is_hidden()


def test_without_the_chart_library_there_is_a_table_and_a_sentence(opened: Open) -> None:
    page = opened("/api", expect_errors=True)
    page.route("**/uplot.js", lambda route: route.abort())
    page.goto(page.url.replace("/api", PAGE))
    settled(page)

    assert "shown as a table" in page.inner_text("#no-chart")
    assert page.locator("#table tbody tr").count() > 0
    assert page.locator("#chart").is_hidden()


@pytest.mark.parametrize("how", ["light", "dark", "phone"])
def test_an_instrument_has_no_barriers_and_fits(
    opened: Open, barriers: Callable[[Page], list[str]], kept: Callable[[Page, str], None], how: str
) -> None:
    page = settled(opened(f"{PAGE}?interval=1d", dark=how == "dark", phone=how == "phone"))
    page.wait_for_selector("#trust .badge")
    kept(page, f"instrument-{how}")
    page.click("#table-toggle")
    page.evaluate(
        "document.querySelectorAll('#table tbody tr:nth-child(n+4)').forEach(row => row.remove())"
    )  # all alike

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the window"


def test_a_finger_on_the_chart_reads_the_bar_under_it(opened: Open, api: httpx.Client) -> None:
    document = chart_of(api, interval="1h")
    page = settled(opened(PAGE, phone=True))
    box = page.locator("#chart .u-over").bounding_box()
    assert box is not None

    middle = {"clientX": box["x"] + box["width"] / 2, "clientY": box["y"] + 50, "pointerType": "touch", "bubbles": True}
    page.dispatch_event("#chart .u-over", "pointermove", middle)

    seen = shown(page)
    assert seen["place"] is not None
    assert seen["place"] == pytest.approx((seen["drawn"]["low"] + seen["drawn"]["high"]) / 2, abs=1)
    assert read(page)["p50"] == document["forecast"]["fan"][seen["place"] - 1][5]


def test_a_change_of_the_colour_scheme_redraws_the_chart(opened: Open) -> None:
    page = settled(opened(PAGE))
    corner = "one => [...one.getContext('2d').getImageData(one.width - 20, 0, 1, one.height).data].join()"
    light = page.locator("#chart canvas").evaluate(corner)

    page.emulate_media(color_scheme="dark")
    page.wait_for_timeout(100)

    assert page.locator("#chart canvas").evaluate(corner) != light


def test_the_scripts_of_the_page_are_light_and_asked_for_at_once(opened: Open, api: httpx.Client) -> None:
    page = settled(opened(PAGE))
    loaded = page.evaluate("performance.getEntriesByType('resource').map(one => new URL(one.name).pathname)")
    scripts = {path for path in loaded if path.endswith(".js")}
    named = set(
        page.evaluate(
            "[...document.head.querySelectorAll('script, link[rel=modulepreload]')]"
            ".map(one => new URL(one.src || one.href).pathname)"
        )
    )

    assert scripts == named, "a module that the page does not name is found one round trip later"
    answers = [api.get(path) for path in scripts]  # as they travel: this client takes gzip
    weight = sum(int(answer.headers["content-length"]) for answer in answers)
    assert all(len(one.content) < 1024 or one.headers["content-encoding"] == "gzip" for one in answers)
    print(f"{len(scripts)} scripts, {weight:,} bytes compressed")
    assert weight < BUDGET


def test_an_unknown_instrument_gets_a_page_that_says_so(api: httpx.Client) -> None:
    answer = api.get("/instrument/NOPE")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert "There is no instrument “NOPE”" in answer.text

    hostile = api.get("/instrument/%3Cscript%3E")
    assert hostile.status_code == 404
    assert "<script>" not in hostile.text.partition("<body>")[2]

    assert api.get("/instrument/btcusdt").status_code == 200
    assert api.get("/showcase/chart/NOPE").headers["content-type"] == "application/problem+json"
