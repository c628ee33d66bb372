"""What an operator may set, read once from the environment that `main` passes in.

A deployable's settings are a frozen dataclass whose fields name their variable in `metadata["env"]`, numbers
also their `range`, words their `choices`, comma lists their `words` (or `free` where any word will do). Secrets have
`repr=False`. `.env.example` lists every name; a test keeps them equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self, TypeVar

from candlecast.errors import CandlecastError

S = TypeVar("S")

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
BASELINES = ("rw", "hourweek", "snaive", "garch", "lgbm")  # in the order in which they are issued, the cheap first


class BadSetting(CandlecastError):
    """An environment variable holds something that cannot be used."""

    exit_code = 78

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f"{name} is {value!r}, but it has to be {expected}; correct it in the environment")
        self.name, self.value = name, value


def read_env(settings: type[S], env: Mapping[str, str]) -> S:
    """The settings that `env` describes; an empty value means unset.

    Raises
    ------
    BadSetting : a number that is none or out of its range, or a word that is not among those to choose from.
    """
    values: dict[str, Any] = {}
    for setting in fields(settings):  # type: ignore[arg-type]
        name = setting.metadata["env"]
        text = env.get(name, "").strip()
        if not text:
            continue
        choices = setting.metadata.get("choices")
        if choices is not None and text not in choices and text.upper() not in choices:
            raise BadSetting(name, text, f"one of {', '.join(choices)}")
        if "words" in setting.metadata:
            values[setting.name] = _words(name, text, setting.metadata["words"])
        elif setting.metadata.get("free"):
            values[setting.name] = tuple(word for part in text.split(",") if (word := part.strip().lower()))
        elif "range" in setting.metadata:
            values[setting.name] = _number(name, text, setting.type in (int, int | None), *setting.metadata["range"])
        else:
            values[setting.name] = Path(text) if setting.type in (Path, Path | None) else text
    return settings(**values)


def _words(name: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a comma list, in the order of `known`."""
    found = {word.strip().lower() for word in text.split(",")} - {""}
    if not found <= set(known):
        raise BadSetting(name, text, f"a list of {', '.join(known)}, separated by commas")
    return tuple(word for word in known if word in found)


def _number(name: str, text: str, whole: bool, low: float, high: float) -> float:
    # Digits of other scripts would be read too; nobody means them here.
    digits = text if text.isascii() else ""
    try:
        number = int(digits) if whole else float(digits)
    except ValueError:
        number = float("nan")
    if not low <= number <= high:
        raise BadSetting(name, text, f"a {'whole ' if whole else ''}number from {low} to {high}")
    return number


@dataclass(frozen=True, slots=True)
class JobSettings:
    """Settings of the jobs and of the command line."""

    home: Path = field(default=Path(".candlecast"), metadata={"env": "CANDLECAST_HOME"})
    database_url: str | None = field(default=None, repr=False, metadata={"env": "DATABASE_URL"})
    instruments_file: Path | None = field(default=None, metadata={"env": "INSTRUMENTS_FILE"})
    inference_url: str = field(default="http://127.0.0.1:8200", metadata={"env": "INFERENCE_URL"})
    inference_token: str | None = field(default=None, repr=False, metadata={"env": "INFERENCE_TOKEN"})
    access_id: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_ID"})
    access_secret: str | None = field(default=None, repr=False, metadata={"env": "CF_ACCESS_CLIENT_SECRET"})
    model_name: str = field(default="kronos-base", metadata={"env": "MODEL_NAME"})
    horizon: int = field(default=120, metadata={"env": "HORIZON", "range": (1, 1024)})
    lookback: int = field(default=392, metadata={"env": "LOOKBACK", "range": (64, 2048)})
    n_paths: int = field(default=100, metadata={"env": "N_PATHS", "range": (10, 1000)})
    base_seed: int = field(default=0, metadata={"env": "BASE_SEED", "range": (0, 2**31)})
    baselines: tuple[str, ...] = field(default=BASELINES, metadata={"env": "BASELINES", "words": BASELINES})
    deadline_s: int = field(default=2700, metadata={"env": "JOB_DEADLINE_S", "range": (1, 86_400)})
    log_level: str = field(default="INFO", metadata={"env": "LOG_LEVEL", "choices": LOG_LEVELS})

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """The settings that `env` describes; raises BadSetting."""
        return read_env(cls, env)
