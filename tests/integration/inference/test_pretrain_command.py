import gzip
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from inference_server.kronos.forecaster import KronosForecaster
from inference_server.kronos.usage import Usage
from tests.unit.inference_server.pretraining.generated import history

COMMAND = [sys.executable, "-c", "from candlecast.cli import main; main()", "pretrain"]
SMALL = ["--tokenizer-steps", "2", "--predictor-steps", "3", "--origins", "2", "--paths", "8", "--device", "cpu"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "bars" / "ohlcv_1h"
    folder.mkdir(parents=True)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        one = history(symbol, n=900, start="2024-12-05")
        rows = [
            f"{at!s}Z,{bar[0]:.6f},{bar[1]:.6f},{bar[2]:.6f},{bar[3]:.6f},{bar[4]:.3f}"
            for at, bar in zip(one.opened_at, one.bars, strict=True)
        ]
        with gzip.open(folder / f"{symbol}.csv.gz", "wt") as file:
            file.write("\n".join(["ts,open,high,low,close,volume", *rows]) + "\n")
    return folder.parent


def _run(data: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--data", str(data), "--out", str(out), *SMALL, *more, "--json"]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


def test_a_killed_pretraining_goes_on_and_leaves_a_checkpoint_that_can_be_served(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "kronos-small"
    state = out / "state" / "tokenizer.pt"
    killed = subprocess.Popen(
        [*COMMAND, "--data", str(data), "--out", str(out), *SMALL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 200
    while not state.exists() and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    trained_at = state.stat().st_mtime_ns

    ended = _run(data, out)
    assert ended.returncode == 0, ended.stderr
    facts = json.loads(ended.stdout)
    assert state.stat().st_mtime_ns == trained_at, "the tokenizer was trained again"
    assert facts["n_parameters"] > 900_000
    stored = sum(file.stat().st_size for file in out.glob("*/model.safetensors"))
    assert stored <= 4_000_000 + 200_000  # both files with their headers; 4 MB is 4 · 2^20
    assert Usage.read(out).max_context == 384
    card = (out / "card.md").read_text()
    assert "baseline-rw" in card
    assert "| 1h | crypto | 1 |" in card
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert KronosForecaster.load(out, name="kronos-small").info.max_context == 384
    assert load_file(out / "model" / "model.safetensors")

    other = _run(data, out, "--seed", "7")
    assert other.returncode == 64
    assert "another recipe" in other.stderr


def test_a_folder_without_bars_ends_in_one_sentence(tmp_path: Path) -> None:
    ended = _run(tmp_path, tmp_path / "out")
    assert ended.returncode == 64
    assert "ohlcv_1h/BTCUSDT.csv.gz" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("missing", ["torch", "matplotlib"])
def test_a_package_that_is_missing_is_told_before_anything_is_trained(tmp_path: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from candlecast.cli import main; main()"
    command = [sys.executable, "-c", program, "pretrain", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert ended.returncode != 0
    assert "pip install 'candlecast[pretrain]'" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()
