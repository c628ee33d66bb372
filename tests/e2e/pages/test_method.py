"""The page `/method`: what every number means, for readers and for the links beside the numbers."""

import re
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page


@pytest.mark.parametrize("look", [{}, {"dark": True}, {"phone": True}], ids=["light", "dark", "phone"])
def test_the_method_has_no_barriers_and_fits_its_window(
    opened: Callable[..., Page],
    barriers: Callable[[Page], list[str]],
    kept: Callable[[Page, str], None],
    look: dict[str, bool],
) -> None:
    page = opened("/method", **look)
    kept(page, f"method-{'-'.join(look) or 'light'}")

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("path", ["/method", "/evaluation", "/instrument/BTCUSDT"])
def test_every_link_into_the_method_finds_its_place(api: httpx.Client, path: str) -> None:
    places = set(re.findall(r'\bid="([^"]+)"', api.get("/method").text))
    page = api.get(path).text

    named = set(re.findall(r'href="/method#([^"]+)"', page))
    if path == "/method":
        named = set(re.findall(r'href="#([^"]+)"', page))

    assert named <= places
    assert named or path != "/evaluation", "the evaluation explains its numbers"
