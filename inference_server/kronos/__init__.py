"""Kronos: a foundation model of candlestick series, our own implementation for the published weights.

`rollout` gives sample paths on normalised bars; `forecaster.KronosForecaster` puts it behind the forecast protocol.
"""

from inference_server.kronos.model import Kronos
from inference_server.kronos.rollout import rollout
from inference_server.kronos.tokenizer import KronosTokenizer

__all__ = ["Kronos", "KronosTokenizer", "rollout"]
