"""The README's first command, as a person runs it: a real process, a real database, real HTTP."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "market-data"
CANDLECAST = Path(sys.executable).with_name("candlecast")
ROUTES = (
    "/showcase/ml-prediction/BTCUSDT?interval=1h",
    "/showcase/ml-prediction/SPY?interval=1d",
    "/showcase/instruments",
    "/showcase/models",
    "/showcase/performance",
    "/showcase/performance/verdicts",
    "/showcase/evaluation",
    "/showcase/evaluation?interval=1d",
    "/showcase/status",
)


def environment(home: Path) -> dict[str, str]:
    return {
        **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        "CANDLECAST_HOME": str(home),
    }


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data folder of its own, its databases stopped at the end."""
    home = tmp_path / "home"
    yield home
    for folder in (home, home / "synthetic"):
        subprocess.run([CANDLECAST, "db", "stop"], env=environment(folder), capture_output=True, check=False)


def run_demo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [CANDLECAST, "demo", "--once", *arguments],
        capture_output=True,
        text=True,
        env=environment(home),
        timeout=600,
        check=False,
    )


@contextmanager
def served(home: Path) -> Iterator[str]:
    """The gateway over what a demo left in its data folder."""
    port_file = home / "test.port"
    gateway = subprocess.Popen(
        [CANDLECAST, "serve", "gateway", "--port", "0", "--port-file", str(port_file)], env=environment(home)
    )
    try:
        while not (port_file.exists() and port_file.read_text().strip()):
            assert gateway.poll() is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port_file.read_text().strip()}"
    finally:
        gateway.terminate()
        gateway.wait()


def read(reader: httpx.Client, route: str) -> httpx.Response:
    """The answer, asked for again when a busy machine says to come back."""
    give_up_at = time.monotonic() + 60
    while (answer := reader.get(route)).status_code == 503 and time.monotonic() < give_up_at:
        time.sleep(float(answer.headers["Retry-After"]))
    return answer


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_without_data_the_demo_and_every_answer_say_that_the_bars_are_made_up(home: Path) -> None:
    done = run_demo(home, "--synthetic", "--json")

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["source"] == "synthetic"
    assert facts["model"] == "kronos-nano"
    assert facts["n_forecasts"] == 46  # 23 instruments, hourly and daily
    assert "They are not market prices" in re.sub(r"\s+", " ", done.stderr)
    with served(home / "synthetic") as url, httpx.Client(base_url=url) as reader:
        for route in ROUTES:
            answer = read(reader, route)
            assert answer.status_code == 200, route
            assert "data are synthetic" in answer.text, route
        assert "All data on this page are synthetic" in read(reader, "/").text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/market-data is not beside this checkout")
def test_with_real_bars_the_demo_ends_with_every_instruments_forecast(home: Path) -> None:
    done = run_demo(home, "--data", str(SHARED))

    assert done.returncode == 0, done.stderr
    for symbol in ("BTCUSDT", "SPY", "SPX", "EURUSD", "XAUUSD", "WTI"):
        assert len(re.findall(rf"^│ {symbol} ", done.stdout, re.MULTILINE)) == 2, symbol  # hourly and daily
    assert "Model: kronos-nano" in done.stdout
    assert "baseline-rw" in done.stdout
    assert "SYNTHETIC" not in done.stdout
    assert re.search(r"http://127\.0\.0\.1:\d+/showcase/ml-prediction/BTCUSDT", done.stdout)
    with served(home) as url, httpx.Client(base_url=url) as reader:
        for route in ROUTES:
            answer = read(reader, route)
            assert answer.status_code == 200, route
            assert "synthetic" not in json.dumps(answer.json().get("notice", "")), route
        scores = read(reader, "/showcase/performance").json()["rows"]
        verdicts = read(reader, "/showcase/performance/verdicts").json()["verdicts"]
    # Rivals that fit a model to every lookback are issued for the newest slot only, and no walk scores them.
    walked = ("kronos-nano", "baseline-hourweek", "baseline-snaive")
    assert {(row["model_name"], row["interval"], row["record"]) for row in verdicts} == {
        (model_name, interval, "replay") for model_name in walked for interval in ("1h", "1d")
    }
    assert {row["record"] for row in scores} == {"replay"}  # the bars end in the past
    assert {row["step"] for row in scores if row["interval"] == "1h"} == {1, 4, 24, 120}
