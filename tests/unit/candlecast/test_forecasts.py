import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from candlecast.forecasts import LEVELS, Forecast, Series, forecast_fault, seed_for, series_fault

ISSUED = datetime(2025, 3, 1, 9, tzinfo=UTC)


def series(n_bars: int = 5, horizon: int = 3) -> Series:
    hours = np.datetime64("2025-03-01T04:00:00") + np.arange(n_bars + horizon) * np.timedelta64(3600, "s")
    return Series("BTCUSDT", "1h", ISSUED, np.ones((n_bars, 6)), hours[:n_bars], hours[n_bars:])


def forecast(fan: np.ndarray) -> Forecast:
    return Forecast("BTCUSDT", "1h", ISSUED, "m", "v", 1, fan)


def test_the_seed_is_the_first_63_bits_of_the_hash_of_what_names_the_forecast() -> None:
    text = b"kronos-base|abc|BTCUSDT|1h|2025-03-01T09:00:00+00:00|5"

    assert (
        seed_for("kronos-base", "abc", "BTCUSDT", "1h", ISSUED, 5) == int(hashlib.sha256(text).hexdigest(), 16) >> 193
    )


def test_the_seed_knows_the_instant_and_not_the_time_zone_it_was_written_in() -> None:
    tokyo = ISSUED.astimezone(timezone(timedelta(hours=9)))

    assert seed_for("m", "v", "S", "1h", tokyo, 0) == seed_for("m", "v", "S", "1h", ISSUED, 0)


def test_every_part_of_the_name_changes_the_seed() -> None:
    parts = ("m", "v", "S", "1h", ISSUED, 0)
    others = ("n", "w", "T", "1d", ISSUED + timedelta(hours=1), 1)

    seeds = {seed_for(*parts)} | {seed_for(*parts[:i], others[i], *parts[i + 1 :]) for i in range(6)}

    assert len(seeds) == 7


def test_p10_p50_and_p90_are_the_columns_of_those_levels() -> None:
    fan = np.tile(np.array(LEVELS), (2, 1))

    made = forecast(fan)

    assert (made.p10.tolist(), made.p50.tolist(), made.p90.tolist()) == ([0.1, 0.1], [0.5, 0.5], [0.9, 0.9])


def test_a_sound_series_has_no_fault() -> None:
    assert series_fault(series(), 3) is None
    assert series_fault(replace(series(), events=np.zeros((8, 20), np.float32)), 3) is None


@pytest.mark.parametrize(
    ("broken", "code", "words"),
    [
        (replace(series(), ohlcv=np.ones((5, 5))), "bad_shape", r"shape \(5, 5\)"),
        (replace(series(), ohlcv=np.ones((0, 6))), "bad_shape", r"shape \(0, 6\)"),
        (replace(series(), ohlcv=np.vstack([np.ones((4, 6)), np.full((1, 6), np.nan)])), "not_finite", "bar 4 of 5"),
        (replace(series(), opened_at=series().opened_at[:4]), "bad_shape", "5 bars, but 4"),
        (replace(series(), target_opened_at=series().opened_at[:2]), "bad_shape", "2 target bars"),
        (replace(series(), target_opened_at=series().opened_at[:3]), "times_not_rising", "rise"),
        (replace(series(), events=np.zeros((5, 20), np.float32)), "bad_shape", "events"),
        (replace(series(), events=np.full((8, 20), np.inf, np.float32)), "not_finite", "event tensor"),
    ],
)
def test_a_broken_series_is_refused_with_its_symbol_and_the_numbers(broken: Series, code: str, words: str) -> None:
    fault = series_fault(broken, 3)

    assert fault is not None
    assert fault.code == code
    assert fault.message.startswith("BTCUSDT: ")
    assert re.search(words, fault.message)


def test_a_sound_fan_has_no_fault() -> None:
    assert forecast_fault(forecast(np.tile(np.array(LEVELS), (3, 1))), 3) is None


@pytest.mark.parametrize(
    ("fan", "words"),
    [
        (np.zeros((3, 10)), "shape (3, 10)"),
        (np.zeros((2, 11)), "shape (2, 11)"),
        (np.vstack([np.zeros((1, 11)), np.full((2, 11), np.nan)]), "not finite at step 2"),
        (np.vstack([np.zeros((2, 11)), -np.arange(11.0)[None]]), "falls along the levels at step 3"),
    ],
)
def test_a_fan_that_may_not_be_issued_says_why(fan: np.ndarray, words: str) -> None:
    fault = forecast_fault(forecast(fan), 3)

    assert fault is not None
    assert words in fault


def test_paths_of_another_horizon_or_not_finite_may_not_be_issued() -> None:
    sound = forecast(np.zeros((3, 11)))

    assert "(4, 2)" in (forecast_fault(replace(sound, paths=np.zeros((4, 2), np.float32)), 3) or "")
    assert "finite" in (forecast_fault(replace(sound, paths=np.full((4, 3), np.nan, np.float32)), 3) or "")
