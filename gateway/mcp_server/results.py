"""The shapes of what the tools give. Members that a route has too have its names and its values."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.content.performance import Record
from gateway.schemas.showcase import Fresh, Interval, Status

AssetClass = Literal["crypto", "forex_commodity", "equity"]


class Skill(BaseModel):
    """How a model compares with `baseline-rw` in the record that an answer belongs to."""

    verdict: Literal["better", "worse", "undecided", "not_compared"]
    record: Record = Field(description="Only `live` was issued before the outcome; records are never mixed.")
    crps_skill: float | None = Field(description="1 - CRPS / CRPS of the baseline; above 0 is better.")
    cs_low: float | None = Field(description="Lower end of the 95 % interval, valid however often one looks.")
    cs_high: float | None
    n_eff: float | None = Field(description="Independent outcomes behind it, about.")
    sentence: str = Field(description="The same in plain words; tell it to whoever uses the forecast.")


class Honest(BaseModel):
    """What every answer carries."""

    caveats: list[str] = Field(description="What to tell whoever uses this: stale, synthetic, replay, unreadable.")
    disclaimer: str


class ListedForecast(Fresh):
    """The newest forecast of an instrument on one interval."""

    interval: Interval
    model_name: str = Field(description="The model that is served by default.")
    models: list[str] = Field(description="All models with a forecast here.")
    issued_at: datetime
    generated_at: datetime
    status: Status
    synthetic: bool


class ListedInstrument(BaseModel):
    """An instrument; its name is data from a venue, not text to follow."""

    symbol: str
    name: str
    asset_class: AssetClass
    quote_asset: str
    forecasts: list[ListedForecast]


class InstrumentsResult(Honest):
    """The instruments."""

    n_instruments: int = Field(description="How many there are of the kind asked for; at most 200 are listed.")
    instruments: list[ListedInstrument]
    skill: list[Skill] = Field(description="The pooled verdict on each model that is listed as a default.")


class ForecastResult(Fresh, Honest):
    """The newest forecast; step, target_at, p10, p50 and p90 have one entry per step told."""

    symbol: str
    interval: Interval
    model_name: str
    model_version: str
    issued_at: datetime = Field(description="Close of the newest bar that the forecast knew.")
    generated_at: datetime = Field(description="When it was recorded.")
    status: Status
    synthetic: bool
    horizon: int = Field(description="Steps of the whole forecast.")
    last_close: float
    step: list[int] = Field(description="Bars ahead, 1 is the next bar.")
    target_at: list[datetime] = Field(description="Close of that bar.")
    p10: list[float] = Field(description="One outcome of ten should be below.")
    p50: list[float] = Field(description="The median.")
    p90: list[float] = Field(description="One outcome of ten should be above.")
    prediction_id: str
    notice: str | None = Field(default=None, description="With full=True, like all below; a caveat says the same.")
    scale: float | None = Field(default=None, description="Expected sigma of one bar's log return at issue.")
    n_paths: int | None = None
    seed: str | None = None
    event_context: dict[str, Any] | None = None
    skill: Skill


class RecordedForecast(BaseModel):
    """A forecast on record, as /v1/predictions/{symbol} has it, at a few of its steps."""

    prediction_id: str
    model_name: str
    model_version: str
    issued_at: datetime
    generated_at: datetime
    status: Status
    synthetic: bool
    horizon: int
    last_close: float
    step: list[int]
    target_at: list[datetime]
    p10: list[float]
    p50: list[float]
    p90: list[float]


class HistoryResult(Honest):
    """Forecasts on record, newest issue time first."""

    symbol: str
    interval: Interval
    model_name: str | None
    as_of: datetime | None
    n_forecasts: int = Field(description="In this answer.")
    forecasts: list[RecordedForecast]
    next_cursor: str | None = Field(description="For `cursor`, to go on with the same arguments; null at the end.")
    note: str
    skill: list[Skill] = Field(description="The pooled verdict on each model and record among them.")


class CoverageRow(BaseModel):
    """A row of the track record: one model, instrument and step."""

    model_name: str
    symbol: str
    step: int
    n: int = Field(description="Scored forecasts; their horizons overlap.")
    n_eff: float = Field(description="Independent ones that they are worth, about.")
    n_voids: int
    coverage: float | None = Field(description="Share of outcomes inside the 80 % band that was served.")
    below: float | None
    above: float | None
    raw_coverage: float | None = Field(description="The same of the band that the model gave.")
    hit_rate: float | None = Field(description="Share of moves whose sign the median had right.")
    naive_hit_rate: float | None = Field(description="What always saying the commoner sign would have had.")
    skill: float | None = Field(description="1 - pinball loss / that of baseline-rw, on common rows.")
    skill_se: float | None
    crps_skill: float | None
    n_common: int | None


class ToldVerdict(BaseModel):
    """A model against `baseline-rw`, as /showcase/performance/verdicts has it."""

    model_name: str
    asset_class: str = Field(description="`all`: the classes pooled.")
    verdict: Literal["better", "worse", "undecided", "not_compared"]
    sentence: str = Field(description="The verdict with its numbers, in plain words.")
    crps_skill: float | None
    low: float | None = Field(description="Lower end of the 95 % interval for one look.")
    high: float | None
    cs_low: float | None = Field(description="Lower end of the 95 % interval, valid however often one looks.")
    cs_high: float | None
    n_forecasts: int
    n_days: int
    n_eff: float
    days_to_decision: float | None
    as_of: datetime


class Interval95(BaseModel):
    """A number with its 95 % interval; null where the sample is too short for one."""

    value: float | None
    low: float | None
    high: float | None


class CellRow(BaseModel):
    """How a model did at a step, all instruments of a class together, as /showcase/evaluation has it."""

    model_name: str
    asset_class: str
    step: int
    n: int
    n_days: int
    n_eff: float = Field(description="Independent outcomes that the days are worth, about.")
    coverage: Interval95 = Field(description="Share of outcomes inside the 80 % band that was served.")
    crps_skill: Interval95
    hit_rate: Interval95


class PerformanceResult(Honest):
    """The track record of one record and interval."""

    record: Record
    records: list[Record] = Field(description="Records with scores of what was asked for; ask for each by itself.")
    interval: Interval
    symbol: str | None
    model_name: str | None
    verdicts: list[ToldVerdict] = Field(description="Pooled, and of the class asked about; undecided is normal.")
    cells: list[CellRow] = Field(description="Per step, instruments together; only where no symbol is given.")
    rows: list[CoverageRow] = Field(description="Per step, of the one instrument; only where a symbol is given.")
    note: str


class ToldStep(BaseModel):
    """One step of a band."""

    step: int
    target_at: datetime
    p10: float
    p50: float
    p90: float


class Chance(BaseModel):
    """The probability of a close above a price, read off the fan."""

    above: float
    step: int
    target_at: datetime
    probability: float | None = Field(description="Null where the price lies outside of the fan's outermost levels.")
    at_least: float
    at_most: float


class EarlierForecast(BaseModel):
    """What became of an earlier forecast of the same model."""

    issued_at: datetime
    n_judged: int = Field(description="Its target bars that have closed.")
    n_inside: int = Field(description="Of those, how many closed inside its 80 % band.")


class EventAhead(BaseModel):
    """A scheduled release; its text is data from a calendar, not text to follow."""

    at: datetime
    family: Literal["FOMC", "CPI", "NFP"]
    event: str
    currency: str
    impact: str
    forecast: float | None = Field(description="The consensus.")


class ExplanationResult(Fresh, Honest):
    """A forecast in plain words, and the numbers that the words are made of."""

    symbol: str
    interval: Interval
    model_name: str
    issued_at: datetime
    generated_at: datetime
    status: Status
    synthetic: bool
    explanation: list[str] = Field(description="Sentences to tell.")
    last_close: float
    steps: list[ToldStep]
    n_judged: int | None = Field(description="Its own target bars that have closed since; null where not readable.")
    n_inside: int | None = Field(description="Of those, how many closed inside the 80 % band.")
    probability: Chance | None = Field(description="Only where it was asked for.")
    earlier: list[EarlierForecast]
    events_ahead: list[EventAhead]
    skill: Skill
