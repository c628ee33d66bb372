"""The pages in a real browser, on the rows of a real demo.

Chromium is Debian's (`apt-get install chromium`); without one these tests are skipped. Screenshots are kept in
`.artefacts/screenshots/`. `CANDLECAST_E2E_HOME` names the data folder of a demo that was run before, to be used and
left as it is.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

ROOT: Final = Path(__file__).resolve().parents[3]
SHARED: Final = ROOT.parent / "shared" / "market-data"
CANDLECAST: Final = Path(sys.executable).with_name("candlecast")
SCREENSHOTS: Final = ROOT / ".artefacts" / "screenshots"
CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
WCAG: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker runs them all, so that one demo serves them all."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("pages"))
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no Chromium; `apt-get install chromium` brings one"))


def environment(home: Path) -> dict[str, str]:
    """This process's, with the data folder named."""
    plain = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return {**plain, "CANDLECAST_HOME": str(home)}


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The data folder of a demo: real bars where they are, else synthetic ones."""
    if given := os.environ.get("CANDLECAST_E2E_HOME"):
        yield Path(given)
        return
    folder = Path(tempfile.mkdtemp(prefix=f"candlecast-test-{os.getpid()}-pages-"))
    folder.chmod(0o755)
    bars = ["--data", str(SHARED)] if SHARED.is_dir() else ["--synthetic"]
    subprocess.run(
        [CANDLECAST, "demo", "--once", *bars], env=environment(folder), check=True, capture_output=True, timeout=600
    )
    yield folder if SHARED.is_dir() else folder / "synthetic"
    for used in (folder, folder / "synthetic"):
        subprocess.run([CANDLECAST, "db", "stop"], env=environment(used), capture_output=True, check=False)
    shutil.rmtree(folder)


@contextmanager
def gateway_on(home: Path, **settings: str) -> Iterator[str]:
    """A gateway of one's own over a data folder; its address."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--port", "0", "--port-file", port_file],
            env={**environment(home), **settings},
            cwd=ROOT,
        )
        try:
            end = time.monotonic() + 60
            while not port_file.exists():
                assert process.poll() is None, "the gateway ended"
                assert time.monotonic() < end, "the gateway did not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port_file.read_text().strip()}"
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def site(home: Path) -> Iterator[str]:
    """The address of a gateway over the demo's rows."""
    with gateway_on(home) as address:
        yield address


@pytest.fixture(scope="session")
def api(site: str) -> Iterator[httpx.Client]:
    """The same gateway, asked as a program asks it: what a page shows is compared with this."""
    with httpx.Client(base_url=site, timeout=30.0) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium; gone after each file, because its event loop keeps asynchronous tests from running."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """`page = opened("/evaluation", dark=True, phone=True)`: a page in a window of its own.

    At the end of the test no page may have logged an error or broken the content security policy, and none may have
    asked another host. `expect_errors=True` allows the errors: for pages behind a gateway that is down.
    """
    contexts: list[Any] = []
    wrong: list[str] = []

    def open_page(
        path: str, *, phone: bool = False, dark: bool = False, expect_errors: bool = False, address: str = site
    ) -> Page:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP,
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            accept_downloads=True,
            timezone_id="UTC",
            locale="en-GB",
        )
        contexts.append(context)
        page = context.new_page()
        if not expect_errors:
            page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda request: (
                wrong.append(f"foreign request: {request.url}")
                if request.url.startswith("http") and urlsplit(request.url).netloc != urlsplit(address).netloc
                else None
            ),
        )
        page.goto(address + path, wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def kept() -> Callable[[Page, str], None]:
    """`kept(page, "overview-dark")`: keep a picture of the whole page as a test artefact."""

    def keep(page: Page, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)

    return keep


@pytest.fixture(scope="session")
def barriers() -> Callable[[Page], list[str]]:
    """What axe-core finds against WCAG 2.1 AA on a page, one line each; nothing is what we want."""
    axe = Axe()

    def find(page: Page) -> list[str]:
        found = axe.run(page, options={"runOnly": {"type": "tag", "values": WCAG}})
        return [
            f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}"
            for one in found.response["violations"]
            for node in one["nodes"]
        ]

    return find
