"""What the ledger of runs is taken to say: which slots were missed, and which runs tell of no schedule."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gateway.content.jobs import N_SLOTS, Job, jobs_of
from gateway.probe import Probe, ServerSeen, look

JOB = "kronos-batch-1h"  # at five to every hour
FIRST = datetime(2026, 3, 2, 12, 55, tzinfo=UTC)


def row(slot: datetime | None, status: str = "ok", *, late: timedelta = timedelta(0), **told: Any) -> dict[str, Any]:
    began = None if slot is None else slot + late
    return {
        "job": JOB,
        "slot": slot,
        "status": status,
        "started_at": began,
        "finished_at": None if began is None or status == "running" else began + timedelta(seconds=30),
        "n_ok": 46, "n_failed": 0, "n_skipped": 1,
        "last_success_at": began,
        "n_missed": 0,
        "n_missed_7d": 0,
    } | told  # fmt: skip


def job(rows: list[dict[str, Any]], now: datetime) -> Job:
    (found,) = jobs_of(rows, now)
    return found


def statuses(found: Job) -> list[tuple[str, str]]:
    return [(f"{one.slot:%H:%M}", one.status) for one in found.attempts]


def test_slots_that_passed_since_the_last_run_are_missed_and_the_newest_is_due() -> None:
    found = job([row(FIRST)], FIRST + timedelta(hours=3, minutes=2))

    assert statuses(found) == [("15:55", "due"), ("14:55", "missed"), ("13:55", "missed"), ("12:55", "ok")]
    assert (found.n_missed, found.n_missed_7d) == (0, 2), "the ledger learns of them from the next run"
    assert found.last is not None
    assert (found.last.slot, found.last.seconds) == (FIRST, 30.0)


def test_what_the_ledger_counted_already_is_added() -> None:
    missed = row(FIRST - timedelta(hours=1), "missed")
    found = job([row(FIRST, n_missed=400, n_missed_7d=7), missed], FIRST + timedelta(hours=2))

    assert (found.n_missed, found.n_missed_7d) == (400, 8)
    assert found.attempts[-1].started_at is None, "nobody began a missed slot"


def test_a_run_in_its_time_misses_nothing() -> None:
    found = job([row(FIRST, late=timedelta(minutes=4))], FIRST + timedelta(minutes=59))

    assert statuses(found) == [("12:55", "ok")]
    assert found.n_missed_7d == 0
    assert found.fields(FIRST + timedelta(minutes=59))["next_at"] == "2026-03-02T13:55:00Z"


def test_a_replay_by_hand_is_no_schedule_that_could_miss_anything() -> None:
    found = job([row(FIRST, late=timedelta(days=300))], FIRST + timedelta(days=301))

    assert statuses(found) == [("12:55", "ok")]
    assert found.n_missed_7d == 0


def test_a_job_that_never_ran_has_neither_slots_nor_a_last_run() -> None:
    found = job([row(None, "", last_success_at=None)], FIRST)
    told = found.fields(FIRST)

    assert (told["last"], told["slots"], told["n_missed_7d"], told["last_success_at"]) == (None, [], 0, None)


def test_a_job_that_is_dead_for_months_is_told_by_its_last_week() -> None:
    found = job([row(FIRST)], FIRST + timedelta(days=90, minutes=5))

    assert len(found.attempts) == N_SLOTS
    assert found.n_missed_7d == 7 * 24 - 1, "the newest of them is still due"


def test_the_last_run_is_one_that_ran() -> None:
    rows = [row(FIRST, "missed"), row(FIRST - timedelta(hours=1), "failed")]
    found = job(rows, FIRST + timedelta(minutes=5))

    assert found.last is not None
    assert (found.last.slot, found.last.status) == (FIRST - timedelta(hours=1), "failed")


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says one thing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/readyz" and self.headers["CF-Access-Client-Id"] == "me"
            self.send_response(status if known else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


READY = json.dumps({"status": "ready", "models": ["kronos-nano@0123456789ab", "baseline-rw@v1"]}).encode()
NO_ANSWER = [
    (503, READY),
    (200, b'{"models": []}'),
    (200, b"<html>log in</html>"),
    (200, b'["ready"]'),
    (200, b'{"models": 5}'),
    (302, READY),
]


async def test_a_server_is_ready_with_its_models_until_it_is_gone() -> None:
    with answering(200, READY) as url:
        probe = Probe(url, {"CF-Access-Client-Id": "me", "CF-Access-Client-Secret": ""}, every_s=0.02)
        assert probe.seen == ServerSeen(None, None)
        probe.start()
        await until(lambda: probe.seen is not None and probe.seen.ready is True)
        assert probe.seen is not None
        assert probe.seen.models == ("kronos-nano", "baseline-rw")
    await until(lambda: probe.seen is not None and probe.seen.ready is False)
    await probe.stop()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("status", "body"), NO_ANSWER)
def test_anything_but_a_ready_answer_is_not_ready(status: int, body: bytes) -> None:
    with answering(status, body) as url:
        assert look(url.rstrip("/"), {"CF-Access-Client-Id": "me"}).ready is False


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.0.0.1:99999", "nonsense", "http://"])
def test_an_address_where_nobody_answers_is_not_ready(url: str) -> None:
    assert look(url, {}).ready is False


async def test_without_an_address_nothing_is_looked_at() -> None:
    probe = Probe(None)
    probe.start()
    await probe.stop()

    assert probe.seen is None
