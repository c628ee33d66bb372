"""The shape of what a chart is drawn from."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from gateway.schemas.showcase import Interval, Status


class BarsAnswer(BaseModel):
    """Bars by column, oldest first; all columns are equally long."""

    closed_at: list[datetime]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    volume: list[float]


class FanAnswer(BaseModel):
    """A forecast with all its levels."""

    prediction_id: UUID
    model_name: str
    model_version: str
    issued_at: datetime = Field(description="Close of the newest bar that the forecast knew.")
    generated_at: datetime = Field(description="When it was recorded, by the database's clock.")
    horizon: int
    last_close: float
    n_paths: int
    levels: list[float] = Field(description="The 11 quantile levels of every step of the fan.")
    target_at: list[datetime] = Field(description="Close of each bar that is forecast.")
    fan: list[list[float]] = Field(description="As served: for each step its quantiles, rising along the levels.")
    corrected: bool = Field(description="Whether what was served is the model's own fan corrected by the record.")
    event_context: dict[str, Any] | None
    href: str = Field(description="The page that shows this forecast as it was seen then.")


class EarlierAnswer(BaseModel):
    """An earlier forecast of the same series, model and record, and what then happened."""

    prediction_id: UUID
    issued_at: datetime
    target_at: list[datetime]
    p10: list[float]
    p50: list[float]
    p90: list[float]
    href: str
    n_judged: int = Field(description="Target bars whose close is known by now.")
    n_inside: int = Field(description="Of those, how many closed from p10 to p90 as served.")


class EventAnswer(BaseModel):
    """A release on the economic calendar, as it was known at seen_at."""

    at: datetime
    family: Literal["FOMC", "CPI", "NFP"]
    event: str
    currency: str
    impact: str
    actual: float | None = Field(description="What was published, where it was out by seen_at.")
    forecast: float | None = Field(description="The consensus.")
    scheduled: bool = Field(description="Still to come at seen_at.")


class ChartAnswer(BaseModel):
    """One forecast with the bars before and after it, the forecasts before it, and the releases around it."""

    age_seconds: int = Field(description="Seconds since issued_at: the age of what the forecast knew.")
    expected_next_at: datetime | None = Field(description="Start of the run that should replace it; null once one has.")
    stale: bool = Field(description="The replacement is overdue, or could not be looked for.")
    stale_reason: str | None
    symbol: str
    name: str
    asset_class: Literal["crypto", "forex_commodity", "equity"]
    quote_asset: str
    interval: Interval
    models: list[str] = Field(description="Models with a forecast here, the default first.")
    newest: bool = Field(description="Whether its model has issued none since.")
    seen_at: datetime = Field(description="With a prediction_id when that was recorded, else when this was read.")
    status: Status
    synthetic: bool
    notice: str | None = Field(description="What to know before using it, in plain words.")
    note: str = Field(description="What the bars and releases are as of, in plain words.")
    forecast: FanAnswer
    bars: BarsAnswer = Field(description="The last 240 bars closed at or before issued_at.")
    after: BarsAnswer = Field(description="The bars after issued_at, up to the last target: what then happened.")
    previous: list[EarlierAnswer] = Field(description="Up to 6, newest first, sharing at most half a horizon.")
    events: list[EventAnswer]
