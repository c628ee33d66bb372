import math

import pytest
import torch

from inference_server.kronos.model import Kronos
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.pretraining.objectives import predictor_objective, tokenizer_objective
from inference_server.pretraining.recipe import nano
from inference_server.pretraining.windows import Place, cut
from tests.unit.inference_server.pretraining.generated import history


def test_only_bars_after_the_lookback_count() -> None:
    """The ids of the lookback are targets too, but changing what follows them changes no loss."""
    torch.manual_seed(0)
    recipe = nano(8)
    tokenizer, model = KronosTokenizer(recipe.tokenizer), Kronos(recipe.predictor)
    batch = cut([Place(history(), 0, 48, 40)])
    s1, s2 = tokenizer.encode(batch.x)
    with torch.no_grad():
        model.head.proj_s1.weight.zero_()
        model.head.proj_s1.bias.zero_()
        model.head.proj_s1.bias[int(s1[0, 40:].mode().values)] = 50.0
    told = set(s1[0, 40:].tolist())
    parts = predictor_objective(model, (s1, s2), batch, everywhere=False).parts
    # 8 targets; those with the favoured id cost nothing, each other 50 nats.
    favoured = int((s1[0, 40:] == s1[0, 40:].mode().values).sum())
    assert parts["s1"] == pytest.approx(50.0 * (8 - favoured) / 8, rel=1e-5)
    assert told
    everywhere = predictor_objective(model, (s1, s2), batch, everywhere=True).parts
    n_favoured = int((s1[0, 1:] == s1[0, 40:].mode().values).sum())
    assert everywhere["s1"] == pytest.approx(50.0 * (47 - n_favoured) / 47, rel=1e-5)


def test_a_new_predictor_knows_nothing_so_its_loss_is_near_that_of_a_guess() -> None:
    torch.manual_seed(0)
    recipe = nano(8)
    tokenizer, model = KronosTokenizer(recipe.tokenizer), Kronos(recipe.predictor)
    with torch.no_grad():
        for head in (model.head.proj_s1, model.head.proj_s2):
            head.weight.zero_()
    batch = cut([Place(history(), 0, 48, 40)])
    parts = predictor_objective(model, tokenizer.encode(batch.x), batch, everywhere=True).parts
    assert parts["s1"] == pytest.approx(math.log(256), rel=1e-5)
    assert parts["s2"] == pytest.approx(math.log(256), rel=1e-5)


def test_an_error_of_the_level_that_stays_costs_no_move() -> None:
    """A tokenizer whose decoder says 0 always: its moves are 0, so the error is the real moves in their sigma."""
    recipe = nano(8)
    tokenizer = KronosTokenizer(recipe.tokenizer)
    with torch.no_grad():
        tokenizer.head.weight.zero_()
        tokenizer.head.bias.fill_(3.0)
    batch = cut([Place(history(n=300), 0, 280, 280)])
    parts = tokenizer_objective(tokenizer, batch, move_weight=1.0).parts
    assert parts["close over 1"] == pytest.approx(1.0, rel=1e-3)
