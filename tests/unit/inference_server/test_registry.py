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
