"""The first page, as a reader sees it: its numbers are the API's, and it can be searched, switched and left open."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

KINDS = [{}, {"dark": True}, {"phone": True}, {"phone": True, "dark": True}]
NAMES = ["light", "dark", "phone", "phone-dark"]
READ = """rows => rows.map(row => {
  const text = place => row.querySelector(place).textContent;
  const step = cell => [text(`${cell} b`), text(`${cell} .band`)];
  return {
    symbol: row.dataset.symbol, next: step(".next"), end: step(".end"), last: text(".last"),
    age: text("time[data-age]"), issued_at: row.querySelector("time[data-age]").getAttribute("datetime"),
    badges: [...row.querySelectorAll(".badge")].map(badge => badge.classList[1]),
  };
})"""
AGES = re.compile(r"^\d+ (min|h|days)$")


def listed(api: httpx.Client) -> list[dict[str, Any]]:
    return [one for one in api.get("/showcase/instruments").json()["instruments"] if one["forecasts"]]


def per_cent(value: float, last_close: float) -> str:
    """A move as a reader would work it out: two decimals, a real minus, and no sign for nothing."""
    move = round(100 * (value / last_close - 1), 2)
    return "±0.00%" if move == 0 else f"{'+' if move > 0 else '−'}{abs(move):.2f}%"


def again(page: Page) -> None:
    """Have the page ask for itself now instead of a quarter of a minute later."""
    page.evaluate("window.dispatchEvent(new Event('online'))")


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_first_page_has_no_barriers_and_fits(
    opened: Callable[..., Page], barriers: Callable[[Page], list[str]], kept: Callable[[Page, str], None], kind: Any
) -> None:
    page = opened("/", **kind)
    kept(page, f"overview-{NAMES[KINDS.index(kind)]}")

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_every_row_shows_what_the_api_tells(opened: Callable[..., Page], api: httpx.Client, interval: str) -> None:
    page = opened(f"/?interval={interval}")

    shown = page.locator("tr[data-symbol]").evaluate_all(READ)
    compared = 0
    for instrument in listed(api):
        forecast = next((one for one in instrument["forecasts"] if one["interval"] == interval), None)
        if forecast is None:
            continue
        row = next(one for one in shown if one["symbol"] == instrument["symbol"])
        for cell, step in (("next", "first_step"), ("end", "last_step")):
            p10, p50, p90 = (per_cent(forecast[step][level], forecast["last_close"]) for level in ("p10", "p50", "p90"))
            assert row[cell] == [p50, f"{p10} to {p90}"]
        price = row["last"].split(" ")[0].replace("\u202f", "")
        assert float(price) == pytest.approx(forecast["last_close"], rel=1e-4)
        assert row["issued_at"].replace("+00:00", "Z") == forecast["issued_at"]
        assert AGES.match(row["age"])
        marks = {"stale": forecast["stale"], "synthetic": forecast["synthetic"]}
        marks |= {status: forecast["status"] == status for status in ("late", "replay")}
        assert sorted(row["badges"]) == sorted(mark for mark, holds in marks.items() if holds)
        compared += 1
    assert compared > 0


def test_a_named_model_has_a_page_of_its_own(opened: Callable[..., Page], api: httpx.Client) -> None:
    symbol = listed(api)[0]["symbol"]
    page = opened("/?interval=1h")
    page.locator(".menu summary").click()
    page.get_by_role("link", name="baseline-rw").click()
    page.wait_for_url("**/?interval=1h&model_name=baseline-rw")

    told = api.get(f"/showcase/ml-prediction/{symbol}?interval=1h&model_name=baseline-rw").json()
    row = page.locator(f'tr[data-symbol="{symbol}"]')
    assert row.locator(".next b").inner_text() == per_cent(told["p50"][0], told["last_close"])
    assert "baseline-rw" in row.locator(".age").inner_text()
    assert "model_name=baseline-rw" in (row.locator("th a").get_attribute("href") or "")


def test_search_narrows_as_one_types_and_stays_in_the_address(opened: Callable[..., Page], api: httpx.Client) -> None:
    symbols = [one["symbol"] for one in listed(api)]
    page = opened("/")
    page.keyboard.press("/")
    page.keyboard.type(symbols[0].lower())

    rows = page.locator("tr[data-symbol]:visible")
    expect(rows).to_have_count(sum(symbols[0] in symbol for symbol in symbols))
    assert page.locator("#count").inner_text().startswith("1 of ")
    assert f"q={symbols[0].lower()}" in page.url
    page.reload()
    expect(rows).to_have_count(1)
    page.locator("#search").fill("no such thing")
    expect(page.locator("#nothing")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(rows).to_have_count(len(symbols))
    assert "q=" not in page.url


def test_a_new_forecast_replaces_its_row_and_nothing_else(opened: Callable[..., Page], api: httpx.Client) -> None:
    first, second = (one["symbol"] for one in listed(api)[:2])
    page = opened("/?interval=1h")
    body = api.get("/?interval=1h").text
    head, mark, rest = body.partition(f'data-symbol="{first}"')
    newer = head + mark + re.sub(r'<b class="\w+">[^<]+</b>', '<b class="up">+7.77%</b>', rest, count=1)

    def answer(route: Route) -> None:
        route.fulfill(status=200, body=newer, headers={"content-type": "text/html; charset=utf-8", "etag": '"newer"'})

    page.locator(f'tr[data-symbol="{first}"] th a').focus()
    page.evaluate(f"""window.untouched = document.querySelector('tr[data-symbol="{second}"]')""")
    page.route("**/?interval=1h", answer)
    again(page)

    expect(page.locator(f'tr[data-symbol="{first}"] .next b')).to_have_text("+7.77%")
    assert page.evaluate("window.untouched.isConnected"), "another row stays the element that it was"
    assert page.evaluate("document.activeElement.textContent") == first, "the focus stays where it was"


def test_a_gateway_that_is_away_leaves_the_last_data_under_a_banner(
    opened: Callable[..., Page], api: httpx.Client
) -> None:
    page = opened("/?interval=1h", expect_errors=True)
    n_rows = page.locator("tr[data-symbol]").count()
    page.route("**/?interval=1h", lambda route: route.abort())
    again(page)

    expect(page.locator("#away")).to_contain_text("cannot be reached. What you see is as of 20")
    assert page.locator("tr[data-symbol]").count() == n_rows > 0
    page.unroute("**/?interval=1h")
    again(page)
    expect(page.locator("#away")).to_be_hidden()


def test_everything_can_be_reached_and_explained_by_keyboard(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/?interval=1h")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.locator("button.why[data-why=next]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#why-next")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#why-next")).to_be_hidden()
    page.locator(".menu summary").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.menu') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_hovering_a_number_explains_it(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/?interval=1h")
    page.locator("tr[data-symbol] .next").first.hover()

    expect(page.locator("#why-next")).to_contain_text("four closes out of five")
