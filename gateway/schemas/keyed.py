"""The shapes of what the keyed routes answer."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from gateway.content.performance import Record, Window
from gateway.schemas.showcase import Interval, Status

AssetClass = Literal["crypto", "forex_commodity", "equity"]
Hash = Field(pattern="^[0-9a-f]{64}$", description="SHA-256 in hexadecimal.")


class RecordedAnswer(BaseModel):
    """A forecast on record; lists have one value per step, the next bar first."""

    prediction_id: UUID
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
    n_paths: int
    corrected: bool = Field(description="Whether what was served is the model's own fan corrected by the record.")
    target_at: list[datetime] = Field(description="Close of each bar that is forecast.")
    p10: list[float]
    p50: list[float]
    p90: list[float]


class HistoryItem(RecordedAnswer):
    """A forecast of a page."""

    href: str = Field(description="Everything that is on record about it.")


class HistoryFilters(BaseModel):
    """What was asked for; null is no filter."""

    model_name: str | None
    as_of: datetime | None
    since: datetime | None
    until: datetime | None
    status: Status | None


class HistoryAnswer(BaseModel):
    """A page of forecasts, the newest issue time first."""

    symbol: str
    interval: Interval
    filters: HistoryFilters
    note: str
    n_forecasts: int = Field(description="On this page.")
    forecasts: list[HistoryItem]
    next: str | None = Field(description="The address of the next page; null on the last.")


class CorrectionAnswer(BaseModel):
    """What turned the model's fan into the one that was served: see docs/methodology.md."""

    steps: list[int] = Field(description="Anchors; factors in between are interpolated in log(step).")
    factors: list[list[float]] = Field(description="For each anchor: times the distance of each level from the median.")
    n_eff: list[float] = Field(description="For each anchor: independent outcomes behind its factors.")


class ScoreAnswer(BaseModel):
    """What a forecast was worth at one step; all but the first four are null where it is void."""

    step: int
    target_at: datetime
    scored_at: datetime
    void_reason: str | None = Field(description="Why this step is not scored.")
    revision: int | None = Field(description="Raised when a bar was corrected after the score was made.")
    outcome: float | None = Field(description="Close of the target bar.")
    log_return: float | None
    hit: bool | None = Field(description="Null where forecast or outcome did not move.")
    inside: bool | None
    raw_inside: bool | None
    pinball: float | None
    calibrated_pinball: float | None
    interval_score: float | None
    raw_interval_score: float | None
    width: float | None
    raw_width: float | None
    abs_error: float | None
    crps: float | None = Field(description="Null without sample paths.")
    calibrated_crps: float | None
    pit: float | None
    calibrated_pit: float | None
    p_up: float | None = Field(description="Probability of a close above the last one.")
    calibrated_p_up: float | None
    brier: float | None
    calibrated_brier: float | None
    score_version: int | None


class PredictionRecordAnswer(RecordedAnswer):
    """One forecast with everything that is on record about it."""

    age_seconds: int = Field(description="Seconds since issued_at.")
    newest: bool = Field(description="Whether its model has issued none since.")
    expected_next_at: datetime | None = Field(description="Start of the run that should replace it; null once one has.")
    stale: bool
    stale_reason: str | None
    levels: list[float] = Field(description="The 11 quantile levels of every step of a fan.")
    fan: list[list[float]] = Field(description="As served: for each step its quantiles, rising along the levels.")
    raw_fan: list[list[float]] = Field(description="As the model gave it.")
    calibration: CorrectionAnswer | None
    paths: list[list[float]] | None = Field(description="Sample paths, one list of closes each; with paths=true.")
    paths_note: str = Field(description="Why there are sample paths here, or why not.")
    seed: str
    feed: str | None = Field(description="Source of the newest bar of the lookback, as known at issue.")
    lookback_start: datetime
    lookback_end: datetime
    event_context: dict[str, Any] | None
    run_id: int | None
    chain_seq: int = Field(description="Its place in the hash chain of its model and interval.")
    prev_hash: str = Hash
    row_hash: str = Hash
    data_hash: str = Field(description="Of the lookback that the forecast was made from, in hexadecimal.")
    paths_hash: str | None
    scores_note: str
    scores: list[ScoreAnswer]
    page: str = Field(description="The page that shows it as it was seen then.")


class PerformanceRow(BaseModel):
    """A cell of the track record: one series, model, record, step and window."""

    symbol: str
    asset_class: AssetClass
    interval: Interval
    model_name: str
    record: Record
    step: int
    window: Window
    n: int = Field(description="Scored pairs of a forecast and the step.")
    n_eff: float | None = Field(description="Independent outcomes that they are worth.")
    n_voids: int
    voids: dict[str, int] | None = Field(description="Voids by reason.")
    n_moves: int
    hit_rate: float | None
    naive_hit_rate: float | None = Field(description="Of always saying the commoner direction.")
    signals_up: float | None
    hit_rate_low: float | None
    hit_rate_high: float | None
    coverage: float | None = Field(description="Share of outcomes inside the 80 % band that was served.")
    below: float | None
    above: float | None
    raw_coverage: float | None
    raw_below: float | None
    raw_above: float | None
    pinball: float | None
    calibrated_pinball: float | None
    interval_score: float | None
    raw_interval_score: float | None
    width: float | None
    raw_width: float | None
    abs_error: float | None
    crps: float | None
    calibrated_crps: float | None
    n_crps: int
    brier: float | None
    calibrated_brier: float | None
    n_brier: int
    skill: float | None = Field(description="1 - pinball / pinball of baseline-rw on the same rows.")
    skill_se: float | None
    crps_skill: float | None
    calibrated_crps_skill: float | None
    interval_skill: float | None
    n_common: int
    sharpe: float | None
    sharpe_se: float | None
    turnover: float | None
    n_bars: int
    as_of: datetime
    updated_at: datetime


class PerformanceFilters(BaseModel):
    """What was asked for; null is no filter."""

    symbol: str | None
    asset_class: AssetClass | None
    interval: Interval | None
    model_name: str | None
    step: int | None
    window: Window | None
    record: Record | None


class PerformancePage(BaseModel):
    """A page of the track record."""

    filters: PerformanceFilters
    n_rows: int
    truncated: bool = Field(description="Whether there is a next page.")
    note: str
    notice: str | None
    rows: list[PerformanceRow]
    next: str | None = Field(description="The address of the next page; null on the last.")


class ChainAnswer(BaseModel):
    """One hash chain."""

    model_name: str
    interval: Interval
    n_rows: int
    head: str = Hash
    updated_at: datetime
    href: str


class SealAnswer(BaseModel):
    """A day that was sealed."""

    day: date
    root: str = Hash
    sealed_at: datetime


class LedgerAnswer(BaseModel):
    """All chains and the newest seals."""

    note: str
    chains: list[ChainAnswer]
    seals: list[SealAnswer] = Field(description="The newest first; none where the job that seals does not run.")
    export: str


class SealedRow(BaseModel):
    """The hashes of one forecast."""

    chain_seq: int
    prediction_id: UUID
    symbol: str
    issued_at: datetime
    recorded_at: datetime
    status: Status
    data_hash: str
    paths_hash: str | None
    prev_hash: str = Hash
    row_hash: str = Hash
    href: str


class ChainRowsAnswer(BaseModel):
    """A piece of a hash chain."""

    model_name: str
    interval: Interval
    genesis: str = Hash
    covers: list[str] = Field(description="The columns that row_hash covers, in their order.")
    note: str
    n_rows: int
    rows: list[SealedRow]
    next: str | None = Field(description="The address of the next piece; null at the end of the chain.")
