"""The shapes of what the open routes answer."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

Interval = Literal["1h", "1d"]
Status = Literal["on_time", "late", "replay"]


class Fresh(BaseModel):
    """How current an answer is."""

    age_seconds: int = Field(description="Seconds since issued_at: the age of what the forecast knew.")
    expected_next_at: datetime = Field(description="Start of the run that should replace this forecast.")
    stale: bool = Field(description="The replacement is overdue, or could not be looked for.")
    stale_reason: str | None


class PredictionAnswer(Fresh):
    """The newest forecast of one instrument; lists have one value per step, the next bar first."""

    symbol: str
    interval: Interval
    model_name: str
    model_version: str
    issued_at: datetime = Field(description="Close of the newest bar that the forecast knew.")
    generated_at: datetime = Field(description="When it was recorded, by the database's clock.")
    status: Status
    synthetic: bool
    notice: str | None = Field(description="What to know before using it, in plain words.")
    horizon: int
    last_close: float
    scale: float = Field(description="Expected volatility of one bar at issue: sigma of log returns.")
    target_at: list[datetime] = Field(description="Close of each bar that is forecast.")
    p10: list[float]
    p50: list[float]
    p90: list[float]
    n_paths: int
    seed: str
    prediction_id: str
    event_context: dict[str, Any] | None


class StepAnswer(BaseModel):
    """One step of a fan."""

    target_at: datetime
    p10: float
    p50: float
    p90: float


class OutlineAnswer(Fresh):
    """The first and last step of a forecast."""

    interval: Interval
    model_name: str
    models: list[str]
    issued_at: datetime
    generated_at: datetime
    status: Status
    synthetic: bool
    notice: str | None
    horizon: int
    last_close: float
    first_step: StepAnswer
    last_step: StepAnswer
    href: str


class InstrumentAnswer(BaseModel):
    """An instrument, and its newest forecast per interval."""

    symbol: str
    name: str
    asset_class: Literal["crypto", "forex_commodity", "equity"]
    calendar: str
    quote_asset: str
    leader: str | None
    forecast: bool
    enabled: bool
    forecasts: list[OutlineAnswer]


class InstrumentsAnswer(BaseModel):
    """All instruments."""

    instruments: list[InstrumentAnswer]


class IssuedAnswer(BaseModel):
    """How many forecasts a model name has issued."""

    interval: Interval
    n_forecasts: int
    last_recorded_at: datetime


class ModelAnswer(BaseModel):
    """One version of a model."""

    model_name: str
    version: str | None
    description: str | None
    base: str | None
    adapter: str | None
    asset_class: str | None
    takes_events: bool | None
    state: str | None
    baseline: bool
    first_seen: datetime | None
    forecasts: list[IssuedAnswer]


class ModelsAnswer(BaseModel):
    """All models."""

    notice: str | None
    models: list[ModelAnswer]


class PerformanceAnswer(BaseModel):
    """Rows of the track record."""

    filters: dict[str, str | int | None]
    n_rows: int
    truncated: bool
    note: str
    notice: str | None
    rows: list[dict[str, Any]]


class VerdictAnswer(BaseModel):
    """A model against `baseline-rw`, in one cell of a record."""

    model_name: str
    interval: Interval
    record: Literal["live", "late", "replay", "synthetic"]
    asset_class: str = Field(description="`all`: the classes pooled.")
    step: int = Field(description="0: the judged steps pooled.")
    verdict: Literal["better", "worse", "undecided", "not_compared"]
    sentence: str = Field(description="The verdict with its numbers, in plain words.")
    crps_skill: float | None = Field(description="1 - CRPS / CRPS of the baseline; null without common rows.")
    low: float | None = Field(description="Lower end of the 95 % interval for one look; null where there is none.")
    high: float | None
    cs_low: float | None = Field(description="Lower end of the 95 % confidence sequence, for a look every day.")
    cs_high: float | None
    p_value: float | None = Field(description="Of no skill, for one look at one cell.")
    q_value: float | None = Field(description="The same after Benjamini and Hochberg over the record's cells.")
    e_value: float = Field(description="Evidence against no difference; 1 is none.")
    n_forecasts: int = Field(description="Forecasts that both were scored on.")
    n_symbols: int
    n_pairs: int = Field(description="Common pairs of a forecast and a step.")
    n_days: int = Field(description="Days with common outcomes.")
    n_eff: float = Field(description="Independent outcomes that those days are worth, about.")
    n_cells: int = Field(description="Cells that were judged together.")
    days_to_decision: float | None = Field(description="Days until skill and noise like these would decide.")
    first_day: date | None = Field(description="Day of the first common outcome, UTC.")
    last_day: date | None
    as_of: datetime = Field(description="Days that were over by then were judged.")


class VerdictsAnswer(BaseModel):
    """Every verdict."""

    note: str
    notice: str | None
    verdicts: list[VerdictAnswer]
