"""What a person sees where something is wrong: a page for a browser, the problem document for a program."""

from typing import Any

import pytest

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "There is nothing at this address"),
        ("/?model_name=nobody", 404, "No model named “nobody”"),
        ("/?interval=2h", 422, "interval is “2h”"),
    ],
)
async def test_a_browser_gets_a_page_and_a_program_a_document(
    market: Any, running: Any, path: str, status: int, words: str
) -> None:
    market.issue()

    async with running() as (client, _):
        page, document = await client.get(path, headers=BROWSER), await client.get(path)

    assert (page.status_code, document.status_code) == (status, status)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert words in page.text
    assert "<h1>" in page.text
    assert document.headers["content-type"] == "application/problem+json"
    assert words in document.json()["detail"]


async def test_what_a_page_repeats_of_an_address_is_escaped(market: Any, running: Any) -> None:
    async with running() as (client, _):
        page = await client.get("/?interval=<script>alert(1)</script>", headers=BROWSER)

    assert "<script>alert" not in page.text
    assert "&lt;script&gt;" in page.text


async def test_a_route_for_programs_answers_a_browser_with_the_document_too(market: Any, running: Any) -> None:
    async with running() as (client, _):
        answer = await client.get("/showcase/ml-prediction/NOSUCH", headers=BROWSER)

    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_page_that_cannot_be_drawn_yet_tries_again_by_itself(running: Any) -> None:
    async with running("postgresql://nobody@127.0.0.1:1/none") as (client, _):
        page = await client.get("/", headers=BROWSER)

    assert page.status_code == 503
    assert page.headers["refresh"] == page.headers["retry-after"]
    assert "tries again by itself" in page.text
