"""The ledger over HTTP: its chains, their hashes, and the download that anybody can check; beside everything else."""

import base64
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from candlecast.audit import Published
from candlecast.outsider import verify_files
from candlecast.store import export
from candlecast.store.engine import create_engine
from candlecast.store.sealing import seal_day
from gateway import exports
from tests.integration.scores.market import at, forecast, issue, rows_of

KEY = "Hq3-ledger-Zk81_wTz70pLmQv2xYs9"
EXPORT = "/v1/ledger/export"
HELD = {"x-api-key": KEY}


@pytest.fixture
def opened(running: Any) -> Callable[..., Any]:
    """`async with opened() as (client, front)`: a gateway, and a client that holds a key."""

    @asynccontextmanager
    async def run(**settings: Any) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
        async with running(showcase_api_key=KEY, **settings) as (client, front):
            client.headers.update(HELD)
            yield client, front

    return run


@pytest.fixture
def ledger(market: Any) -> Any:
    """Two chains of five and three rows."""
    issue(market.engine, [forecast(hour, factor=1.5, model_name="kronos-nano") for hour in range(5)])
    issue(market.engine, [forecast(hour) for hour in range(3)])
    return market


def no_exports_left() -> bool:
    return not any(thread.name.startswith("export") for thread in threading.enumerate())


async def test_the_ledger_lists_its_chains_and_the_newest_seals(ledger: Any, opened: Any) -> None:
    root = "ab" * 32
    with ledger.engine.begin() as conn:
        for number, details in enumerate(
            ({"2025-03-01": "00" * 32}, {"2025-03-01": root, "2025-03-02": root}, {"note": "none", "2025-03-03": "?"})
        ):
            conn.execute(
                text(
                    "INSERT INTO candlecast.job_runs (job, slot, status, owner, finished_at, details) "
                    "VALUES ('seal-ledger', :slot, 'ok', 'test', :slot, :details)"
                ),
                {"slot": at(24 * number), "details": json.dumps(details)},
            )
    heads = rows_of(ledger.engine, "SELECT * FROM candlecast.ledger_heads ORDER BY model_name")

    async with opened() as (client, _):
        told = (await client.get("/v1/ledger")).json()

    assert [(one["model_name"], one["interval"], one["n_rows"], one["head"]) for one in told["chains"]] == [
        ("baseline-rw", "1h", 3, heads[0]["row_hash"].hex()),
        ("kronos-nano", "1h", 5, heads[1]["row_hash"].hex()),
    ]
    assert [(one["day"], one["root"]) for one in told["seals"]] == [("2025-03-02", root), ("2025-03-01", root)]


async def test_the_rows_of_a_chain_follow_one_another_piece_by_piece(ledger: Any, opened: Any) -> None:
    async with opened() as (client, _):
        address: str | None = "/v1/ledger/kronos-nano/1h?limit=2"
        rows: list[Any] = []
        while address is not None:
            piece = (await client.get(address)).json()
            rows += piece["rows"]
            address = piece["next"]
            issue(ledger.engine, [forecast(len(rows) + 50, model_name="baseline-rw")])  # another chain grows
        head = (await client.get("/v1/ledger")).json()["chains"][1]["head"]
        by_id = (await client.get(rows[3]["href"])).json()
        beyond = (await client.get("/v1/ledger/kronos-nano/1h?after=9223372036854775807")).json()
        unknown = [await client.get(f"/v1/ledger/{chain}") for chain in ("gpt/1h", "kronos-nano/1d")]
        bad = [await client.get(f"/v1/ledger/kronos-nano/{rest}") for rest in ("2h", "1h?after=-1", "1h?limit=1001")]

    assert [row["chain_seq"] for row in rows] == [1, 2, 3, 4, 5]
    assert rows[0]["prev_hash"] == piece["genesis"] == sha256(b"").hexdigest()
    assert [row["prev_hash"] for row in rows[1:]] == [row["row_hash"] for row in rows[:-1]]
    assert rows[-1]["row_hash"] == head
    assert by_id["row_hash"] == rows[3]["row_hash"]
    assert piece["covers"][:2] == ["prev_hash", "chain_seq"]
    assert (beyond["rows"], beyond["next"]) == ([], None)
    assert [one.status_code for one in (*unknown, *bad)] == [404, 404, 422, 422, 422]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
async def test_a_download_is_what_was_sealed(ledger: Any, opened: Any, tmp_path: Path, kind: str) -> None:
    day = datetime.now(UTC).date() - timedelta(days=1)
    with ledger.engine.begin() as conn:  # all was recorded yesterday, and sealed when that day was over
        definition = str(
            conn.exec_driver_sql("SELECT pg_get_functiondef('candlecast.seal_prediction()'::regprocedure)").scalar_one()
        )
        dated = [
            "NEW.recorded_at := NEW.recorded_at;" if line.strip().startswith("NEW.recorded_at :=") else line
            for line in definition.splitlines()
        ]
        conn.exec_driver_sql("\n".join(dated), execution_options={"no_parameters": True})
    with ledger.engine.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO candlecast.ml_predictions SELECT (jsonb_populate_record(row, jsonb_build_object("
                "'prediction_id', gen_random_uuid(), 'model_name', 'kronos-base', "
                "'recorded_at', CAST(:moment AS text)))).* "
                "FROM candlecast.ml_predictions AS row WHERE row.model_name = 'kronos-nano'"
            ),
            {"moment": f"{day}T12:00:00Z"},
        )
    seal = seal_day(ledger.engine, tmp_path / "seals", day).path
    path = tmp_path / f"ledger.{kind}"

    async with opened() as (client, _):
        answer = await client.get(f"{EXPORT}?format={kind}&model_name=kronos-base")
        whole = await client.get(f"{EXPORT}?format={kind}")
    path.write_bytes(answer.content)
    sentence, facts, wrong = verify_files(path, None, [seal])

    assert not wrong, sentence
    assert (facts["n_rows"], facts["n_sealed"], facts["days"]) == (5, 5, [day])
    assert Published.read(seal).seal.n_rows == 5
    assert (answer.headers["x-ledger-rows"], answer.headers["x-ledger-chains"]) == ("5", "1")
    assert (whole.headers["x-ledger-rows"], whole.headers["x-ledger-chains"]) == ("13", "3")
    assert f'filename="ledger-kronos-base.{kind}"' in answer.headers["content-disposition"]
    if kind == "parquet":
        digest = base64.b64encode(sha256(answer.content).digest()).decode()
        assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
        assert answer.headers["content-length"] == str(len(answer.content))


async def test_a_download_can_be_limited_and_be_empty(ledger: Any, opened: Any) -> None:
    moment = rows_of(ledger.engine, "SELECT clock_timestamp() AS now")[0]["now"].astimezone(UTC)
    issue(ledger.engine, [forecast(9)])
    since = moment.isoformat().replace("+00:00", "Z")

    async with opened() as (client, _):
        newer = (await client.get(f"{EXPORT}?since={since}")).text.splitlines()
        older = (await client.get(f"{EXPORT}?until={since}&interval=1h")).text.splitlines()
        none = await client.get(f"{EXPORT}?interval=1d")
        no_rows = await client.get(f"{EXPORT}?interval=1d&format=parquet")
        unknown = await client.get(f"{EXPORT}?model_name=gpt")
        bad = [await client.get(f"{EXPORT}?{wrong}") for wrong in ("format=csv", "since=yesterday", "limit=3")]

    assert [json.loads(line).get("chain_seq") for line in newer] == [4, None]
    assert [json.loads(line).get("chain_seq") for line in older] == [1, 2, 3, 1, 2, 3, 4, 5, None]
    assert json.loads(none.text) == {"ledger": {"n_rows": 0, "n_chains": 0, "sha256": sha256(b"").hexdigest()}}
    assert (no_rows.status_code, no_rows.headers["x-ledger-rows"]) == (200, "0")
    assert [one.status_code for one in (unknown, *bad)] == [404, 422, 422, 422]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The size of each piece of lines that was made, five rows each, a fiftieth of a second apart."""
    sizes: list[int] = []
    whole = export.exported_lines

    def counted(*arguments: Any, **options: Any) -> Iterator[bytes]:
        for piece in whole(*arguments, **options):
            sizes.append(len(piece))
            time.sleep(0.02)
            yield piece

    monkeypatch.setattr(export, "LINES_AT_ONCE", 5)
    monkeypatch.setattr(exports, "exported_lines", counted)
    return sizes


async def test_who_only_asks_for_the_head_gets_no_export_made(ledger: Any, opened: Any, made: list[int]) -> None:
    async with opened() as (client, _):
        answer = await client.head(EXPORT)

    assert (answer.status_code, answer.content, answer.headers["x-ledger-rows"]) == (200, b"", "8")
    assert made == []


async def test_without_pyarrow_there_are_lines(ledger: Any, opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "find_spec", lambda name: None)

    async with opened() as (client, _):
        parquet, lines = await client.get(f"{EXPORT}?format=parquet"), await client.get(EXPORT)

    assert (parquet.status_code, parquet.json()["code"]) == (501, "not_installed")
    assert "format=jsonl" in parquet.json()["detail"]
    assert lines.status_code == 200


async def test_without_room_a_parquet_file_is_not_begun(
    ledger: Any, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ROW_BYTES", 10**18)

    async with opened() as (client, _):
        answer = await client.get(f"{EXPORT}?format=parquet")
        again = await client.get(EXPORT)

    assert (answer.status_code, answer.json()["code"]) == (507, "no_room")
    assert "8 forecasts" in answer.json()["detail"]
    assert again.status_code == 200


@pytest.fixture
def wide(market: Any) -> Any:
    """Six hundred forecasts of 120 steps: 8 MB of lines, more than any buffer between here and there holds."""
    with market.engine.begin() as conn:
        market.issue(issued_at=at(0), horizon=120, status="replay")
        conn.execute(
            text(
                "INSERT INTO candlecast.ml_predictions SELECT (jsonb_populate_record(row, jsonb_build_object("
                "'prediction_id', gen_random_uuid(), 'issued_at', row.issued_at - n * interval '1 hour', "
                "'lookback_end', row.lookback_start + interval '1 minute' - n * interval '1 hour', "
                "'lookback_start', row.lookback_start - n * interval '1 hour'))).* "
                "FROM candlecast.ml_predictions AS row, generate_series(1, 599) AS n"
            )
        )
    return market


@pytest.fixture
def served(wide: Any, reader_url: str, serve: Any) -> Iterator[tuple[httpx.Client, Any]]:
    with serve(reader_url, showcase_api_key=KEY) as (client, front):
        client.headers.update(HELD)
        yield client, front


def test_two_downloads_at_once_are_enough_and_a_client_that_leaves_makes_room(served: Any, until: Any) -> None:
    client, _ = served
    for kind in ("jsonl", "parquet"):
        with client.stream("GET", EXPORT) as first, client.stream("GET", EXPORT) as second:
            assert (first.status_code, second.status_code) == (200, 200)
            third = client.get(f"{EXPORT}?format={kind}")
            assert (third.status_code, third.json()["code"]) == (429, "too_many_requests")
            assert int(third.headers["retry-after"]) >= 1
        until(no_exports_left, "the downloads of clients that left are given up")
        assert client.get(f"{EXPORT}?format={kind}").status_code == 200
    until(no_exports_left, "the threads end")
    assert not [name for name in os.listdir("/tmp") if name.startswith("candlecast-export-")]


def test_nothing_is_made_for_a_client_that_left(served: Any, until: Any, made: list[int]) -> None:
    client, _ = served
    with client.stream("GET", EXPORT) as answer:
        next(answer.iter_raw(1000))
    until(no_exports_left, "the download is given up")

    assert len(made) < 60  # of 120


def test_cached_answers_do_not_wait_for_downloads(served: Any) -> None:
    client, _ = served
    cached = "/showcase/ml-prediction/BTCUSDT"
    client.get(cached)
    running, waits = True, []

    def ask() -> None:
        with httpx.Client(base_url=client.base_url) as other:
            while running:
                began = time.perf_counter()
                assert other.get(cached).status_code == 200
                waits.append(time.perf_counter() - began)
                time.sleep(0.002)

    reader = threading.Thread(target=ask)
    reader.start()
    try:
        sizes = [len(client.get(f"{EXPORT}?format={kind}").content) for kind in ("jsonl", "parquet")]
    finally:
        running = False
        reader.join()

    assert sizes[0] > 5_000_000
    assert len(waits) > 20
    assert sorted(waits)[int(0.99 * len(waits))] < 0.2


def test_a_client_that_takes_nothing_is_given_up(served: Any, until: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = served
    monkeypatch.setattr(exports, "STALLED_S", 0.3)
    with client.stream("GET", EXPORT) as stalled:
        assert stalled.status_code == 200
        until(no_exports_left, "the download of a client that takes nothing is given up")
        with pytest.raises(httpx.HTTPError):
            stalled.read()


async def test_a_ledger_that_cannot_be_read_is_told_before_anything_is_sent(ledger: Any, opened: Any) -> None:
    async with opened() as (client, _):
        with ledger.engine.begin() as conn:
            conn.execute(text("REVOKE SELECT ON candlecast.ml_predictions FROM candlecast_reader"))
        answers = [await client.get(f"{EXPORT}?format={kind}") for kind in ("jsonl", "parquet")]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(503, "not_ready")] * 2
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)


def test_a_download_whose_database_is_lost_does_not_look_complete(
    served: Any, postgres: Any, reader_url: str, until: Any
) -> None:
    client, _ = served
    admin = create_engine(postgres.url(make_url(reader_url).database, "superuser"), application_name="test-admin")
    with client.stream("GET", EXPORT) as answer:
        chunks = answer.iter_raw(1000)
        assert b'"model_name":"baseline-rw"' in next(chunks)
        with admin.begin() as conn:
            ended = conn.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'candlecast-gateway-export' AND datname = current_database()"
                )
            )
            assert ended.scalars().all() == [True]
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)
    admin.dispose()
    until(no_exports_left, "its thread ends")
