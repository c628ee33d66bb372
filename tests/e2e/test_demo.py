"""The README's first command, as a person runs it: a real process, a real database, real HTTP."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "market-data"


def run_demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CANDLECAST_HOME": str(home)}
    environment.pop("DATABASE_URL", None)
    candlecast = Path(sys.executable).with_name("candlecast")
    try:
        return subprocess.run(
            [candlecast, "demo", "--once", *arguments],
            capture_output=True,
            text=True,
            env=environment,
            timeout=600,
            check=False,
        )
    finally:
        for folder in (home, home / "synthetic"):
            if folder.exists():
                stop = {**environment, "CANDLECAST_HOME": str(folder)}
                subprocess.run([candlecast, "db", "stop"], env=stop, capture_output=True, check=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_data_the_demo_says_everywhere_that_its_bars_are_made_up(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "home", "--synthetic", "--json")

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["source"] == "synthetic"
    assert facts["n_forecasts"] == 46  # 23 instruments, hourly and daily
    assert "SYNTHETIC" in done.stderr
    assert "They are not market prices" in re.sub(r"\s+", " ", done.stderr)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/market-data is not beside this checkout")
def test_with_real_bars_the_demo_ends_with_every_instruments_forecast(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "home", "--data", str(SHARED))

    assert done.returncode == 0, done.stderr
    for symbol in ("BTCUSDT", "SPY", "SPX", "EURUSD", "XAUUSD", "WTI"):
        assert len(re.findall(rf"^│ {symbol} ", done.stdout, re.MULTILINE)) == 2, symbol  # hourly and daily
    assert "baseline-rw" in done.stdout
    assert "SYNTHETIC" not in done.stdout
    assert re.search(r"http://127\.0\.0\.1:\d+/showcase/ml-prediction/BTCUSDT", done.stdout)
