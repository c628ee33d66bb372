"""Fresh bars over real HTTP through the real client, from a local venue that speaks Binance's klines.

The stand-in follows the venue's documentation: `startTime` and `limit`, chronological, prices as strings, closing
time = opening time + interval - 1 ms, and the bar that is still open at the end.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine

from candlecast.store.bars import read_lookbacks
from jobs.ingest import exchange_reachable, ingest_exchange
from jobs.providers.exchange import ExchangeUnreachable

HOUR_MS = 3_600_000
NOW = datetime(2026, 11, 20, 10, 50, tzinfo=UTC)
LISTED = datetime(2026, 1, 1, tzinfo=UTC)
STEP_MS = {"1h": HOUR_MS, "1d": 24 * HOUR_MS}


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def close_of(opened_ms: int) -> float:
    """The venue's truth: what a bar closed at."""
    return 1000.0 + (opened_ms // HOUR_MS) % 977


@dataclass
class Venue:
    """What the stand-in does: its clock, and its ways of failing."""

    now: datetime = NOW
    url: str = ""
    corrected: dict[int, float] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    answer: bytes | None = None
    microseconds: bool = False
    asked: list[dict[str, str]] = field(default_factory=list)

    def klines(self, query: dict[str, str]) -> list[list[Any]]:
        step = STEP_MS[query["interval"]]
        first = max(int(query.get("startTime", 0)), ms(LISTED))
        opened = range(-(-first // step) * step, ms(self.now), step)[: int(query.get("limit", 500))]
        unit = 1000 if self.microseconds else 1
        rows = []
        for at in opened:
            close = self.corrected.get(at, close_of(at))
            numbers = [f"{value:.8f}" for value in (close - 1, close + 2, close - 2, close, 12.5)]
            rows.append([at * unit, *numbers, (at + step) * unit - 1, "1.0", 5, "1.0", "1.0", "0"])
        return rows


@pytest.fixture
def venue() -> Iterator[Venue]:
    """A venue on a free port of this machine."""
    state = Venue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            status, body = 200, b""
            if url.path == "/api/v3/time":
                body = json.dumps({"serverTime": ms(state.now)}).encode()
            elif url.path != "/api/v3/klines":
                status, body = 404, b"<html>not found</html>"
            elif query["symbol"] in state.unknown:
                status, body = 400, b'{"code":-1121,"msg":"Invalid symbol."}'
            else:
                state.asked.append(query)
                body = state.answer if state.answer is not None else json.dumps(state.klines(query)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture
def writer(engine_as: Callable[[str], Engine]) -> Engine:
    return engine_as("writer")


def closes(engine: Engine, symbol: str = "BTCUSDT", as_of: datetime = NOW) -> tuple[list[datetime], list[float]]:
    with engine.connect() as conn:
        found = read_lookbacks(conn, [symbol], "1h", as_of, 5000).get(symbol)
    return (found.closed_at.tolist(), found.ohlcv[:, 3].tolist()) if found else ([], [])


def test_the_newest_closed_bars_of_every_crypto_instrument_arrive(venue: Venue, writer: Engine) -> None:
    report = ingest_exchange(writer, "1h", n_bars=30, base_url=venue.url, now=NOW)

    closed_at, values = closes(writer)
    assert (len(report.items), report.errors, report.n_dropped) == (10, (), 0)
    assert report.counts.inserted == 300
    assert closed_at[-1] == datetime(2026, 11, 20, 10)  # the bar of 10:00 is still open at 10:50
    assert values[-1] == close_of(ms(datetime(2026, 11, 20, 9, tzinfo=UTC)))


def test_pages_join_without_a_gap_or_a_repeat(venue: Venue, writer: Engine) -> None:
    report = ingest_exchange(writer, "1h", n_bars=2500, base_url=venue.url, now=NOW)

    closed_at, values = closes(writer)
    assert len(closed_at) == 2500
    assert set(zip(closed_at[1:], closed_at, strict=False)) == {(at + timedelta(hours=1), at) for at in closed_at[:-1]}
    assert values == [close_of(ms(at.replace(tzinfo=UTC)) - HOUR_MS) for at in closed_at]
    assert report.findings() == {}
    assert sum(query["symbol"] == "BTCUSDT" for query in venue.asked) == 3


def test_the_next_fetch_asks_only_for_what_is_missing(venue: Venue, writer: Engine) -> None:
    ingest_exchange(writer, "1h", n_bars=30, base_url=venue.url, now=NOW)
    venue.asked.clear()
    venue.now = NOW + timedelta(hours=2)

    report = ingest_exchange(writer, "1h", base_url=venue.url, now=venue.now)

    newest_but_one = datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert {int(query["startTime"]) for query in venue.asked} == {ms(newest_but_one)}
    assert (report.counts.inserted, report.counts.unchanged) == (20, 20)
    # What arrives from now on counts as known from its arrival on, by the database's clock.
    with writer.connect() as conn:
        seen = conn.exec_driver_sql(
            "SELECT ts, first_seen <= clock_timestamp() AND first_seen > clock_timestamp() - interval '1 minute' "
            "FROM candlecast.ohlcv_1h WHERE symbol = 'BTCUSDT' ORDER BY ts DESC LIMIT 3"
        ).all()
    assert [just_now for _, just_now in seen][:2] == [True, True]


def test_a_correction_of_the_newest_bars_is_seen_and_kept(venue: Venue, writer: Engine) -> None:
    ingest_exchange(writer, "1h", n_bars=30, base_url=venue.url, now=NOW)
    venue.corrected[ms(datetime(2026, 11, 20, 9, tzinfo=UTC))] = 1500.0

    report = ingest_exchange(writer, "1h", base_url=venue.url, now=NOW)

    assert (report.counts.inserted, report.counts.revised) == (0, 10)


@pytest.mark.parametrize("ours_minus_theirs", [timedelta(minutes=10), timedelta(minutes=-10)])
def test_a_bar_counts_as_closed_only_by_both_clocks(venue: Venue, writer: Engine, ours_minus_theirs: timedelta) -> None:
    # One clock says 11:04, the other 10:54: the bar of 10:00 may still change.
    early = datetime(2026, 11, 20, 10, 54, tzinfo=UTC)
    venue.now = early if ours_minus_theirs > timedelta(0) else early + timedelta(minutes=10)
    ours = venue.now + ours_minus_theirs

    ingest_exchange(writer, "1h", n_bars=5, base_url=venue.url, now=ours)

    assert closes(writer, as_of=early + timedelta(hours=1))[0][-1] == datetime(2026, 11, 20, 10)


def test_a_bar_that_closed_this_second_is_not_dropped_for_being_the_last(venue: Venue, writer: Engine) -> None:
    venue.now = datetime(2026, 11, 20, 11, tzinfo=UTC)  # the stand-in has no open bar at the full hour

    ingest_exchange(writer, "1h", n_bars=5, base_url=venue.url, now=venue.now)

    assert closes(writer, as_of=venue.now + timedelta(minutes=1))[0][-1] == datetime(2026, 11, 20, 11)


def test_times_in_microseconds_are_understood(venue: Venue, writer: Engine) -> None:
    venue.microseconds = True

    ingest_exchange(writer, "1h", n_bars=5, base_url=venue.url, now=NOW)

    assert closes(writer)[0][-1] == datetime(2026, 11, 20, 10)


def test_one_unknown_symbol_leaves_the_others_alone(venue: Venue, writer: Engine) -> None:
    venue.unknown.add("ETHUSDT")

    report = ingest_exchange(writer, "1h", n_bars=5, base_url=venue.url, now=NOW)

    assert len(report.errors) == 1
    assert report.errors[0].startswith("ETHUSDT: the exchange refused its bars: ")
    assert "Invalid symbol" in report.errors[0]
    assert report.counts.inserted == 45


@pytest.mark.parametrize(
    "answer", [b"<html>busy</html>", b'{"code":0}', b'[["soon","1","2","3","4","5","later"]]', b"[[1]]"]
)
def test_an_answer_that_is_no_bars_is_named_and_stores_nothing(venue: Venue, writer: Engine, answer: bytes) -> None:
    venue.answer = answer

    report = ingest_exchange(writer, "1h", n_bars=5, base_url=venue.url, now=NOW)

    assert len(report.errors) == 10
    assert report.counts.inserted == 0
    assert closes(writer) == ([], [])


def test_daily_bars_come_the_same_way(venue: Venue, writer: Engine) -> None:
    report = ingest_exchange(writer, "1d", n_bars=20, base_url=venue.url, now=NOW)

    assert report.counts.inserted == 200
    with writer.connect() as conn:
        daily = read_lookbacks(conn, ["BTCUSDT"], "1d", NOW, 5)["BTCUSDT"]
    assert daily.closed_at[-1].item() == datetime(2026, 11, 20)


def test_a_venue_that_is_away_is_noticed_within_seconds(writer: Engine, venue: Venue) -> None:
    with socket.socket() as silent:  # accepts connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        assert not exchange_reachable(url)
        with pytest.raises(ExchangeUnreachable, match=r"import bars from files"):
            ingest_exchange(writer, "1h", base_url=url)
        assert time.monotonic() - began < 60  # the probes' own limits are 2.5 s each; a hang would be minutes
    assert exchange_reachable(venue.url)
    assert not exchange_reachable("http://127.0.0.1:1")
