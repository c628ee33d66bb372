"""The canary: models are tried before they serve, and again while nobody asks."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecast, ModelInfo, Result, Series, never, refuse, series_fault
from inference_server.app import create_app
from inference_server.canary import HORIZON, built_in_series
from inference_server.registry import load_registry
from inference_server.settings import ServerSettings
from tests.integration.inference.talk import JSON, PATIENCE_S, metric, wait_for

TINY = Path(__file__).resolve().parents[4] / "shared" / "kronos" / "golden" / "tiny-a"
ALWAYS_S = 0.02  # between trials, where a test waits for the next one


class Moody(RandomWalk):
    """The baseline on good days."""

    def __init__(self, name: str = "moody", mood: str = "good") -> None:
        self.info = ModelInfo(name, "d" * 64, None, False, "bitwise", "has moods", gives_quantiles=True)
        self.mood = mood
        self.n_trials = 0

    def forecast(self, series: Sequence[Series], *, horizon: int, **how: Any) -> Iterator[Result]:
        self.n_trials += series[0].symbol == "CANARY"
        for result in super().forecast(series, horizon=horizon, **how):
            assert isinstance(result, Forecast)
            match self.mood:
                case "good":
                    yield result
                case "raises":
                    raise ValueError("s3cret detail")
                case "not finite":
                    yield replace(result, fan=np.full_like(result.fan, np.nan))
                case "refuses":
                    yield refuse(series[0], "tired", "not today")
                case "silent":
                    return


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("raises", "the model failed (ValueError)"),
        ("not finite", "its fan is not finite at step 1"),
        ("refuses", "not today"),
        ("silent", "it gave no answer"),
    ],
)
def test_a_model_that_fails_its_trial_is_not_served_and_the_others_are(
    serve: Any, series_of: Any, body_of: Any, mood: str, words: str
) -> None:
    url = serve(Moody("good-one"), Moody("bad-one", mood), canary_s=300).url

    ready = httpx.get(f"{url}/readyz")
    assert ready.status_code == 200
    assert [one.partition("@")[0] for one in ready.json()["models"]] == ["baseline-rw", "good-one"]
    assert set(ready.json()["failed"]) == {"bad-one"}
    assert words in ready.json()["failed"]["bad-one"]
    assert "s3cret" not in ready.text
    assert [one["name"] for one in httpx.get(f"{url}/models").json()["models"]] == ["baseline-rw", "good-one"]
    assert metric(url, 'modelserver_model_ready{model="bad-one"}') == 0
    assert metric(url, 'modelserver_model_ready{model="good-one"}') == 1

    refused = httpx.post(f"{url}/predict", content=body_of([series_of("A")], "bad-one"), headers=JSON)
    assert refused.status_code == 503
    assert words in refused.json()["detail"]
    served = httpx.post(f"{url}/predict", content=body_of([series_of("A")], "good-one"), headers=JSON)
    assert served.json()["n_ok"] == 1


def test_a_model_that_breaks_while_nobody_asks_is_withdrawn_and_comes_back_when_it_works_again(serve: Any) -> None:
    model = Moody()
    url = serve(model, canary_s=ALWAYS_S).url

    def failed() -> dict[str, str]:
        return dict(httpx.get(f"{url}/readyz").json()["failed"])

    assert failed() == {}
    model.mood = "raises"
    wait_for(lambda: set(failed()) == {"moody"})
    model.mood = "good"
    wait_for(lambda: failed() == {})


def test_a_server_of_which_no_model_works_is_not_ready(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(canary_s=300)
    served.service.canary.failed["baseline-rw"] = "it gave no answer"

    ready = httpx.get(f"{served.url}/readyz")

    assert ready.status_code == 503
    assert ready.json()["failed"] == {"baseline-rw": "it gave no answer"}


class Patient(Moody):
    """Its trials last until they are broken off."""

    def __init__(self) -> None:
        super().__init__("patient")
        self.lasts, self.in_trial = False, threading.Event()

    def forecast(self, series: Sequence[Series], *, cancel: Callable[[], bool] = never, **how: Any) -> Iterator[Result]:
        if series[0].symbol == "CANARY" and self.lasts:
            self.in_trial.set()
            while self.lasts and not cancel():
                threading.Event().wait(0.001)
            return
        yield from super().forecast(series, cancel=cancel, **how)


def test_a_trial_gives_way_to_a_request_and_then_says_nothing_about_the_model(
    serve: Any, series_of: Any, body_of: Any
) -> None:
    model = Patient()
    served = serve(model, canary_s=ALWAYS_S)
    model.lasts = True
    assert model.in_trial.wait(PATIENCE_S)
    model.in_trial.clear()

    answer = httpx.post(f"{served.url}/predict", content=body_of([series_of("A")], "patient"), headers=JSON)

    assert answer.json()["n_ok"] == 1
    assert model.in_trial.wait(PATIENCE_S)  # the next one has begun
    assert served.service.canary.failed == {}
    model.lasts = False


def test_nothing_is_tried_while_a_request_is_at_work(serve: Any, gated: Any, series_of: Any, body_of: Any) -> None:
    gated.go.set()
    model = Moody()
    served = serve(model, gated, canary_s=ALWAYS_S)
    wait_for(lambda: model.n_trials >= 3)
    gated.go.clear()
    gated.started.clear()
    body = body_of([series_of("A")], model_name="gated")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(httpx.post, f"{served.url}/predict", content=body, headers=JSON, timeout=PATIENCE_S)
        wait_for(lambda: "A" in gated.seen)
        before = model.n_trials
        threading.Event().wait(5 * ALWAYS_S)
        assert model.n_trials == before
        gated.go.set()
        assert answer.result().json()["n_ok"] == 1
    wait_for(lambda: model.n_trials > before)


@pytest.mark.parametrize(("max_context", "n_bars"), [(None, 96), (512, 96), (48, 46)])
@pytest.mark.parametrize("takes_events", [False, True])
def test_the_built_in_series_is_one_that_every_model_has_to_take(
    max_context: int | None, n_bars: int, takes_events: bool
) -> None:
    info = ModelInfo("m", "e" * 64, max_context, takes_events, "bitwise", "any")

    series = built_in_series(info)

    assert series_fault(series, HORIZON) is None
    assert len(series.ohlcv) == n_bars
    assert (series.events is not None) == takes_events
    opening, high, low, close = series.ohlcv[:, :4].T
    assert (low <= np.minimum(opening, close)).all()
    assert (high >= np.maximum(opening, close)).all()
    assert np.unique(close).size == n_bars


def test_every_kind_of_model_that_this_server_can_load_passes_its_trial(tiny_chronos2: Path) -> None:
    kronos = {"kronos_weights": str(TINY), "kronos_name": "kronos-tiny", "max_context": 48} if TINY.is_dir() else {}
    settings = ServerSettings(chronos2_weights=str(tiny_chronos2), device="cpu", threads=1, **kronos)
    registry = load_registry(settings)
    wanted = {"baseline-rw", "chronos-2", *(["kronos-tiny"] if kronos else [])}
    assert {one.name for one in registry} == wanted

    with TestClient(create_app(settings, registry)) as client:
        state = client.get("/readyz").json()

    assert state["failed"] == {}
    assert {one.partition("@")[0] for one in state["models"]} == wanted
