"""Why the inference server gave no answer, by what can be done about it."""

from candlecast.errors import CandlecastError


class InferenceError(CandlecastError):
    """No answer from the inference server for some items; those that arrived were handed on."""


class InferenceUnavailable(InferenceError):
    """The server is busy beyond patience, keeps cutting its answers, or the time for the call is over."""

    exit_code = 75


class GpuDown(InferenceUnavailable):
    """The server cannot be reached at all; nothing more is sent to it in this run."""


class InferenceAuthError(InferenceError):
    """The key or the tunnel's token was not accepted; trying again will not help."""

    exit_code = 77


class InferenceRejected(InferenceError):
    """The server understood the request and will not do it."""
