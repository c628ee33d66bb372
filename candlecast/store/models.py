"""The registry of model versions: which exact weights have ever spoken under which name."""

from sqlalchemy import Connection

from candlecast.forecasts import ModelInfo
from candlecast.store.sql import load


def register_model(conn: Connection, info: ModelInfo) -> None:
    """Remember this version of the model; does nothing when it is known."""
    conn.execute(
        load("model_register"),
        {
            "model_name": info.name,
            "version": info.version,
            "description": info.description,
            "takes_events": info.takes_events,
        },
    )
