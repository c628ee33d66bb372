"""What an operator may set, read once from the environment that `main` passes in.

Secrets never show up in a repr. `.env.example` lists the same names; a test keeps the two equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Self

from candlecast.errors import CandlecastError


class BadSetting(CandlecastError):
    """An environment variable holds something that cannot be used."""

    exit_code = 78

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name} is {value!r}, but it has to be {expected}; correct it in the environment or in .env")
        self.name, self.value = name, value


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Settings of the jobs and of the command line."""

    home: Path = field(default=Path(".candlecast"), metadata={"env": "CANDLECAST_HOME"})
    database_url: str | None = field(default=None, repr=False, metadata={"env": "DATABASE_URL"})
    inference_url: str = field(default="http://127.0.0.1:8200", metadata={"env": "INFERENCE_URL"})
    inference_token: str | None = field(default=None, repr=False, metadata={"env": "INFERENCE_TOKEN"})
    access_id: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_ID"})
    access_secret: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_SECRET"})
    model_name: str = field(default="kronos-base", metadata={"env": "MODEL_NAME"})
    horizon: int = field(default=120, metadata={"env": "HORIZON", "range": (1, 1024)})
    lookback: int = field(default=392, metadata={"env": "LOOKBACK", "range": (64, 2048)})
    n_paths: int = field(default=100, metadata={"env": "N_PATHS", "range": (10, 1000)})
    base_seed: int = field(default=0, metadata={"env": "BASE_SEED", "range": (0, 2**31)})
    deadline_s: int = field(default=2700, metadata={"env": "JOB_DEADLINE_S", "range": (10, 86_400)})
    log_level: str = field(default="INFO", metadata={"env": "LOG_LEVEL"})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings that `env` describes; an empty value means unset.

        Raises
        ------
        BadSetting : a number that is none, or out of its range.
        """
        values: dict[str, object] = {}
        for setting in fields(cls):
            name = setting.metadata["env"]
            text = env.get(name, "").strip()
            if not text:
                continue
            if setting.type is int:
                low, high = setting.metadata["range"]
                if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
                    raise BadSetting(name, text, f"a whole number from {low} to {high}")
                values[setting.name] = int(text)
            elif setting.type is Path:
                values[setting.name] = Path(text)
            else:
                values[setting.name] = text
        return cls(**values)  # type: ignore[arg-type]
