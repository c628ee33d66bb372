"""A model whose bands are half as wide as they should be: what a calibrator is for."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from candlecast.baselines import RandomWalk
from candlecast.forecasts import LEVELS, Forecast, ModelInfo, Result, Series
from jobs.forecasters import HttpForecaster

NAME = "kronos-narrow"


class Overconfident(HttpForecaster):
    """The fan of the random walk with half its width, under a name of its own; asked without any server."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", NAME)

    @property
    def info(self) -> ModelInfo:
        return replace(RandomWalk().info, name=NAME)

    def forecast(self, series: Sequence[Series], **asked: Any) -> Iterator[Result]:
        asked = {name: asked[name] for name in ("horizon", "n_paths", "base_seed")}
        for one in RandomWalk().forecast(series, **asked):
            yield narrowed(one) if isinstance(one, Forecast) else one


def narrowed(forecast: Forecast) -> Forecast:
    """The same forecast with half the distances from the median, and without paths."""
    middle = forecast.fan[:, LEVELS.index(0.5), None]
    fan = np.sort(middle * np.sqrt(forecast.fan / middle), axis=1)
    return replace(forecast, model_name=NAME, fan=fan, paths=None)
