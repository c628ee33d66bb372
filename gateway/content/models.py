"""All models, with the number of forecasts they issued."""

from collections.abc import Sequence
from typing import Any

import orjson

from gateway.answers import Document, iso
from gateway.content.shelf import SYNTHETIC_STORE, utc
from gateway.database import Database, Row


async def read_models(database: Database, _: tuple[str, ...]) -> Document:
    """The body of /showcase/models."""
    return Document(models_json(await database.rows("gateway_models")))


def models_json(rows: Sequence[Row]) -> bytes:
    """The body of /showcase/models from the rows of `gateway_models`."""
    models: dict[tuple[str, str | None], dict[str, Any]] = {}
    for row in rows:
        key = (row["model_name"], row["version"])
        model = models.setdefault(
            key,
            {
                "model_name": row["model_name"],
                "version": row["version"],
                "description": row["description"],
                "base": row["base"],
                "adapter": row["adapter"],
                "asset_class": row["asset_class"],
                "takes_events": row["takes_events"],
                "state": row["state"],
                "baseline": row["model_name"].startswith("baseline-"),
                "first_seen": iso(utc(row["first_seen"])) if row["first_seen"] else None,
                "forecasts": [],
            },
        )
        if row["interval"] is not None:
            model["forecasts"].append(
                {
                    "interval": row["interval"],
                    "n_forecasts": row["n_forecasts"],
                    "last_recorded_at": iso(utc(row["last_recorded_at"])),
                }
            )
    said = SYNTHETIC_STORE if any(row["synthetic"] for row in rows) else None
    return orjson.dumps({"notice": said, "models": list(models.values())})
