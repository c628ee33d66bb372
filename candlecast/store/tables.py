"""The tables of migration 0001, with the columns that later ones added to the ledger, as SQLAlchemy sees them.

Migrations make the tables; this module describes the outcome for queries, and a test holds the two equal.
The scores' tables, and `score_pending` with them, take their shape in migration 0002.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB, TIMESTAMP

SCHEMA: Final = "candlecast"

metadata: Final = MetaData(
    schema=SCHEMA,
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    },
)

INSTANT: Final = TIMESTAMP(timezone=True)
REAL: Final[DOUBLE_PRECISION[float]] = DOUBLE_PRECISION()
REALS: Final[ARRAY[float]] = ARRAY(DOUBLE_PRECISION())
NOW: Final = text("now()")
INTERVAL_CHECK: Final = "interval IN ('1h', '1d')"


def required(name: str, kind: object, **options: object) -> Column[object]:
    """A column that is never NULL; `default` is the server's."""
    return Column(name, kind, nullable=False, **options)  # type: ignore[arg-type]


instruments: Final = Table(
    "instruments",
    metadata,
    Column("symbol", Text, primary_key=True),
    required("name", Text),
    required("asset_class", Text),
    required("calendar", Text),
    required("provider", Text),
    required("provider_symbol", Text),
    required("quote_asset", Text),
    required("forecast", Boolean),
    Column("leader", Text, unique=True),
    required("enabled", Boolean, server_default=text("true")),
    required("negative_prices", Boolean, server_default=text("false")),
    required("settle_s", Integer, server_default=text("0")),
    required("updated_at", INSTANT, server_default=NOW),
    CheckConstraint("asset_class IN ('crypto', 'forex_commodity', 'equity')", name="asset_class"),
    CheckConstraint("settle_s >= 0", name="settle_s"),
)


def _bars(interval: str) -> Table:
    return Table(
        f"ohlcv_{interval}",
        metadata,
        Column("symbol", Text, ForeignKey("candlecast.instruments.symbol"), primary_key=True),
        Column("ts", INSTANT, primary_key=True),
        required("closed_at", INSTANT),
        required("open", REAL),
        required("high", REAL),
        required("low", REAL),
        required("close", REAL),
        required("volume", REAL),
        required("state", Text, server_default=text("'final'")),
        required("source", Text),
        required("first_seen", INSTANT),
        # NaN sorts above everything in PostgreSQL, so one comparison refuses it together with infinity.
        CheckConstraint("greatest(open, high, low, close, volume) < 'Infinity'", name="finite"),
        CheckConstraint("low > '-Infinity' AND volume >= 0", name="bounded"),
        CheckConstraint("low <= least(open, close) AND high >= greatest(open, close)", name="range"),
        CheckConstraint("closed_at > ts", name="closed_at"),
        Index(None, "symbol", "closed_at"),
    )


ohlcv_1h: Final = _bars("1h")
ohlcv_1d: Final = _bars("1d")
BARS: Final = {"1h": ohlcv_1h, "1d": ohlcv_1d}

ohlcv_revisions: Final = Table(
    "ohlcv_revisions",
    metadata,
    Column("symbol", Text, ForeignKey("candlecast.instruments.symbol"), primary_key=True),
    Column("interval", Text, primary_key=True),
    Column("ts", INSTANT, primary_key=True),
    Column("revised_at", INSTANT, primary_key=True, server_default=NOW),
    required("old_open", REAL),
    required("old_high", REAL),
    required("old_low", REAL),
    required("old_close", REAL),
    required("old_volume", REAL),
    required("old_source", Text),
    required("source", Text),
    CheckConstraint(INTERVAL_CHECK, name="interval"),
)

economic_calendar: Final = Table(
    "economic_calendar",
    metadata,
    Column("entry_id", Text, primary_key=True),
    Column("known_at", INSTANT, primary_key=True),
    required("ts", INSTANT),
    required("currency", Text),
    Column("family", Text),
    required("event", Text),
    required("impact", Text),
    Column("forecast", REAL),
    Column("previous", REAL),
    Column("actual", REAL),
    Column("forecast_text", Text),
    Column("previous_text", Text),
    Column("actual_text", Text),
    required("source", Text),
    Column("symbol", Text),
    Index(None, "ts"),
)

ml_predictions: Final = Table(
    "ml_predictions",
    metadata,
    Column("prediction_id", Uuid, primary_key=True),
    required("chain_seq", BigInteger),
    Column("symbol", Text, ForeignKey("candlecast.instruments.symbol"), nullable=False),
    required("interval", Text),
    required("model_name", Text),
    required("model_version", Text),
    required("issued_at", INSTANT),
    required("horizon", Integer),
    required("target_at", ARRAY(INSTANT)),
    required("last_close", REAL),
    required("scale", REAL),
    required("p10", REALS),
    required("p50", REALS),
    required("p90", REALS),
    required("fan", REALS),
    required("seed", BigInteger),
    required("n_paths", Integer),
    required("lookback_start", INSTANT),
    required("lookback_end", INSTANT),
    required("data_hash", LargeBinary),
    required("event_context", JSONB),
    required("synthetic", Boolean),
    Column("paths_hash", LargeBinary),
    required("status", Text),
    Column("run_id", BigInteger),
    required("recorded_at", INSTANT, server_default=text("clock_timestamp()")),
    required("prev_hash", LargeBinary),
    required("row_hash", LargeBinary),
    Column("feed", Text),
    Column("calibration", JSONB),
    UniqueConstraint("symbol", "interval", "model_name", "issued_at"),
    UniqueConstraint("model_name", "interval", "chain_seq"),
    CheckConstraint(INTERVAL_CHECK, name="interval"),
    CheckConstraint("status IN ('on_time', 'late', 'replay')", name="status"),
    CheckConstraint("horizon > 0 AND chain_seq > 0 AND n_paths >= 0", name="counts"),
    CheckConstraint("scale > 0 AND scale < 'Infinity'", name="scale"),
    CheckConstraint(
        "cardinality(target_at) = horizon AND cardinality(p10) = horizon AND cardinality(p50) = horizon "
        "AND cardinality(p90) = horizon AND cardinality(fan) = horizon * 11",
        name="lengths",
    ),
    CheckConstraint("feed <> ''", name="feed"),
    CheckConstraint(
        "calibration IS NULL OR (jsonb_typeof(calibration) = 'object' AND NOT starts_with(model_name, 'baseline-'))",
        name="calibration",
    ),
    CheckConstraint("lookback_start < lookback_end AND lookback_end <= issued_at", name="lookback"),
    CheckConstraint("issued_at < target_at[1]", name="target_at"),
    # The newest forecast of a model is one probe; the unique constraint's index, read backwards, serves it.
    Index(None, "interval", "issued_at"),
    Index(None, "recorded_at", postgresql_using="brin"),
)

ledger_heads: Final = Table(
    "ledger_heads",
    metadata,
    Column("model_name", Text, primary_key=True),
    Column("interval", Text, primary_key=True),
    required("chain_seq", BigInteger),
    required("row_hash", LargeBinary),
    required("updated_at", INSTANT),
)

prediction_paths: Final = Table(
    "prediction_paths",
    metadata,
    Column("prediction_id", Uuid, ForeignKey("candlecast.ml_predictions.prediction_id"), primary_key=True),
    required("n_paths", Integer),
    required("horizon", Integer),
    required("codec", Text),
    required("closes", LargeBinary),
)

job_runs: Final = Table(
    "job_runs",
    metadata,
    Column("run_id", BigInteger, Identity(always=True), primary_key=True),
    required("job", Text),
    required("slot", INSTANT),
    required("attempt", Integer, server_default=text("1")),
    required("status", Text),
    required("owner", Text),
    Column("fence", BigInteger),
    required("started_at", INSTANT, server_default=NOW),
    Column("heartbeat_at", INSTANT),
    Column("deadline_at", INSTANT),
    Column("finished_at", INSTANT),
    Column("n_expected", Integer),
    Column("n_ok", Integer),
    Column("n_failed", Integer),
    Column("n_skipped", Integer),
    Column("error", Text),
    required("details", JSONB, server_default=text("'{}'")),
    CheckConstraint(
        "status IN ('running', 'ok', 'partial', 'failed', 'interrupted', 'missed', 'skipped')", name="status"
    ),
    Index(None, "job", "slot"),
    Index("job_runs_missed_idx", "job", "slot", postgresql_where=text("status = 'missed'")),
)

job_items: Final = Table(
    "job_items",
    metadata,
    Column("run_id", BigInteger, ForeignKey("candlecast.job_runs.run_id"), primary_key=True),
    Column("symbol", Text, primary_key=True),
    Column("model_name", Text, primary_key=True),
    required("outcome", Text),
    Column("reason", Text),
    Column("ms", REAL),
    CheckConstraint("outcome IN ('ok', 'exists', 'skipped', 'failed', 'refused')", name="outcome"),
)

job_leases: Final = Table(
    "job_leases",
    metadata,
    Column("job", Text, primary_key=True),
    required("owner", Text),
    required("token", BigInteger),
    Column("slot", INSTANT),
    required("expires_at", INSTANT),
)

model_versions: Final = Table(
    "model_versions",
    metadata,
    Column("model_name", Text, primary_key=True),
    Column("version", Text, primary_key=True),
    Column("base", Text),
    Column("adapter", Text),
    Column("asset_class", Text),
    Column("description", Text),
    Column("takes_events", Boolean),
    required("state", Text, server_default=text("'candidate'")),
    required("first_seen", INSTANT, server_default=NOW),
    required("details", JSONB, server_default=text("'{}'")),
)
