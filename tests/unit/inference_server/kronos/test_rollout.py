"""Laws of a rollout, on small random weights: caching, padding, batching and threads change nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import upstream
from inference_server.kronos import Kronos, KronosTokenizer, rollout
from inference_server.kronos.errors import RolloutCancelled, RolloutError
from inference_server.kronos.folded import CHUNK_TOKENS
from inference_server.kronos.rollout import simulate
from inference_server.kronos.sampling import Sampling
from tests.unit.inference_server.kronos.random_models import random_predictor, random_series, random_tokenizer

Models = tuple[KronosTokenizer, Kronos]
GREEDY = {"temperature": 1.0, "top_k": 1, "top_p": 1.0}
FREE = {"temperature": 1.0, "top_k": 0, "top_p": 0.9}


@pytest.fixture(scope="module")
def uncached(models: Models, tmp_path_factory: pytest.TempPathFactory) -> tuple[upstream.Module, upstream.Module]:
    """The same weights as the uncached reference reads them, from the files that we write."""
    folder: Path = tmp_path_factory.mktemp("weights")
    for part, module in zip(("tokenizer", "model"), models, strict=True):
        module.save_pretrained(folder / part)
    return upstream.Module.load(folder / "tokenizer"), upstream.Module.load(folder / "model")


@pytest.mark.parametrize("options", [GREEDY, FREE, {"temperature": 1.3, "top_k": 3, "top_p": 1.0}])
@pytest.mark.parametrize(
    ("length", "horizon", "context"),
    [
        (20, 9, 29),  # fits
        (20, 9, 28),  # only the decoded window loses a bar
        (20, 9, 24),  # the window slides half-way
        (30, 9, 12),  # longer than the context from the start
        (30, 9, 9),  # the decoded window holds drawn bars alone
        (1, 5, 6),  # one bar of history
        (1, 1, 1),
        (3, 7, 7),
    ],
)
def test_a_cached_rollout_equals_the_uncached_algorithm(
    models: Models,
    uncached: tuple[upstream.Module, upstream.Module],
    options: dict,
    length: int,
    horizon: int,
    context: int,
) -> None:
    bars, past, coming = (torch.stack(each) for each in random_series([length] * 3, horizon))
    settings = {"horizon": horizon, "n_paths": 4, "max_context": context, **options}

    torch.manual_seed(8)
    ours = rollout(*models, bars, past, coming, **settings, seed=None)
    torch.manual_seed(8)
    reference = upstream.rollout(*uncached, bars, past, coming, **settings)

    assert ours.shape == (3, 4, horizon, 6)
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-4)


def test_work_done_in_chunks_equals_work_done_at_once(
    models: Models, uncached: tuple[upstream.Module, upstream.Module]
) -> None:
    length, n_paths = CHUNK_TOKENS // 3, 70
    assert n_paths * 40 > CHUNK_TOKENS
    bars, past, coming = (torch.stack(each) for each in random_series([length] * 5, 40))
    settings = {"horizon": 40, "n_paths": n_paths, "max_context": length + 40, **GREEDY}

    ours = rollout(*models, bars, past, coming, **settings, seed=1)
    one_path = {**settings, "n_paths": 1}
    reference = upstream.rollout(*uncached, bars, past, coming, **one_path)

    torch.testing.assert_close(ours, reference.expand_as(ours), rtol=0, atol=1e-4)


@pytest.mark.parametrize("context", [60, 33, 20, 10])
def test_unequal_lookbacks_in_one_batch_equal_one_by_one(models: Models, context: int) -> None:
    lengths = [40, 1, 25, 13, 25]
    bars, past, coming = random_series(lengths, 9)
    settings = {"horizon": 9, "n_paths": 3, "max_context": context, **FREE}

    together = rollout(*models, bars, past, coming, **settings, seed=[5, 6, 7, 8, 9])

    for index in range(len(lengths)):
        alone = rollout(*models, [bars[index]], [past[index]], [coming[index]], **settings, seed=[5 + index])
        torch.testing.assert_close(together[index], alone[0], rtol=0, atol=1e-5)


def test_a_path_depends_on_its_seed_and_number_alone(models: Models) -> None:
    bars, past, coming = (torch.stack(each) for each in random_series([20] * 4, 6))
    settings = {"horizon": 6, "max_context": 26, **FREE}

    batch = rollout(*models, bars, past, coming, **settings, n_paths=5, seed=[1, 2, 3, 4])
    turned = rollout(*models, bars.flip(0), past.flip(0), coming.flip(0), **settings, n_paths=2, seed=[4, 3, 2, 1])

    torch.testing.assert_close(turned.flip(0), batch[:, :2], rtol=0, atol=1e-5)


def test_one_integer_seeds_every_series_differently_and_repeats(models: Models) -> None:
    bars, past, coming = (each[0][None].repeat(3, 1, 1) for each in random_series([20], 6))
    settings = {"horizon": 6, "n_paths": 2, "max_context": 26, **FREE}

    first = rollout(*models, bars, past, coming, **settings, seed=3)

    assert torch.equal(first, rollout(*models, bars, past, coming, **settings, seed=3))
    assert not torch.equal(first, rollout(*models, bars, past, coming, **settings, seed=4))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0, 0], first[0, 1])


def test_two_lengths_from_two_threads_give_the_serial_results(models: Models) -> None:
    jobs = [(random_series([length], 7, seed=length), length + 7) for length in (1, 11, 18, 37, 90, 2, 64, 5)] * 3
    settings = {"horizon": 7, "n_paths": 2, **FREE}

    def run(job: tuple[tuple[list[Tensor], ...], int]) -> Tensor:
        series, context = job
        return rollout(*models, *series, **settings, max_context=context, seed=2)

    serial = [run(job) for job in jobs]
    with ThreadPoolExecutor(2) as pool:
        threaded = list(pool.map(run, jobs))

    for one, other in zip(serial, threaded, strict=True):
        assert torch.equal(one, other)


def test_series_dealt_to_two_cores_give_what_one_core_gives(models: Models) -> None:
    series = random_series([20, 3, 31, 8, 15], 6)
    settings = {"horizon": 6, "n_paths": 3, "max_context": 30, **FREE}
    alone = rollout(*models, *series, **settings, seed=7)

    torch.set_num_threads(2)
    dealt = rollout(*models, *series, **settings, seed=7)

    assert torch.get_num_threads() == 2
    torch.testing.assert_close(dealt, alone, rtol=0, atol=1e-5)


def test_training_mode_and_its_dropout_change_no_forecast(models: Models) -> None:
    tokenizer, model = random_tokenizer(), random_predictor()
    series = random_series([12], 5)
    settings = {"horizon": 5, "n_paths": 2, "max_context": 17, **FREE}
    expected = rollout(*models, *series, **settings, seed=2)

    tokenizer.train()
    model.train()

    assert torch.equal(rollout(tokenizer, model, *series, **settings, seed=2), expected)


def test_a_training_step_is_seen_by_the_next_rollout() -> None:
    tokenizer, model = random_tokenizer(), random_predictor()
    series = random_series([12], 5)
    settings = {"horizon": 5, "n_paths": 1, "max_context": 17, **FREE}
    before = rollout(tokenizer, model, *series, **settings, seed=2)

    with torch.no_grad():
        model.head.proj_s1.bias.add_(torch.arange(16.0))

    after = rollout(tokenizer, model, *series, **settings, seed=2)
    fresh = random_predictor()
    with torch.no_grad():
        fresh.head.proj_s1.bias.add_(torch.arange(16.0))
    assert not torch.equal(before, after)
    assert torch.equal(after, rollout(tokenizer, fresh, *series, **settings, seed=2))


def test_a_rollout_leaves_the_tables_fit_for_training() -> None:
    tokenizer, model = random_tokenizer(), random_predictor(n_heads=1)
    with torch.inference_mode():
        rollout(tokenizer, model, *random_series([12], 5), horizon=5, n_paths=1, max_context=17, **FREE, seed=2)
    ids = torch.zeros(1, 12, dtype=torch.int64)

    model(ids, ids % 8, s1_targets=ids).s2_logits.sum().backward()

    assert model.head.proj_s2.weight.grad is not None


def test_the_last_known_bar_as_the_decoder_sees_it_comes_along(models: Models) -> None:
    bars, past, coming = random_series([20, 7], 6)
    drawn = simulate(
        *models, bars, past, coming, horizon=6, n_paths=2, sampling=Sampling(top_k=1), max_context=26, seed=1
    )

    assert drawn.last is not None
    for index, known in enumerate(bars):
        decoded = models[0].decode(*models[0].encode(known[None]))[0, -1]
        torch.testing.assert_close(drawn.last[index], decoded, rtol=0, atol=1e-5)


def test_cancelling_ends_a_rollout_at_the_next_bar(models: Models) -> None:
    asked = 0

    def after_three() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    with pytest.raises(RolloutCancelled, match="bar 4 of 50"):
        rollout(*models, *random_series([5], 50), horizon=50, max_context=60, seed=1, cancel=after_three)
    assert asked == 6  # at every bar, and before each of the two blocks that read the lookback


def test_cancelling_ends_the_reading_of_the_lookbacks_between_two_blocks(models: Models) -> None:
    asked = 0

    def in_the_second_block() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    with pytest.raises(RolloutCancelled, match="while 3 lookbacks were read"):
        rollout(*models, *random_series([5] * 3, 9), horizon=9, max_context=60, seed=1, cancel=in_the_second_block)
    assert asked == 3


def _spoilt() -> Iterator[tuple[str, dict]]:
    bars, past, coming = random_series([10, 10], 4)
    good = {"x": bars, "x_stamp": past, "y_stamp": coming, "horizon": 4, "max_context": 20, "seed": 1}
    yield "horizon 4 exceeds max_context 3", {**good, "max_context": 3}
    yield "not finite", {**good, "x": [bars[0], bars[1].clone().fill_(float("nan"))]}
    yield r"x\[0\] has shape \(10, 5\)", {**good, "x": [bars[0][:, :5], bars[1]]}
    yield r"x_stamp\[1\] has shape \(9, 5\)", {**good, "x_stamp": [past[0], past[1][:9]]}
    yield r"y_stamp\[0\] has shape \(3, 5\)", {**good, "y_stamp": [each[:3] for each in coming]}
    yield r"\[2, 2, 1\] series", {**good, "y_stamp": coming[:1]}
    yield "month runs from 13 to 13", {**good, "y_stamp": [coming[0], torch.tensor([[0.0, 1, 2, 3, 13]] * 4)]}
    yield "each must be 1 or more", {**good, "n_paths": 0}
    yield "1 seeds for 2 series", {**good, "seed": [4]}
    yield "three axes", {**good, "x": bars[0]}


@pytest.mark.parametrize(("sentence", "arguments"), list(_spoilt()))
def test_what_cannot_work_is_said_before_any_work(models: Models, sentence: str, arguments: dict) -> None:
    with pytest.raises(RolloutError, match=sentence):
        rollout(*models, **arguments)


def test_a_tokenizer_of_other_bits_is_refused() -> None:
    with pytest.raises(RolloutError, match=r"4 \+ 3 bits, the predictor 3 \+ 4"):
        rollout(random_tokenizer(), random_predictor(s1_bits=3, s2_bits=4), *random_series([5], 2), horizon=2, seed=1)
