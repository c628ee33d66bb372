"""Every page and everything it links to, fetched as a program fetches it: nothing is missing, nothing is inline."""

import re
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import httpx
import pytest

DOORS: Final = ("/", "/evaluation", "/status", "/api")
KEYED: Final = ("/v1/", "/statusz")  # told of on /api, and opened by a key
PAGES_OF_A_KIND: Final = 8  # instruments are many and alike
LINKS: Final = {"a": "href", "link": "href", "script": "src", "img": "src", "use": "href", "form": "action"}
CODE: Final = ("", "module", "text/javascript", "application/javascript")
IMPORT: Final = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{0,2}/[^"']+)["']""")
STYLE_URL: Final = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")


@dataclass
class Page(HTMLParser):
    """What a document links to, and what it should not hold."""

    address: str
    lang: str | None = None
    title: str = ""
    headings: list[str] = field(default_factory=list)
    links: set[str] = field(default_factory=set)
    anchors: set[str] = field(default_factory=set)
    ids: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    metas: dict[str, str] = field(default_factory=dict)
    _open: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._open = tag
        if tag == "html":
            self.lang = given.get("lang")
        if tag == "meta" and "name" in given:
            self.metas[given["name"]] = given.get("content", "")
        if tag in ("h1", "title"):
            self.headings += [""] if tag == "h1" else []
        if tag == "style" or (tag == "script" and "src" not in given and given.get("type", "") in CODE):
            self.wrong.append(f"inline <{tag}>")
        if tag == "img" and "alt" not in given:
            self.wrong.append(f"<img> without alt: {given.get('src')}")
        for name, value in given.items():
            if name == "style" or name.startswith("on") or value.strip().lower().startswith("javascript:"):
                self.wrong.append(f"<{tag} {name}={value[:40]!r}>")
        if "id" in given:
            self.ids.append(given["id"])
        link = given.get(LINKS.get(tag, ""))
        if link is not None and not self.add(link) and tag != "a":
            self.wrong.append(f"<{tag}> of another site: {link}")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "title":
            self.title += data
        elif self._open == "h1":
            self.headings[-1] += data

    def add(self, link: str) -> bool:
        """Keep a link as an address of this site, or as a place on this page; False for any other."""
        address, fragment = urldefrag(urljoin(f"http://site{self.address}", link))
        parts = urlsplit(address)
        if parts.netloc != "site" or parts.scheme != "http":
            return False
        if link.startswith("#"):
            self.anchors.add(fragment)
        else:
            self.links.add(parts.path + (f"?{parts.query}" if parts.query else ""))
        return True


def kind(address: str) -> str:
    """Addresses of one kind look alike: the path without what it names, and the names of the parameters."""
    parts = urlsplit(address)
    names = ",".join(sorted(name for name, _ in parse_qsl(parts.query)))
    return re.sub(r"^/(instrument|showcase/[a-z-]+)/[^/]+$", r"/\1/*", parts.path) + "?" + names


@pytest.fixture(scope="module")
def crawled(api: httpx.Client) -> dict[str, httpx.Response]:
    """Every address that the pages lead to, and what came back; of one kind `PAGES_OF_A_KIND` at most."""
    found: dict[str, httpx.Response] = {}
    waiting = deque(DOORS)
    seen = set(DOORS)
    kinds: dict[str, int] = {}
    while waiting:
        address = waiting.popleft()
        if not address.startswith("/assets/"):
            kinds[kind(address)] = kinds.get(kind(address), 0) + 1
            if kinds[kind(address)] > PAGES_OF_A_KIND:
                continue
        answer = found[address] = patiently(api, address)
        for link in sorted(links_of(address, answer) - seen):
            seen.add(link)
            waiting.append(link)
    return found


def patiently(api: httpx.Client, address: str) -> httpx.Response:
    """What an address gives, asked again as it says: a page that nobody has asked for may take a moment to draw."""
    answer = api.get(address)
    for _ in range(5):
        if answer.status_code != 503:
            break
        time.sleep(float(answer.headers["retry-after"]))
        answer = api.get(address)
    return answer


def links_of(address: str, answer: httpx.Response) -> set[str]:
    """Where a page, a script or a style leads."""
    media_type = answer.headers["content-type"].partition(";")[0]
    page = Page(address)
    if media_type == "text/html":
        page.feed(answer.text)
    elif media_type == "text/javascript" and "/vendor/" not in address:
        for link in IMPORT.findall(answer.text):
            page.add(link)
    elif media_type == "text/css":
        for pair in STYLE_URL.findall(answer.text):
            page.add("".join(pair))
    return page.links


def pages_of(crawled: dict[str, httpx.Response]) -> Iterator[tuple[str, httpx.Response, Page]]:
    for address, answer in crawled.items():
        if answer.headers["content-type"].startswith("text/html"):
            page = Page(address)
            page.feed(answer.text)
            yield address, answer, page


def test_every_link_and_every_file_is_there(crawled: dict[str, httpx.Response]) -> None:
    missing = {
        address: answer.status_code
        for address, answer in crawled.items()
        if answer.status_code != (401 if address.startswith(KEYED) else 200)
    }

    assert missing == {}
    assert len(crawled) > 20
    assert sum(address.startswith("/assets/") for address in crawled) > 5


def test_the_doors_lead_to_each_other_and_to_the_instruments(crawled: dict[str, httpx.Response]) -> None:
    reached = {urlsplit(address).path for address in crawled}

    for _, _, page in pages_of(crawled):
        assert {"/", "/evaluation", "/status"} <= {urlsplit(link).path for link in page.links}, page.address
    assert any(path.startswith("/instrument/") for path in reached)


def test_every_page_says_what_it_is_and_in_which_language(crawled: dict[str, httpx.Response]) -> None:
    titles: dict[str, str] = {}
    for address, _, page in pages_of(crawled):
        assert page.lang == "en", address
        assert len(page.headings) == 1, address
        assert page.title.strip(), address
        assert "width=device-width" in page.metas["viewport"], address
        path = urlsplit(address).path
        assert titles.setdefault(page.title, path) == path, f"{address} has the title of {titles[page.title]}"
    assert len(titles) >= len(DOORS)


def test_nothing_is_inline_and_the_policy_would_not_let_it(crawled: dict[str, httpx.Response]) -> None:
    for address, answer, page in pages_of(crawled):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, address
        assert "unsafe" not in policy, address
        assert "http:" not in policy, address
        assert page.wrong == [], address


def test_a_name_on_a_page_is_given_once_and_every_place_that_is_pointed_at_exists(
    crawled: dict[str, httpx.Response],
) -> None:
    for address, _, page in pages_of(crawled):
        assert len(page.ids) == len(set(page.ids)), (address, [one for one in page.ids if page.ids.count(one) > 1])
        assert page.anchors - {""} <= set(page.ids), address


def test_files_may_be_kept_for_ever_and_have_their_type(crawled: dict[str, httpx.Response]) -> None:
    types: dict[str, Any] = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for address, answer in crawled.items():
        if address.startswith("/assets/"):
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable", address
            expected = next((value for ending, value in types.items() if address.endswith(ending)), None)
            assert expected is None or answer.headers["content-type"].startswith(expected), address
            assert answer.headers["x-content-type-options"] == "nosniff"
