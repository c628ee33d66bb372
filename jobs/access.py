"""What a job works with: the store as the writer role, and the inference server."""

import os

from sqlalchemy import Engine

from candlecast.settings import JobSettings
from candlecast.store.engine import create_engine, database_url
from jobs.forecasters import HttpForecaster


def writer_engine(settings: JobSettings) -> Engine:
    """The store, as the role that may write; starts the embedded Postgres where no DATABASE_URL is set."""
    return create_engine(database_url(os.environ, settings.home, role="writer"), application_name="candlecast-jobs")


def http_forecaster(settings: JobSettings, model_name: str) -> HttpForecaster:
    """A model of the inference server that the settings name."""
    return HttpForecaster(
        settings.inference_url,
        model_name,
        api_key=settings.inference_token,
        access_id=settings.access_id,
        access_secret=settings.access_secret,
    )
