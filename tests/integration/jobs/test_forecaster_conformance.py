"""One promise for every way to a forecast: the same series give the same numbers, in any order and any chunks.

Bit for bit, on a CPU: in this process, over HTTP from a server in a process of its own, on the actors of a local Ray;
with the baseline, and with Kronos where its golden weights are. The baseline's rivals run in the jobs alone.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pytest

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecast, Forecaster, Refusal, Result, Series
from candlecast.settings import BASELINES
from jobs.baselines import PREFIX, YARDSTICK, baseline
from jobs.forecasters import HttpForecaster, InferenceUnavailable, InProcess, RayForecaster
from jobs.servers import started
from tests.forecaster_factories import KRONOS, KRONOS_NAME, TINY, Sickly, broken, kronos

HORIZON, N_PATHS, BASE_SEED = 4, 12, 7
RAY = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (candlecast[ray])")
HAS_KRONOS = TINY.is_dir()

RIVALS = tuple(f"{PREFIX}{name}" for name in BASELINES if name != YARDSTICK)
FACTORIES: dict[str, Callable[[], Forecaster]] = {
    "baseline-rw": RandomWalk,
    KRONOS_NAME: kronos,
    **{name: partial(baseline, name.removeprefix(PREFIX)) for name in RIVALS},
}
WAYS = {"direct": (), "in_process": (), "http": (), "ray": (RAY, pytest.mark.slow)}
NEEDS = {KRONOS_NAME: (pytest.mark.skipif(not HAS_KRONOS, reason="no golden weights of ../shared here"),)}
CASES = [
    *(
        pytest.param(model, way, marks=(*NEEDS.get(model, ()), *marks))
        for model in ("baseline-rw", KRONOS_NAME)
        for way, marks in WAYS.items()
    ),
    *((model, way) for model in RIVALS for way in ("direct", "in_process")),
]

pytestmark = pytest.mark.xdist_group("forecasters")  # one server and one Ray for all


def series_of(symbol: str, n_bars: int) -> Series:
    rng = np.random.default_rng(list(symbol.encode()))
    closes = 100 * np.exp(np.cumsum(rng.standard_t(5, n_bars)) * 0.01)
    bars = np.column_stack([closes, closes * 1.01, closes * 0.99, closes, rng.uniform(1, 9, n_bars), closes])
    hours = np.datetime64("2025-01-01T00:00:00") + np.arange(n_bars + HORIZON) * np.timedelta64(3600, "s")
    return Series(symbol, "1h", datetime(2025, 1, 5, tzinfo=UTC), bars, hours[:n_bars], hours[n_bars:])


def some(model: str) -> list[Series]:
    lengths = {"baseline-rw": range(64, 84, 2), KRONOS_NAME: range(30, 44, 2)}.get(model, range(200, 214, 2))
    return [series_of(f"S{k}", n_bars) for k, n_bars in enumerate(lengths)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    arguments = list(KRONOS) if HAS_KRONOS else []
    with started("inference server", "inference_server", arguments, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A local Ray for the whole module: a start takes seconds."""
    import ray

    with RayForecaster(RandomWalk, 1):
        yield ray


@pytest.fixture(scope="module")
def make(request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], Forecaster]]:
    """The forecaster of a model by a way, made once."""
    made: dict[tuple[str, str], Any] = {}
    with contextlib.ExitStack() as stack:

        def one(model: str, way: str) -> Forecaster:
            if (model, way) not in made:
                match way:
                    case "direct":
                        made[model, way] = FACTORIES[model]()
                    case "in_process":
                        made[model, way] = InProcess(one(model, "direct"))
                    case "http":
                        url = request.getfixturevalue("server")
                        made[model, way] = stack.enter_context(HttpForecaster(url, model))
                    case "ray":
                        request.getfixturevalue("ray")
                        made[model, way] = stack.enter_context(RayForecaster(FACTORIES[model], 2, per_task=2))
            return made[model, way]  # type: ignore[no-any-return]

        yield one


def ask(one: Forecaster, series: Sequence[Series], **options: Any) -> list[Result]:
    return list(one.forecast(series, horizon=HORIZON, n_paths=N_PATHS, base_seed=BASE_SEED, **options))


def bits(result: Result) -> tuple[Any, ...]:
    """A result as something that is equal only to itself, bit for bit."""
    if isinstance(result, Refusal):
        return (result,)
    assert result.paths is not None
    named = (result.symbol, result.interval, result.issued_at, result.model_name, result.model_version, result.seed)
    return (*named, result.fan.tobytes(), result.paths.tobytes())


@pytest.mark.parametrize(("model", "way"), CASES)
class TestPromise:
    def test_it_is_the_same_model(self, make: Any, model: str, way: str) -> None:
        assert make(model, way).info == make(model, "direct").info

    def test_numbers_do_not_depend_on_the_way_the_order_or_the_chunks(self, make: Any, model: str, way: str) -> None:
        one, series = make(model, way), some(model)
        wanted = {result.symbol: bits(result) for result in ask(make(model, "direct"), series)}
        assert len(wanted) == len(series)

        together = ask(one, series)
        backwards = ask(one, series[::-1])
        in_pieces = [result for piece in (series[:1], series[1:4], series[4:]) for result in ask(one, piece)]

        assert [result.symbol for result in together] == [each.symbol for each in series]
        assert [result.symbol for result in backwards] == [each.symbol for each in series[::-1]]
        for result in (*together, *backwards, *in_pieces):
            assert isinstance(result, Forecast)
            assert bits(result) == wanted[result.symbol]

    def test_a_broken_series_is_one_refusal_in_its_place(self, make: Any, model: str, way: str) -> None:
        series = some(model)
        wanted = [bits(result) for result in ask(make(model, "direct"), series)]
        bad = series_of("BAD", 70)
        bad.ohlcv[3, 2] = np.nan
        backwards = series_of("BACK", 70)
        backwards.opened_at[5] = backwards.opened_at[4]

        made = ask(make(model, way), [*series[:2], bad, series[2], backwards, *series[3:]])

        refused = [made.pop(4), made.pop(2)]
        assert [bits(result) for result in made] == wanted
        assert [(one.symbol, one.code) for one in refused if isinstance(one, Refusal)] == [
            ("BACK", "times_not_rising"),
            ("BAD", "not_finite"),
        ]

    def test_cancel_stops(self, make: Any, model: str, way: str) -> None:
        one, series = make(model, way), some(model)
        wanted = [bits(result) for result in ask(one, series)]
        made: list[Result] = []

        assert ask(one, series, cancel=lambda: True) == []
        for result in one.forecast(
            series, horizon=HORIZON, n_paths=N_PATHS, base_seed=BASE_SEED, cancel=lambda: len(made) >= 2
        ):
            made.append(result)  # noqa: PERF402 (`cancel` reads its length meanwhile)

        assert 2 <= len(made) < len(series)
        assert [bits(result) for result in made] == wanted[: len(made)]

    def test_nothing_asked_is_nothing_answered(self, make: Any, model: str, way: str) -> None:
        assert ask(make(model, way), []) == []


def poisoned() -> tuple[list[Series], list[Series]]:
    good = some("baseline-rw")
    return good, [*good[:3], series_of("POISON", 70), *good[3:]]


@pytest.mark.parametrize("way", ["in_process", pytest.param("ray", marks=[RAY, pytest.mark.slow])])
def test_a_series_that_the_model_dies_of_is_refused_and_its_neighbours_are_not(
    request: pytest.FixtureRequest, way: str
) -> None:
    good, asked = poisoned()
    wanted = [bits(result) for result in ask(RandomWalk(), good)]
    with contextlib.ExitStack() as stack:
        one: Forecaster = InProcess(Sickly())
        if way == "ray":
            request.getfixturevalue("ray")
            one = stack.enter_context(RayForecaster(Sickly, 1, per_task=4))
        made = ask(one, asked)

    refused = made.pop(3)
    assert isinstance(refused, Refusal)
    assert (refused.symbol, refused.code) == ("POISON", "model_error")
    assert "a layer of this model cannot bear it" in refused.message
    assert [bits(result) for result in made] == wanted


@RAY
@pytest.mark.slow
def test_an_actor_killed_on_the_way_changes_no_number(ray: Any) -> None:
    series = some("baseline-rw") * 2
    wanted = [bits(result) for result in ask(RandomWalk(), series)]
    made: list[Result] = []

    with RayForecaster(Sickly, 2, per_task=1) as one:
        for result in one.forecast(series, horizon=HORIZON, n_paths=N_PATHS, base_seed=BASE_SEED):
            made.append(result)
            if len(made) in (2, 5):
                ray.kill(one.actors[len(made) % 2], no_restart=False)

    assert [bits(result) for result in made] == wanted


@RAY
@pytest.mark.slow
def test_a_factory_that_fails_is_an_error_in_its_own_words(ray: Any) -> None:
    with (
        RayForecaster(broken, 1) as one,
        pytest.raises(InferenceUnavailable, match="these weights are from another world"),
    ):
        ask(one, some("baseline-rw"))
