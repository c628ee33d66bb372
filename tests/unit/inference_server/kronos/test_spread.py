import json
from pathlib import Path

import numpy as np
import pytest

from inference_server.kronos.anchoring import anchored
from inference_server.kronos.errors import WeightsError
from inference_server.kronos.spread import Spread, asset_class_of, spread_out
from inference_server.kronos.usage import Usage

STORED = {"steps": [1, 4], "factors": {"1h": {"crypto": [2.0, 0.5], "any": [1.0, 1.5]}}}


def _walks(n_paths: int = 50, horizon: int = 6) -> np.ndarray:
    rng = np.random.default_rng(5)
    return 100 * np.exp(np.cumsum(0.02 * rng.standard_normal((n_paths, horizon)), axis=1))


def test_factors_are_linear_in_the_logarithm_of_the_step_and_level_behind_the_last() -> None:
    along = Spread.of(STORED).along("1h", "crypto", 8)
    # ln 2 at step 1, ln 0.5 at step 4; step 2 is half-way in log step, so its factor is √(2 · 0.5) = 1
    np.testing.assert_allclose(along[[0, 1, 3, 7]], [2.0, 1.0, 0.5, 0.5], rtol=1e-12)


def test_an_unknown_class_gets_the_factors_of_all_and_an_unknown_interval_none() -> None:
    spread = Spread.of(STORED)
    assert spread.along("1h", "any", 1) == 1.0
    assert spread.along("1h", "equity", 4)[3] == pytest.approx(1.5)
    np.testing.assert_array_equal(spread.along("1d", "crypto", 3), np.ones(3))


def test_symbols_have_the_class_of_the_instruments_file() -> None:
    assert [asset_class_of(each) for each in ("BTCUSDT", "AAPL", "EURUSD", "NOBODY")] == [
        "crypto",
        "equity",
        "forex_commodity",
        "any",
    ]


def test_spreading_multiplies_log_distances_from_the_median_and_keeps_ranks() -> None:
    walks, factors = _walks(), np.array([0.5, 1.0, 1.5, 2.0, 0.1, 3.0])
    wide = spread_out(walks, factors)
    middle = np.median(np.log(walks), axis=0)
    np.testing.assert_allclose(np.log(wide) - middle, factors * (np.log(walks) - middle), atol=1e-12)
    np.testing.assert_array_equal(np.argsort(wide, axis=0), np.argsort(walks, axis=0))


def test_prices_below_zero_are_spread_by_differences() -> None:
    walks = _walks() - 100.0
    wide = spread_out(walks, np.full(6, 2.0))
    np.testing.assert_allclose(np.median(wide, axis=0), np.median(walks, axis=0), atol=1e-9)
    np.testing.assert_allclose(wide.std(axis=0), 2.0 * walks.std(axis=0), rtol=1e-9)


def test_anchoring_in_logarithms_keeps_the_drawn_returns() -> None:
    paths = np.full((1, 2, 6), 8.0)
    paths[0, 1, :4] = 10.0
    moved = anchored(paths, np.array([4.0, 4.0, 4.0, 4.0, 9.0, 9.0]), np.array([5.0, 5.0, 5.0, 5.0, 1.0, 1.0]), "log")
    # 8 / 4 and 10 / 4 from the last bar on; volume and amount are left alone
    np.testing.assert_allclose(moved[0, :, :4], [[10.0] * 4, [12.5] * 4])
    np.testing.assert_array_equal(moved[0, :, 4:], paths[0, :, 4:])


def test_anchoring_in_logarithms_falls_back_to_differences_below_zero() -> None:
    paths = np.full((1, 1, 6), -30.0)
    moved = anchored(paths, np.full(6, -32.0), np.full(6, -37.0), "log")
    np.testing.assert_array_equal(moved[0, 0, :4], [-35.0] * 4)


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"steps": [4, 1], "factors": {}},
        {"steps": [1], "factors": {"1h": {"any": [0.0]}}},
        {"steps": [1, 4], "factors": {"1h": {"any": [1.0]}}},
        {"steps": [1], "factors": [1.0]},
        {"steps": [1], "factors": {"1h": {"any": [float("nan")]}}},
    ],
)
def test_a_spread_that_cannot_be_meant_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises(WeightsError, match="spread of a checkpoint"):
        Spread.of(stored)


def test_usage_is_read_as_it_was_written_and_absent_in_published_weights(tmp_path: Path) -> None:
    assert Usage.read(tmp_path) == Usage()
    usage = Usage(384, "log", Spread.of(STORED))
    usage.write(tmp_path)
    assert Usage.read(tmp_path) == usage


@pytest.mark.parametrize("change", [{"space": "sideways"}, {"max_context": "many"}, {"spread": None}])
def test_a_usage_file_that_cannot_be_understood_is_named(tmp_path: Path, change: dict[str, object]) -> None:
    Usage(384, "log", Spread.of(STORED)).write(tmp_path)
    file = tmp_path / "usage.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(WeightsError, match=r"usage\.json"):
        Usage.read(tmp_path)
