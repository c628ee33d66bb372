"""The networks: what a forecast is made of ends at the issue, in the model's attention too, and stays in its row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from candlecast.forecasts import AMOUNT, CLOSE, VOLUME, Forecast, Forecaster  # noqa: E402
from inference_server.kronos.forecaster import KronosForecaster  # noqa: E402
from inference_server.kronos.sampling import PathStreams, Sampling  # noqa: E402
from inference_server.kronos.scaling import complete_bars, scale_bars  # noqa: E402
from tests.leaks.series import ask, assert_alone, assert_blind, assert_same_forecast, series  # noqa: E402

pytestmark = pytest.mark.xdist_group("leaks-models")  # one model for all

WEIGHTS = Path(__file__).resolve().parents[2] / "inference_server" / "weights" / "kronos-nano"
LOOKBACK, HORIZON = 48, 3


@pytest.fixture(scope="module")
def kronos() -> KronosForecaster:
    return KronosForecaster.load(WEIGHTS, name="kronos-nano")


@pytest.fixture(scope="module")
def chronos2(tiny_chronos2: Path) -> Forecaster:
    from inference_server.chronos2 import Chronos2Forecaster  # takes seconds

    return Chronos2Forecaster.load(tiny_chronos2)


def test_kronos_does_not_notice_its_neighbours(kronos: KronosForecaster) -> None:
    assert_alone(kronos, LOOKBACK, HORIZON)


@pytest.mark.parametrize("model", ["kronos", "chronos2"])
def test_a_model_remembers_no_other_origin(
    model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two names for one symbol, the same seed for both: a later origin that one was asked about first tells nothing."""
    forecaster = request.getfixturevalue(model)
    monkeypatch.setattr(f"{type(forecaster).__module__}.seed_for", lambda *of: 7)
    early, late = (series("BTCUSDT", end, LOOKBACK, HORIZON) for end in (900, 903))
    late = replace(late, ohlcv=late.ohlcv * np.linspace(1.0, 3.0, LOOKBACK)[:, None])
    (fresh,) = ask(forecaster, [replace(early, symbol="NEW-A")], HORIZON)
    after = ask(forecaster, [replace(late, symbol="NEW-B"), replace(early, symbol="NEW-B")], HORIZON)[1]

    assert isinstance(fresh, Forecast)
    assert_same_forecast(fresh, replace(after, symbol="NEW-A"), "after a later origin")


def test_kronos_reads_no_value_past_the_issue(kronos: KronosForecaster) -> None:
    assert_blind(kronos, LOOKBACK, HORIZON)


def test_chronos_2_does_not_notice_its_neighbours_nor_read_past_the_issue(chronos2: Forecaster) -> None:
    assert_alone(chronos2, LOOKBACK, HORIZON)
    assert_blind(chronos2, LOOKBACK, HORIZON)


def test_what_chronos_2_is_told_ahead_is_the_schedule_alone(tiny_chronos2: Path) -> None:
    from inference_server.chronos2 import Task, task_of

    one = series("BTCUSDT", 900, LOOKBACK, HORIZON)
    task = task_of(one, 512)
    assert isinstance(task, Task)
    known = {"is_fomc", "is_cpi", "is_nfp", "is_gdp", "is_pce", "is_earnings", "is_rate_decision", "session_elapsed"}
    known |= {"high_impact_ahead"} | {f"days_to_{name}_{wave}" for name in ("fomc", "cpi") for wave in ("sin", "cos")}
    assert set(task.ahead) == known
    assert {name: len(values) for name, values in task.past.items()} == dict.fromkeys(task.past, LOOKBACK)
    # The newest bar is the last of the target, the scale is that of the lookback.
    close = one.ohlcv[:, CLOSE]
    assert (task.mean, task.scale) == (pytest.approx(close.mean()), pytest.approx(close.std()))
    assert task.mean + task.scale * task.target == pytest.approx(close, rel=1e-5)
    high_low = one.ohlcv[:, 1] - one.ohlcv[:, 2]
    assert task.past["high_low_spread"] == pytest.approx((high_low - high_low.mean()) / high_low.std(), rel=1e-4)


def test_bars_are_scaled_by_the_lookback_alone() -> None:
    bars = complete_bars(series("BTCUSDT", 900, LOOKBACK, 1).ohlcv)
    for how in ("exact", "upstream"):
        scaled = scale_bars(bars, how)  # type: ignore[arg-type]
        assert scaled.mean == pytest.approx(bars.mean(axis=0), rel=1e-5)
        assert scaled.spread == pytest.approx(bars.std(axis=0), rel=1e-3)
        later = scaled.see(np.concatenate([bars, 3 * bars]))
        assert np.allclose(later[:LOOKBACK], scaled.x, atol=1e-4)


def test_volume_is_not_filled_from_elsewhere() -> None:
    bars = series("BTCUSDT", 900, LOOKBACK, 1).ohlcv.copy()
    bars[10:, VOLUME] = 0.0
    bars[:, AMOUNT] = 0.0
    filled = complete_bars(bars)

    assert np.array_equal(filled[:, :AMOUNT], bars[:, :AMOUNT])
    assert np.array_equal(filled[:, AMOUNT], bars[:, VOLUME] * bars[:, :4].mean(axis=1))


def test_a_position_of_the_networks_sees_none_after_it(kronos: KronosForecaster) -> None:
    """Truncation inside the model: ids and logits of a prefix are those of the whole."""
    tokenizer, model = kronos._tokenizer, kronos._model
    x = torch.from_numpy(scale_bars(complete_bars(series("BTCUSDT", 900, 60, 1).ohlcv)).x)[None]
    stamps = torch.zeros(1, 60, 5) + torch.tensor([0.0, 5.0, 3.0, 12.0, 6.0])
    other = x.clone()
    other[:, 40:] = torch.flip(other[:, 40:], dims=[1]) - 1.0
    with torch.no_grad():
        for each in (x, other):
            assert torch.equal(tokenizer.encode(each)[0][:, :40], tokenizer.encode(x)[0][:, :40])
            assert torch.allclose(tokenizer.encoded(each)[:, :40], tokenizer.encoded(x)[:, :40], atol=1e-6)
        s1, s2 = tokenizer.encode(x)
        t1, t2 = tokenizer.encode(other)
        assert not torch.equal(s1, t1)
        before, after = model.context(s1, s2, stamps), model.context(t1, t2, stamps)
        assert torch.allclose(before[:, :40], after[:, :40], atol=1e-5)
        # s2 of a bar is asked with its own s1: the form of the rollout looks at no later one.
        asked = [model.s2_logits(before, ids, "rollout") for ids in (s1, t1)]
        assert torch.allclose(asked[0][:, :40], asked[1][:, :40], atol=1e-5)


def test_a_path_is_drawn_from_its_own_seed() -> None:
    logits = torch.zeros(6, 50)
    together = PathStreams([5, 6], range(3), 2).draw(logits, Sampling())
    alone = PathStreams([6], range(3), 2).draw(logits[:3], Sampling())
    later = PathStreams([6], range(1, 3), 2).draw(logits[:2], Sampling())

    assert together[3:].tolist() == alone.tolist()
    assert alone[1:].tolist() == later.tolist()
    assert together[:3].tolist() != together[3:].tolist()


def test_a_forecast_of_a_longer_horizon_begins_as_the_shorter_one(kronos: KronosForecaster) -> None:
    """A path's first bars do not know how far it will be asked to go."""
    long, short = series("BTCUSDT", 900, LOOKBACK, 5), series("BTCUSDT", 900, LOOKBACK, 3)
    paths = [ask(kronos, [one], len(one.target_opened_at))[0].paths for one in (long, short)]  # type: ignore[union-attr]

    assert np.allclose(paths[0][:, :3], paths[1], rtol=1e-5)
