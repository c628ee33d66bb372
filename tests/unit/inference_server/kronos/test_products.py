"""A product's rows: equal to the plain formula, and the same bits whatever other rows there are."""

import copy
import pickle

import pytest
import torch

from inference_server.kronos.folded import Remembered
from inference_server.kronos.products import Linear
from tests.unit.inference_server.kronos.random_models import random_predictor

SHAPES = [(768, 256), (256, 512), (2496, 832), (832, 2048), (48, 16), (7, 16)]
"""Out × in of the 4.1M and the 102.3M shape, and of small models."""


@pytest.fixture(params=SHAPES, ids=str)
def weights(request: pytest.FixtureRequest) -> tuple[torch.Tensor, torch.Tensor]:
    n_out, n_in = request.param
    torch.manual_seed(0)
    return torch.randn(n_out, n_in) / n_in**0.5, torch.randn(n_out)


def test_a_product_equals_the_formula(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    weight, bias = weights
    x = torch.randn(9, weight.shape[1])

    for n in (0, 1, 4, 9):
        wanted = (x[:n].double() @ weight.double().t() + bias.double()).float()
        torch.testing.assert_close(Linear(weight, bias)(x[:n]), wanted, rtol=0, atol=2e-5)
        torch.testing.assert_close(Linear(weight)(x[:n]), wanted - bias, rtol=0, atol=2e-5)


def test_rows_do_not_know_their_neighbours(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    layer = Linear(*weights)
    x = torch.randn(400, weights[0].shape[1])
    whole = layer(x)

    assert layer.rows_are_alone()
    for n in (1, 2, 3, 4, 5, 11, 12, 23, 31, 64, 92, 100, 184, 392):
        assert torch.equal(layer(x[:n]), whole[:n])
        assert torch.equal(layer(x[-n:]), whole[-n:])


def test_half_precision_stays_within_its_rounding(weights: tuple[torch.Tensor, torch.Tensor]) -> None:
    weight, bias = weights
    x = torch.randn(9, weight.shape[1])

    half = Linear(weight, bias, torch.bfloat16)(x)

    assert half.dtype == torch.float32
    # Eight bits of mantissa: half a unit is 2^-9 of each factor, and of the sum.
    error = (half - Linear(weight, bias)(x)).abs()
    assert error.max() < 3 * 2**-9 * (x.abs() @ weight.abs().t() + bias.abs()).max()
    assert error.max() > 1e-4


def test_a_layer_that_changes_later_does_not_change_the_product() -> None:
    weight, bias, x = torch.ones(4, 4), torch.ones(4), torch.ones(4, 4)
    layer = Linear(weight, bias)

    weight.zero_()
    bias.zero_()

    assert (layer(x) == 5).all()


def test_a_model_that_has_forecast_can_be_copied() -> None:
    model = random_predictor()
    s1_table = model.folded.s1_table

    copied = copy.deepcopy(model)
    copied.embedding.emb_s1.weight.data.mul_(2.0)

    assert torch.allclose(copied.folded.s1_table, 2 * s1_table)
    assert torch.equal(model.folded.s1_table, s1_table)
    assert isinstance(pickle.loads(pickle.dumps(Remembered(len))), Remembered)
