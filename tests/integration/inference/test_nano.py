import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from inference_server.kronos.forecaster import KronosForecaster
from inference_server.pretraining.evaluation import HORIZON, forecast_all, origins
from inference_server.pretraining.histories import load_histories
from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL
from inference_server.registry import BUNDLED, load_registry
from inference_server.settings import ServerSettings

DATA = Path(__file__).resolve().parents[4] / "shared" / "market-data"
NANO = BUNDLED["nano"]


def test_the_bundled_model_is_about_a_million_parameters_in_four_megabytes() -> None:
    files = sorted(NANO.glob("*/model.safetensors"))
    assert sum(file.stat().st_size for file in files) <= 4_000_000
    n_parameters = 0
    for file in files:
        with safe_open(file, framework="np") as stored:
            n_parameters += sum(int(np.prod(stored.get_slice(key).get_shape())) for key in stored.keys())  # noqa: SIM118
    assert 0.9e6 < n_parameters < 1.1e6


def test_the_word_nano_serves_the_bundled_model_beside_the_baseline() -> None:
    registry = load_registry(ServerSettings(kronos_weights="nano", device="cpu"))
    assert [info.name for info in registry] == ["baseline-rw", "kronos-nano"]
    assert registry.get("kronos-nano").info.max_context == 384


def test_loading_a_model_leaves_torchs_compiler_alone() -> None:
    """Drawing numbers for parameters that are about to be read from a file imports it: 0.9 s of a load of 0.05 s."""
    program = (
        "import sys; from inference_server.kronos.forecaster import KronosForecaster; "
        f"KronosForecaster.load({str(NANO)!r}); assert 'torch._dynamo' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not DATA.is_dir(), reason="the real bars of ../shared/market-data are not here")
def test_four_of_five_outcomes_fall_into_the_80_percent_band_on_bars_after_training() -> None:
    """Few origins, so wide bounds: about 130 pairs per step whose outcomes move together. bench/nano.py has all."""
    forecaster = KronosForecaster.load(NANO, name="kronos-nano")
    asked = origins(load_histories(DATA), first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, lookback=384 - HORIZON, per_history=4)
    table = forecast_all(forecaster, asked, n_paths=25)
    for step in (1, 4, 24, 120):
        rows = table.step == step
        assert rows.sum() > 80
        assert 0.68 <= table.where(rows).inside().mean() <= 0.92, step
