"""The inference server is killed, paused and flooded while a job asks it: the rows end up the same, none half.

Real processes on both sides and a real database. The job is the batch of `python -m jobs kronos-batch-1h`, as of a
fixed moment, so that no turn of the hour comes between two runs.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from candlecast.wire import PredictRequest, encode_request
from inference_server.canary import HORIZON, built_in_series
from jobs.forecasters.http import HttpForecaster
from jobs.predict import Request, predict
from tests.faults.test_predict_killed import AS_OF, COLUMNS, SMALL
from tests.odd_server import Slow
from tests.small_market import SLOT, SYMBOLS, Market

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}
PATIENCE_S = 120.0
PAUSE_S = "0.3"  # that the model takes for each of the five series
MODEL = "slow"
BOTH = {(symbol, model) for symbol in SYMBOLS for model in ("baseline-rw", MODEL)}

Rows = dict[tuple[str, str], tuple[Any, ...]]


class Server:
    """The server with the slow model; it can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        port_file = self.folder / "port"
        port_file.unlink(missing_ok=True)
        arguments = ["--port", str(self.port), "--port-file", str(port_file), "--log-level", "ERROR"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.odd_server", *arguments],
            env={**os.environ, "ODD_PAUSE_S": PAUSE_S},
            stdout=subprocess.DEVNULL,
        )
        wait_for(port_file.exists, self.process)
        self.port = int(port_file.read_text())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def busy(self) -> bool:
        return bool(httpx.get(f"{self.url}/readyz", timeout=PATIENCE_S).json()["busy"])

    def count(self, outcome: str) -> float:
        page = httpx.get(f"{self.url}/metrics", timeout=PATIENCE_S).text
        wanted = f'modelserver_requests_total{{outcome="{outcome}"}} '
        return float(next(line for line in page.splitlines() if line.startswith(wanted)).split()[-1])


def wait_for(condition: Callable[[], bool], process: "subprocess.Popen[Any]") -> None:
    give_up_at = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, "the process ended before what was waited for"
        assert time.monotonic() < give_up_at, "what was waited for did not come"
        time.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = Server(tmp_path)
    yield running
    running.kill()


@pytest.fixture
def job(database_url: str, server: Server) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts the job; none outlives the test."""
    started: list[subprocess.Popen[str]] = []

    def start() -> "subprocess.Popen[str]":
        env = {**os.environ, **SMALL, "DATABASE_URL": database_url, "INFERENCE_URL": server.url, "MODEL_NAME": MODEL}
        command = [sys.executable, "-c", "from candlecast.cli import main; main()", "predict", *AS_OF]
        started.append(subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def wanted(market: Market, server: Server) -> Rows:
    """The rows of the same slot from a server that nobody disturbed, then put away."""
    request = Request(
        interval="1h", slot=SLOT, model_name=MODEL, horizon=24, lookback=200, n_paths=20, replay=True
    )  # as in SMALL
    with HttpForecaster(server.url, MODEL) as forecaster:
        predict(market.engine, request, forecaster=forecaster, run=None, deadline_s=PATIENCE_S)
    made = rows(market.engine)
    assert set(made) == BOTH
    with market.engine.begin() as conn:
        conn.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER USER"))
        for table in ("prediction_paths", "score_pending", "ml_predictions", "ledger_heads"):
            conn.execute(text(f"DELETE FROM candlecast.{table}"))
        conn.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE TRIGGER USER"))
    # Answers are kept for whoever asks the same again; a server started anew has to compute them.
    server.kill()
    server.start()
    return made


def rows(engine: Engine) -> Rows:
    """Every row with all its paths, by symbol and model."""
    paths = "(SELECT to_jsonb(one) FROM candlecast.prediction_paths AS one WHERE one.prediction_id = row.prediction_id)"
    query = f"SELECT symbol, model_name, {paths}, {COLUMNS} FROM candlecast.ml_predictions AS row"
    with engine.connect() as conn:
        return {(row[0], row[1]): tuple(row[2:]) for row in conn.execute(text(query))}


def whole(engine: Engine) -> bool:
    """Whether every row has its paths and what is still to be scored, and no run is left open."""
    query = """
        SELECT (SELECT count(*) FROM candlecast.ml_predictions),
               (SELECT count(*) FROM candlecast.prediction_paths),
               (SELECT count(*) FROM candlecast.score_pending),
               (SELECT count(*) FROM candlecast.job_runs WHERE status = 'running')
    """
    with engine.connect() as conn:
        return tuple(conn.execute(text(query)).one()) == (10, 10, 10 * 3, 0)


def test_a_server_that_is_killed_in_the_middle_costs_no_row(
    market: Market, server: Server, job: Any, wanted: Rows
) -> None:
    running = job()
    for _ in range(2):
        wait_for(server.busy, running)
        server.kill()
        server.start()
    said, _ = running.communicate(timeout=PATIENCE_S)

    if running.returncode != 0:  # it had lost its patience before the server was back; cron starts the next
        assert "could not be reached" in said or "given up" in said or "cannot be reached" in said, said
        again = job()
        said, _ = again.communicate(timeout=PATIENCE_S)
        assert again.returncode == 0, said
    assert rows(market.engine) == wanted
    assert whole(market.engine)


def test_a_server_that_pauses_in_the_middle_is_waited_for(
    market: Market, server: Server, job: Any, wanted: Rows
) -> None:
    running = job()
    wait_for(server.busy, running)
    server.process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    assert running.poll() is None
    assert {model for _, model in rows(market.engine)} == {"baseline-rw"}  # issued before anybody was asked
    server.process.send_signal(signal.SIGCONT)
    said, _ = running.communicate(timeout=PATIENCE_S)

    assert running.returncode == 0, said
    assert rows(market.engine) == wanted
    assert whole(market.engine)
    assert server.count("ok") == 1  # nothing was computed twice


def test_a_flood_of_requests_delays_the_job_and_changes_no_row(
    market: Market, server: Server, job: Any, wanted: Rows
) -> None:
    good = encode_request(PredictRequest(MODEL, "1h", HORIZON, 10, 0, [built_in_series(Slow.info)]))
    over, statuses = threading.Event(), set()

    def flood(number: int) -> None:
        """Good requests, garbage, and large bodies, without a pause and whatever the answer says."""
        body = (good, b"{", b" " * 3_000_000)[number % 3]
        with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
            while not over.is_set():
                statuses.add(client.post("/predict", content=body, headers=JSON).status_code)

    with ThreadPoolExecutor(9) as crowd:
        floods = [crowd.submit(flood, number) for number in range(9)]
        running = job()
        try:
            wait_for(lambda: server.count("rejected") > 50 and len(rows(market.engine)) >= len(SYMBOLS), running)
            assert httpx.get(f"{server.url}/healthz", timeout=PATIENCE_S).status_code == 200
        finally:
            over.set()
        for one in floods:
            one.result()
        said, _ = running.communicate(timeout=PATIENCE_S)

    assert running.returncode == 0, said
    assert {200, 400, 429} <= statuses <= {200, 400, 429}
    assert rows(market.engine) == wanted
    assert whole(market.engine)
