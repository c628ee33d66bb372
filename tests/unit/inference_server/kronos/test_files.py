"""Files in, files out: the published layout, strictly, and a sentence for each way in which it can be wrong."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from inference_server.kronos import Kronos, KronosTokenizer
from inference_server.kronos.config import PredictorConfig
from inference_server.kronos.errors import WeightsError
from inference_server.kronos.zoo import ZOO, context_of
from tests.unit.inference_server.kronos.random_models import random_predictor, random_tokenizer


@pytest.mark.parametrize("kind", ["tokenizer", "model"])
def test_golden_files_come_back_unchanged(golden: Path, tiny: str, kind: str, tmp_path: Path) -> None:
    loader = KronosTokenizer if kind == "tokenizer" else Kronos
    original = load_file(golden / tiny / kind / "model.safetensors")

    loader.from_pretrained(golden / tiny / kind).save_pretrained(tmp_path)

    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == original.keys()
    for key, tensor in original.items():
        assert written[key].dtype == tensor.dtype
        torch.testing.assert_close(written[key], tensor, rtol=0, atol=1e-7 if key.endswith("inv_freq") else 0)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config == json.loads((golden / tiny / kind / "config.json").read_text())
    assert list(config) == sorted(config)


@pytest.mark.parametrize("learn_te", [True, False])
def test_saved_models_load_equal_and_in_evaluation_mode(tmp_path: Path, learn_te: bool) -> None:
    for name, module in (("t", random_tokenizer()), ("m", random_predictor(learn_te=learn_te))):
        module.train()
        module.save_pretrained(tmp_path / name)

        loaded = type(module).from_pretrained(tmp_path / name)

        assert not any(part.training for part in loaded.modules())
        assert loaded.config == module.config
        for key, tensor in module.state_dict().items():
            assert torch.equal(loaded.state_dict()[key], tensor), key
        trainable = {key for key, parameter in loaded.named_parameters() if parameter.requires_grad}
        assert trainable == {key for key, parameter in module.named_parameters() if parameter.requires_grad}


def test_new_modules_are_born_in_evaluation_mode() -> None:
    assert not any(part.training for module in (random_tokenizer(), random_predictor()) for part in module.modules())


def test_a_loaded_model_does_not_change_with_its_file(tmp_path: Path) -> None:
    random_predictor().save_pretrained(tmp_path)
    loaded = Kronos.from_pretrained(tmp_path)
    before = {key: tensor.clone() for key, tensor in loaded.state_dict().items()}

    path = tmp_path / "model.safetensors"
    size = path.stat().st_size
    with path.open("r+b") as file:  # over the same bytes, as rsync --inplace does; the reader maps them
        file.seek(size // 2)
        file.write(b"\x7f" * (size // 2))

    assert all(torch.equal(tensor, before[key]) for key, tensor in loaded.state_dict().items())


def test_buffers_that_carry_nothing_may_be_missing(tmp_path: Path) -> None:
    random_tokenizer().save_pretrained(tmp_path)
    kept = {key: value for key, value in load_file(tmp_path / "model.safetensors").items() if "bsq" not in key}
    save_file(kept, tmp_path / "model.safetensors")

    assert KronosTokenizer.from_pretrained(tmp_path).tokenizer.bsq.basis.tolist() == [64, 32, 16, 8, 4, 2, 1]


def test_half_precision_files_become_float32(tmp_path: Path) -> None:
    random_predictor().save_pretrained(tmp_path)
    halved = {key: value.half() for key, value in load_file(tmp_path / "model.safetensors").items()}
    save_file(halved, tmp_path / "model.safetensors")

    assert {parameter.dtype for parameter in Kronos.from_pretrained(tmp_path).parameters()} == {torch.float32}


def _edit_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def _edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    weights = load_file(folder / "model.safetensors")
    for key, value in changes.items():
        name = key.replace("__", ".")
        if value is None:
            del weights[name]
        else:
            weights[name] = value
    save_file(weights, folder / "model.safetensors")


def test_wrong_files_are_named_in_a_sentence(tmp_path: Path) -> None:
    spoilers = {
        "no model.safetensors": lambda folder: (folder / "model.safetensors").unlink(),
        "no config.json": lambda folder: (folder / "config.json").unlink(),
        "is not JSON": lambda folder: (folder / "config.json").write_text("{"),
        "expected a JSON object": lambda folder: (folder / "config.json").write_text("[]"),
        "not a readable safetensors": lambda folder: (folder / "model.safetensors").write_bytes(b"pickle" * 20),
        "ff_dim, n_layers missing": lambda folder: _edit_config(folder, ff_dim=None, n_layers=None),
        "d_model is '16', expected int": lambda folder: _edit_config(folder, d_model="16"),
        "no even head width": lambda folder: _edit_config(folder, n_heads=3),
        "each of s1_bits and s2_bits": lambda folder: _edit_config(folder, s1_bits=0),
        "has shape .* its config asks for": lambda folder: _edit_config(folder, ff_dim=25),
        r"1 keys missing \(norm.weight\)": lambda folder: _edit_weights(folder, norm__weight=None),
        r"1 unknown \(extra.weight\)": lambda folder: _edit_weights(folder, extra__weight=torch.zeros(1)),
        "not finite": lambda folder: _edit_weights(folder, norm__weight=torch.full((16,), float("nan"))),
    }
    for index, (sentence, spoil) in enumerate(spoilers.items()):
        folder = tmp_path / str(index)
        random_predictor().save_pretrained(folder)
        spoil(folder)
        with pytest.raises(WeightsError, match=sentence):
            Kronos.from_pretrained(folder)


def test_a_tokenizer_is_not_taken_for_a_predictor(tmp_path: Path) -> None:
    random_tokenizer().save_pretrained(tmp_path)

    with pytest.raises(WeightsError, match="learn_te.* missing; is this a PredictorConfig file"):
        Kronos.from_pretrained(tmp_path)


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no folder at"):
        Kronos.from_pretrained(tmp_path / "nowhere")


def test_a_hub_that_cannot_be_reached_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(WeightsError, match="could not be had from the hub"):
        Kronos.from_pretrained("somebody/kronos-nowhere")


@pytest.mark.parametrize(
    ("name", "parameters"), [("kronos-mini", 4_108_032), ("kronos-small", 24_741_376), ("kronos-base", 102_310_592)]
)
def test_published_shapes_have_the_published_number_of_parameters(name: str, parameters: int) -> None:
    entry = next(entry for entry in ZOO if entry.name == name)
    layers, width, heads, ff = entry.shape
    config = PredictorConfig(10, 10, layers, width, heads, ff, 0.2, 0.2, 0.0, 0.0, True)
    with torch.device("meta"):
        model = Kronos(config)

    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert context_of(config) == entry.max_context
