"""Kronos behind the wire: what comes over HTTP is what the model gives in this process."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from candlecast.forecasts import Forecast, Refusal
from inference_server.registry import load_registry
from inference_server.settings import ServerSettings
from jobs.forecasters import HttpForecaster

TINY = Path(__file__).resolve().parents[4] / "shared" / "kronos" / "golden" / "tiny-a"
HORIZON, N_PATHS = 5, 12

pytestmark = pytest.mark.skipif(not TINY.is_dir(), reason="the golden weights of ../shared/kronos are not here")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def load() -> Any:
    settings = ServerSettings(kronos_weights=str(TINY), kronos_name="kronos-tiny", max_context=48, device="cpu")
    return load_registry(settings).get("kronos-tiny")


def test_kronos_over_http_equals_kronos_in_process_bit_for_bit(serve: Any, series_of: Any) -> None:
    model = load()
    series = [series_of(symbol, n_bars=n, horizon=HORIZON) for symbol, n in (("AAPL", 40), ("WTI", 30), ("SPX", 43))]
    wanted = list(model.forecast(series, horizon=HORIZON, n_paths=N_PATHS))

    with HttpForecaster(serve(model).url, "kronos-tiny") as client:
        made = list(client.forecast(series, horizon=HORIZON, n_paths=N_PATHS))
        alone = list(client.forecast(series[1:2], horizon=HORIZON, n_paths=N_PATHS))

    for one, other in zip([*made, *alone], [*wanted, wanted[1]], strict=True):
        assert isinstance(one, Forecast)
        assert isinstance(other, Forecast)
        assert one.fan.tobytes() == other.fan.tobytes()
        assert one.paths is not None
        assert other.paths is not None
        assert one.paths.tobytes() == other.paths.tobytes()
        assert (one.seed, one.model_version) == (other.seed, model.info.version)


def test_what_kronos_cannot_forecast_is_refused_beside_what_it_can(serve: Any, series_of: Any) -> None:
    good = series_of("GOOD", n_bars=40, horizon=HORIZON)
    broken = replace(series_of("NAN", n_bars=40, horizon=HORIZON), ohlcv=np.full((40, 6), np.nan))
    model = load()

    with HttpForecaster(serve(model).url, "kronos-tiny") as client:
        made = list(client.forecast([good, broken, good], horizon=HORIZON, n_paths=N_PATHS))

    assert [type(one) for one in made] == [Forecast, Refusal, Forecast]


def test_the_process_serves_the_weights_it_is_told_and_names_them_after_their_folder(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    command = [sys.executable, "-m", "inference_server", "--port", "0", "--port-file", str(port_file)]
    with subprocess.Popen(
        [*command, "--kronos-weights", str(TINY), "--threads", "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            pause = threading.Event()
            while not port_file.exists():
                assert process.poll() is None
                pause.wait(0.02)
            with HttpForecaster(f"http://127.0.0.1:{int(port_file.read_text())}", "kronos-tiny-a") as client:
                infos = {one.name: one for one in client.models()}
        finally:
            process.terminate()

    assert set(infos) == {"baseline-rw", "kronos-tiny-a"}
    assert infos["kronos-tiny-a"].version == load().info.version
