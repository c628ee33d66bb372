"""Micro-batches: what shares a rollout, how a shortage of memory is met, and that no number notices."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from candlecast.forecasts import Forecast, Refusal, Result, Series
from candlecast.wire import PredictRequest
from inference_server import runner
from inference_server.kronos import Kronos, KronosTokenizer, batches
from inference_server.kronos.batches import QUIET_CALLS, Batch, MicroBatches
from inference_server.kronos.forecaster import KronosForecaster
from inference_server.kronos.paths import Paths
from inference_server.kronos.products import Linear
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from tests.unit.inference_server.kronos.random_models import random_predictor, random_series, random_tokenizer
from tests.unit.inference_server.kronos.walks import walk

HORIZON, N_PATHS = 6, 9
Models = tuple[KronosTokenizer, Kronos]


@pytest.fixture
def forecaster(models: Models) -> KronosForecaster:
    return KronosForecaster(*models, name="kronos-tiny", version="0" * 64, max_context=60)


@pytest.fixture
def plans(models: Models) -> MicroBatches:
    return MicroBatches(models[0].config, models[1].config, models[1].folded)


def asked() -> list[Series]:
    """Two lookbacks in turn, one series that is refused."""
    return [walk(symbol, n, HORIZON) for symbol, n in zip("ABCDEFG", (40, 30, 40, 1, 40, 30, 40), strict=True)]


def request(series: list[Series]) -> PredictRequest:
    return PredictRequest("kronos-tiny", "1h", HORIZON, N_PATHS, 0, series)


def answers(forecaster: KronosForecaster, series: list[Series]) -> list[Result]:
    """Through the server's runner, in the order of the request."""
    shortages = []
    found = dict(runner.answers(forecaster, request(series), cancel=lambda: False, on_oom=lambda: shortages.append(1)))
    answers.shortages = len(shortages)  # type: ignore[attr-defined]
    return [found[index] for index in range(len(series))]  # type: ignore[misc]


def assert_same(some: list[Result], others: list[Result]) -> None:
    assert len(some) == len(others) > 0
    for one, other in zip(some, others, strict=True):
        assert type(one) is type(other)
        assert one.symbol == other.symbol
        if isinstance(one, Forecast):
            assert isinstance(other, Forecast)
            assert np.array_equal(one.fan, other.fan)
            assert one.paths is not None
            assert np.array_equal(one.paths, other.paths)


@pytest.mark.parametrize("n_series", [1, 2, 3, 5])
@pytest.mark.parametrize("paths_at_once", [4, 5, 11])
def test_bars_and_ids_are_equal_bit_for_bit_in_any_micro_batch(
    models: Models, n_series: int, paths_at_once: int
) -> None:
    series = random_series([20] * 5, HORIZON)
    options = {"horizon": HORIZON, "n_paths": 11, "max_context": 26, "sampling": Sampling(top_p=0.9)}
    together = simulate(*models, *series, **options, seed=[7, 8, 9, 10, 11])

    for first in range(0, 5, n_series):
        some = [each[first : first + n_series] for each in series]
        seeds = [7 + first + i for i in range(len(some[0]))]
        part = simulate(*models, *some, **options, seed=seeds, paths_at_once=paths_at_once)
        for found, wanted in zip((part.paths, part.s1, part.s2, part.last), vars_of(together), strict=True):
            assert torch.equal(found, wanted[first : first + n_series])


def vars_of(drawn: object) -> list[torch.Tensor]:
    return [getattr(drawn, name) for name in ("paths", "s1", "s2", "last")]


@pytest.mark.slow
def test_bars_of_the_smallest_published_shape_are_equal_bit_for_bit_too() -> None:
    model = random_predictor(n_layers=4, d_model=256, n_heads=4, ff_dim=512, s1_bits=10, s2_bits=10)
    models = random_tokenizer(d_model=256, n_heads=4, ff_dim=512, s1_bits=10, s2_bits=10, group_size=5), model
    series = random_series([100] * 4, 8)
    options = {"horizon": 8, "n_paths": 9, "max_context": 108, "sampling": Sampling(top_p=0.9)}
    together = simulate(*models, *series, **options, seed=[1, 2, 3, 4])

    for index in range(4):
        some = [each[index : index + 1] for each in series]
        alone = simulate(*models, *some, **options, seed=[1 + index], paths_at_once=4)
        for found, wanted in zip(vars_of(alone), vars_of(together), strict=True):
            assert torch.equal(found[0], wanted[index])


def test_series_of_one_lookback_share_a_rollout(forecaster: KronosForecaster, plans: MicroBatches) -> None:
    lookbacks = [(0, 40), (1, 30), (2, 40), (4, 40), (5, 30), (6, 40)]

    assert plans.plan(lookbacks, HORIZON, N_PATHS) == [Batch((0, 2, 4, 6), N_PATHS), Batch((1, 5), N_PATHS)]
    # A core gains nothing from more than 96 rows, and two cores take half each.
    assert [len(batch.members) for batch in plans.plan([(i, 40) for i in range(9)], HORIZON, 32)] == [3, 3, 3]
    torch.set_num_threads(2)
    assert [len(batch.members) for batch in plans.plan([(i, 40) for i in range(9)], HORIZON, 1)] == [4, 5]

    together = list(forecaster.forecast(asked(), horizon=HORIZON, n_paths=N_PATHS))
    alone = [next(iter(forecaster.forecast([one], horizon=HORIZON, n_paths=N_PATHS))) for one in asked()]
    assert_same(together, alone)
    assert [type(result) for result in together] == [Forecast] * 3 + [Refusal] + [Forecast] * 3


def test_series_stay_alone_where_products_notice_their_rows(
    models: Models, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Linear, "rows_are_alone", lambda layer: False)

    plans = MicroBatches(models[0].config, models[1].config, models[1].folded)

    assert [batch.members for batch in plans.plan([(0, 40), (1, 40)], HORIZON, 1)] == [(0,), (1,)]
    assert "one at a time" in caplog.text


def test_halving_takes_series_first_then_paths_and_ends(plans: MicroBatches) -> None:
    lookbacks = [(i, 40) for i in range(5)]
    sizes = []

    for _ in range(20):
        last = plans.plan(lookbacks, HORIZON, 18)[-1]
        sizes.append((len(last.members), last.paths))
        if not plans.halve():
            break

    # Eighteen paths in pieces of at least four: not five pieces, but four.
    assert sizes == [(5, 18), (2, 18), (1, 18), (1, 9), (1, 5)]
    assert not plans.halve()


def test_fewer_paths_than_keep_the_order_of_summation_are_never_taken(plans: MicroBatches) -> None:
    # The cross layer's heads are four wide: a path and n keys are 4 n multiplications, and 400 are needed.
    for lookback, least in ((40, 4), (25, 4), (13, 8), (2, 50)):
        sizes = set()
        for _ in range(20):
            (batch,) = plans.plan([(0, lookback)], HORIZON, 101)
            pieces = -(-101 // batch.paths)
            sizes.add(101 // pieces)
            if not plans.halve():
                break
        assert min(sizes) == least
        plans._most = None


def test_sizes_come_back_when_memory_has_sufficed_for_a_while(plans: MicroBatches) -> None:
    lookbacks = [(0, 40), (1, 40)]
    plans.plan(lookbacks, HORIZON, N_PATHS)
    assert plans.halve()

    for _ in range(QUIET_CALLS):
        assert len(plans.plan(lookbacks, HORIZON, N_PATHS)) == 2
        plans.went_well()

    assert len(plans.plan(lookbacks, HORIZON, N_PATHS)) == 1


def test_the_free_memory_sets_the_size(plans: MicroBatches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "free_bytes", lambda device: 0)

    planned = plans.plan([(0, 40), (1, 40)], HORIZON, 12)

    assert planned == [Batch((0,), 4), Batch((1,), 4)]


class Shortage:
    """Memory for so many rows: appending a bar to more paths than that is an error, as torch raises it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: type[Exception], most_rows: int) -> None:
        self.largest, extend = 0, Paths.extend

        def scarce(paths: Paths, s1: torch.Tensor, *rest: torch.Tensor) -> None:
            if s1.shape[0] * s1.shape[1] > most_rows:
                raise error("CUDA out of memory. Tried to allocate 2.00 GiB")
            self.largest = max(self.largest, s1.shape[0] * s1.shape[1])
            extend(paths, s1, *rest)

        monkeypatch.setattr(Paths, "extend", scarce)


@pytest.fixture(params=[torch.OutOfMemoryError, MemoryError])
def error(request: pytest.FixtureRequest) -> Iterator[type[Exception]]:
    return request.param


@pytest.mark.parametrize("most_rows", [30, 18, 9, 5])
@pytest.mark.parametrize("threads", [1, 2])
def test_running_out_of_memory_inside_the_rollout_changes_no_number(
    forecaster: KronosForecaster,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    most_rows: int,
    threads: int,
) -> None:
    torch.set_num_threads(threads)
    undisturbed = answers(forecaster, asked())
    assert answers.shortages == 0  # type: ignore[attr-defined]
    shortage = Shortage(monkeypatch, error, most_rows)

    disturbed = answers(forecaster, asked())

    assert_same(disturbed, undisturbed)
    assert shortage.largest <= most_rows
    if most_rows < 18:
        assert answers.shortages > 0  # type: ignore[attr-defined]


def test_what_does_not_fit_even_alone_is_refused_and_the_rest_is_forecast(
    forecaster: KronosForecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = answers(forecaster, asked())
    extend = Paths.extend

    def scarce(paths: Paths, *arguments: torch.Tensor) -> None:
        if paths._prefix.lengths[0] == 40:
            raise torch.OutOfMemoryError("out of memory")
        extend(paths, *arguments)

    monkeypatch.setattr(Paths, "extend", scarce)

    found = answers(forecaster, asked())

    codes = [getattr(result, "code", "forecast") for result in found]
    short = "out_of_memory"
    assert codes == [short, "forecast", short, "too_short", short, "forecast", short]
    assert_same([found[1], found[5]], [wanted[1], wanted[5]])
