"""The first page, as a reader sees it."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Page


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_first_page_has_no_barriers(
    opened: Callable[..., Page],
    barriers: Callable[[Page], list[str]],
    kept: Callable[[Page, str], None],
    api: httpx.Client,
    dark: bool,
) -> None:
    page = opened("/", dark=dark)
    kept(page, f"overview-{'dark' if dark else 'light'}")

    listed = api.get("/showcase/instruments").json()["instruments"]
    assert listed, "the demo has instruments"
    assert barriers(page) == []
