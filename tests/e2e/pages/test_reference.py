"""The page `/api`: what a program may ask."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_the_reference_has_no_barriers_and_fits_its_window(
    opened: Callable[..., Page],
    barriers: Callable[[Page], list[str]],
    kept: Callable[[Page, str], None],
    look: dict[str, bool],
) -> None:
    page = opened("/api", **look)
    kept(page, f"reference-{'-'.join(look) or 'light'}")

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_every_route_of_the_openapi_document_stands_on_the_page(opened: Callable[..., Page], api: httpx.Client) -> None:
    document = api.get("/openapi.json").json()

    page = opened("/api")
    shown = page.locator("article.route > h3 > code").all_text_contents()

    assert {f"GET {path}" for path in document["paths"]} <= set(shown)


def test_every_example_of_the_reference_answers(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/api")
    examples = [link.get_attribute("href") for link in page.locator("article.route p a[href^='/']").all()]

    assert "/showcase/ml-prediction/BTCUSDT?interval=1h" in examples
    # 401: the example of a route that wants a key
    assert {address: api.get(address).status_code for address in examples if address} == {
        address: 401 if address.startswith(("/v1/", "/statusz")) else 200 for address in examples
    }
