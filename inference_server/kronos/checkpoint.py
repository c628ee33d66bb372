"""`config.json` + `model.safetensors` of one module, from a folder or the Hugging Face hub.

Safetensors only: a pickle can run code. Tensors are copied out of the file, so that replacing it later does
not change a model that is loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from inference_server.kronos.errors import WeightsError

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the two files lie, and what the first of them says."""

    config_path: Path
    weights_path: Path
    config: dict[str, Any]


def find(source: str | Path, revision: str | None = None) -> Checkpoint:
    """The files of `source`: a folder, else a hub id `owner/name` (cached by huggingface_hub).

    Raises
    ------
    WeightsError : nothing is there, the hub cannot be reached, or config.json is not a JSON object.
    """
    folder = Path(source).expanduser()
    if folder.is_dir():
        paths = [folder / CONFIG_FILE, folder / WEIGHTS_FILE]
        for path in paths:
            if not path.is_file():
                raise WeightsError(f"{folder} has no {path.name}; needed are {CONFIG_FILE} and {WEIGHTS_FILE}")
    elif str(source).count("/") == 1 and not str(source).startswith((".", "/", "~")):
        paths = [_from_hub(str(source), name, revision) for name in (CONFIG_FILE, WEIGHTS_FILE)]
    else:
        raise WeightsError(f"no folder at {source}; give a folder with {CONFIG_FILE} and {WEIGHTS_FILE}, or a hub id")
    try:
        config = json.loads(paths[0].read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise WeightsError(f"{paths[0]} is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{paths[0]} holds a {type(config).__name__}, expected a JSON object")
    return Checkpoint(paths[0], paths[1], config)


def _from_hub(repository: str, name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download  # a folder of weights needs no hub client

    try:
        return Path(hf_hub_download(repository, name, revision=revision))
    except Exception as error:  # the client raises many kinds, all of them mean: no file
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"{repository} is no folder here, and {name} could not be had from the hub ({type(error).__name__}: "
            f"{reason}); give a folder, or fetch it once with `hf download {repository}`"
        ) from error


def load_into(module: nn.Module, weights: Path, derived: Mapping[str, Tensor]) -> None:
    """Give `module` the tensors of a file, float32; buffers named in `derived` carry nothing and are recomputed.

    Raises
    ------
    WeightsError : unreadable file, missing or unknown keys, or wrong shapes, with the first few named.
    """
    try:
        stored = load_file(weights, device="cpu")
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{weights} is not a readable safetensors file ({error})") from error
    expected = module.state_dict()
    missing = sorted(expected.keys() - stored.keys() - derived.keys())
    unknown = sorted(stored.keys() - expected.keys())
    if missing or unknown:
        raise WeightsError(
            f"{weights} does not fit its config: {len(missing)} keys missing ({_some(missing)}), "
            f"{len(unknown)} unknown ({_some(unknown)})"
        )
    for key, tensor in expected.items():
        if key not in derived and stored[key].shape != tensor.shape:
            raise WeightsError(
                f"{weights}: {key} has shape {tuple(stored[key].shape)}, its config asks for {tuple(tensor.shape)}"
            )
        if key not in derived and not bool(torch.isfinite(stored[key]).all()):
            raise WeightsError(f"{weights}: {key} holds values that are not finite")
    state = {key: derived[key] if key in derived else stored[key].float().clone() for key in expected}
    module.load_state_dict(state, strict=True, assign=True)


def save(module: nn.Module, config: Mapping[str, Any], folder: str | Path) -> None:
    """Write both files as upstream does, derived buffers included."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    (target / CONFIG_FILE).write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n", encoding="utf-8")
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    save_file(state, target / WEIGHTS_FILE, metadata={"format": "pt"})


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "") if names else "none"
