"""What all rivals promise alike; order, chunks and broken series are tried in test_forecaster_conformance.py."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from candlecast.forecasts import Refusal
from candlecast.settings import BASELINES
from jobs.baselines import baseline
from tests.baseline_series import issue, series, walk

RIVALS = [name for name in BASELINES if name != "rw"]


def test_every_setting_names_a_baseline_with_a_version_of_its_own() -> None:
    infos = [baseline(name).info for name in BASELINES]

    assert [info.name for info in infos] == [f"baseline-{name}" for name in BASELINES]
    assert len({info.version for info in infos}) == len(BASELINES)
    assert all(len(info.version) == 64 and info.determinism == "bitwise" for info in infos)


@pytest.mark.parametrize("name", RIVALS)
class TestEach:
    def test_the_memory_layout_of_the_bars_does_not_matter(self, name: str) -> None:
        one = series(walk(1))
        other = replace(one, ohlcv=np.asfortranarray(one.ohlcv))

        assert issue(baseline(name), other).fan.tobytes() == issue(baseline(name), one).fan.tobytes()

    def test_a_path_is_the_same_however_many_are_asked_for_and_another_with_another_seed(self, name: str) -> None:
        one = series(walk(1))
        few, many, other = (issue(baseline(name), one, n, seed) for n, seed in ((10, 0), (100, 0), (10, 1)))

        assert few.paths is not None
        assert many.paths is not None
        assert other.paths is not None
        assert few.paths.dtype == np.float32
        assert few.paths.tobytes() == many.paths[:10].tobytes()
        assert few.paths.tobytes() != other.paths.tobytes()
        assert few.fan.tobytes() == many.fan.tobytes()

    def test_no_paths_are_made_when_none_are_asked_for(self, name: str) -> None:
        assert issue(baseline(name), series(walk(1))).paths is None

    def test_prices_below_zero_are_forecast_in_differences(self, name: str) -> None:
        closes = np.cumsum(np.random.default_rng(9).standard_normal(392)) - 5.0

        made = issue(baseline(name), series(closes), n_paths=10)

        assert closes.min() < 0
        assert (np.diff(made.fan, axis=1) >= 0).all()
        assert np.ptp(made.fan[0]) < 100  # differences, not powers

    def test_a_price_that_never_moved_is_refused(self, name: str) -> None:
        (made,) = baseline(name).forecast([series(np.full(392, 3.5))], horizon=24, n_paths=0)

        assert isinstance(made, Refusal)
        assert made.code == "no_movement"

    def test_a_price_that_stood_still_for_weeks_and_woke_up_is_answered_or_refused_in_a_sentence(
        self, name: str
    ) -> None:
        woken = np.concatenate([np.full(200, 3.5), 3.5 * walk(1, 192) / 100])

        (made,) = baseline(name).forecast([series(woken)], horizon=24, n_paths=10)

        assert not isinstance(made, Refusal) or made.message.startswith("BTCUSDT: ")


def test_the_baseline_alone_does_not_load_the_packages_of_its_rivals() -> None:
    code = (
        "import sys, jobs.predict, jobs.replay; jobs.predict.baseline('rw');"
        "print([name for name in ('arch', 'lightgbm', 'statsmodels') if name in sys.modules])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "[]"
