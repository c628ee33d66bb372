"""What an operator may set for the gateway, read once from the environment that `main` passes in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from candlecast.settings import LOG_LEVELS, read_env


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Settings of the gateway.

    home : folder of the embedded database, used when `database_url` is not set
    database_url : where to read; any role that may SELECT in the schema `candlecast`
    cache_ttl_s, cache_entries, cache_bytes : bounds of the cache
    poll_s : seconds between two looks at what is new in the database
    rate, key_rate : how often one address, and the holder of one key, may ask
    trusted_proxies : addresses or networks of the proxies whose X-Real-IP is believed
    snapshot : file from which a restart serves while the database is away; none by default
    showcase_api_key : a key that opens keyed routes besides those of the database
    hosts : names under which clients reach /mcp, besides those of this machine
    """

    home: Path = field(default=Path(".candlecast"), metadata={"env": "CANDLECAST_HOME"})
    database_url: str | None = field(default=None, repr=False, metadata={"env": "DATABASE_URL"})
    cache_ttl_s: float = field(default=1800.0, metadata={"env": "GATEWAY_CACHE_TTL", "range": (1, 86_400)})
    cache_entries: int = field(default=1024, metadata={"env": "GATEWAY_CACHE_SIZE", "range": (1, 1_000_000)})
    cache_bytes: int = field(default=64 << 20, metadata={"env": "GATEWAY_CACHE_BYTES", "range": (1 << 16, 1 << 40)})
    poll_s: float = field(default=5.0, metadata={"env": "GATEWAY_POLL_S", "range": (0.05, 300)})
    rate: str = field(default="1200/minute", metadata={"env": "GATEWAY_RATE"})
    key_rate: str = field(default="6000/minute", metadata={"env": "GATEWAY_KEY_RATE"})
    trusted_proxies: tuple[str, ...] = field(default=(), metadata={"env": "GATEWAY_TRUSTED_PROXIES", "free": True})
    snapshot: Path | None = field(default=None, metadata={"env": "GATEWAY_SNAPSHOT"})
    hosts: tuple[str, ...] = field(default=(), metadata={"env": "GATEWAY_HOSTS", "free": True})
    showcase_api_key: str | None = field(default=None, repr=False, metadata={"env": "SHOWCASE_API_KEY"})
    log_level: str = field(default="INFO", metadata={"env": "LOG_LEVEL", "choices": LOG_LEVELS})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings that `env` describes; raises BadSetting."""
        return read_env(cls, env)
