"""The status page, as a reader sees it: what it tells is what the status says."""

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

KINDS = [{}, {"dark": True}, {"phone": True}]
NAMES = ["light", "dark", "phone"]
READ = """rows => rows.map(row => ({
  job: row.dataset.job,
  next_at: row.querySelector("td time").getAttribute("datetime"),
  n_ok: row.querySelectorAll(".slot.ok").length,
  n_slots: row.querySelectorAll(".slot").length,
  never: row.textContent.includes("never ran here"),
  missed: row.lastElementChild.textContent,
}))"""


def answering(change: Callable[[dict[str, Any]], None], api: httpx.Client) -> Callable[[Route], None]:
    """A route that answers with the status after a change."""
    status = api.get("/showcase/status").json()
    change(status)
    return lambda route: route.fulfill(
        status=200, body=json.dumps(status), headers={"content-type": "application/json"}
    )


def drawn(page: Page) -> None:
    expect(page.locator("#read-at")).to_contain_text("As of")


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_the_status_page_has_no_barriers_and_fits(
    opened: Callable[..., Page], barriers: Callable[[Page], list[str]], kept: Callable[[Page, str], None], kind: Any
) -> None:
    page = opened("/status", **kind)
    drawn(page)
    kept(page, f"status-{NAMES[KINDS.index(kind)]}")

    assert barriers(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_page_tells_what_the_status_says(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/status")
    drawn(page)
    status = api.get("/showcase/status").json()

    shown = page.locator("#jobs tr").evaluate_all(READ)
    assert shown == [
        {
            "job": job["job"],
            "next_at": job["next_at"],
            "n_ok": sum(one["status"] == "ok" for one in job["slots"]),
            "n_slots": 48,
            "never": job["last"] is None,
            "missed": str(job["n_missed_7d"]),
        }
        for job in status["jobs"]
    ]
    assert page.locator("#freshness tr").count() == len(status["freshness"])
    n_stale = sum(one["stale"] for one in status["freshness"])
    assert page.locator("#freshness .badge.stale").count() == n_stale
    n_fresh = len(status["freshness"]) - n_stale
    expect(page.locator('[data-tile="fresh"] .value')).to_have_text(f"{n_fresh} of {len(status['freshness'])} fresh")
    chains = page.locator("#ledger tr").evaluate_all(
        "rows => rows.map(row => [row.dataset.chain, row.querySelector('.n').textContent.replace('\u202f', ''),"
        " row.querySelector('code').textContent])"
    )
    assert chains == [
        [f"{one['model_name']} {one['interval']}", str(one["n_rows"]), one["head"][:16]] for one in status["ledger"]
    ]


def test_schedules_are_told_in_words(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/status")
    drawn(page)

    words = {name: page.locator(f'tr[data-job="{name}"] th small').inner_text() for name in (
        "kronos-batch-1h", "kronos-batch-1d", "kronos-rolling-finetune", "report-weekly")}  # fmt: skip
    assert words == {
        "kronos-batch-1h": "hourly at :55",
        "kronos-batch-1d": "daily at 05:45 UTC",
        "kronos-rolling-finetune": "monthly on day 1 at 06:00 UTC",
        "report-weekly": "Mondays at 07:00 UTC",
    }


def test_what_goes_wrong_is_said_first_and_shown_by_shape_and_word(
    opened: Callable[..., Page], api: httpx.Client, kept: Callable[[Page, str], None]
) -> None:
    def spoil(status: dict[str, Any]) -> None:
        status["database"] = {"reachable": False, "since": "2026-01-05T10:00:00Z"}
        status["server"] = {"configured": True, "ready": False, "checked_at": "2026-01-05T10:00:00Z", "models": []}
        job = status["jobs"][0]
        fates = ["failed", "missed", "partial", *["ok"] * 45]
        job["slots"] = [
            {"slot": f"2026-01-{5 - place // 24:02}T{23 - place % 24:02}:50:00Z", "status": fate}
            for place, fate in enumerate(fates)
        ]
        job["n_missed_7d"] = 1
        job["last"] = job["slots"][0] | {
            "started_at": None, "finished_at": "2026-01-05T23:51:00Z", "seconds": 61.4,
            "n_ok": 3, "n_failed": 2, "n_skipped": 0,
        }  # fmt: skip

    page = opened("/status")
    drawn(page)
    page.route("**/showcase/status", answering(spoil, api))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    summary = page.locator("#summary")
    expect(summary).to_contain_text(re.compile(r"The database cannot be reached since Mon 5 Jan( 2026)? 10:00 UTC\."))
    expect(summary).to_contain_text("The inference server is not ready.")
    row = page.locator("#jobs tr").first
    expect(row).to_contain_text("61 s · 3 ok · 2 failed")
    label = row.locator(".strip").get_attribute("aria-label") or ""
    assert re.fullmatch(r"Newest 48 slots: 1 failed \(.*23:50 UTC\), 1 missed \(.*\), 1 partial \(.*\), 45 ok\.", label)
    assert [row.locator(f".slot.{mark}").count() for mark in ("failed", "missed", "partial", "ok")] == [1, 1, 1, 45]
    row.locator(".strip").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(page.locator("#tip")).to_have_text(label)
    kept(page, "status-trouble")


def test_nothing_on_record_yet_is_told_in_plain_words(opened: Callable[..., Page], api: httpx.Client) -> None:
    def empty(status: dict[str, Any]) -> None:
        status |= {"freshness": [], "ledger": [], "verified": None, "sealed": None}

    page = opened("/status")
    page.route("**/showcase/status", answering(empty, api))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator("#freshness")).to_contain_text("No forecast has been issued yet.")
    expect(page.locator("#ledger")).to_contain_text("The ledger is empty.")
    expect(page.locator("#verified")).to_contain_text("Nobody has checked the ledger yet")


def test_a_gateway_that_is_away_leaves_the_last_status_under_a_banner(
    opened: Callable[..., Page], api: httpx.Client
) -> None:
    page = opened("/status", expect_errors=True)
    drawn(page)
    page.route("**/showcase/status", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    expect(page.locator("#away")).to_contain_text("cannot be reached. What you see is as of")
    assert page.locator("#jobs tr[data-job]").count() > 0


def test_forecasts_are_sorted_by_any_column_from_the_keyboard(opened: Callable[..., Page], api: httpx.Client) -> None:
    page = opened("/status")
    drawn(page)
    page.locator('button.sort[data-sort="symbol"]').focus()
    page.keyboard.press("Enter")

    symbols = page.locator("#freshness th").all_inner_texts()
    assert symbols == sorted(symbols)
    page.keyboard.press("Enter")
    assert page.locator("#freshness th").all_inner_texts() == sorted(symbols, reverse=True)
    assert page.locator("th:has([data-sort=symbol])").get_attribute("aria-sort") == "descending"
