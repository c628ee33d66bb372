"""What an operator may set on the inference server, from the environment, then from the command line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal, Self, get_args

from candlecast.errors import CandlecastError
from candlecast.settings import LOG_LEVELS, read_env

Dtype = Literal["auto", "float32", "bfloat16"]


class OpenToTheNetwork(CandlecastError):
    """The server would listen beyond this machine without asking for a key."""

    exit_code = 78

    def __init__(self, host: str) -> None:
        super().__init__(
            f"refusing to listen on {host} without a key; set INFERENCE_TOKEN, or bind to 127.0.0.1 and let a tunnel "
            "reach it"
        )
        self.host = host


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of `python -m inference_server`.

    port : 0 takes a free one
    token : when set, asked for as `X-API-Key` or `Authorization: Bearer` on everything but health
    kronos_weights : folder with `tokenizer/` and `model/`, a hub id, or `nano`; None serves the baseline only
    kronos_name : the name in rows and requests; by default made from the folder's or hub id's last part
    max_context : bars of lookback and horizon that the weights take, None asks the weights
    chronos2_weights : folder with `config.json` and `model.safetensors`, or a hub id such as `amazon/chronos-2`;
        None serves no chronos-2
    dtype : of Kronos' weights, keys and values; "auto" is float32 on a CPU, bfloat16 on a GPU
    threads : of torch, 0 leaves torch's own choice
    queue_depth : requests that may wait behind the one at work
    client_s : within which a client has to send its whole request, and to take each piece of the answer
    canary_s : of rest after which the models are tried again; 0 never tries them, not even before they serve
    results_mb : of answers kept for their Idempotency-Key
    """

    host: str = field(default="127.0.0.1", metadata={"env": "INFERENCE_HOST"})
    port: int = field(default=8200, metadata={"env": "INFERENCE_PORT", "range": (0, 65_535)})
    token: str | None = field(default=None, repr=False, metadata={"env": "INFERENCE_TOKEN"})
    kronos_weights: str | None = field(default=None, metadata={"env": "KRONOS_WEIGHTS"})
    kronos_name: str | None = field(default=None, metadata={"env": "KRONOS_NAME"})
    max_context: int | None = field(default=None, metadata={"env": "KRONOS_MAX_CONTEXT", "range": (2, 16_384)})
    device: str = field(default="auto", metadata={"env": "INFERENCE_DEVICE"})
    threads: int = field(default=0, metadata={"env": "INFERENCE_THREADS", "range": (0, 1_024)})
    queue_depth: int = field(default=2, metadata={"env": "INFERENCE_QUEUE_DEPTH", "range": (0, 1_000)})
    body_limit_mb: int = field(default=20, metadata={"env": "INFERENCE_BODY_LIMIT_MB", "range": (1, 1_024)})
    heartbeat_s: float = field(default=5.0, metadata={"env": "INFERENCE_HEARTBEAT_S", "range": (0.01, 10)})
    drain_s: float = field(default=55.0, metadata={"env": "INFERENCE_DRAIN_S", "range": (0, 600)})
    log_level: str = field(default="INFO", metadata={"env": "LOG_LEVEL", "choices": LOG_LEVELS})
    chronos2_weights: str | None = field(default=None, metadata={"env": "CHRONOS2_WEIGHTS"})
    client_s: float = field(default=60.0, metadata={"env": "INFERENCE_CLIENT_S", "range": (0.01, 3_600)})
    canary_s: float = field(default=300.0, metadata={"env": "INFERENCE_CANARY_S", "range": (0, 86_400)})
    results_mb: int = field(default=64, metadata={"env": "INFERENCE_RESULTS_MB", "range": (0, 10_000)})
    dtype: Dtype = field(default="auto", metadata={"env": "INFERENCE_DTYPE", "choices": get_args(Dtype)})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings that `env` describes; raises BadSetting."""
        return read_env(cls, env)

    @property
    def body_limit(self) -> int:
        """Bytes of the largest request body."""
        return self.body_limit_mb * 1_000_000

    @property
    def results_bytes(self) -> int:
        """Bytes of answers kept for their Idempotency-Key."""
        return self.results_mb * 1_000_000

    def check(self) -> None:
        """Raise `OpenToTheNetwork` for an address beyond this machine without a key."""
        if self.token is None and not _is_loopback(self.host):
            raise OpenToTheNetwork(self.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
