"""Ways to a forecast: over HTTP, in this process, on the machines of a Ray cluster.

Each is a `candlecast.forecasts.Forecaster`, and one suite of tests holds them to the same promise: the same series
give the same numbers, whatever the order, the chunks, and the place where they are computed.
"""

from jobs.forecasters.actors import RayForecaster
from jobs.forecasters.errors import GpuDown, InferenceAuthError, InferenceError, InferenceRejected, InferenceUnavailable
from jobs.forecasters.http import HttpForecaster
from jobs.forecasters.in_process import InProcess

__all__ = [
    "GpuDown",
    "HttpForecaster",
    "InProcess",
    "InferenceAuthError",
    "InferenceError",
    "InferenceRejected",
    "InferenceUnavailable",
    "RayForecaster",
]
