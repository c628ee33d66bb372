"""Chronos-2: what it is shown, what it is not, and that nobody else's bars matter."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chronos import Chronos2Pipeline
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from candlecast.channels import CHANNELS, KNOWN_FUTURE, PAST_ONLY, Channel
from candlecast.forecasts import CLOSE, HIGH, LEVELS, LOW, VOLUME, Forecast, Refusal, Result, Series, forecast_fault
from candlecast.wire import PredictRequest
from inference_server.chronos2 import FLOOR, Chronos2Forecaster
from inference_server.kronos.errors import WeightsError
from inference_server.runner import answers
from tests.tiny_chronos2 import CONTEXT, REACH

L, H = 96, 20


@pytest.fixture(scope="module")
def model(tiny_chronos2: Path) -> Chronos2Forecaster:
    return Chronos2Forecaster.load(tiny_chronos2)


@pytest.fixture(scope="module")
def package(tiny_chronos2: Path) -> Any:
    """The package's own pipeline on the same weights."""
    return Chronos2Pipeline.from_pretrained(tiny_chronos2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def series_of(symbol: str = "BTCUSDT", n_bars: int = L, horizon: int = H, *, events: bool = True) -> Series:
    """A random walk with coherent bars and an event tensor in which every channel moves, as the encoder fills it."""
    rng = np.random.default_rng(list(symbol.encode()))
    close = 100 * np.exp(np.cumsum(rng.standard_t(5, n_bars)) * 0.01)
    high, low = close * (1 + rng.uniform(0, 0.01, n_bars)), close * (1 - rng.uniform(0, 0.01, n_bars))
    volume = rng.uniform(1, 1e6, n_bars)
    bars = np.column_stack([close, high, low, close, volume, volume * close])
    hours = np.datetime64("2025-01-01T00:00:00") + np.arange(n_bars + horizon) * np.timedelta64(3600, "s")
    tensor = rng.normal(size=(n_bars + horizon, len(CHANNELS))).astype(np.float32)
    tensor[n_bars:, [one.index for one in PAST_ONLY]] = 0.0
    return Series(
        symbol, "1h", datetime(2025, 1, 9, tzinfo=UTC), bars, hours[:n_bars], hours[n_bars:], tensor if events else None
    )


def ask(model: Chronos2Forecaster, series: Sequence[Series], horizon: int = H) -> list[Result]:
    return list(model.forecast(series, horizon=horizon, n_paths=0))


def fan_of(model: Chronos2Forecaster, series: Series) -> Any:
    (made,) = ask(model, [series], len(series.target_opened_at))
    assert isinstance(made, Forecast), made
    return made.fan


def with_events(series: Series, rows: slice, channel: Channel, value: float) -> Series:
    events = np.array(series.events)
    events[rows, channel.index] = value
    return replace(series, events=events)


AHEAD, BEHIND = slice(L, None), slice(L - 30, L - 10)


# -- what the model is shown -------------------------------------------------------------------------


def test_the_fan_is_the_packages_own_for_the_raw_close_with_each_covariate_by_its_kind(
    model: Chronos2Forecaster, package: Any
) -> None:
    one = series_of()
    assert one.events is not None
    past = {"volume": one.ohlcv[:, VOLUME], "spread": one.ohlcv[:, HIGH] - one.ohlcv[:, LOW]}
    # The requirement's own list of what may be known ahead (DESIGN §5), not the code's.
    known_ahead = [*range(5), *range(8, 14), 18, 19]
    past |= {f"event {k:02d}": one.events[:L, k] for k in range(20)}
    ahead = {f"event {k:02d}": one.events[L:, k] for k in known_ahead}
    inputs = {"target": one.ohlcv[:, CLOSE], "past_covariates": past, "future_covariates": ahead}

    (wanted,), _ = package.predict_quantiles([inputs], prediction_length=H, quantile_levels=list(LEVELS))

    # Covariates have no order for the model but that of their sums, hence a tolerance: 1e-4 of one deviation.
    tolerance = 1e-4 * one.ohlcv[:, CLOSE].std()
    assert np.abs(fan_of(model, one) - np.sort(wanted[0].numpy(), axis=-1)).max() < tolerance


def test_only_rows_known_ahead_reach_the_model_beyond_the_last_bar(model: Chronos2Forecaster) -> None:
    seen: list[dict[str, Any]] = []
    hook = model._pipeline.model.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True
    )
    fan_of(model, series_of())
    hook.remove()

    (shown,) = seen
    known = ~torch.isnan(shown["future_covariates"]).all(dim=1)
    assert shown["context"].shape == (1 + 2 + 20, L)
    assert not known[0]  # the close
    assert int(known.sum()) == 13  # 0-4, 8-13, 18, 19
    assert (shown["group_ids"] == 0).all()  # one series, one group


@pytest.mark.parametrize("channel", PAST_ONLY, ids=lambda one: one.name)
def test_a_past_only_channel_is_read_up_to_the_last_bar_and_never_beyond(
    model: Chronos2Forecaster, channel: Channel
) -> None:
    fan = fan_of(model, series_of())

    poisoned = fan_of(model, with_events(series_of(), AHEAD, channel, 1e9))
    told = fan_of(model, with_events(series_of(), BEHIND, channel, 3.0))

    assert poisoned.tobytes() == fan.tobytes()
    assert not np.array_equal(told, fan)


@pytest.mark.parametrize("channel", KNOWN_FUTURE, ids=lambda one: one.name)
def test_a_known_future_channel_is_read_on_both_sides_of_the_last_bar(
    model: Chronos2Forecaster, channel: Channel
) -> None:
    fan = fan_of(model, series_of())

    assert not np.array_equal(fan_of(model, with_events(series_of(), AHEAD, channel, 3.0)), fan)
    assert not np.array_equal(fan_of(model, with_events(series_of(), BEHIND, channel, 3.0)), fan)


@pytest.mark.parametrize("column", [VOLUME, HIGH, LOW])
def test_volume_and_the_spread_of_high_and_low_are_read(model: Chronos2Forecaster, column: int) -> None:
    one = series_of()
    bars = one.ohlcv.copy()
    bars[BEHIND, column] *= 1.01 if column == HIGH else 0.99

    assert not np.array_equal(fan_of(model, replace(one, ohlcv=bars)), fan_of(model, one))


def test_an_event_tensor_that_knows_nothing_is_no_event_tensor(model: Chronos2Forecaster) -> None:
    one = series_of(events=False)
    nothing = replace(one, events=np.zeros((L + H, 20), np.float32))

    assert fan_of(model, nothing).tobytes() == fan_of(model, one).tobytes()


def test_a_covariate_that_stood_still_cannot_blow_up_the_fan_with_its_first_move(model: Chronos2Forecaster) -> None:
    one = series_of()
    assert one.events is not None
    events = one.events.copy()
    events[:L, 0] = 0.0
    announced = events.copy()
    announced[L + 5, 0] = 1.0

    # The lookback never saw this flag up, so there is nothing to read off it.
    assert (
        fan_of(model, replace(one, events=announced)).tobytes() == fan_of(model, replace(one, events=events)).tobytes()
    )


def test_a_lookback_longer_than_the_context_is_cut_to_its_newest_bars(model: Chronos2Forecaster) -> None:
    long = series_of(n_bars=CONTEXT + 40)
    assert long.events is not None
    cut = replace(long, ohlcv=long.ohlcv[40:], opened_at=long.opened_at[40:], events=long.events[40:])

    assert fan_of(model, long).tobytes() == fan_of(model, cut).tobytes()


# -- neighbours --------------------------------------------------------------------------------------


def test_no_series_depends_on_its_neighbours_their_order_or_the_number_of_cores(model: Chronos2Forecaster) -> None:
    first, second, third = (series_of(symbol, n_bars=n) for symbol, n in (("AAPL", 96), ("WTI", 64), ("SPX", 200)))
    alone = {one.symbol: fan_of(model, one).tobytes() for one in (first, second, third)}
    poison = replace(second, ohlcv=second.ohlcv * 1e9)

    torch.set_num_threads(2)
    together = ask(model, [third, first, second])
    poisoned = ask(model, [first, poison, third])

    assert {one.symbol: one.fan.tobytes() for one in together if isinstance(one, Forecast)} == alone
    kept = {one.symbol: one.fan.tobytes() for one in poisoned if isinstance(one, Forecast)}
    assert kept["AAPL"] == alone["AAPL"]
    assert kept["SPX"] == alone["SPX"]
    assert kept["WTI"] != alone["WTI"]


def test_what_cannot_be_forecast_is_refused_beside_what_can(model: Chronos2Forecaster) -> None:
    good = series_of("GOOD")

    def with_close(symbol: str, close: Any) -> Series:
        bars = good.ohlcv.copy()
        bars[:, CLOSE] = close
        return replace(good, symbol=symbol, ohlcv=bars)

    one_bar = replace(good, symbol="SHORT", ohlcv=good.ohlcv[:1], opened_at=good.opened_at[:1], events=None)
    wild = np.where(np.arange(L) % 2, 1.0, -1.0) * 1.7e308
    made = ask(
        model, [good, with_close("NAN", np.nan), with_close("STILL", 5.0), one_bar, with_close("WILD", wild), good]
    )

    assert [one.code if isinstance(one, Refusal) else "ok" for one in made] == [
        "ok", "not_finite", "no_movement", "too_short", "out_of_range", "ok"
    ]  # fmt: skip
    assert all(one.message.startswith(one.symbol) for one in made if isinstance(one, Refusal))


def test_cancelling_stops_after_the_series_at_work(model: Chronos2Forecaster) -> None:
    asked: list[None] = []

    def third_time() -> bool:
        asked.append(None)
        return len(asked) == 3

    series = [series_of(symbol) for symbol in ("A", "B", "C")]
    made = list(model.forecast(series, horizon=H, n_paths=0, cancel=third_time))

    assert [one.symbol for one in made] == ["A", "B"]


# -- what comes out ----------------------------------------------------------------------------------


def test_levels_that_cross_in_the_model_rise_in_the_fan(model: Chronos2Forecaster, package: Any) -> None:
    one = series_of(events=False)
    (raw,), _ = package.predict_quantiles([{"target": one.ohlcv[:, CLOSE]}], prediction_length=H)
    assert (np.diff(raw[0].numpy(), axis=-1) < 0).any(), "untrained weights were expected to cross"

    (made,) = ask(model, [one])

    assert isinstance(made, Forecast)
    assert forecast_fault(made, H) is None


@pytest.mark.parametrize("n_paths", [0, 1, 100])
def test_there_are_quantiles_and_no_paths_whatever_number_is_asked_for(model: Chronos2Forecaster, n_paths: int) -> None:
    (made,) = model.forecast([series_of()], horizon=H, n_paths=n_paths)

    assert isinstance(made, Forecast)
    assert made.paths is None
    assert made.fan.tobytes() == fan_of(model, series_of()).tobytes()
    assert model.info.gives_quantiles


@given(unit=st.sampled_from([1e-9, 1e-3, 1.0, 1e6]), shift=st.sampled_from([-1e5, -70.0, 0.0, 1e4]))
def test_another_unit_or_origin_of_the_price_moves_the_fan_and_nothing_else(
    tiny_chronos2: Path, unit: float, shift: float
) -> None:
    model = Chronos2Forecaster.load(tiny_chronos2)
    one = series_of()
    moves = one.ohlcv[:, CLOSE] - one.ohlcv[:, CLOSE].mean()  # of about 10 around 0, so no floor
    bars = one.ohlcv.copy()
    bars[:, CLOSE] = moves
    wanted = fan_of(model, replace(one, ohlcv=bars))
    bars = bars.copy()
    bars[:, CLOSE] = unit * (moves + shift)

    fan = fan_of(model, replace(one, ohlcv=bars))

    # In single precision a price of 100,000 knows its moves to a thousandth only.
    assert np.abs(fan / unit - shift - wanted).max() < 1e-4 * moves.std()


def test_a_positive_price_stays_positive_and_one_that_was_negative_may_fall_further(tiny_chronos2: Path) -> None:
    model = Chronos2Forecaster.load(tiny_chronos2)
    with torch.no_grad():  # every level far below the lookback
        model._pipeline.model.output_patch_embedding.residual_layer.bias -= 10.0
    one = series_of()
    sunk = one.ohlcv.copy()
    sunk[:, CLOSE] -= 100.0

    assert fan_of(model, one).max() == FLOOR * one.ohlcv[:, CLOSE].min()
    assert fan_of(model, replace(one, ohlcv=sunk)).max() < sunk[:, CLOSE].min()


def test_the_whole_reach_of_the_model_is_forecast_and_one_bar_more_is_refused(model: Chronos2Forecaster) -> None:
    (whole,) = ask(model, [series_of(horizon=REACH)], REACH)
    (beyond,) = ask(model, [series_of(horizon=REACH + 1)], REACH + 1)

    assert isinstance(whole, Forecast)
    assert isinstance(beyond, Refusal)
    assert (beyond.code, beyond.message) == (
        "horizon_too_long", f"BTCUSDT: horizon {REACH + 1}, chronos-2 reaches {REACH} bars"
    )  # fmt: skip


def test_a_model_that_was_left_in_training_mode_does_not_throw_dice(tiny_chronos2: Path) -> None:
    pipeline = Chronos2Pipeline.from_pretrained(tiny_chronos2)
    pipeline.model.train()

    model = Chronos2Forecaster(pipeline, name="chronos-2", version="ab" * 32)

    assert fan_of(model, series_of()).tobytes() == fan_of(model, series_of()).tobytes()


# -- loading -----------------------------------------------------------------------------------------


def test_the_version_is_the_hash_of_the_weights(model: Chronos2Forecaster, tiny_chronos2: Path) -> None:
    info = model.info

    assert info.version == hashlib.sha256((tiny_chronos2 / "model.safetensors").read_bytes()).hexdigest()
    assert (info.name, info.takes_events, info.determinism) == ("chronos-2", True, "bitwise")
    assert info.max_context == CONTEXT + REACH
    assert "on cpu" in info.description


@pytest.fixture
def folder(tiny_chronos2: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(tiny_chronos2, tmp_path / "weights"))


def test_weights_of_another_model_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["ChronosBoltModelForForecasting"]}))

    with pytest.raises(WeightsError, match=r"holds no Chronos-2: its config\.json does not name Chronos2Model"):
        Chronos2Forecaster.load(folder)


def test_weights_that_lack_a_tensor_are_refused_and_not_filled_up_at_random(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(WeightsError, match=r"1 tensors of the model .* the first is encoder\.final_layer_norm\.weight"):
        Chronos2Forecaster.load(folder)


def test_a_file_that_was_cut_off_is_refused_in_one_sentence(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(WeightsError, match="cannot be loaded as Chronos-2") as raised:
        Chronos2Forecaster.load(folder)
    assert "\n" not in str(raised.value)


def test_weights_for_other_levels_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    levels = config["chronos_config"]["quantiles"]
    config["chronos_config"]["quantiles"] = [0.12 if level == 0.1 else level for level in levels]
    (folder / "config.json").write_text(json.dumps(config))

    with pytest.raises(WeightsError, match=r"not trained for the levels \[0\.1\]"):
        Chronos2Forecaster.load(folder)


# -- a GPU without room ------------------------------------------------------------------------------


class CrowdedGpu:
    """A GPU as far as a model can tell: it may be moved there and back, and room is what a test says."""

    full: Exception = torch.OutOfMemoryError("CUDA out of memory")

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, room: bool, room_for: int = 10**9) -> None:
        self.room, self.room_for, self.holds = room, room_for, False
        from chronos import Chronos2Model

        monkeypatch.setattr(Chronos2Model, "to", self._to)

    def _to(self, device: str) -> None:
        if device == "cuda" and not self.room:
            raise self.full
        self.holds = device == "cuda"

    def compute(self, *_: Any) -> None:
        if self.holds:
            self.room_for -= 1
            if self.room_for < 0:
                raise self.full


def test_a_gpu_that_is_full_at_the_start_leaves_the_model_on_the_cpu_under_its_own_label(
    model: Chronos2Forecaster, tiny_chronos2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = CrowdedGpu(monkeypatch, room=False)

    crowded = Chronos2Forecaster.load(tiny_chronos2, device="cuda")

    assert crowded.info.version == f"{model.info.version}+cpu"
    assert "on cpu because cuda had no room" in crowded.info.description
    (made,) = ask(crowded, [series_of()])
    assert isinstance(made, Forecast)
    assert (made.model_name, made.model_version) == ("chronos-2", f"{model.info.version}+cpu")
    assert made.fan.tobytes() == fan_of(model, series_of()).tobytes()

    gpu.room = True
    (made,) = ask(crowded, [series_of()])
    assert isinstance(made, Forecast)
    assert made.model_version == crowded.info.version == model.info.version


def test_a_gpu_that_runs_full_between_two_series_costs_no_forecast_and_each_row_tells(
    tiny_chronos2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = CrowdedGpu(monkeypatch, room=True, room_for=1)
    model = Chronos2Forecaster.load(tiny_chronos2, device="cuda")
    model._pipeline.model.register_forward_pre_hook(gpu.compute)
    series = [series_of(symbol) for symbol in ("A", "B", "C")]
    ran_out: list[None] = []

    request = PredictRequest("chronos-2", "1h", H, 0, 0, series)
    made = [one for _, one in answers(model, request, cancel=lambda: False, on_oom=lambda: ran_out.append(None))]

    version = hashlib.sha256((tiny_chronos2 / "model.safetensors").read_bytes()).hexdigest()
    assert [one.model_version for one in made if isinstance(one, Forecast)] == [
        version, f"{version}+cpu", f"{version}+cpu"
    ]  # fmt: skip
    assert not ran_out
    assert model.info.determinism == "tolerance"  # the next request may be answered by the other device


def test_a_device_that_fails_in_another_way_is_not_left_in_silence(
    tiny_chronos2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu = CrowdedGpu(monkeypatch, room=True, room_for=0)
    gpu.full = RuntimeError("CUDA error: an illegal memory access was encountered")
    model = Chronos2Forecaster.load(tiny_chronos2, device="cuda")
    model._pipeline.model.register_forward_pre_hook(gpu.compute)

    with pytest.raises(RuntimeError, match="illegal memory access"):
        ask(model, [series_of()])
    assert gpu.holds
