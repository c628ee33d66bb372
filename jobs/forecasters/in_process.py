"""A forecaster in this process, for machines without a server: tests, notebooks, a small CPU."""

from collections.abc import Callable, Iterator, Sequence

from candlecast.forecasts import (
    Forecast,
    Forecaster,
    ModelInfo,
    Result,
    Series,
    forecast_fault,
    never,
    refuse,
)


class InProcess:
    """`forecaster` with the server's manners: a series that it fails on is refused, the others are answered."""

    def __init__(self, forecaster: Forecaster) -> None:
        self._forecaster = forecaster

    @property
    def info(self) -> ModelInfo:
        """What the forecaster is."""
        return self._forecaster.info

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series, in order; see `Forecaster`."""
        n_done = 0
        while n_done < len(series) and not cancel():
            failure = "it gave no answer"
            try:
                results = self._forecaster.forecast(
                    series[n_done:], horizon=horizon, n_paths=n_paths, base_seed=base_seed, cancel=cancel
                )
                for result in results:
                    n_done += 1
                    yield _checked(series[n_done - 1], result, horizon)
            except Exception as error:
                failure = f"{type(error).__name__}: {error}"
            if n_done < len(series) and not cancel():
                n_done += 1
                yield refuse(series[n_done - 1], "model_error", f"the model failed ({failure})")


def _checked(series: Series, result: Result, horizon: int) -> Result:
    """`result`, or a refusal of what may not be issued."""
    fault = forecast_fault(result, horizon) if isinstance(result, Forecast) else None
    return result if fault is None else refuse(series, "bad_forecast", f"the forecast cannot be issued, {fault}")
