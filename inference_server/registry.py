"""The models of this server by name: the baseline always, Kronos and Chronos-2 where weights are named.

Torch is imported with the first weights, so that a server without any starts in well under a second.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from candlecast.baselines import RandomWalk
from candlecast.errors import CandlecastError
from candlecast.forecasts import Forecaster, ModelInfo
from inference_server.settings import ServerSettings

BUNDLED = {"nano": Path(__file__).with_name("weights") / "kronos-nano"}
"""Checkpoints that come with the package, by the word that names them where a folder or a hub id would stand."""


class UnknownModel(CandlecastError):
    """A request names a model that this server does not hold."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"no model is called {name[:60]!r} here; GET /models lists them: {', '.join(known)}")
        self.name = name


class WeightsMissing(CandlecastError):
    """A folder of weights lacks a file that the model is made of."""

    def __init__(self, folder: Path, missing: list[str]) -> None:
        super().__init__(
            f"{folder} lacks {', '.join(missing)}; a folder of Kronos weights holds tokenizer/ and model/, "
            "each with config.json and model.safetensors"
        )
        self.folder, self.missing = folder, tuple(missing)


class Registry:
    """Forecasters by name; iterating gives what each of them is."""

    def __init__(self, forecasters: Iterable[Forecaster]) -> None:
        self._by_name: dict[str, Forecaster] = {}
        for one in forecasters:
            if one.info.name in self._by_name:
                raise CandlecastError(f"two models are called {one.info.name}; give one another --kronos-name")
            self._by_name[one.info.name] = one

    def __iter__(self) -> Iterator[ModelInfo]:
        return (one.info for one in self._by_name.values())

    def get(self, name: str) -> Forecaster:
        """The forecaster of that name.

        Raises
        ------
        UnknownModel : there is none.
        """
        try:
            return self._by_name[name]
        except KeyError:
            raise UnknownModel(name, self._by_name) from None


def load_registry(settings: ServerSettings) -> Registry:
    """Every model that `settings` asks for, loaded and ready.

    Raises
    ------
    CandlecastError : the weights cannot be used, in one sentence.
    """
    forecasters: list[Forecaster] = [RandomWalk()]
    if settings.kronos_weights is not None:
        forecasters.append(_load_kronos(settings.kronos_weights, settings))
    if settings.chronos2_weights is not None:
        forecasters.append(_load_chronos2(settings.chronos2_weights, settings))
    return Registry(forecasters)


def _load_chronos2(weights: str, settings: ServerSettings) -> Forecaster:
    try:
        from inference_server.chronos2 import Chronos2Forecaster
    except ModuleNotFoundError as error:
        raise CandlecastError(
            f"Chronos-2 needs the package {error.name}; install it with pip install 'candlecast[chronos]'"
        ) from error
    return Chronos2Forecaster.load(weights, device=_device(settings))


def _load_kronos(weights: str, settings: ServerSettings) -> Forecaster:
    weights = str(BUNDLED.get(weights, weights))
    folder = Path(weights).expanduser()
    if folder.is_dir():
        parts = [
            f"{module}/{name}" for module in ("tokenizer", "model") for name in ("config.json", "model.safetensors")
        ]
        if missing := [part for part in parts if not (folder / part).is_file()]:
            raise WeightsMissing(folder, missing)
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", weights):
        raise CandlecastError(
            f"there is no folder {weights}, and it is no hub id such as owner/name either; the word nano names the "
            "bundled weights"
        )
    try:
        from inference_server.kronos.forecaster import KronosForecaster
    except ModuleNotFoundError as error:
        raise CandlecastError(
            f"Kronos weights need the package {error.name}; install it with pip install 'candlecast[inference]'"
        ) from error
    name = settings.kronos_name or name_for(weights)
    context, device = settings.max_context, _device(settings)
    return KronosForecaster.load(weights, name=name, max_context=context, device=device, dtype=settings.dtype)


def _device(settings: ServerSettings) -> str:
    """Where models are computed, with torch's threads set as asked for.

    Raises
    ------
    CandlecastError : this machine has no such device.
    """
    import torch

    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=settings.device)
    except (RuntimeError, AssertionError) as error:  # torch raises either
        reason = str(error).split("\n")[0]
        raise CandlecastError(
            f"the device {settings.device} cannot be used ({reason}); set cpu, cuda or auto"
        ) from error
    return settings.device


def name_for(weights: str) -> str:
    """`kronos-` and the last part of the folder or hub id: `NeoQuasar/Kronos-mini` is `kronos-mini`."""
    last = re.sub(r"[^a-z0-9._-]+", "-", Path(weights).expanduser().resolve().name.lower()).strip("-")
    return f"kronos-{last.removeprefix('kronos').strip('-') or 'base'}"
