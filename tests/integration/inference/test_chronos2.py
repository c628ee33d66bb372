"""Chronos-2 behind the wire: the numbers of this process, and one device for all models."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch

from candlecast.forecasts import Forecast, Refusal, Series
from inference_server.chronos2 import Chronos2Forecaster
from jobs.forecasters import HttpForecaster

HORIZON = 6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def model(tiny_chronos2: Path) -> Chronos2Forecaster:
    return Chronos2Forecaster.load(tiny_chronos2)


def with_events(series: Series) -> Series:
    rng = np.random.default_rng(3)
    events = rng.normal(size=(len(series.ohlcv) + HORIZON, 20)).astype(np.float32)
    return replace(series, events=events)


def test_chronos_2_over_http_equals_chronos_2_in_process_bit_for_bit_events_and_all(
    serve: Any, series_of: Any, model: Chronos2Forecaster
) -> None:
    plain, broken = series_of("WTI", n_bars=70), replace(series_of("NAN"), ohlcv=np.full((80, 6), np.nan))
    series = [with_events(series_of("AAPL")), broken, plain, with_events(plain)]
    wanted = list(model.forecast(series, horizon=HORIZON, n_paths=100))

    with HttpForecaster(serve(model).url, "chronos-2") as client:
        made = list(client.forecast(series, horizon=HORIZON, n_paths=100))

    assert [type(one) for one in made] == [Forecast, Refusal, Forecast, Forecast]
    for one, other in zip(made, wanted, strict=True):
        if isinstance(one, Forecast):
            assert isinstance(other, Forecast)
            assert one.fan.tobytes() == other.fan.tobytes()
            assert (one.seed, one.model_version, one.paths) == (other.seed, model.info.version, None)
    assert made[2].fan.tobytes() != made[3].fan.tobytes()  # events are read


def test_chronos_2_waits_until_the_device_has_done_with_another_model(
    serve: Any, series_of: Any, gated: Any, body_of: Any, model: Chronos2Forecaster
) -> None:
    computed = threading.Event()
    model._pipeline.model.register_forward_pre_hook(lambda *_: computed.set())
    served = serve(gated, model)
    answers: dict[str, httpx.Response] = {}

    def ask(name: str) -> threading.Thread:
        body = body_of([series_of("SPY")], name, n_paths=10)

        def post() -> None:
            headers = {"content-type": "application/json"}
            answers[name] = httpx.post(f"{served.url}/predict", content=body, headers=headers, timeout=60)

        thread = threading.Thread(target=post)
        thread.start()
        return thread

    first = ask("gated")
    assert gated.started.wait(20)
    second = ask("chronos-2")
    pause = threading.Event()
    while served.service.scheduler.n_waiting == 0:
        assert second.is_alive()
        pause.wait(0.005)

    assert not computed.is_set()
    gated.go.set()
    first.join(20)
    second.join(20)
    assert computed.is_set()
    assert {name: one.status_code for name, one in answers.items()} == {"gated": 200, "chronos-2": 200}
