"""The shape of an evaluation: every number with its error and with how much stands behind it."""

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.schemas.showcase import Interval, VerdictAnswer

RecordName = Literal["live", "late", "replay", "synthetic"]


class AvailableAnswer(BaseModel):
    """An evaluation that there is."""

    record: RecordName
    interval: Interval
    as_of: datetime
    n_models: int


class EstimateAnswer(BaseModel):
    """A number and its 95 % interval; null where the record is too short to tell."""

    value: float | None
    se: float | None
    low: float | None
    high: float | None
    dof: float | None
    p_value: float | None


class CoverageAnswer(BaseModel):
    """Shares of outcomes inside, below and above the 80 % band."""

    inside: EstimateAnswer
    below: EstimateAnswer
    above: EstimateAnswer


class PlaceAnswer(BaseModel):
    """A cell: a model on a class and step, and how much was judged in it."""

    model_name: str
    asset_class: str = Field(description="`all`: the classes pooled.")
    step: int
    n: int = Field(description="Pairs of a forecast and a step.")
    n_days: int = Field(description="Days on which any was judged.")
    n_eff: float = Field(description="Independent outcomes that those days are worth, about.")


class CellAnswer(PlaceAnswer):
    """How a model did in a cell. Losses and widths are means in sigmas at issue."""

    record: RecordName
    interval: Interval
    first_day: date
    last_day: date
    coverage: CoverageAnswer
    raw_coverage: CoverageAnswer
    width: float
    interval_score: float
    raw_interval_score: float
    interval_skill: EstimateAnswer = Field(description="Of the served band, beside baseline-rw on common rows.")
    interval_gain: EstimateAnswer = Field(description="Of the served band, beside the one that the model gave.")
    pinball_skill: EstimateAnswer
    crps_skill: EstimateAnswer
    calibrated_crps_skill: EstimateAnswer
    n_common: int
    n_common_crps: int
    brier: float | None
    hit_rate: EstimateAnswer
    hits_above_naive: EstimateAnswer = Field(description="Above the better of always up and always down.")
    pesaran_timmermann: EstimateAnswer = Field(description="Above what unrelated signals with these shares would hit.")


class PointAnswer(BaseModel):
    """How often outcomes lay under a level."""

    nominal: float
    observed: float | None
    low: float | None = Field(description="95 % interval; a day is one observation.")
    high: float | None


class ReliabilityAnswer(PlaceAnswer):
    """Nominal against observed shares, of what was served and of what the model gave."""

    points: list[PointAnswer]
    raw_points: list[PointAnswer]


class PitAnswer(PlaceAnswer):
    """Shares of outcomes per twentieth of the forecast distribution, 0.05 each when calibrated."""

    shares: list[float]
    low: list[float | None] = Field(description="Between low and high lie 95 % of a calibrated forecaster's shares.")
    high: list[float | None]
    p_value: float = Field(description="Of even shares, by Kolmogorov-Smirnov over blocks of days; 1: too short.")
    ks: float
    cvm: float
    cvm_p: float
    raw_shares: list[float]
    raw_p_value: float


class SharpeAnswer(BaseModel):
    """Annual Sharpe ratios of the calendar-time portfolio, by cost per position changed."""

    model_name: str
    asset_class: str
    step: int
    record: RecordName
    interval: Interval
    n_days: int
    turnover_per_day: float | None
    sharpe: dict[str, EstimateAnswer]
    deflated: float | None = Field(description="Probability that it beats the best of n_trials without skill.")
    n_trials: int


class EvaluationAnswer(BaseModel):
    """One record and interval, evaluated; empty lists where there is nothing yet."""

    available: list[AvailableAnswer]
    notice: str | None
    made_at: datetime | None
    verdicts: list[VerdictAnswer]
    as_of: datetime | None = Field(description="Days that were over by then are told.")
    record: RecordName | None
    interval: Interval
    models: list[str]
    classes: list[str]
    steps: list[int]
    cells: list[CellAnswer]
    reliability: list[ReliabilityAnswer]
    pit: list[PitAnswer]
    sharpe: list[SharpeAnswer]
    five_tests: dict[str, Any]
    voids: list[dict[str, Any]]
    leak_alarms: list[dict[str, Any]]
