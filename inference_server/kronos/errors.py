"""What can go wrong with Kronos that its caller can mend."""

from candlecast.errors import CandlecastError


class WeightsError(CandlecastError):
    """The files do not hold what the configuration says, or are not there."""


class RolloutError(CandlecastError, ValueError):
    """Bars, stamps or sampling options that no rollout can be made from."""


class RolloutCancelled(CandlecastError):
    """The caller no longer wants the result; raised between two decode steps."""
