"""Kronos behind the forecast protocol: bars in, sample paths and a fan in the unit of the series out.

Axes: L lookback bars, S sample paths, H horizon, 6 columns (open, high, low, close, volume, amount).
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Event
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import (
    CLOSE,
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
from candlecast.quantiles import fan_from_paths
from inference_server.kronos import checkpoint, workers
from inference_server.kronos.errors import RolloutCancelled, RolloutError, WeightsError
from inference_server.kronos.model import Kronos
from inference_server.kronos.rollout import Rollout, simulate
from inference_server.kronos.sampling import Sampling
from inference_server.kronos.scaling import N_PRICES, Scaled, calendar_fields, complete_bars, scale_bars
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.kronos.zoo import by_hub_id, context_of

Mode = Literal["anchored", "raw"]
FLOOR = 0.01
"""A path of a series with positive prices stays above this share of the lowest price of its lookback."""
MIN_LOOKBACK = 2
HIGH, LOW = 1, 2


class KronosForecaster:
    """One series, all its paths, per rollout: the result of a series cannot depend on its neighbours.

    mode "anchored" starts the paths at the last real bar instead of the tokenizer's idea of it, keeps low ≤
    open, close ≤ high, and keeps prices positive where they were; "raw" returns what the decoder gives, scaled
    as upstream scales. A lookback is cut to `max_context` − horizon bars, so that nothing is computed twice.
    """

    def __init__(
        self,
        tokenizer: KronosTokenizer,
        model: Kronos,
        *,
        name: str,
        version: str,
        max_context: int,
        sampling: Sampling | None = None,
        mode: Mode = "anchored",
    ) -> None:
        self._tokenizer, self._model, self._mode = tokenizer, model, mode
        self._sampling = sampling or Sampling()
        self._max_context = max_context
        n_parameters = sum(p.numel() for p in model.parameters())
        self.info = ModelInfo(
            name=name,
            version=version,
            max_context=max_context,
            takes_events=False,
            determinism="bitwise",
            description=(
                f"Kronos, {n_parameters / 1e6:.1f}M parameters, context {max_context}, paths {mode}, temperature "
                f"{self._sampling.temperature:g}, top_k {self._sampling.top_k}, top_p {self._sampling.top_p:g}"
            ),
        )

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        name: str = "kronos-base",
        max_context: int | None = None,
        device: str = "cpu",
        sampling: Sampling | None = None,
        mode: Mode = "anchored",
    ) -> Self:
        """The model in a folder with `tokenizer/` and `model/`, or under the hub id of a published predictor.

        Raises
        ------
        WeightsError : the weights are not there, do not fit, or no tokenizer is known for the hub id.
        """
        folder, published = Path(source).expanduser(), by_hub_id(str(source))
        if folder.is_dir():
            parts = [checkpoint.find(folder / part) for part in ("tokenizer", "model") if (folder / part).is_dir()]
            if len(parts) != 2:
                raise WeightsError(f"{folder} needs two folders, tokenizer/ and model/, with config.json and weights")
        elif published is not None:
            parts = [checkpoint.find(each) for each in (published.tokenizer, published.model)]
        else:
            raise WeightsError(
                f"{source} is neither a folder nor a published Kronos; for other hub ids fetch tokenizer and "
                "predictor into tokenizer/ and model/ of one folder"
            )
        tokenizer = KronosTokenizer.from_pretrained(parts[0].weights_path.parent, device=device)
        model = Kronos.from_pretrained(parts[1].weights_path.parent, device=device)
        context = max_context or (published.max_context if published else context_of(model.config))
        version = hashlib.sha256()
        for part in parts:
            with part.weights_path.open("rb") as file:
                version.update(hashlib.file_digest(file, "sha256").digest())
        return cls(
            tokenizer,
            model,
            name=name,
            version=version.hexdigest(),
            max_context=context,
            sampling=sampling,
            mode=mode,
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
        """One result per series, in order, each as soon as it is ready; ends early once `cancel()` is true.

        As many series at a time as torch has threads, one core each; `cancel` is asked from those threads.
        """
        stopped = Event()
        waiting: deque[Future[Result]] = deque()
        at_once = workers.n_workers() if self._model.folded.device.type == "cpu" else 1

        def work_on(one: Series) -> Callable[[], Result]:
            return lambda: self._one(one, horizon, n_paths, base_seed, lambda: stopped.is_set() or cancel())

        try:
            for one in series:
                if cancel():
                    return
                waiting.append(workers.submit(work_on(one)))
                if len(waiting) == at_once:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except RolloutCancelled:
            return
        finally:
            # Also when the caller stops reading: nothing goes on computing for nobody.
            stopped.set()
            wait(waiting)

    def _one(
        self, series: Series, horizon: int, n_paths: int, base_seed: int, cancel: Callable[[], bool]
    ) -> Forecast | Refusal:
        fault = series_fault(series, horizon)
        if fault is not None:
            return fault
        room = self._max_context - horizon
        if room < MIN_LOOKBACK:
            most = self._max_context - MIN_LOOKBACK
            return refuse(series, "horizon_too_long", f"horizon {horizon}, {self.info.name} reaches {most} bars")
        if n_paths < 1:
            return refuse(series, "no_paths", f"{n_paths} paths asked for; {self.info.name} needs at least one")
        bars = series.ohlcv[-room:]
        if len(bars) < MIN_LOOKBACK:
            return refuse(series, "too_short", f"{len(bars)} bars of lookback, {MIN_LOOKBACK} are needed for a scale")
        info = self.info
        seed = seed_for(info.name, info.version, series.symbol, series.interval, series.issued_at, base_seed)
        bars = complete_bars(bars)
        scaled = scale_bars(bars, "upstream" if self._mode == "raw" else "exact")
        try:
            drawn = self._draw(series, scaled, room, horizon, n_paths, seed, cancel)
        except RolloutError as error:
            return refuse(series, "not_computable", str(error))

        paths = self._restore(drawn, scaled, bars)[:, :, CLOSE].astype(np.float32)
        if not np.isfinite(paths).all():
            return refuse(
                series, "not_finite", f"{int((~np.isfinite(paths)).sum())} values of the paths are not finite"
            )
        return Forecast(
            series.symbol,
            series.interval,
            series.issued_at,
            info.name,
            info.version,
            seed,
            fan_from_paths(paths),
            paths,
        )

    def _draw(
        self,
        series: Series,
        scaled: Scaled,
        room: int,
        horizon: int,
        n_paths: int,
        seed: int,
        cancel: Callable[[], bool],
    ) -> Rollout:
        return simulate(
            self._tokenizer,
            self._model,
            scaled.x[None],
            calendar_fields(series.opened_at[-room:])[None],
            calendar_fields(series.target_opened_at)[None],
            horizon=horizon,
            n_paths=n_paths,
            sampling=self._sampling,
            max_context=self._max_context,
            seed=[seed],
            cancel=cancel,
        )

    def _restore(self, drawn: Rollout, scaled: Scaled, bars: NDArray[np.float64]) -> NDArray[np.floating]:
        """Bars [S, H, 6] in the unit of the series."""
        paths = drawn.paths[0].cpu().numpy()
        if self._mode == "raw":
            return scaled.restore(paths)
        assert drawn.last is not None
        return coherent(anchored(scaled.restore(paths), scaled.restore(drawn.last[0].cpu().numpy()), bars[-1]), bars)


def anchored(
    paths: NDArray[np.floating], decoded_last: NDArray[np.floating], last: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Paths [S, H, 6] whose prices start at the last real bar [6], not at the decoder's view of it [6].

    A trial on real hourly bars found that view 0.64 of one bar's σ away from the close, and 13 % less CRPS at the
    first step without it.
    """
    shift = np.where(np.arange(paths.shape[-1]) < N_PRICES, last - decoded_last, 0.0)
    return paths + shift


def coherent(paths: NDArray[np.floating], lookback: NDArray[np.float64]) -> NDArray[np.floating]:
    """Bars [S, H, 6] with low ≤ open, close ≤ high, volume and amount not negative, prices positive where they were."""
    bars = np.array(paths)
    prices = bars[..., :N_PRICES]
    lowest = lookback[:, :N_PRICES].min()
    if lowest > 0:
        np.maximum(prices, FLOOR * lowest, out=prices)
    high, low = prices.max(axis=-1), prices.min(axis=-1)
    bars[..., HIGH], bars[..., LOW] = high, low
    np.maximum(bars[..., N_PRICES:], 0.0, out=bars[..., N_PRICES:])
    return bars
