"""The Chronos-2 jobs as cron starts them: real processes, a real server, a real database, what a reader then gets."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from candlecast.store.embedded import EmbeddedPostgres
from gateway.app import create_app
from gateway.settings import GatewaySettings
from jobs.servers import started
from tests.small_market import SLOT, SYMBOLS, Market, fill

# The Kronos jobs are given a model that every server has.
SIZES = {"HORIZON": "24", "LOOKBACK": "200", "N_PATHS": "20", "MODEL_NAME": "baseline-rw", "BASELINES": "rw"}


@pytest.fixture(scope="module")
def server(tiny_chronos2: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server process with Chronos-2."""
    arguments = ["--chronos2-weights", str(tiny_chronos2), "--device", "cpu", "--threads", "1"]
    with started("inference server", "inference_server", arguments, tmp_path_factory.mktemp("logs")) as url:
        yield url


@pytest.fixture
def live(engine: Engine) -> Market:
    """A market whose newest bars are of now, as cron finds it."""
    return fill(engine, datetime.now(UTC))


@pytest.fixture
def job(database_url: str) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`job(url of the server, "jobs", NAME)` is what cron starts, `job(url, "candlecast", …)` what a person types."""

    def run(url: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        jobs = [sys.executable, "-m", "jobs"]
        return subprocess.run(
            [*(jobs if program == "jobs" else [Path(sys.executable).with_name(program)]), *arguments],
            env={**os.environ, **SIZES, "DATABASE_URL": database_url, "INFERENCE_URL": url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def rows(engine: Engine, what: str = "*") -> list[dict[str, Any]]:
    with engine.connect() as conn:
        statement = f"SELECT {what} FROM candlecast.ml_predictions ORDER BY model_name, interval, symbol"
        return [dict(row) for row in conn.execute(text(statement)).mappings()]


async def test_both_jobs_write_a_row_for_every_instrument_and_the_gateway_serves_it_by_its_model(
    live: Market, job: Any, server: str, tiny_chronos2: Path, postgres: EmbeddedPostgres
) -> None:
    for name in ("chronos2-batch-1h", "chronos2-batch-1d"):
        done = job(server, "jobs", name)
        assert done.returncode == 0, done.stderr + done.stdout
        assert f"{name}, slot " in done.stdout
        assert (
            "10 forecasts written, 0 already there, 0 refused, 0 failed" in done.stdout
        )  # five of them the baseline's

    version = sha256((tiny_chronos2 / "model.safetensors").read_bytes()).hexdigest()
    made = [row for row in rows(live.engine) if row["model_name"] == "chronos-2"]
    assert {(row["interval"], row["symbol"]) for row in made} == {(i, s) for i in ("1h", "1d") for s in SYMBOLS}
    assert {row["model_version"] for row in made} == {version}
    assert {(row["n_paths"], row["paths_hash"]) for row in made} == {(0, None)}
    assert all(row["event_context"]["events"]["channels"] == "events-20" for row in made)

    reader = postgres.url(str(live.engine.url.database), "reader")
    front = create_app(GatewaySettings(database_url=reader))
    await front.service.start()
    try:
        transport = httpx.ASGITransport(app=front)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            for row in made:
                address = f"/showcase/ml-prediction/{row['symbol']}?model=chronos-2&interval={row['interval']}"
                shown = (await client.get(address)).json()
                assert (shown["model_name"], shown["model_version"]) == ("chronos-2", version)
                assert shown["p50"] == row["p50"]
                assert all(a <= b <= c for a, b, c in zip(shown["p10"], shown["p50"], shown["p90"], strict=True))
    finally:
        await front.service.stop()


def test_the_two_jobs_of_one_minute_share_the_baseline_and_running_again_changes_no_row(
    live: Market, job: Any, server: str
) -> None:
    with ThreadPoolExecutor(2) as cron:
        at_once = list(cron.map(lambda name: job(server, "jobs", name), ("chronos2-batch-1h", "kronos-batch-1h")))
    assert [done.returncode for done in at_once] == [0, 0], [done.stderr for done in at_once]
    before = rows(live.engine)
    assert [row["model_name"] for row in before] == ["baseline-rw"] * 5 + ["chronos-2"] * 5

    again = job(server, "jobs", "chronos2-batch-1h")

    assert "0 forecasts written, 10 already there" in again.stdout
    assert rows(live.engine) == before


def test_a_server_without_chronos_2_ends_the_job_with_a_sentence_and_leaves_the_baseline(
    live: Market, job: Any, tmp_path: Path
) -> None:
    with started("inference server", "inference_server", [], tmp_path) as plain:
        done = job(plain, "jobs", "chronos2-batch-1h")

    assert done.returncode == 1
    assert "5 forecasts written, 0 already there, 0 refused, 5 failed" in done.stdout
    assert "serves baseline-rw, not chronos-2" in done.stdout
    assert "Traceback" not in done.stderr
    assert {row["model_name"] for row in rows(live.engine)} == {"baseline-rw"}


def test_forecasts_without_paths_are_scored_and_stand_in_a_whole_ledger(engine: Engine, job: Any, server: str) -> None:
    fill(engine)
    predict = ["candlecast", "predict", "--model", "chronos-2", "--as-of", SLOT.isoformat(), "--json"]
    predicted = job(server, *predict)
    assert predicted.returncode == 0, predicted.stderr
    assert json.loads(predicted.stdout)["n_written"] == 10

    scored = job(server, "candlecast", "score", "--as-of", "2025-06-13", "--json")
    assert scored.returncode == 0, scored.stderr

    with engine.connect() as conn:
        found = conn.execute(
            text(
                "SELECT model_name, count(*) AS n, count(interval_score) AS n_scored, count(crps) AS n_crps "
                "FROM candlecast.prediction_scores GROUP BY model_name"
            )
        )
        n = {row.model_name: (row.n, row.n_scored, row.n_crps) for row in found}
    assert n["chronos-2"][0] == n["baseline-rw"][0] == 3 * len(SYMBOLS)  # of 24 steps 1, 4 and 24 are scored
    assert n["chronos-2"][1] == n["chronos-2"][0]
    assert n["chronos-2"][2] == 0  # a fair CRPS needs paths; its pinball losses stand in for it
    verified = job(server, "candlecast", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "The ledger is whole: 10 forecasts in 2 chains" in verified.stdout
