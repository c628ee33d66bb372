"""The predictor equals the original's in its three forms: rollout, training, evaluation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor, nn

from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.model import Prediction, predictor_loss

Arrays = dict[str, NDArray[np.generic]]
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}


@pytest.fixture
def model(golden_models: tuple[KronosTokenizer, Kronos]) -> Kronos:
    return golden_models[1]


@pytest.fixture
def expected(tiny: str, arrays: Callable[[str], Arrays]) -> Arrays:
    return arrays(f"{tiny}/predictor.npz")


@pytest.fixture
def given(expected: Arrays) -> dict[str, Tensor]:
    names = ("s1", "s2", "stamp", "s1_targets", "s2_targets", "s1_next", "ft_train_sampled_s1", "loss_mask")
    return {name: torch.from_numpy(expected[name]) for name in names}


def _without_dropout(model: Kronos) -> Kronos:
    model.train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attn_dropout"):
            module.attn_dropout = 0.0
    return model


def test_every_layer_is_equal(model: Kronos, given: dict[str, Tensor], expected: Arrays) -> None:
    seen: dict[str, Tensor] = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))

    with torch.no_grad():
        context = model.context(given["s1"], given["s2"], given["stamp"])
        bare = model.context(given["s1"], given["s2"])

        assert_allclose(seen["embedding"], expected["token_emb"], **TOLERANCE)
        assert_allclose(seen["time_emb"], expected["time_emb"], **TOLERANCE)
        assert_allclose(context, expected["context"], **TOLERANCE)
        assert_allclose(model.s1_logits(context), expected["s1_logits"], **TOLERANCE)
        assert_allclose(bare, expected["context_nostamp"], **TOLERANCE)
        assert_allclose(model.s1_logits(bare), expected["s1_logits_nostamp"], **TOLERANCE)
        model.context(given["s1"], given["s2"], given["stamp"])
    for key in (key for key in expected if key.startswith("block_")):
        assert_allclose(seen[f"transformer.{key[-1]}"], expected[key], **TOLERANCE, err_msg=key)


def test_the_cross_layer_has_three_behaviours(model: Kronos, given: dict[str, Tensor], expected: Arrays) -> None:
    with torch.no_grad():
        context = model.context(given["s1"], given["s2"], given["stamp"])
        one_query = model.s2_logits(context, given["s1_next"])
        rollout = model.s2_logits(context, given["s1_targets"], "rollout")
        evaluation = model.s2_logits(context, given["s1_targets"], "evaluation")

    assert_allclose(one_query, expected["s2_logits_q1"], **TOLERANCE)
    assert_allclose(rollout, expected["s2_logits_rollout"], **TOLERANCE)
    assert_allclose(evaluation, expected["s2_logits_full_eval"], **TOLERANCE)


def test_losses_of_the_rollout_and_evaluation_forms_are_equal(
    model: Kronos, given: dict[str, Tensor], expected: Arrays
) -> None:
    with torch.no_grad():
        forms = {
            form: model(given["s1"], given["s2"], given["stamp"], s1_targets=given["s1_targets"], form=form)
            for form in ("rollout", "evaluation")
        }
    rollout = predictor_loss(forms["rollout"], given["s1_targets"], given["s2_targets"])
    evaluation = predictor_loss(forms["evaluation"], given["s1_targets"], given["s2_targets"])
    masked = predictor_loss(forms["evaluation"], given["s1_targets"], given["s2_targets"], ignored=given["loss_mask"])

    assert_allclose(forms["evaluation"].s1_logits, expected["tf_eval_s1_logits"], **TOLERANCE)
    assert_allclose(forms["evaluation"].s2_logits, expected["tf_eval_s2_logits"], **TOLERANCE)
    assert rollout.total.item() == pytest.approx(expected["rollout_loss"].item(), abs=1e-4)
    assert rollout.s2.item() == pytest.approx(expected["rollout_loss_s2"].item(), abs=1e-4)
    assert evaluation.total.item() == pytest.approx(expected["tf_eval_loss"].item(), abs=1e-4)
    assert evaluation.s1.item() == pytest.approx(expected["tf_eval_loss_s1"].item(), abs=1e-4)
    assert evaluation.s2.item() == pytest.approx(expected["tf_eval_loss_s2"].item(), abs=1e-4)
    assert [masked.total.item(), masked.s1.item(), masked.s2.item()] == pytest.approx(
        expected["masked_loss"].tolist(), abs=1e-4
    )


@pytest.mark.parametrize("kind", ["tf_train", "ft_train"])
def test_training_losses_and_gradients_are_equal(
    model: Kronos, given: dict[str, Tensor], expected: Arrays, kind: str
) -> None:
    _without_dropout(model)
    query = given["s1_targets"] if kind == "tf_train" else given["ft_train_sampled_s1"]

    prediction: Prediction = model(given["s1"], given["s2"], given["stamp"], s1_targets=query)
    loss = predictor_loss(prediction, given["s1_targets"], given["s2_targets"])
    loss.total.backward()

    assert_allclose(prediction.s2_logits.detach(), expected[f"{kind}_s2_logits"], **TOLERANCE)
    for part, value in (("loss", loss.total), ("loss_s1", loss.s1), ("loss_s2", loss.s2)):
        assert value.item() == pytest.approx(expected[f"{kind}_{part}"].item(), abs=1e-4)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    compared = [key for key in expected if key.startswith(f"{kind}_grad.")]
    assert compared
    for key in compared:
        assert_allclose(gradients[key.removeprefix(f"{kind}_grad.")], expected[key], rtol=0, atol=1e-5, err_msg=key)
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    assert norm.item() == pytest.approx(expected[f"{kind}_grad_norm"].item(), abs=1e-4)


def test_without_targets_the_drawn_s1_are_the_originals(
    model: Kronos, given: dict[str, Tensor], expected: Arrays, arrays: Callable[[str], Arrays]
) -> None:
    probe = arrays("sampling.npz")
    torch.manual_seed(int(probe["rng.seed"]))
    if not np.array_equal(torch.empty(4, 9).exponential_(1).numpy(), probe["rng.exponential"]):
        pytest.skip("torch's exponential stream differs on this machine, so seeded draws cannot be compared")
    _without_dropout(model)
    torch.manual_seed(int(expected["ft_train_seed"]))

    prediction: Prediction = model(given["s1"], given["s2"], given["stamp"])

    assert (prediction.s1_query.numpy() == expected["ft_train_sampled_s1"]).all()
