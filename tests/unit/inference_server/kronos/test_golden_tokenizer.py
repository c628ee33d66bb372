"""The tokenizer equals the original's: ids exactly, floats within 1e-4, gradients within 1e-5."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor

from inference_server.kronos import Kronos, KronosTokenizer, quantizer

Arrays = dict[str, NDArray[np.generic]]
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}


@pytest.fixture
def tokenizer(golden_models: tuple[KronosTokenizer, Kronos]) -> KronosTokenizer:
    return golden_models[0]


@pytest.fixture
def expected(tiny: str, arrays: Callable[[str], Arrays]) -> Arrays:
    return arrays(f"{tiny}/tokenizer.npz")


def test_ids_are_equal(tokenizer: KronosTokenizer, expected: Arrays) -> None:
    s1, s2 = tokenizer.encode(expected["x"])
    one_s1, one_s2 = tokenizer.encode(expected["x_one"])
    composite = quantizer.composite_id(s1, s2, tokenizer.config.s1_bits)

    assert (s1.numpy() == expected["s1"]).all()
    assert (s2.numpy() == expected["s2"]).all()
    assert (composite.numpy() == expected["full_ids"]).all()
    assert (one_s1.numpy() == expected["s1_one"]).all()
    assert (one_s2.numpy() == expected["s2_one"]).all()


def test_decoded_bars_are_equal(tokenizer: KronosTokenizer, expected: Arrays) -> None:
    bars = tokenizer.decode(expected["s1"], expected["s2"])
    one = tokenizer.decode(expected["s1_one"], expected["s2_one"])

    assert_allclose(bars, expected["decoded"], **TOLERANCE)
    assert_allclose(one, expected["decoded_one"], **TOLERANCE)


def test_every_layer_of_the_training_form_is_equal(tokenizer: KronosTokenizer, expected: Arrays) -> None:
    seen: dict[str, Tensor] = {}
    for name, module in tokenizer.named_modules():
        module.register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out}))

    with torch.no_grad():
        rebuilt = tokenizer(torch.from_numpy(expected["x"]))

    # The decoder runs twice, the full code last.
    where = {"embed_out": "embed", "z_pre": "quant_embed", "dec_in": "post_quant_embed"}
    where |= {key: f"encoder.{key[-1]}" for key in expected if key.startswith("enc_block_")}
    where |= {key: f"decoder.{key[-1]}" for key in expected if key.startswith("dec_block_")}
    for key, module_name in where.items():
        assert_allclose(seen[module_name], expected[key], **TOLERANCE, err_msg=key)
    assert_allclose(rebuilt.quantised.unit, expected["z_unit"], **TOLERANCE)
    assert_allclose(rebuilt.quantised.code, expected["quantized"], **TOLERANCE)
    assert_allclose(rebuilt.coarse, expected["fwd_pre"], **TOLERANCE)
    assert_allclose(rebuilt.full, expected["fwd_full"], **TOLERANCE)


def test_losses_and_gradients_are_equal(tokenizer: KronosTokenizer, expected: Arrays) -> None:
    loss = tokenizer.loss(torch.from_numpy(expected["x"]))
    loss.total.backward()

    parts = {
        "loss": loss.total,
        "recon_pre": loss.coarse_error,
        "recon_full": loss.full_error,
        "bsq_loss": loss.quantiser.total,
        "commit_loss": loss.quantiser.commitment,
        "entropy_sample": loss.quantiser.sample_entropy,
        "entropy_codebook": loss.quantiser.codebook_entropy,
    }
    for key, value in parts.items():
        assert value.item() == pytest.approx(expected[key].item(), abs=1e-4), key
    assert_allclose(loss.quantiser.mean_probability.detach(), expected["entropy_avg_prob"], **TOLERANCE)
    gradients = {name: parameter.grad for name, parameter in tokenizer.named_parameters() if parameter.grad is not None}
    compared = [key for key in expected if key.startswith("grad.")]
    assert compared
    for key in compared:
        assert_allclose(gradients[key.removeprefix("grad.")], expected[key], rtol=0, atol=1e-5, err_msg=key)
    norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm()
    assert norm.item() == pytest.approx(expected["grad_norm"].item(), abs=1e-4)
