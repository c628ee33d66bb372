"""Bands that keep what they promise: corrected at issue by what the market has answered so far."""

from typing import Final

from candlecast.calibration.alarm import leak_alarm
from candlecast.calibration.correction import Correction, corrected, corrected_paths
from candlecast.calibration.replay import replay
from candlecast.calibration.tracker import Labels, Tracker

CALIBRATION_VERSION: Final = 1  # of the rules of this package; raise it when a rule changes

__all__ = [
    "CALIBRATION_VERSION",
    "Correction",
    "Labels",
    "Tracker",
    "corrected",
    "corrected_paths",
    "leak_alarm",
    "replay",
]
