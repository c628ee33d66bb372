"""Chronos-2 behind the forecast protocol: bars and event channels in, quantiles of the close out.

One series is one call of the chronos-forecasting package: the close is the target, and the model attends between it
and its covariates, never between instruments. What is known ahead is decided by the kind of a channel alone:
volume, the spread of high and low, and the channels of kind `past_only` reach the model up to the last bar, those
of kind `known_future` over the horizon too.

Axes: L lookback bars, H horizon steps, Q levels of a fan.

References
----------
Ansari et al. (2025), Chronos-2: From Univariate to Universal Forecasting, arXiv 2510.15821.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from chronos import Chronos2Model, Chronos2Pipeline
from numpy.typing import NDArray
from transformers.utils import logging as transformers_logging

from candlecast.channels import KNOWN_FUTURE, PAST_ONLY
from candlecast.forecasts import (
    CLOSE,
    HIGH,
    LEVELS,
    LOW,
    VOLUME,
    Forecast,
    ModelInfo,
    Refusal,
    Result,
    Series,
    never,
    refuse,
    seed_for,
    series_fault,
)
from inference_server.device_errors import is_out_of_memory
from inference_server.kronos import checkpoint, workers
from inference_server.kronos.errors import WeightsError

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

ARCHITECTURE: Final = "Chronos2Model"
FALLBACK: Final = "+cpu"
"""Ends the version of a model that had to leave a full GPU, so that every row tells where it was computed."""
FLOOR: Final = 0.01
"""A fan of a series with positive prices stays above this share of the lowest close of its lookback."""
MIN_LOOKBACK: Final = 2


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What the model is shown of one series: everything in units of its own standard deviation.

    target : [L] closes; a quantile q of the model is the price `mean + scale * q`
    past : by name [L], every covariate; ahead : by name [H], those that are known ahead
    """

    target: Singles
    past: dict[str, Singles]
    ahead: dict[str, Singles]
    mean: float
    scale: float


class Chronos2Forecaster:
    """Quantiles at the 11 levels, no sample paths; any `n_paths` will do.

    On a CPU as many series at a time as torch has threads, one core each. A GPU without room is left for the CPU,
    under a version of its own (`FALLBACK`); each request tries the GPU again.
    """

    def __init__(self, pipeline: Chronos2Pipeline, *, name: str, version: str, device: str = "cpu") -> None:
        if missing := [level for level in LEVELS if level not in pipeline.quantiles]:
            raise WeightsError(f"{name} was not trained for the levels {missing}; its levels are {pipeline.quantiles}")
        pipeline.model.eval()  # a model that was just fine-tuned would still drop parts of itself at random
        self._pipeline, self._name, self._version, self._device = pipeline, name, version, device
        self._on = "cpu"
        self._to_device()

    @classmethod
    def load(cls, source: str | Path, *, name: str = "chronos-2", device: str = "cpu") -> Self:
        """The model in a folder with `config.json` and `model.safetensors`, or under a hub id.

        Raises
        ------
        WeightsError : the weights are not there, are of another model, or do not fit their config.
        """
        found = checkpoint.find(source)
        folder = found.weights_path.parent
        if ARCHITECTURE not in (found.config.get("architectures") or []) or "chronos_config" not in found.config:
            raise WeightsError(f"{source} holds no Chronos-2: its config.json does not name {ARCHITECTURE}")
        transformers_logging.disable_progress_bar()
        transformers_logging.set_verbosity_error()
        try:
            model, report = Chronos2Model.from_pretrained(
                folder, use_safetensors=True, local_files_only=True, dtype=torch.float32, output_loading_info=True
            )
        except Exception as error:  # the package raises many kinds, all of them mean: not these files
            reason = str(error).strip().split("\n")[0]
            raise WeightsError(f"{source} cannot be loaded as Chronos-2 ({type(error).__name__}: {reason})") from error
        if missing := sorted(report["missing_keys"]):
            raise WeightsError(
                f"{source}: {len(missing)} tensors of the model are not in model.safetensors, the first is "
                f"{missing[0]}; fetch the weights again"
            )
        with found.weights_path.open("rb") as file:
            version = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(Chronos2Pipeline(model=model), name=name, version=version, device=device)

    @property
    def info(self) -> ModelInfo:
        """What speaks at this moment: the version and the description change where the GPU had no room."""
        fell_back = self._on != self._device
        pipeline = self._pipeline
        n_parameters = sum(p.numel() for p in pipeline.model.parameters())
        where = f"on {self._on} because {self._device} had no room" if fell_back else f"on {self._on}"
        return ModelInfo(
            name=self._name,
            version=self._version + (FALLBACK if fell_back else ""),
            max_context=pipeline.model_context_length + pipeline.model_prediction_length,
            takes_events=True,
            determinism="bitwise" if self._device == "cpu" else "tolerance",
            description=(
                f"Chronos-2, {n_parameters / 1e6:.1f}M parameters, context {pipeline.model_context_length}, horizon "
                f"{pipeline.model_prediction_length}, {where}; volume, high-low spread and events as covariates"
            ),
            gives_quantiles=True,
        )

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series, in order; ends early once `cancel()` is true. Nothing is sampled, so no paths."""
        del n_paths
        if self._on != self._device:
            self._to_device()
        todo = list(series)
        while todo and not cancel():
            n_at_once = workers.n_workers() if self._on == "cpu" else 1
            at_once, todo = todo[:n_at_once], todo[n_at_once:]
            work: list[Callable[[], Result]] = [partial(self._one, one, horizon, base_seed) for one in at_once]
            yield from workers.gather(work) if self._on == "cpu" else [work[0]()]

    def _one(self, series: Series, horizon: int, base_seed: int) -> Forecast | Refusal:
        fault = series_fault(series, horizon)
        if fault is not None:
            return fault
        reach = self._pipeline.model_prediction_length
        if horizon > reach:
            return refuse(series, "horizon_too_long", f"horizon {horizon}, {self._name} reaches {reach} bars")
        task = task_of(series, self._pipeline.model_context_length)
        if isinstance(task, Refusal):
            return task
        quantiles = self._quantiles(task, horizon)
        fan = _prices(quantiles, task, series)
        if not np.isfinite(fan).all():
            n_wrong = int((~np.isfinite(fan)).sum())
            return refuse(series, "not_computable", f"{n_wrong} of {fan.size} values of the fan are not finite")
        info = self.info
        seed = seed_for(info.name, info.version, series.symbol, series.interval, series.issued_at, base_seed)
        return Forecast(series.symbol, series.interval, series.issued_at, info.name, info.version, seed, fan)

    def _quantiles(self, task: Task, horizon: int) -> Floats:
        """[H, 11] rising along the levels, in units of the task's scale."""
        try:
            return self._ask(task, horizon)
        except Exception as error:
            if self._on == "cpu" or not is_out_of_memory(error):
                raise
        # Here, and not in the handler, the frames that held what did not fit are gone.
        self._to_cpu()
        return self._ask(task, horizon)

    def _ask(self, task: Task, horizon: int) -> Floats:
        inputs: dict[str, Any] = {"target": task.target, "past_covariates": task.past, "future_covariates": task.ahead}
        quantiles, _ = self._pipeline.predict_quantiles(
            [inputs], prediction_length=horizon, quantile_levels=list(LEVELS), cross_learning=False
        )
        # Levels are trained each on its own and may cross; sorting never makes a fan worse
        # (Chernozhukov, Fernandez-Val and Galichon 2010, Econometrica 78).
        rising: Floats = np.sort(quantiles[0][0].double().cpu().numpy(), axis=-1)
        return rising

    def _to_device(self) -> None:
        """To the device that was asked for, or to the CPU where that has no room."""
        try:
            self._pipeline.model.to(self._device)
            self._on = self._device
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._to_cpu()

    def _to_cpu(self) -> None:
        log.warning("%s has no room for %s; computing on the CPU until it has", self._device, self._name)
        self._pipeline.model.to("cpu")
        self._on = "cpu"
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def task_of(series: Series, max_lookback: int) -> Task | Refusal:
    """What the model is shown of `series`, or why it can be shown nothing.

    Scaling is done here, in float64, because the package starts with float32, where a price of 100,000 has
    cents only; the model's own scaling then finds nothing left to do. A covariate that stands still over the whole
    lookback is left out: it has said nothing about the close that the model could read off, and divided by its own
    deviation of nearly 0 its first move would be a million deviations.
    """
    n_bars = min(len(series.ohlcv), max_lookback)
    bars = series.ohlcv[-n_bars:]
    if n_bars < MIN_LOOKBACK:
        return refuse(series, "too_short", f"{n_bars} bars of lookback, {MIN_LOOKBACK} are needed for a scale")
    mean, scale = _moments(bars[:, CLOSE])
    if scale == 0.0:
        return refuse(series, "no_movement", f"the close did not move in {n_bars} bars")
    if not np.isfinite(scale):
        return refuse(series, "out_of_range", "its closes are too far apart for a scale; check its prices")

    past: dict[str, Singles] = {}
    ahead: dict[str, Singles] = {}

    def add(name: str, values: Floats, values_ahead: Floats | None = None) -> None:
        centre, deviation = _moments(values)
        if deviation > 0.0 and np.isfinite(deviation):
            past[name] = _scaled(values, centre, deviation)
            if values_ahead is not None:
                ahead[name] = _scaled(values_ahead, centre, deviation)

    add("volume", bars[:, VOLUME])
    with np.errstate(over="ignore"):
        add("high_low_spread", bars[:, HIGH] - bars[:, LOW])
    if series.events is not None:
        n_known = len(series.ohlcv)
        lookback = series.events[n_known - n_bars : n_known].astype(np.float64)
        for channel in PAST_ONLY:
            add(channel.name, lookback[:, channel.index])
        for channel in KNOWN_FUTURE:
            add(channel.name, lookback[:, channel.index], series.events[n_known:, channel.index].astype(np.float64))
    return Task(_scaled(bars[:, CLOSE], mean, scale), past, ahead, mean, scale)


def _moments(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation; 0 for values that stand still, infinite or NaN for values that are too large."""
    if values.min() == values.max():
        return float(values[0]), 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.mean()), float(values.std())


def _scaled(values: Floats, mean: float, scale: float) -> Singles:
    with np.errstate(over="ignore"):
        return ((values - mean) / scale).astype(np.float32)


def _prices(quantiles: Floats, task: Task, series: Series) -> Floats:
    """[H, 11] in the unit of the series, positive where its closes were."""
    with np.errstate(over="ignore", invalid="ignore"):
        fan = task.mean + task.scale * quantiles
    lowest = float(series.ohlcv[-len(task.target) :, CLOSE].min())
    return np.maximum(fan, FLOOR * lowest) if lowest > 0 else fan
