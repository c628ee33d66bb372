"""What an operator may set for the gateway, read once from the environment that `main` passes in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from candlecast.errors import CandlecastError
from candlecast.settings import LOG_LEVELS, BadSetting, read_env

MIN_KEY_LENGTH: Final = 32
MIN_KEY_SIGNS: Final = 12  # different ones: 32 random ones of even a small alphabet have more
PLACEHOLDERS: Final = ("changeme", "change-me", "change_me", "example", "secret", "password", "default", "your-key")
ORIGIN: Final = re.compile(r"https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?")


class WeakKey(CandlecastError):
    """SHOWCASE_API_KEY could be guessed; the message does not repeat it."""

    exit_code = 78

    def __init__(self, why: str) -> None:
        super().__init__(
            f"SHOWCASE_API_KEY {why}; it opens every keyed route, so set it to at least {MIN_KEY_LENGTH} random signs, "
            "e.g. from `openssl rand -base64 32`, or leave it empty"
        )


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
    origins : of pages elsewhere that may ask the keyed routes and /mcp, such as https://desk.example
    hosts : names under which clients reach /mcp, besides those of this machine
    inference_url, access_id, access_secret : the inference server, and what opens the edge in front of it; only its
        readiness is looked at, for the status
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
    origins: tuple[str, ...] = field(default=(), metadata={"env": "GATEWAY_ORIGINS", "free": True})
    inference_url: str | None = field(default=None, repr=False, metadata={"env": "INFERENCE_URL"})
    access_id: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_ID"})
    access_secret: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_SECRET"})
    log_level: str = field(default="INFO", metadata={"env": "LOG_LEVEL", "choices": LOG_LEVELS})
    log_format: str | None = field(default=None, metadata={"env": "LOG_FORMAT", "choices": ("json", "text")})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings that `env` describes.

        Raises
        ------
        BadSetting : a value that cannot be used.
        WeakKey : a SHOWCASE_API_KEY that could be guessed.
        """
        settings = read_env(cls, env)
        _judge_key(settings.showcase_api_key)
        for origin in settings.origins:
            if not ORIGIN.fullmatch(origin):
                raise BadSetting("GATEWAY_ORIGINS", origin, "a list of origins such as https://desk.example, without *")
        return settings


def _judge_key(key: str | None) -> None:
    """Refuse a key that is short, repetitive or a placeholder."""
    if key is None:
        return
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise WeakKey("holds a space or a sign that is not plain ASCII")
    if len(key) < MIN_KEY_LENGTH:
        raise WeakKey(f"has only {len(key)} signs")
    if len(set(key)) < MIN_KEY_SIGNS:
        raise WeakKey(f"has only {len(set(key))} different signs")
    if any(word in key.lower() for word in PLACEHOLDERS):
        raise WeakKey("looks like a placeholder")
