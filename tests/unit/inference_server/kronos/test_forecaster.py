"""Kronos behind the forecast protocol, on small random weights: what a caller may rely on."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from candlecast.forecasts import LEVELS, Forecast, Refusal, Series, forecast_fault
from inference_server.kronos import KronosTokenizer
from inference_server.kronos.anchoring import anchored, coherent
from inference_server.kronos.errors import WeightsError
from inference_server.kronos.forecaster import KronosForecaster, Mode
from tests.unit.inference_server.kronos.random_models import random_predictor, random_tokenizer

ISSUED = datetime(2025, 3, 3, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    random_tokenizer().save_pretrained(folder / "tokenizer")
    random_predictor().save_pretrained(folder / "model")
    return folder


@pytest.fixture(scope="module")
def forecaster(folder: Path) -> KronosForecaster:
    return KronosForecaster.load(folder, name="kronos-tiny", max_context=40)


def series(symbol: str = "BTCUSDT", n: int = 30, horizon: int = 8, price: float = 100.0) -> Series:
    walk = np.random.default_rng(sum(symbol.encode()) + n)
    close = price * np.exp(np.cumsum(walk.normal(0, 0.01, n)))
    opening = np.roll(close, 1)
    high, low = np.maximum(opening, close) * 1.001, np.minimum(opening, close) * 0.999
    bars = np.stack([opening, high, low, close, walk.uniform(1, 9, n), np.zeros(n)], axis=-1)
    hours = np.datetime64("2025-03-03T12:00:00", "s") + np.arange(-n, horizon) * np.timedelta64(3600, "s")
    return Series(symbol, "1h", ISSUED, bars, hours[:n], hours[n:])


def ask(forecaster: KronosForecaster, asked: list[Series], n_paths: int = 5) -> list[Forecast | Refusal]:
    return list(forecaster.forecast(asked, horizon=8, n_paths=n_paths))


def one(forecaster: KronosForecaster, asked: Series, n_paths: int = 5) -> Forecast:
    (result,) = ask(forecaster, [asked], n_paths)
    assert isinstance(result, Forecast), result
    return result


def test_a_forecast_may_be_issued(forecaster: KronosForecaster) -> None:
    result = one(forecaster, series(), n_paths=40)

    assert forecast_fault(result, 8) is None
    assert result.paths is not None
    assert result.paths.shape == (40, 8)
    assert result.fan.shape == (8, len(LEVELS))
    assert (result.model_name, result.model_version) == ("kronos-tiny", forecaster.info.version)
    assert (np.diff(result.paths, axis=0) != 0).any()


def test_results_do_not_depend_on_the_batch_bit_for_bit(forecaster: KronosForecaster) -> None:
    asked = [series("BTCUSDT"), series("SPY", n=17), series("EURUSD", price=1.08), series("DOGEUSDT", n=90)]

    together = ask(forecaster, asked)
    turned = ask(forecaster, asked[::-1])[::-1]

    for index, each in enumerate(asked):
        alone = one(forecaster, each)
        for other in (together[index], turned[index]):
            assert isinstance(other, Forecast)
            assert np.array_equal(other.fan, alone.fan)
            assert other.paths is not None
            assert np.array_equal(other.paths, alone.paths)


def test_results_do_not_depend_on_the_number_of_cores_bit_for_bit(forecaster: KronosForecaster) -> None:
    asked = [series("BTCUSDT"), series("SPY", n=17), series("EURUSD", price=1.08)]
    one_core = ask(forecaster, asked)

    torch.set_num_threads(2)
    two_cores, single = ask(forecaster, asked), one(forecaster, asked[0])

    assert [result.symbol for result in two_cores] == ["BTCUSDT", "SPY", "EURUSD"]
    for each, other in zip(one_core, [single, *two_cores[1:]], strict=True):
        assert isinstance(each, Forecast)
        assert isinstance(other, Forecast)
        assert np.array_equal(each.fan, other.fan)


def test_a_caller_who_stops_reading_stops_the_work(forecaster: KronosForecaster) -> None:
    torch.set_num_threads(2)
    asked: list[int] = []

    def count() -> bool:
        asked.append(1)
        return False

    results = forecaster.forecast([series()] * 50, horizon=8, n_paths=2, cancel=count)
    next(results)
    results.close()
    after = len(asked)

    assert after < 60  # a micro-batch asks eleven times, and at most three of 50 series' were started
    assert len(asked) == after


def test_bars_that_do_not_fit_beside_the_horizon_are_not_seen(forecaster: KronosForecaster) -> None:
    long = series(n=60)
    recent = replace(long, ohlcv=long.ohlcv[-32:], opened_at=long.opened_at[-32:])  # context 40, horizon 8

    assert np.array_equal(one(forecaster, long).fan, one(forecaster, recent).fan)


def test_a_bad_series_is_refused_and_the_others_are_forecast(forecaster: KronosForecaster) -> None:
    holed = series("HOLED")
    holed.ohlcv[4, 2] = np.nan
    short, constant = series("SHORT", n=1), series("FLAT")
    constant.ohlcv[:, :4] = 60000.1

    results = ask(forecaster, [holed, series(), short, constant])

    assert [getattr(result, "code", "forecast") for result in results] == [
        "not_finite",
        "forecast",
        "too_short",
        "forecast",
    ]
    assert isinstance(results[2], Refusal)
    assert results[2].message == "SHORT: 1 bars of lookback, 2 are needed for a scale"


def test_a_horizon_beyond_the_context_is_refused(forecaster: KronosForecaster) -> None:
    (result,) = forecaster.forecast([series(horizon=39)], horizon=39, n_paths=2)

    assert isinstance(result, Refusal)
    assert result.code == "horizon_too_long"


def test_prices_stay_positive_where_they_were(forecaster: KronosForecaster) -> None:
    crash = series()
    crash.ohlcv[:, :4] *= np.geomspace(1.0, 1e-4, len(crash.ohlcv))[:, None]

    result = one(forecaster, crash, n_paths=200)

    assert result.paths is not None
    assert result.paths.min() > 0


def test_cancelling_ends_the_answers_between_two_bars(forecaster: KronosForecaster) -> None:
    asked = 0

    def during_the_second() -> bool:
        nonlocal asked
        asked += 1
        return asked > 14  # a micro-batch asks once, before each of two blocks, then once per bar

    unequal = [series(n=n) for n in (30, 29, 28)]  # of one lookback each, so each in a micro-batch of its own
    results = list(forecaster.forecast(unequal, horizon=8, n_paths=2, cancel=during_the_second))

    assert len(results) == 1
    assert asked == 15


def test_the_version_names_both_weight_files(folder: Path, tmp_path: Path) -> None:
    version = KronosForecaster.load(folder, name="a").info.version
    random_tokenizer(seed=9).save_pretrained(tmp_path / "tokenizer")
    random_predictor().save_pretrained(tmp_path / "model")

    assert len(version) == 64
    assert version == KronosForecaster.load(folder, name="b").info.version
    assert version != KronosForecaster.load(tmp_path, name="a").info.version


def test_a_folder_without_both_parts_is_said_so(folder: Path) -> None:
    with pytest.raises(WeightsError, match="needs two folders, tokenizer/ and model/"):
        KronosForecaster.load(folder / "model")


def test_an_unknown_hub_id_is_said_so() -> None:
    with pytest.raises(WeightsError, match="neither a folder nor a published Kronos"):
        KronosForecaster.load("somebody/kronos")


def test_anchoring_moves_prices_by_the_decoders_error_and_leaves_volume() -> None:
    paths = np.array([[[10.0, 12.0, 9.0, 11.0, 5.0, 50.0]]])

    moved = anchored(paths, np.array([9.5, 9.5, 9.5, 9.5, 1.0, 1.0]), np.array([9.0, 10.0, 8.0, 9.0, 3.0, 3.0]))

    assert moved[0, 0].tolist() == [9.5, 12.5, 7.5, 10.5, 5.0, 50.0]


def test_coherent_bars_hold_their_open_and_close() -> None:
    lookback = np.full((2, 6), 10.0)
    paths = np.array([[[10.0, 9.0, 11.0, 12.0, -1.0, -2.0], [-3.0, 1.0, 2.0, 4.0, 1.0, 1.0]]])

    bars = coherent(paths, lookback)

    assert bars[0, 0].tolist() == [10.0, 12.0, 9.0, 12.0, 0.0, 0.0]
    assert bars[0, 1].tolist() == [0.1, 4.0, 0.1, 4.0, 1.0, 1.0]  # 1 % of the lowest price is the floor


def test_prices_that_were_negative_may_be_so_again() -> None:
    bars = coherent(np.array([[[-40.0, -37.0, -41.0, -38.0, 1.0, 1.0]]]), np.full((2, 6), -37.0))

    assert bars[0, 0, :4].tolist() == [-40.0, -37.0, -41.0, -38.0]


@pytest.mark.parametrize("mode", ["anchored", "raw"])
def test_only_anchored_paths_start_at_the_last_close(folder: Path, mode: Mode) -> None:
    jump = series(n=32)
    jump.ohlcv[-1, :4] *= 3.0  # ten deviations: cut at five, so the decoder cannot see it whole
    forecaster = KronosForecaster.load(folder, name="k", max_context=40, mode=mode)
    tokenizer = KronosTokenizer.from_pretrained(folder / "tokenizer")
    with_error = abs(jump.last_close - one(forecaster, jump, n_paths=50).p50[0])

    assert tokenizer.config.n_bits == 7
    assert (with_error < 0.5 * jump.last_close) == (mode == "anchored")
