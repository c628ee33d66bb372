import subprocess
import sys
from pathlib import Path

import pytest

from candlecast.baselines import RandomWalk
from candlecast.errors import CandlecastError
from inference_server.registry import Registry, UnknownModel, load_registry, name_for
from inference_server.settings import ServerSettings


def test_the_baseline_is_always_there() -> None:
    registry = load_registry(ServerSettings())

    assert [one.name for one in registry] == ["baseline-rw"]
    assert isinstance(registry.get("baseline-rw"), RandomWalk)


def test_an_unknown_name_says_which_are_known() -> None:
    with pytest.raises(UnknownModel, match="'kronos-base' here; GET /models lists them: baseline-rw"):
        load_registry(ServerSettings()).get("kronos-base")


def test_two_models_of_one_name_are_refused() -> None:
    with pytest.raises(CandlecastError, match="two models are called baseline-rw"):
        Registry([RandomWalk(), RandomWalk()])


@pytest.mark.parametrize(
    ("weights", "name"),
    [
        ("NeoQuasar/Kronos-mini", "kronos-mini"),
        ("/weights/tiny-a/", "kronos-tiny-a"),
        ("./Kronos", "kronos-base"),
        ("~/My Weights", "kronos-my-weights"),
    ],
)
def test_weights_are_named_after_the_last_part_of_where_they_lie(weights: str, name: str) -> None:
    assert name_for(weights) == name


def test_a_folder_without_its_files_is_refused_before_torch_is_imported(tmp_path: Path) -> None:
    with pytest.raises(CandlecastError, match=r"lacks tokenizer/config\.json, tokenizer/model\.safetensors"):
        load_registry(ServerSettings(kronos_weights=str(tmp_path)))


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_named_in_one_sentence(tiny_chronos2: Path, device: str) -> None:
    with pytest.raises(CandlecastError, match=rf"the device {device} cannot be used \(.*\); set cpu, cuda or auto$"):
        load_registry(ServerSettings(chronos2_weights=str(tiny_chronos2), device=device))


def test_chronos_2_without_its_package_is_answered_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "inference_server.chronos2", raising=False)
    monkeypatch.setitem(sys.modules, "chronos", None)  # as Python sees a package that is not installed

    with pytest.raises(CandlecastError, match=r"needs the package chronos; install it with pip install 'candlecast\["):
        load_registry(ServerSettings(chronos2_weights="amazon/chronos-2"))


def test_chronos_2_is_served_beside_the_others_under_its_name(tiny_chronos2: Path) -> None:
    registry = load_registry(ServerSettings(chronos2_weights=str(tiny_chronos2), device="cpu"))

    assert [one.name for one in registry] == ["baseline-rw", "chronos-2"]


def test_transformers_is_imported_for_chronos_2_only() -> None:
    imports = "import inference_server.registry, inference_server.kronos.forecaster, sys"
    code = f"{imports}; print('transformers' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
