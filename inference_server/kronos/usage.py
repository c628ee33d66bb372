"""How a checkpoint wants to be used: `usage.json` beside `tokenizer/` and `model/`, absent in published weights."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from inference_server.kronos.anchoring import Space
from inference_server.kronos.errors import WeightsError
from inference_server.kronos.spread import Spread

USAGE_FILE = "usage.json"


@dataclass(frozen=True, slots=True)
class Usage:
    """max_context : bars that the model was trained to see; None where the file is absent
    space : the units in which paths are anchored; spread : how wide they are made
    """

    max_context: int | None = None
    space: Space = "scaled"
    spread: Spread = field(default_factory=Spread)

    @classmethod
    def read(cls, folder: Path) -> "Usage":
        """What `folder` says, or the defaults where it says nothing.

        Raises
        ------
        WeightsError : the file is there and cannot be understood.
        """
        path = folder / USAGE_FILE
        if not path.is_file():
            return cls()
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            context, space, spread = int(stored["max_context"]), stored["space"], Spread.of(stored["spread"])
        except WeightsError as error:
            raise WeightsError(f"{path}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(f"{path} does not say max_context, space and spread ({error!r})") from error
        if space not in get_args(Space):
            raise WeightsError(f"{path}: space is {space!r}, expected one of {', '.join(get_args(Space))}")
        return cls(context, space, spread)

    def write(self, folder: Path) -> None:
        """Put the file into `folder`."""
        stored = {"max_context": self.max_context, "space": self.space, "spread": self.spread.to_dict()}
        (folder / USAGE_FILE).write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
