"""Kronos behind the forecast protocol: bars in, sample paths and a fan in the unit of the series out.

Axes: L lookback bars, S sample paths, H horizon, 6 columns (open, high, low, close, volume, amount).
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from threading import Event
from typing import Literal, Self, get_args

import numpy as np
import torch
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
from inference_server.kronos.anchoring import anchored, coherent
from inference_server.kronos.batches import Batch, MicroBatches
from inference_server.kronos.errors import RolloutCancelled, RolloutError, WeightsError
from inference_server.kronos.model import Kronos
from inference_server.kronos.rollout import Rollout, simulate
from inference_server.kronos.sampling import Sampling
from inference_server.kronos.scaling import Scaled, calendar_fields, complete_bars, scale_bars
from inference_server.kronos.spread import asset_class_of, spread_out
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.kronos.usage import USAGE_FILE, Usage
from inference_server.kronos.zoo import by_hub_id, context_of

Mode = Literal["anchored", "raw"]
Dtype = Literal["auto", "float32", "bfloat16"]
MIN_LOOKBACK = 2


class KronosForecaster:
    """Series of one lookback share a rollout, as many as memory holds, and none of them notices its neighbours.

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
        usage: Usage | None = None,
    ) -> None:
        self._tokenizer, self._model, self._mode = tokenizer, model, mode
        self._usage = usage or Usage()
        self._sampling = sampling or Sampling()
        self._max_context = max_context
        self._batches = MicroBatches(tokenizer.config, model.config, model.folded)
        on_cpu, dtype = model.folded.device.type == "cpu", model.folded.dtype
        n_parameters = sum(p.numel() for p in model.parameters())
        self.info = ModelInfo(
            name=name,
            version=version,
            max_context=max_context,
            takes_events=False,
            # A library may take another order of summation for another batch; on a CPU in float32 ours does not.
            determinism="bitwise" if on_cpu and dtype == torch.float32 else "tolerance",
            description=(
                f"Kronos, {n_parameters / 1e6:.1f}M parameters, context {max_context}, {_name(dtype)}, paths {mode}, "
                f"temperature {self._sampling.temperature:g}, top_k {self._sampling.top_k}, "
                f"top_p {self._sampling.top_p:g}"
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
        dtype: Dtype = "auto",
    ) -> Self:
        """The model in a folder with `tokenizer/` and `model/`, or under the hub id of a published predictor.

        dtype : of the predictor's weights, keys and values; "auto" is float32 on a CPU and bfloat16 on a GPU

        Raises
        ------
        WeightsError : the weights are not there, do not fit, or no tokenizer is known for the hub id; or another
            dtype.
        """
        if dtype not in get_args(Dtype):
            raise WeightsError(f"dtype is {dtype!r}, needed is one of {', '.join(get_args(Dtype))}")
        folder, published, usage = Path(source).expanduser(), by_hub_id(str(source)), Usage()
        if folder.is_dir():
            parts = [checkpoint.find(folder / part) for part in ("tokenizer", "model") if (folder / part).is_dir()]
            if len(parts) != 2:
                raise WeightsError(f"{folder} needs two folders, tokenizer/ and model/, with config.json and weights")
            usage = Usage.read(folder)
        elif published is not None:
            parts = [checkpoint.find(each) for each in (published.tokenizer, published.model)]
        else:
            raise WeightsError(
                f"{source} is neither a folder nor a published Kronos; for other hub ids fetch tokenizer and "
                "predictor into tokenizer/ and model/ of one folder"
            )
        tokenizer = KronosTokenizer.from_pretrained(parts[0].weights_path.parent, device=device)
        model = Kronos.from_pretrained(parts[1].weights_path.parent, device=device)
        if dtype == "bfloat16" or (dtype == "auto" and torch.device(device).type == "cuda"):
            model.infer_in(torch.bfloat16)
        context = max_context or usage.max_context or (published.max_context if published else context_of(model.config))
        version = hashlib.sha256()
        for part in parts:
            with part.weights_path.open("rb") as file:
                version.update(hashlib.file_digest(file, "sha256").digest())
        if usage != Usage():
            version.update((folder / USAGE_FILE).read_bytes())
        if model.folded.dtype != torch.float32:
            version.update(_name(model.folded.dtype).encode())  # other numbers, so another version
        return cls(
            tokenizer,
            model,
            name=name,
            version=version.hexdigest(),
            max_context=context,
            sampling=sampling,
            mode=mode,
            usage=usage,
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

        On a CPU as many micro-batches at a time as torch has threads, one core each; `cancel` is asked from there.
        """
        stopped = Event()
        # One more than there are cores waits its turn, so that none idles while an earlier answer is still awaited.
        n_workers = workers.n_workers() if self._model.folded.device.type == "cpu" else 1
        at_once = n_workers + 1 if n_workers > 1 else 1
        waiting: deque[tuple[Batch, Future[list[Result]]]] = deque()
        answers: dict[int, Result] = {}
        lookbacks: list[tuple[int, int]] = []
        for position, one in enumerate(series):
            refusal = self._refusal(one, horizon, n_paths)
            if refusal is not None:
                answers[position] = refusal
            else:
                lookbacks.append((position, min(len(one.ohlcv), self._max_context - horizon)))

        def work_on(batch: Batch) -> Callable[[], list[Result]]:
            some = [series[position] for position in batch.members]
            return lambda: self._roll_out(
                some, horizon, n_paths, base_seed, batch.paths, lambda: stopped.is_set() or cancel()
            )

        given = 0
        try:
            batches = deque(self._batches.plan(lookbacks, horizon, n_paths))
            while given < len(series):
                if cancel():
                    return
                while batches and len(waiting) < at_once:
                    batch = batches.popleft()
                    waiting.append((batch, workers.submit(work_on(batch))))
                if given not in answers:
                    batch, future = waiting.popleft()
                    answers.update(zip(batch.members, future.result(), strict=True))
                while given in answers:
                    yield answers.pop(given)
                    given += 1
        except RolloutCancelled:
            return
        finally:
            # Also when the caller stops reading: nothing goes on computing for nobody.
            stopped.set()
            wait([future for _, future in waiting])
        self._batches.went_well()

    def halve(self) -> bool:
        """Work in half the size from now on, after memory ran out; False when it cannot be smaller."""
        return self._batches.halve()

    def _refusal(self, series: Series, horizon: int, n_paths: int) -> Refusal | None:
        fault = series_fault(series, horizon)
        if fault is not None:
            return fault
        room = self._max_context - horizon
        if room < MIN_LOOKBACK:
            most = self._max_context - MIN_LOOKBACK
            return refuse(series, "horizon_too_long", f"horizon {horizon}, {self.info.name} reaches {most} bars")
        if n_paths < 1:
            return refuse(series, "no_paths", f"{n_paths} paths asked for; {self.info.name} needs at least one")
        n = len(series.ohlcv)
        if n < MIN_LOOKBACK:
            return refuse(series, "too_short", f"{n} bars of lookback, {MIN_LOOKBACK} are needed for a scale")
        return None

    def _roll_out(
        self,
        series: Sequence[Series],
        horizon: int,
        n_paths: int,
        base_seed: int,
        paths_at_once: int,
        cancel: Callable[[], bool],
    ) -> list[Result]:
        """Results of series of one lookback, all their paths drawn in one rollout."""
        room, info = self._max_context - horizon, self.info
        bars = [complete_bars(one.ohlcv[-room:]) for one in series]
        scaled = [scale_bars(each, "upstream" if self._mode == "raw" else "exact") for each in bars]
        seeds = [
            seed_for(info.name, info.version, one.symbol, one.interval, one.issued_at, base_seed) for one in series
        ]
        try:
            drawn = simulate(
                self._tokenizer,
                self._model,
                [each.x for each in scaled],
                [calendar_fields(one.opened_at[-room:]) for one in series],
                [calendar_fields(one.target_opened_at) for one in series],
                horizon=horizon,
                n_paths=n_paths,
                sampling=self._sampling,
                max_context=self._max_context,
                seed=seeds,
                cancel=cancel,
                paths_at_once=paths_at_once,
            )
        except RolloutError as error:
            if len(series) == 1:
                return [refuse(series[0], "not_computable", str(error))]
            alone = [self._roll_out([one], horizon, n_paths, base_seed, paths_at_once, cancel) for one in series]
            return [result for results in alone for result in results]
        return [
            self._result(one, self._restore(drawn.series(i), scaled[i], bars[i], one), seeds[i])
            for i, one in enumerate(series)
        ]

    def _result(self, series: Series, closes: NDArray[np.floating], seed: int) -> Result:
        paths = closes.astype(np.float32)
        if not np.isfinite(paths).all():
            message = f"{int((~np.isfinite(paths)).sum())} values of the paths are not finite"
            return refuse(series, "not_finite", message)
        name, version = self.info.name, self.info.version
        fan = fan_from_paths(paths)
        return Forecast(series.symbol, series.interval, series.issued_at, name, version, seed, fan, paths)

    def _restore(
        self, drawn: Rollout, scaled: Scaled, bars: NDArray[np.float64], series: Series
    ) -> NDArray[np.floating]:
        """Closes [S, H] in the unit of the series."""
        paths = scaled.restore(drawn.paths[0].cpu().numpy())
        if self._mode == "raw":
            return paths[:, :, CLOSE]
        assert drawn.last is not None
        decoded_last = scaled.restore(drawn.last[0].cpu().numpy())
        closes = coherent(anchored(paths, decoded_last, bars[-1], self._usage.space), bars)[:, :, CLOSE]
        factors = self._usage.spread.along(series.interval, asset_class_of(series.symbol), closes.shape[1])
        return closes if (factors == 1.0).all() else spread_out(closes, factors)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
