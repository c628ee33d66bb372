"""Keys end to end: made on the command line, known to a running gateway, revoked; which route asks for one; headers."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from candlecast.keys import make_key
from candlecast.store.keys import TooManyKeys, create_key, list_keys, revoke_key
from gateway.access import presented
from gateway.app import create_app
from gateway.front import Front
from gateway.service import OVERVIEW, Target
from gateway.settings import GatewaySettings, WeakKey

SHOWCASE_KEY = "q8Zr4Tn1Vb6Xk3Lm9Pw5Hs7Jd2Gf0Cy-Ae"
OPEN, KEYED = "open", "keyed"

# What each route asks for. A route that is not here fails the test: whoever adds one has to decide.
POLICY = {
    "/": OPEN,
    "/api": OPEN,
    "/evaluation": OPEN,
    "/favicon.ico": OPEN,
    "/instrument/{symbol}": OPEN,
    "/method": OPEN,
    "/status": OPEN,
    "/assets/{version}/{name:path}": OPEN,
    "/openapi.json": OPEN,
    "/showcase/chart/{symbol}": OPEN,
    "/showcase/evaluation": OPEN,
    "/showcase/instruments": OPEN,
    "/showcase/ml-prediction/{symbol}": OPEN,
    "/showcase/models": OPEN,
    "/showcase/performance": OPEN,
    "/showcase/performance/verdicts": OPEN,
    "/showcase/status": OPEN,
    "/statusz": KEYED,
    "/v1/ledger": KEYED,
    "/v1/ledger/export": KEYED,
    "/v1/ledger/{model_name}/{interval}": KEYED,
    "/v1/performance": KEYED,
    "/v1/predictions/{symbol}": KEYED,
    "/v1/predictions/by-id/{prediction_id}": KEYED,
    "/healthz": OPEN,
    "/readyz": OPEN,
    "/metrics": OPEN,  # counts, and names that the showcase shows too
    "/mcp": OPEN,  # reads what the showcase shows, by POST
}
VALUES = {
    "symbol": "BTCUSDT",
    "version": "x",
    "name": "icon.svg",
    "model_name": "baseline-rw",
    "interval": "1h",
    "prediction_id": "00000000-0000-0000-0000-000000000000",
}


def add_key(engine: Engine, name: str = "desk", expires_at: datetime | None = None) -> str:
    with engine.begin() as conn:
        return create_key(conn, name, expires_at)[0].text


def app_of(front: Front) -> Any:
    """The FastAPI application inside."""
    app: Any = front
    while not hasattr(app, "router"):
        app = app._app
    return app


def routes_of(front: Front) -> Iterator[tuple[str, set[str]]]:
    """Every route that the application answers, with its methods."""
    for route in iter_route_contexts(app_of(front).router.routes):
        yield str(route.path), set(route.methods or {"POST"})


def filled(path: str) -> str:
    for name, value in VALUES.items():
        path = path.replace(f"{{{name}}}", value)
    return path


@pytest.fixture
def keyed_path() -> str:
    """A route that asks for a key and needs no row."""
    return "/v1/predictions/BTCUSDT"


# -- the policy of each route -----------------------------------------------------------------------------------------


async def test_every_route_asks_for_a_key_or_not_as_it_was_decided(market: Any, running: Any) -> None:
    market.issue()
    good, bad = add_key(market.engine), make_key().text

    async with running() as (client, front):
        found = dict(routes_of(front))
        assert {path for path in found if path not in POLICY} == set(), "decide in POLICY who may ask these"
        for path, methods in found.items():
            method = "POST" if methods == {"POST"} else "GET"
            seen = {}
            for what, headers in {"no": {}, "bad": {"x-api-key": bad}, "good": {"x-api-key": good}}.items():
                answer = await client.request(method, filled(path), headers=headers)
                seen[what] = answer.status_code
                if answer.status_code == 401:
                    assert answer.headers["www-authenticate"].startswith("Bearer ")
                    assert answer.json()["code"] == "unauthorised"
            refused = {what for what, status in seen.items() if status in (401, 403)}
            assert refused == ({"no", "bad"} if POLICY[path] == KEYED else set()), (path, seen)
            assert all(status < 500 for status in seen.values()), (path, seen)


async def test_what_a_key_opened_is_not_sent_to_others_afterwards(market: Any, running: Any, keyed_path: str) -> None:
    market.issue()
    key = add_key(market.engine)

    async with running() as (client, _):
        for _ in range(3):
            opened = await client.get(keyed_path, headers={"x-api-key": key})
            assert opened.status_code == 200
            assert "public" not in opened.headers.get("cache-control", "")
            assert (await client.get(keyed_path)).status_code == 401


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token", "access_token", "X-API-Key"])
async def test_a_key_in_the_query_is_refused_and_not_repeated(
    market: Any, running: Any, keyed_path: str, name: str
) -> None:
    market.issue()
    key = add_key(market.engine)

    async with running() as (client, _):
        assert (await client.get(keyed_path, params={name: key})).status_code == 401
        for headers in ({"x-api-key": key}, {}):
            path = keyed_path if headers else "/showcase/instruments"
            answer = await client.get(path, params={name: key}, headers=headers)
            assert answer.status_code == 422
            assert key not in answer.text


# -- one key ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "é".encode()},
        {"x-api-key": b"\xff\xfe\x00"},
        {"x-api-key": "ключ".encode()},
        {"x-api-key": b""},
        {"x-api-key": b" "},
        {"x-api-key": b"ck_" + b"9" * 9000},
        {"x-api-key": b"ck_abcdefghjk_" + b"A" * 43 + b"_00000000"},
        {"authorization": b"Bearer"},
        {"authorization": b"Bearer \xf0\x9f\x94\x91"},
        {"authorization": b"Basic dXNlcjpwYXNz"},
        {"authorization": b"\xff"},
    ],
    ids=lambda headers: ascii(next(iter(headers.items())))[:40],
)
async def test_what_is_no_key_is_refused_whatever_its_bytes(
    market: Any, running: Any, keyed_path: str, headers: dict[str, bytes]
) -> None:
    async with running(showcase_api_key=SHOWCASE_KEY) as (client, _):
        answer = await client.get(keyed_path, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_key_comes_as_its_own_header_or_as_a_bearer_and_only_once(
    market: Any, running: Any, keyed_path: str
) -> None:
    market.issue()
    key, other = add_key(market.engine), add_key(market.engine)

    async def status(headers: list[tuple[str, str]]) -> int:
        return int((await client.get(keyed_path, headers=headers)).status_code)

    async with running() as (client, _):
        assert await status([("x-api-key", key)]) == 200
        assert await status([("authorization", f"Bearer {key}")]) == 200
        assert await status([("authorization", f"bearer  {key} ")]) == 200
        assert await status([("x-api-key", make_key().text), ("authorization", f"Bearer {key}")]) == 401
        assert await status([("x-api-key", key), ("x-api-key", other)]) == 401
        assert await status([("authorization", f"Basic {key}")]) == 401


def test_a_header_given_twice_names_no_key() -> None:
    assert presented([(b"accept", b"*/*")]) is None
    assert presented([(b"x-api-key", b" a "), (b"authorization", b"Bearer b")]) == b"a"
    assert presented([(b"x-api-key", b"a"), (b"x-api-key", b"b")]) == b"a,b"


async def test_a_new_key_opens_and_a_revoked_one_stops_within_seconds(
    market: Any, running: Any, keyed_path: str
) -> None:
    market.issue()

    async with running(poll_s=0.2) as (client, _):
        key = add_key(market.engine)
        async with asyncio.timeout(10):
            while (await client.get(keyed_path, headers={"x-api-key": key})).status_code != 200:
                await asyncio.sleep(0.05)
        with market.engine.begin() as conn:
            revoke_key(conn, key.split("_")[1])
        async with asyncio.timeout(10):
            while (await client.get(keyed_path, headers={"x-api-key": key})).status_code != 401:
                await asyncio.sleep(0.05)


async def test_a_key_stops_when_it_expires_without_another_look(market: Any, running: Any, keyed_path: str) -> None:
    market.issue()
    key = add_key(market.engine, expires_at=datetime.now(UTC) + timedelta(seconds=1.5))

    async with running(poll_s=60.0) as (client, _):
        assert (await client.get(keyed_path, headers={"x-api-key": key})).status_code == 200
        await asyncio.sleep(1.6)
        assert (await client.get(keyed_path, headers={"x-api-key": key})).status_code == 401


async def test_known_keys_keep_opening_while_the_database_is_away(
    market: Any, running: Any, proxy: Any, proxied_url: str, keyed_path: str, until: Any
) -> None:
    market.issue()
    key = add_key(market.engine)

    async with running(proxied_url) as (client, front):
        assert (await client.get(keyed_path, headers={"x-api-key": key})).status_code == 200
        proxy.mode = "swallow"
        async with asyncio.timeout(15):
            while front.service.database.reachable is not False:
                await asyncio.sleep(0.05)
        # There is nothing to serve, and that is what a known key is told.
        assert (await client.get(keyed_path, headers={"x-api-key": key})).status_code == 503
        assert (await client.get(keyed_path, headers={"x-api-key": make_key().text})).status_code == 401


async def test_before_any_key_was_read_what_may_be_one_is_told_to_come_back(running: Any, keyed_path: str) -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"

    async with running(nowhere, showcase_api_key=SHOWCASE_KEY) as (client, _):
        unknown = await client.get(keyed_path, headers={"x-api-key": make_key().text})
        nonsense = await client.get(keyed_path, headers={"x-api-key": "nonsense"})
        showcase = await client.get(keyed_path, headers={"x-api-key": SHOWCASE_KEY})

    assert unknown.status_code == 503
    assert int(unknown.headers["retry-after"]) >= 1
    assert nonsense.status_code == 401
    assert showcase.status_code == 503  # it opens, and there is nothing to serve
    assert "keys" not in showcase.json()["detail"]


async def test_a_table_of_keys_that_is_missing_holds_up_no_forecast(market: Any, running: Any, keyed_path: str) -> None:
    market.issue(price=100.0)
    with market.engine.begin() as conn:
        conn.execute(text("DROP TABLE candlecast.api_keys"))

    async with running(showcase_api_key=SHOWCASE_KEY) as (client, _):
        assert (await client.get("/showcase/ml-prediction/BTCUSDT")).json()["last_close"] == 100.0
        assert (await client.get(keyed_path, headers={"x-api-key": SHOWCASE_KEY})).status_code == 200
        assert (await client.get(keyed_path, headers={"x-api-key": make_key().text})).status_code == 503


async def test_the_key_of_the_showcase_opens_keyed_routes_and_only_when_it_is_set(
    market: Any, running: Any, keyed_path: str
) -> None:
    market.issue()

    async with running(showcase_api_key=SHOWCASE_KEY) as (client, _):
        assert (await client.get(keyed_path, headers={"x-api-key": SHOWCASE_KEY})).status_code == 200
        assert (await client.get(keyed_path, headers={"x-api-key": SHOWCASE_KEY[:-1]})).status_code == 401
    async with running() as (client, _):
        assert (await client.get(keyed_path, headers={"x-api-key": SHOWCASE_KEY})).status_code == 401


@pytest.mark.parametrize(
    "value", ["short", "changeme-changeme-changeme-changeme", "a" * 64, "ab" * 20, "schlüssel" * 5, "my secret " * 5]
)
def test_a_weak_key_of_the_showcase_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(WeakKey) as refused:
        GatewaySettings.from_env({"SHOWCASE_API_KEY": value})

    assert value.strip() not in str(refused.value)
    assert GatewaySettings.from_env({"SHOWCASE_API_KEY": SHOWCASE_KEY}).showcase_api_key == SHOWCASE_KEY


def test_a_gateway_with_a_weak_key_of_the_showcase_ends_at_once_with_78(tmp_path: Path) -> None:
    value = "schlüssel" * 5
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--port", "0"],
        env={**os.environ, "SHOWCASE_API_KEY": value, "CANDLECAST_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 78
    assert done.stderr.startswith("SHOWCASE_API_KEY ")
    assert len(done.stderr.splitlines()) == 1
    assert value not in done.stdout + done.stderr


# -- on record --------------------------------------------------------------------------------------------------------


def test_the_database_keeps_the_hash_and_never_the_key(engine: Engine) -> None:
    key = add_key(engine)

    with engine.connect() as conn:
        row = conn.execute(text("SELECT key_id, digest, to_jsonb(k)::text AS all FROM candlecast.api_keys k")).one()
    assert bytes(row.digest) == hashlib.sha256(key.encode()).digest()
    assert row.key_id in key
    assert key.split("_", 2)[2][:20] not in row.all


def test_a_name_has_two_active_keys_at_most_and_a_rotation_frees_one(engine: Engine) -> None:
    first = add_key(engine)
    add_key(engine)
    add_key(engine, "another name")

    with engine.begin() as conn, pytest.raises(TooManyKeys, match=first.split("_")[1]):
        create_key(conn, "desk")
    with engine.begin() as conn:
        assert revoke_key(conn, first.split("_")[1])[1]
        assert not revoke_key(conn, first.split("_")[1])[1]
    add_key(engine)

    with engine.connect() as conn:
        assert [state for record, state in list_keys(conn) if record.name == "desk"] == ["revoked", "active", "active"]


def test_two_who_make_keys_at_once_do_not_get_past_two(engine: Engine) -> None:
    with engine.connect() as one, one.begin(), engine.connect() as two:
        create_key(one, "desk")
        two.execute(text("SET lock_timeout = '200ms'"))
        with pytest.raises(Exception, match="lock timeout"):
            create_key(two, "desk")


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE candlecast.api_keys SET revoked_at = NULL",
        "UPDATE candlecast.api_keys SET revoked_at = now() + interval '1 day'",
        "UPDATE candlecast.api_keys SET name = 'other'",
        "UPDATE candlecast.api_keys SET digest = sha256('x')",
        "UPDATE candlecast.api_keys SET expires_at = now() + interval '9 days'",
        "DELETE FROM candlecast.api_keys",
        "TRUNCATE candlecast.api_keys",
    ],
)
def test_who_had_access_when_stays_on_record(engine: Engine, change: str) -> None:
    key = add_key(engine)
    with engine.begin() as conn:
        revoke_key(conn, key.split("_")[1])

    with engine.begin() as conn, pytest.raises(IntegrityError, match="api_keys"):
        conn.execute(text(change))


@pytest.mark.parametrize("role", ["writer", "reader"])
def test_a_job_and_a_gateway_can_make_or_revoke_no_key(engine: Engine, engine_as: Any, role: str) -> None:
    key_id = add_key(engine).split("_")[1]

    with engine_as(role).begin() as conn, pytest.raises(ProgrammingError, match="permission denied"):
        create_key(conn, "desk")
    with engine_as(role).begin() as conn, pytest.raises(ProgrammingError, match="permission denied"):
        revoke_key(conn, key_id)


# -- the command line -------------------------------------------------------------------------------------------------


def keys(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name("candlecast"), "keys", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_key_is_shown_once_listed_by_its_id_and_revoked(database_url: str) -> None:
    made = keys(database_url, "create", "desk", "--expires", "90d")
    key = made.stdout.splitlines()[0]
    key_id = key.split("_")[1]
    assert made.returncode == 0, made.stderr
    assert key.startswith("ck_")
    assert f"the key {key_id} of desk" in made.stdout
    assert "shown only now" in made.stdout

    second = json.loads(keys(database_url, "create", "desk", "--json").stdout)
    assert second["key"].startswith(f"ck_{second['key_id']}_")
    third = keys(database_url, "create", "desk")
    assert third.returncode == 73
    assert f"candlecast keys revoke {key_id}" in third.stderr

    # Whoever has only the key at hand gives that.
    revoked = keys(database_url, "revoke", key)
    assert (revoked.returncode, "is revoked" in revoked.stdout) == (0, True)
    assert "was revoked already" in keys(database_url, "revoke", key_id).stdout

    listed = keys(database_url, "list")
    assert "2 keys, 1 active." in listed.stdout
    everything = listed.stdout + listed.stderr + keys(database_url, "list", "--json").stdout + revoked.stdout
    for shown in (key, second["key"]):
        assert shown not in everything
        assert shown[14:57] not in everything


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "é"), "cannot name a key"),
        (("create", "x", "--expires", "yesterday"), "days such as 90d"),
        (("create", "x", "--expires", "2020-01-01"), "not in the future"),
        (("create", "x", "--expires", "0d"), "not in the future"),
        (("revoke", "ck_aaaaaaaaaa_" + "S" * 43 + "_00000000"), "there is no key 'aaaaaaaaaa'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(database_url: str, arguments: tuple[str, ...], says: str) -> None:
    done = keys(database_url, *arguments)

    assert done.returncode == 64
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "SSSS" not in done.stderr


# -- headers ----------------------------------------------------------------------------------------------------------

SAFE = {
    "x-content-type-options": "nosniff",
    "strict-transport-security": "max-age=31536000",
}
SHOWCASE_HEADERS = SAFE | {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "age, etag, retry-after",
}
OTHER_HEADERS = SAFE | {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "no-referrer",
}
ABOUT_THE_ANSWER = {
    "age", "allow", "cache-control", "content-encoding", "content-length", "content-type", "date", "etag", "link",
    "retry-after", "vary", "www-authenticate", "x-request-id",
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/showcase/ml-prediction/BTCUSDT", SHOWCASE_HEADERS),
        ("/showcase/ml-prediction/NOSUCH", SHOWCASE_HEADERS),
        ("/showcase/nothing", SHOWCASE_HEADERS),
        ("/", OTHER_HEADERS),
        ("/healthz", OTHER_HEADERS),
        ("/metrics", OTHER_HEADERS),
        ("/nothing", OTHER_HEADERS),
        ("/v1/predictions/BTCUSDT", OTHER_HEADERS),
    ],
)
async def test_the_headers_that_protect_are_exactly_these(
    market: Any, running: Any, path: str, expected: dict[str, str]
) -> None:
    market.issue()

    async with running() as (client, _):
        for _ in range(2):  # the second is answered from what was remembered
            answer = await client.get(path)
            assert {k: v for k, v in answer.headers.items() if k not in ABOUT_THE_ANSWER} == expected


@pytest.mark.parametrize("path", ["/v1/predictions/BTCUSDT", "/mcp"])
async def test_keyed_routes_are_open_to_pages_of_named_origins_only(market: Any, running: Any, path: str) -> None:
    asking = {"access-control-request-method": "GET", "access-control-request-headers": "x-api-key"}

    async with running(origins=("https://desk.example",)) as (client, _):
        allowed = await client.options(path, headers={"origin": "https://desk.example", **asking})
        for origin in ("https://evil.example", "https://desk.example.evil.example", "http://desk.example", "null"):
            refused = await client.options(path, headers={"origin": origin, **asking})
            assert "access-control-allow-origin" not in refused.headers
            answer = await client.get(path, headers={"origin": origin})
            assert "access-control-allow-origin" not in answer.headers
        read = await client.get(path, headers={"origin": "https://desk.example"})

    assert allowed.status_code == 204
    assert "content-length" not in allowed.headers  # RFC 9110 §8.6
    assert allowed.headers["access-control-allow-origin"] == "https://desk.example"
    assert "x-api-key" in allowed.headers["access-control-allow-headers"]
    for answer in (allowed, read):
        assert "access-control-allow-credentials" not in answer.headers
        assert "origin" in answer.headers["vary"]
    assert read.headers["access-control-allow-origin"] == "https://desk.example"


async def test_no_page_elsewhere_may_ask_keyed_routes_unless_it_was_named(
    market: Any, running: Any, keyed_path: str
) -> None:
    async with running() as (client, _):
        answer = await client.get(keyed_path, headers={"origin": "https://desk.example"})

    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("origin", ["*", "null", "desk.example", "https://desk.example/", "https://*.example"])
def test_an_origin_that_is_none_is_refused_at_the_start(origin: str) -> None:
    from candlecast.settings import BadSetting

    with pytest.raises(BadSetting, match="GATEWAY_ORIGINS"):
        GatewaySettings.from_env({"GATEWAY_ORIGINS": f"https://good.example, {origin}"})


def test_a_gateway_without_a_database_still_has_all_its_routes() -> None:
    front = create_app(GatewaySettings(database_url="postgresql://nobody@127.0.0.1:1/none"))

    assert {path for path, _ in routes_of(front)} >= {"/healthz", "/showcase/instruments"}


async def test_each_answer_of_the_framework_carries_an_id_and_takes_a_clean_one(market: Any, running: Any) -> None:
    async with running() as (client, _):
        given = await client.get("/healthz", headers={"x-request-id": "trace-7.a_B"})
        made = [(await client.get("/healthz")).headers["x-request-id"] for _ in range(3)]
        for unclean in (b"a b", b"<script>", b"x" * 65, b"", "é".encode(), b"a,b"):
            answer = await client.get("/healthz", headers={"x-request-id": unclean})
            assert answer.headers["x-request-id"] not in (unclean.decode("latin-1"), "")
        wrong = await client.get("/nothing", headers={"x-request-id": "trace-8"})
        many = httpx.Headers([("x-request-id", "one"), ("x-request-id", "two")])
        assert (await client.get("/healthz", headers=many)).headers.get_list("x-request-id") == ["one"]

    assert given.headers["x-request-id"] == "trace-7.a_B"
    assert wrong.headers["x-request-id"] == "trace-8"
    assert len(set(made)) == 3


async def test_an_address_that_a_key_opened_never_returns_early(market: Any, running: Any) -> None:
    target = Target("/showcase/instruments", OVERVIEW)
    scope = {"path": "/secret", "raw_path": b"/secret", "query_string": b""}

    async with running() as (_, front):
        front.remember({**scope, "state": {"key_id": "abc"}}, target)
        opened_by_key = front.found(b"/secret")
        front.remember({**scope, "state": {}}, target)
        open_to_all = front.found(b"/secret")

    assert opened_by_key is None
    assert open_to_all is not None
