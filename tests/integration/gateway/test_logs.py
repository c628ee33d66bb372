"""The gateway's log: lines that machines can read, and no secret in them, in answers or in the metrics."""

import asyncio
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from candlecast.keys import make_key
from gateway import logs
from gateway.logs import Lines, Redaction

CANARY = "cAnArY"  # a part of every secret below
SHOWCASE_KEY = f"Gz7-{CANARY}-Rk81_qTz70pLvBn2xYs9dW4e"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What `gateway.logs` writes as JSON; the loggers are put back afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure("DEBUG", "json", secrets=[SHOWCASE_KEY, f"postgresql://u:p%40{CANARY}@h/d"], stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level


def line(form: Any = "json", **fields: Any) -> str:
    record = logging.makeLogRecord({"name": "gateway", "levelname": "INFO", "created": 1795165331.345, **fields})
    return Lines(form, Redaction()).format(record)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://u:{CANARY}@h:5432/d",
        f"cannot reach postgresql+psycopg://u:{CANARY}@p@h/d?sslmode=require now",
        f"https://user:{CANARY}@host/x",
        f"host=h password={CANARY} dbname=d",
        f"host=h password='{CANARY} {CANARY}' dbname=d",
        f"sslpassword = {CANARY}",
        f"X-API-Key: {CANARY}",
        f"x-api-key={CANARY}",
        f"{{'x-api-key': '{CANARY}'}}",
        f"[(b'x-api-key', b'{CANARY}')]",
        f'{{"Authorization": "Bearer {CANARY}"}}',
        f"Authorization: Basic {CANARY}==",
        f"CF-Access-Client-Id: {CANARY}.access",
        f"cf-access-client-secret: {CANARY}",
        f"Cf-Access-Jwt-Assertion: ey.{CANARY}.x",
        f"Cookie: CF_Authorization={CANARY}; a=b",
        f"sent bearer {CANARY}{CANARY} there",
        f"GET /v1/x?api_key={CANARY}&a=b",
        f"GET /v1/x?token={CANARY}",
        f"a key ck_abcdefghjk_{CANARY}-_x_0123abcd was given",
    ],
)
def test_whatever_looks_like_a_secret_is_blotted_out(text: str) -> None:
    told = Redaction()(text)

    assert CANARY not in told
    assert "***" in told


@pytest.mark.parametrize(
    "text",
    [
        "the database is unreachable (deadline); what is cached keeps being served",
        "serving at http://127.0.0.1:8000/",
        "the key ck_abcdefghjk opens nothing",
        "GET /v1/predictions/{symbol} took 12 ms",
    ],
)
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assert Redaction(["short", "another-secret"])(text) == text


def test_a_known_secret_is_blotted_out_wherever_it_stands_also_unquoted() -> None:
    redact = Redaction([f"postgresql://u:p%40{CANARY}@h/d", None, "", "abc", SHOWCASE_KEY])

    told = redact(f"it said p@{CANARY} and p%40{CANARY} and <{SHOWCASE_KEY}> and abc")
    assert told == "it said *** and *** and <***> and abc"  # three letters stand in too many words


def test_a_line_has_its_moment_in_utc_its_level_and_what_was_added() -> None:
    told = json.loads(line(msg="answered %s", args=("soon",), status=503, duration_ms=1.5, route="/v1/x"))

    assert told == {
        "ts": "2026-11-20T09:02:11.345Z",
        "level": "INFO",
        "logger": "gateway",
        "event": "answered soon",
        "status": 503,
        "duration_ms": 1.5,
        "route": "/v1/x",
    }


def test_an_error_is_one_line_with_its_class_and_without_the_password_in_it() -> None:
    try:
        raise ValueError(f"no route to postgresql://u:{CANARY}@h/d\nsecond line")
    except ValueError:
        told = line(msg="failed", exc_info=sys.exc_info())

    assert "\n" not in told
    fields = json.loads(told)
    assert fields["error_class"] == "ValueError"
    assert "second line" in fields["traceback"]
    assert CANARY not in told


@pytest.mark.parametrize("sign", ["\n", "\r\n", "\x00", '"', "\\", "\u2028", "é", "😀", "\ud800"])
def test_no_text_breaks_a_line_in_two(sign: str) -> None:
    told = line(msg=f"a{sign}b", what=f"c{sign}d")

    assert len(told.splitlines()) == 1
    assert isinstance(json.loads(told), dict)


def test_text_for_people_has_the_same_facts() -> None:
    told = line("text", msg="answered", status=503)

    assert told == "2026-11-20T09:02:11.345Z INFO gateway answered [status=503]"


async def test_requests_with_secrets_leave_none_in_log_answers_or_metrics(
    market: Any, running: Any, written: io.StringIO
) -> None:
    market.issue()
    key = make_key().text.replace("_", f"_{CANARY}", 1)
    headers = {
        "x-api-key": SHOWCASE_KEY,
        "cookie": f"CF_Authorization={CANARY}",
        "cf-access-client-id": f"{CANARY}.access",
        "cf-access-client-secret": CANARY,
        "cf-access-jwt-assertion": f"e.{CANARY}.y",
        "referer": f"https://x.example/?token={CANARY}",
        "user-agent": f"agent {CANARY}",
    }
    answers = []

    async with running(showcase_api_key=SHOWCASE_KEY) as (client, _):
        for path in (
            "/",
            "/showcase/ml-prediction/BTCUSDT",
            "/v1/predictions/BTCUSDT",
            "/v1/ledger",
            "/statusz",
            "/nothing",
        ):
            for sent in (
                headers,
                headers | {"x-api-key": key},
                {"authorization": f"Bearer {key}"},
                {"authorization": key},
            ):
                answers.append(await client.get(path, headers=sent))
                answers.append(await client.get(path, params={"api_key": f"{key}{CANARY}"}, headers=sent))
        with market.engine.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE candlecast.ml_predictions RENAME TO away")
        answers.append(await client.get("/v1/predictions/BTCUSDT", headers=headers))
        with market.engine.begin() as conn:
            conn.exec_driver_sql("ALTER TABLE candlecast.away RENAME TO ml_predictions")
        metrics = (await client.get("/metrics")).text
        await asyncio.sleep(0.1)

    told = written.getvalue()
    assert answers[-1].status_code == 503
    assert '"key_id":"showcase"' in told
    assert '"status":401' in told
    # A query's own text is repeated to whoever sent it, shortened; nothing else is.
    assert CANARY not in told
    assert CANARY not in metrics
    for answer in answers:
        assert CANARY not in str(answer.headers)
        assert CANARY not in answer.text, answer.request.url
    for one in told.splitlines():
        assert {"ts", "level", "logger", "event"} <= json.loads(one).keys()


async def test_a_failure_is_found_by_the_id_of_its_answer(
    market: Any, running: Any, written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(f"no way to postgresql://u:{CANARY}@h/d")

    async with running() as (client, front):
        monkeypatch.setattr(front.service, "answer", broken)
        answer = await client.get("/showcase/models", headers={"x-request-id": "find-me"})

    assert answer.status_code == 500
    assert answer.headers["x-request-id"] == "find-me"
    assert "RuntimeError" in answer.json()["detail"]
    assert CANARY not in answer.text + written.getvalue()
    found = [json.loads(one) for one in written.getvalue().splitlines() if '"find-me"' in one]
    assert ("WARNING", "/showcase/models", 500) in [
        (one["level"], one.get("route"), one.get("status")) for one in found
    ]


def test_a_process_writes_json_and_no_secret_of_its_environment(
    market: Any, reader_url: str, tmp_path: Path, until: Any
) -> None:
    market.issue()
    port_file = tmp_path / "port"
    password = str(re.search(r":([^:@]+)@", reader_url)[1])  # type: ignore[index]
    said = tmp_path / "log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "--port", "0", "--port-file", str(port_file)],
            env={
                **os.environ, "DATABASE_URL": reader_url, "SHOWCASE_API_KEY": SHOWCASE_KEY, "LOG_LEVEL": "DEBUG",
                "INFERENCE_TOKEN": CANARY, "CF_ACCESS_CLIENT_SECRET": f"cfast_{CANARY}",
            },
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(port_file.exists, "the port is written")
        with httpx.Client(base_url=f"http://127.0.0.1:{port_file.read_text().strip()}", timeout=30.0) as client:
            statuses = [
                client.get("/v1/predictions/BTCUSDT", headers={b"x-api-key": key}).status_code
                for key in (SHOWCASE_KEY.encode(), f"{CANARY} é".encode())
            ]
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(30)

    told = said.read_text()
    assert (code, statuses) == (0, [200, 401])
    answered = [one for one in map(json.loads, told.splitlines()) if one["logger"] == "gateway.requests"]
    assert {one["status"] for one in answered} == {200, 401}
    assert all(one["request_id"] for one in answered)
    assert CANARY not in told
    assert password not in told
