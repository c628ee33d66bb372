"""A gateway that starts while its database is away serves what the one before it had, and says so."""

import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.snapshot import SnapshotRefused, parsed

BTC = "/showcase/ml-prediction/BTCUSDT"
WARM = (BTC, f"{BTC}?interval=1d&model=kronos-nano", "/", "/showcase/instruments", "/showcase/models",
        "/showcase/performance", "/showcase/performance/verdicts")  # fmt: skip


def without_age(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in ("age_seconds", "stale", "stale_reason")}


@pytest.fixture
def written(market: Any, reader_url: str, serve: Any, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The file of a gateway that has ended, and the forecast that it served."""
    market.issue(price=100.0, horizon=24)
    market.issue(interval="1d", model_name="kronos-nano", price=101.0)
    path = tmp_path / "snapshot.jsonl"
    with serve(reader_url, snapshot=path) as (client, _):
        served = client.get(BTC).json()
        assert not served["stale"]
    return path, served


def test_a_restart_without_the_database_serves_what_was_served_before_and_marks_it(
    written: tuple[Path, dict[str, Any]], market: Any, proxy: Any, proxied_url: str, serve: Any, until: Any
) -> None:
    path, served = written
    proxy.mode = "refuse"

    with serve(proxied_url, snapshot=path) as (client, front):
        copy = client.get(BTC).json()
        assert without_age(copy) == without_age(served)
        assert copy["stale"]
        assert copy["stale_reason"].startswith("unconfirmed: this is a copy of 20")
        for address in WARM:
            assert client.get(address).status_code == 200, address
        assert front.service.metrics.cache_requests["hit"] == 0, "a copy counts as stale"
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz").json()["database"] == "unreachable"
        assert client.get("/showcase/ml-prediction/NOPE").status_code == 404
        assert client.get(f"{BTC}?model=unheard-of").json()["code"] == "unknown_model"
        assert client.get("/showcase/performance?model_name=kronos-nano").status_code == 503

        market.issue("ETHUSDT", price=7.0)
        proxy.mode = "pass"
        until(lambda: not client.get(BTC).json()["stale"], "the database is heard")
        until(lambda: client.get("/showcase/ml-prediction/ETHUSDT").status_code == 200, "what is new is served")

    assert ("forecasts", "ETHUSDT", "1h") in parsed(path.read_bytes()).values


def test_nothing_is_lost_on_the_way_through_the_file(written: tuple[Path, dict[str, Any]]) -> None:
    path, _ = written
    kept = parsed(path.read_bytes())
    again = b"".join(line + b"\n" for line in kept.lines())

    assert path.read_bytes().startswith(again)
    assert {item.symbol for item in kept.listed} == {"BTCUSDT", "ETHUSDT", "EURUSD", "AAPL", "SPY"}
    assert kept.chains == {("baseline-rw", "1h"): 1, ("kronos-nano", "1d"): 1}


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _without_a_line(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join(lines[:2] + lines[3:])


def _of_next_year(data: bytes) -> bytes:
    return data.replace(b"snapshot 1", b"snapshot 2", 1)


def _changed(data: bytes) -> bytes:
    return data.replace(b'"BTCUSDT"', b'"BTCUSDC"', 1)


def _foreign(data: bytes) -> bytes:
    return orjson.dumps({"version": 1, "data": []})


def _no_text(data: bytes) -> bytes:
    return bytes(range(256))


@pytest.mark.parametrize(
    "damage", [_cut, _without_a_line, _of_next_year, _changed, _foreign, _no_text, lambda data: b""]
)
def test_a_file_that_is_not_whole_is_refused_in_one_sentence_and_replaced(
    written: tuple[Path, dict[str, Any]],
    reader_url: str,
    serve: Any,
    caplog: pytest.LogCaptureFixture,
    damage: Any,
) -> None:
    path, _ = written
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SnapshotRefused):
        parsed(path.read_bytes())

    with caplog.at_level(logging.WARNING), serve(reader_url, snapshot=path) as (client, _):
        assert client.get(BTC).status_code == 200

    told = [record.getMessage() for record in caplog.records if record.name == "gateway.snapshot"]
    assert len(told) == 1
    assert "is ignored" in told[0]
    assert parsed(path.read_bytes()).listed


def test_a_place_that_cannot_be_written_is_told_once_and_stops_nobody(
    market: Any, reader_url: str, serve: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    market.issue()

    with caplog.at_level(logging.WARNING), serve(reader_url, snapshot=tmp_path / "none" / "file") as (client, _):
        assert client.get(BTC).status_code == 200

    assert sum("cannot be written" in record.getMessage() for record in caplog.records) == 1


def test_the_file_is_written_when_something_changed_and_not_otherwise(
    market: Any, reader_url: str, serve: Any, tmp_path: Path, until: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.restart.EVERY_S", 0.05)
    monkeypatch.setattr("gateway.restart.NOT_YET_S", 0.05)
    market.issue(price=100.0)
    path = tmp_path / "snapshot.jsonl"

    with serve(reader_url, snapshot=path) as (_, front):
        until(path.exists, "it is written after the first load")
        until(lambda: path.stat().st_mtime_ns == _later(path, front, until), "it rests")
        market.issue("ETHUSDT")
        until(lambda: b'"ETHUSDT","1h"' in path.read_bytes(), "the new forecast is in it")
    assert [item.name for item in tmp_path.iterdir()] == ["snapshot.jsonl"]


def _later(path: Path, front: Any, until: Any) -> int:
    """The time of the file after the gateway has looked at the database another three times."""
    before = front.service.database.n_queries
    until(lambda: front.service.database.n_queries >= before + 6, "the gateway looks again")
    return path.stat().st_mtime_ns
