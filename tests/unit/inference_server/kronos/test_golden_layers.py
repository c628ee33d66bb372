"""Every building block equals the original's, array by array."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from torch import Tensor, nn

from inference_server.kronos import quantizer, rotary
from inference_server.kronos.layers import CrossAttention, FeedForward, RMSNorm, SelfAttention
from inference_server.kronos.model import sinusoids
from inference_server.kronos.scaling import calendar_fields

Arrays = dict[str, NDArray[np.generic]]
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}


@pytest.fixture
def layers(arrays: Callable[[str], Arrays]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(array) for name, array in arrays("layers.npz").items()}


def _filled(module: nn.Module, layers: dict[str, Tensor], prefix: str) -> nn.Module:
    missing, unknown = module.load_state_dict(
        {
            key.removeprefix(prefix): value
            for key, value in layers.items()
            if key.endswith((".weight", ".bias")) and key.startswith(prefix)
        },
        strict=False,
    )
    assert unknown == []
    assert all(key.endswith("inv_freq") for key in missing)
    return module.eval()


def test_rms_norm_equals_the_original(layers: dict[str, Tensor]) -> None:
    norm = _filled(RMSNorm(12), {"rms.weight": layers["rms.weight"]}, "rms.")

    assert_allclose(norm(layers["rms.in"]).detach(), layers["rms.out"], **TOLERANCE)


def test_rotation_equals_the_original_and_one_query_turns_nothing(layers: dict[str, Tensor]) -> None:
    cos, sin = rotary.cos_sin(11, 8)
    q, k = rotary.rotate_pair(layers["rope.q"], layers["rope.k"])
    short_q, short_k = rotary.rotate_pair(layers["rope.q"][..., :1, :], layers["rope.k"])

    assert_allclose(rotary.inverse_frequencies(8), layers["rope.inv_freq"], **TOLERANCE)
    assert_allclose(cos, layers["rope.cos"], **TOLERANCE)
    assert_allclose(sin, layers["rope.sin"], **TOLERANCE)
    assert_allclose(q, layers["rope.q_out"], **TOLERANCE)
    assert_allclose(k, layers["rope.k_out"], **TOLERANCE)
    assert_allclose(short_q, layers["rope.short_q_out"], **TOLERANCE)
    assert_allclose(short_k, layers["rope.short_k_out"], **TOLERANCE)


def test_two_queries_against_other_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="2 queries against 5 keys"):
        rotary.rotate_pair(torch.zeros(1, 1, 2, 8), torch.zeros(1, 1, 5, 8))


def test_the_complex_circle_turns_as_the_tables_do() -> None:
    v = torch.randn(3, 70, 10, generator=torch.Generator().manual_seed(0))
    interleaved = v.unflatten(-1, (2, 5)).transpose(-1, -2).contiguous()

    turned = torch.view_as_real(torch.view_as_complex(interleaved) * rotary.unit_circle(70, 10))

    expected = rotary.rotate(v, *rotary.cos_sin(70, 10)).unflatten(-1, (2, 5)).transpose(-1, -2)
    assert_allclose(turned, expected, rtol=0, atol=1e-6)


def test_feed_forward_equals_the_original(layers: dict[str, Tensor]) -> None:
    ffn = FeedForward(8, 20, 0.0)
    ffn.load_state_dict({f"{name}.weight": layers[f"ffn.{name}"] for name in ("w1", "w2", "w3")})

    assert_allclose(ffn(layers["ffn.in"]).detach(), layers["ffn.out"], **TOLERANCE)


def test_self_attention_equals_the_original(layers: dict[str, Tensor]) -> None:
    attention = _filled(SelfAttention(16, 4, 0.0, 0.0), layers, "self.")

    assert_allclose(attention(layers["self.in"]).detach(), layers["self.out"], **TOLERANCE)


def test_cross_attention_equals_the_original_in_each_of_its_forms(layers: dict[str, Tensor]) -> None:
    attention = _filled(CrossAttention(16, 4, 0.0, 0.0), layers, "cross.")
    context, query = layers["cross.in"], layers["cross.query"]

    evaluation = attention(query, context, rotated=True, causal=False).detach()
    training = attention(query, context, rotated=True, causal=True).detach()
    one_query = attention(query[:, -1:], context, rotated=False, causal=False).detach()

    assert_allclose(evaluation, layers["cross.out_eval"], **TOLERANCE)
    assert_allclose(training, layers["cross.out_train"], **TOLERANCE)
    assert_allclose(one_query, layers["cross.out_eval_q1"], **TOLERANCE)


def test_new_fixed_time_tables_are_true_sinusoids(layers: dict[str, Tensor]) -> None:
    assert_allclose(sinusoids(60, 16), layers["fixed_table_60x16"], **TOLERANCE)


def test_codes_and_ids_equal_the_original_also_at_zero(layers: dict[str, Tensor]) -> None:
    code = quantizer.code_of(layers["bits.s1"], layers["bits.s2"], 2, 2)
    quantised = quantizer.quantise(layers["bsq.z"])
    s1, s2 = quantizer.ids_of(layers["bsq.z"], 2)

    assert_allclose(code, layers["bits.half"], rtol=0, atol=1e-6)
    assert_allclose(
        quantizer.code_of(*quantizer.split_id(torch.arange(16)[None], 2), 2, 2), layers["bits.full"], atol=1e-6
    )
    assert_allclose(quantised.code, layers["bsq.quantized"], rtol=0, atol=1e-6)
    assert (s1 == layers["bsq.s1"]).all()
    assert (s2 == layers["bsq.s2"]).all()
    assert (quantizer.composite_id(s1, s2, 2) == layers["bsq.full"]).all()


def test_calendar_fields_equal_the_original(golden: Path) -> None:
    lines = (golden / "stamps.csv").read_text().splitlines()[1:]
    stamps = [line.split(",")[0] for line in lines]
    expected = np.array([line.split(",")[1:] for line in lines], dtype=np.float32)

    # The wall clock counts, whatever the offset behind it.
    fields = calendar_fields(np.array([stamp[:19] for stamp in stamps], dtype="datetime64[s]"))

    assert (fields == expected).all()
