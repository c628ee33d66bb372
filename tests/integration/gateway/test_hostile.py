"""Hostile strings in every parameter of every route: refused or understood, and never an error behind them."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote_from_bytes, unquote

import pytest
from fastapi.routing import iter_route_contexts

KEY: Final = "Wm4-hostile-Zk81_qTz70pLvBn2xYs9"
FREELY: Final = "100000/second"
VALUES: Final = {
    "symbol": "BTCUSDT",
    "version": "x",
    "name": "icon.svg",
    "model_name": "baseline-rw",
    "interval": "1h",
    "prediction_id": "00000000-0000-0000-0000-000000000000",
}
HEADERS: Final = (
    "accept", "accept-encoding", "authorization", "cookie", "if-none-match", "origin", "range", "referer",
    "user-agent", "x-api-key", "x-forwarded-for", "x-real-ip", "x-request-id", "x-unknown",
)  # fmt: skip

WORDS: Final = [
    "'", "''", "\\", '"', "`", ";", "--", "/*", "*/", "%", "_", "%%", "%s", "%n", "{0}", "${x}", "#{x}", "$(x)",
    "`x`", "|", "||", "&", "&&", ">", "<", "<!--", "-->", "]]>", "null", "NULL", "None", "nil", "undefined", "NaN",
    "nan", "inf", "-inf", "Infinity", "-Infinity", "true", "false", "TRUE", "0", "-0", "-1", "+1", "1e309",
    "1e-999", "0x10", "0b1", "0o7", "1_000", "1,000", "1.0", ".5", "5.", "1/0", "١٢٣", "１２３", "ⅷ", "²", "½", "一二",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616",
    "340282366920938463463374607431768211456", "2147483647", "2147483648", "-2147483649", "00000000000000000000001",
    "1025", "0.0000000000000001", "BTCUSDT'", 'BTCUSDT"', "BTCUSDT;", "BTCUSDT--", "BTC/USDT", "BTC\\USDT",
    "../BTCUSDT", "..%2fBTCUSDT", "BTCUSDT..", "BTCUSDT.", ".BTCUSDT", "-BTCUSDT", "_BTCUSDT", "BTC*USDT",
    "BTC?USDT", "BTC#USDT", "BTC%USDT", "BTC+USDT", "BTC@USDT", "BTC:USDT", "BTC,USDT", "BTC=USDT", "BTC&USDT",
    "BTC~USDT", "BTC^USDT", "BTC|USDT", "btcusdt", "BТСUSDT", "ВТCUSDT", "ΒTCUSDT",
    "ＢＴＣＵＳＤＴ", "ＢTCUSDT", "BTCUSDТ",
    "ﬁ", "ß", "ſ", "K", "İ", "ı", "ǅ", "ŉ", "BTCUSDT\u0301", "e\u0301", "é", "ñ", "\u200bBTCUSDT", "BTC\u200dUSDT",
    "BTCUSDT\ufeff", "\u202eTDSUCTB", "\u2066x\u2069", "\u061c", "\xad", "\u180e", "ᅟ", "\U0001f600",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f1e9\U0001f1ea",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\U0001d56d\U0001d57f\U0001d56e",
    "\U0010ffff", "\ufffe", "\uffff", "�", "\ufdd0", "\ue000", "مرحبا", "שלום",
    "नमस्ते", "中文", "日本語", "한국어", "ไทย",
    "ẞ", "Å", "Ω", "1h'", "1H", "1h1d", "60m", "3600", "1d;", "4h", "-1h", "1", "h", "1h", "PT1H", "P1D",
    "one-hour", "kronos-nano'", "kronos/nano", "../../models", "baseline-rw;", "baseline_rw'", "*.*",
    "model\\..\\x", "aux", "con", "nul", "com1", "CON.txt", "live'", "LIVE", "live,replay", "replay;", "all", "*",
    "ALL", "any", "2026-02-30", "2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z",
    "2026-01-01T23:59:60Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
    "-0001-01-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-W01-1", "2026-001", "20260101T000000Z",
    "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+99:99", "2026-01-01T00:00:00+00:60",
    "2026-01-01T00:00:00.1234567890123Z", "1767225600", "now", "yesterday", "infinity", "-infinity", "epoch",
    "today", "tomorrow", "allballs", "2026-01-01T00:00:00Z[Europe/Berlin]", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "２０２６-01-01T00:00:00Z", "1582-10-10T00:00:00Z", "2016-12-31T23:59:60Z",
    "00000000-0000-0000-0000-00000000000", "g0000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}", "urn:uuid:00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000000000", "by-id", "by-id/x", "OR", "'1'='1",
    "1;DROP/**/TABLE/**/candlecast.instruments", "1'/**/UNION/**/SELECT/**/1--", "';SELECT/**/pg_sleep(9)--",
    "$$x$$", "$1", ":symbol", "%(symbol)s", "E'\\\\x00'", "chr(0)", "::text", "pg_catalog.pg_class",
    "../../../../etc/passwd", "..\\..\\windows\\win.ini", "/etc/passwd", "file:///etc/passwd", "%2e%2e%2f",
    "%252e%252e%252f", "%c0%ae%c0%ae/", "....//", "~root", ".git/config", ".env", "C:\\boot.ini", "\\\\host\\share",
    "php://input", "jar:file:///", "http://127.0.0.1:5432/", "//evil.example", "https://evil.example@x",
    "<script>alert(1)</script>", "<img/src=x/onerror=alert(1)>", '"><svg/onload=alert(1)>', "javascript:alert(1)",
    "{{7*7}}", "${7*7}", "<%=7*7%>", "{%x%}", "()", "{}", "[]", "[1]", '{"a":1}', "[[]]", "[]=", "a[]=1", "a[b]=c",
    "__proto__", "constructor", "prototype", "__class__", "__import__('os')", "lambda:0", "${jndi:ldap://x/y}",
    "a=b", "a&b", "a;b", "a,b", ",,,,", ";;;;", "&&&", "===", "????", "####", "!!!!", "@@@@", "||||", "~~~~",
    "++++", "----", "____", "....", "::::", "%00", "%0a", "%0d%0a", "%ff", "%fe%ff", "%zz", "%u0041", "", " ", "  ",
    "\t", "a b", " BTCUSDT", "BTCUSDT ", "BTC USDT", "' OR 1=1 --", "1; DROP TABLE candlecast.instruments; --",
    "\x00", "BTCUSDT\x00", "\x00BTCUSDT", "BTC\x00USDT", "1h\x00", "\x01", "\x07", "\x08", "\x1b[31mred\x1b[0m",
    "\x7f", "\x80", "\x9f", "\n", "\r", "\r\n", "BTCUSDT\n", "BTCUSDT\r\nX-Injected: yes", "x\r\n\r\n<html>",
    "a\nb\nc", "\x0b", "\x0c", "\x1c", "\x1e",
    "Z\u0351\u036b\u0313\u036a\u0302\u036b\u033d\u034f\u0334\u0319\u0324\u031e\u0349\u035a\u032f\u031e\u0320\u034dA\u0334\u0335\u031c\u0330\u0354\u036b\u0357\u0362L\u0320\u0368\u0367\u0369\u0358G\u0334\u033b\u0348\u034d\u0354\u0339\u0311\u0357\u030e\u0305\u035b\u0301\u01ea\u0335\u0339\u033b\u031d\u0333\u0342\u030c\u030c\u0358",
    "\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff\ufeff",
    "BTCUSDTBTCUSDTBTCUSDT", "btc-usdt", "BTC--USDT", "B", "-", "..", "...", "BTCUSDT/..", "BTCUSDT/", "BTCUSDT/1h",
    "1h/1d", "1d,1h", "on_time", "on_time;", "late'", "all'", "crypto'", "jsonl'", "parquet\x00", "csv", "text/csv",
]  # fmt: skip

LONG: Final = [
    "A" * 15, "A" * 16, "A" * 64, "A" * 65, "A" * 255, "A" * 256, "A" * 10_000, "\u00e9" * 3_000, "\U0001f600" * 2_000,
    "%" * 5_000, "9" * 400, "1" + "0" * 4_299, "1" + "0" * 5_000, "-" + "9" * 400, "0." + "3" * 400, "(" * 5_000,
    "[" * 5_000, "{" * 5_000, "../" * 1_000, "a." * 1_000, "\u0301" * 1_000, "\ufeff" * 20, " " * 1_000, "\t" * 500,
]  # fmt: skip

# Bytes that are no UTF-8: cut off, overlong, lone surrogates, beyond the last sign.
RAW: Final = [
    b"\xff", b"\xfe\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xc0\x80",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
    b"\x80", b"\xbf", b"BTC\xffUSDT", b"\xa0", b"BTCUSDT\xa0", b"\xe9", b"\x00\xff\x00",
]  # fmt: skip

CORPUS: Final[list[bytes]] = list(dict.fromkeys([*(word.encode() for word in [*WORDS, *LONG]), *RAW]))


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(CORPUS) >= 400, "each half has 200"
    assert sum(b"\x00" in one for one in CORPUS) >= 3
    assert max(len(one) for one in CORPUS) >= 10_000


class Answer:
    """What came back for one request, asked below any client that would mend or refuse it."""

    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, dict[bytes, bytes](), b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        self.body += message.get("body", b"")


async def ask(front: Any, address: str, *headers: tuple[bytes, bytes]) -> Answer:
    """GET an address as uvicorn hands it on: the path unquoted, the query as it was sent."""
    raw, _, query = address.partition("?")

    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return messages.pop() if messages else await asyncio.Future()

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": unquote(raw), "raw_path": raw.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"localhost"), *headers], "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    answer = Answer()
    await front(scope, receive, answer.send)
    return answer


def routes_of(front: Any) -> list[tuple[str, set[str]]]:
    """Every route, with the query parameters that the OpenAPI document names, those beside it, and one unknown."""
    app = front
    while not hasattr(app, "router"):
        app = app._app
    described = {
        path: {one["name"] for one in item["get"].get("parameters", []) if one["in"] == "query"}
        for path, item in app.openapi()["paths"].items()
    }
    paths = {str(route.path) for route in iter_route_contexts(app.router.routes)}
    assert described.keys() <= paths
    beside = {"model", "cursor", "no_such_parameter"}
    return [(path, described.get(path, set()) | (beside if path in described else set())) for path in sorted(paths)]


def filled(path: str, **values: str) -> str:
    for name, value in (VALUES | values).items():
        path = path.replace(f"{{{name}}}", value)
    return path


def addresses(path: str, queries: set[str]) -> Iterator[str]:
    """The route with the strings in its path parameters, in its query parameters, and as the name of one.

    A path parameter meets the whole corpus; of two query parameters that follow each other, each meets one half.
    """
    texts = [quote_from_bytes(hostile, safe="") for hostile in CORPUS]
    for name in VALUES:
        if f"{{{name}}}" in path:
            yield from (filled(path, **{name: text}) for text in texts)
    for half, name in enumerate(sorted(queries)):
        yield from (f"{filled(path)}?{name}={text}" for text in texts[half % 2 :: 2])
    yield from (f"{filled(path)}?{text}" for text in texts[::10])


@pytest.mark.slow
async def test_hostile_strings_never_break_anything(
    market: Any, running: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT"):
        market.issue(symbol)
    n_asked = 0
    wrong: list[tuple[object, str, bytes]] = []

    async with running(poll_s=60.0, showcase_api_key=KEY, rate=FREELY, key_rate=FREELY, cache_entries=200) as (
        _,
        front,
    ):
        caplog.set_level(logging.WARNING)
        routes = routes_of(front)
        for path, queries in routes:
            for address in addresses(path, queries):
                answer = await ask(front, address, (b"x-api-key", KEY.encode()))
                n_asked += 1
                kinds = [b"application/problem+json"]
                if path.startswith("/instrument/"):  # a page for people
                    kinds.append(b"text/html; charset=utf-8")
                if not 200 <= answer.status < 500:
                    wrong.append((answer.status, address[:120], answer.body[:200]))
                elif answer.status >= 400 and answer.headers[b"content-type"] not in kinds:
                    wrong.append((answer.headers[b"content-type"], address[:120], answer.body[:200]))
                elif answer.status >= 400 and b"A" * 100 in answer.body:
                    wrong.append(("repeats a long text", address[:120], answer.body[:200]))
                if any(b"\r" in value or b"\n" in value for value in answer.headers.values()):
                    wrong.append(("breaks a header", address[:120], b""))
        assert wrong == []
        assert n_asked > 10_000
        assert len(front.service.cache) <= 200
        # Whatever reached the database was a question that it understood; what it refuses is logged.
        assert front.service.database.reachable is True
        assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.slow
async def test_hostile_headers_never_break_anything(market: Any, running: Any) -> None:
    market.issue()
    paths = ("/showcase/ml-prediction/BTCUSDT", "/v1/ledger", "/mcp")

    async with running(poll_s=60.0, showcase_api_key=KEY, rate=FREELY, key_rate=FREELY) as (_, front):
        for path in paths:
            await ask(front, path, (b"x-api-key", KEY.encode()))
            before = front.service.database.n_queries
            for half, name in enumerate(HEADERS):
                for hostile in CORPUS[half % 2 :: 2]:
                    # A server of HTTP lets no line break and no NUL through; everything else may come.
                    value = hostile.translate(None, b"\r\n\x00")
                    value = b"Bearer " + value if name == "authorization" else value
                    answer = await ask(front, path, (name.encode(), value))
                    assert 200 <= answer.status < 500, (path, name, value[:80], answer.body[:200])
                    if path.startswith("/v1/"):
                        assert answer.status == 401
            assert front.service.database.n_queries == before


async def test_a_hostile_symbol_asks_the_database_nothing(market: Any, running: Any) -> None:
    market.issue()

    async with running(poll_s=60.0, showcase_api_key=KEY, rate=FREELY, key_rate=FREELY) as (_, front):
        before = front.service.database.n_queries
        for path, _ in routes_of(front):
            if "{symbol}" in path:
                for hostile in CORPUS:
                    if hostile.upper() not in (b"BTCUSDT", b"", b"BY-ID/X"):
                        text = quote_from_bytes(hostile, safe="")
                        answer = await ask(front, filled(path, symbol=text), (b"x-api-key", KEY.encode()))
                        assert answer.status in (404, 422), (path, hostile[:80], answer.status)
        assert front.service.database.n_queries == before
