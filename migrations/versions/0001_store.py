"""The tables of the store, its roles and the append-only ledger.

Revision 0001, after an empty database. The text of a migration never changes once it was released, and neither do
the SQL files it loads: a function that changes gets a new file with the next number.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from candlecast.store.roles import WriterPrivilege, protect
from candlecast.store.sql import run_file

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = postgresql.TIMESTAMP(timezone=True)
INSTANTS = postgresql.ARRAY(INSTANT)
REAL = sa.DOUBLE_PRECISION()
REALS = postgresql.ARRAY(REAL)

# What the jobs may do beside reading. Nothing is deleted but the paths, whose retention is configurable, and the
# to-do list of the scorer. `ledger_heads` moves by trigger alone.
WRITER: dict[str, tuple[WriterPrivilege, ...]] = {
    "instruments": ("INSERT", "UPDATE"),
    "ohlcv_1h": ("INSERT", "UPDATE"),
    "ohlcv_1d": ("INSERT", "UPDATE"),
    "ohlcv_revisions": ("INSERT",),
    "economic_calendar": ("INSERT",),
    "ml_predictions": ("INSERT",),
    "ledger_heads": (),
    "prediction_paths": ("INSERT", "DELETE"),
    "score_pending": ("INSERT", "DELETE"),
    "job_runs": ("INSERT", "UPDATE"),
    "job_items": ("INSERT", "UPDATE"),
    "job_leases": ("INSERT", "UPDATE"),
    "model_versions": ("INSERT", "UPDATE"),
}
# Doubles and compressed bytes do not shrink: PostgreSQL shall not spend time on trying.
PLAIN = (
    *(("ml_predictions", column) for column in ("target_at", "p10", "p50", "p90", "fan")),
    ("prediction_paths", "closes"),
)
FUNCTIONS = ("protect_table_1", "refuse_change_1", "seal_prediction_1", "move_ledger_heads_1")
TRIGGERS = (
    "ml_predictions_seal",
    "ml_predictions_move_heads",
    "ml_predictions_append_only",
    "economic_calendar_append_only",
)


def upgrade() -> None:
    run_file(op.get_bind(), "roles/close_schema")
    for name in FUNCTIONS:
        run_file(op.get_bind(), f"functions/{name}")
    create_tables()
    for table, column in PLAIN:
        op.execute(f"ALTER TABLE candlecast.{table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    for name in TRIGGERS:
        run_file(op.get_bind(), f"triggers/{name}")
    for table, privileges in WRITER.items():
        protect(op, table, privileges)


def downgrade() -> None:
    for table in reversed(CREATED):
        op.drop_table(table, schema="candlecast")
    op.execute("DROP FUNCTION candlecast.move_ledger_heads()")
    op.execute("DROP FUNCTION candlecast.seal_prediction()")
    op.execute("DROP FUNCTION candlecast.refuse_change()")
    op.execute("DROP FUNCTION candlecast.protect_table(text, text[])")


CREATED = (
    "economic_calendar",
    "instruments",
    "job_leases",
    "job_runs",
    "ledger_heads",
    "model_versions",
    "score_pending",
    "job_items",
    "ml_predictions",
    "ohlcv_1d",
    "ohlcv_1h",
    "ohlcv_revisions",
    "prediction_paths",
)


def create_tables() -> None:
    op.create_table(
        "economic_calendar",
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("known_at", INSTANT, nullable=False),
        sa.Column("ts", INSTANT, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("impact", sa.Text(), nullable=False),
        sa.Column("forecast", REAL, nullable=True),
        sa.Column("previous", REAL, nullable=True),
        sa.Column("actual", REAL, nullable=True),
        sa.Column("forecast_text", sa.Text(), nullable=True),
        sa.Column("previous_text", sa.Text(), nullable=True),
        sa.Column("actual_text", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("entry_id", "known_at", name=op.f("economic_calendar_pkey")),
        schema="candlecast",
    )
    op.create_index(op.f("economic_calendar_ts_idx"), "economic_calendar", ["ts"], unique=False, schema="candlecast")
    op.create_table(
        "instruments",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("asset_class", sa.Text(), nullable=False),
        sa.Column("calendar", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("provider_symbol", sa.Text(), nullable=False),
        sa.Column("quote_asset", sa.Text(), nullable=False),
        sa.Column("forecast", sa.Boolean(), nullable=False),
        sa.Column("leader", sa.Text(), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("negative_prices", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("settle_s", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "asset_class IN ('crypto', 'forex_commodity', 'equity')", name=op.f("instruments_asset_class_check")
        ),
        sa.CheckConstraint("settle_s >= 0", name=op.f("instruments_settle_s_check")),
        sa.PrimaryKeyConstraint("symbol", name=op.f("instruments_pkey")),
        sa.UniqueConstraint("leader", name=op.f("instruments_leader_key")),
        schema="candlecast",
    )
    op.create_table(
        "job_leases",
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("slot", INSTANT, nullable=True),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job", name=op.f("job_leases_pkey")),
        schema="candlecast",
    )
    op.create_table(
        "job_runs",
        sa.Column("run_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("slot", INSTANT, nullable=False),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.Column("started_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=True),
        sa.Column("deadline_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("n_expected", sa.Integer(), nullable=True),
        sa.Column("n_ok", sa.Integer(), nullable=True),
        sa.Column("n_failed", sa.Integer(), nullable=True),
        sa.Column("n_skipped", sa.Integer(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.CheckConstraint(
            "status IN ('running', 'ok', 'partial', 'failed', 'interrupted', 'missed', 'skipped')",
            name=op.f("job_runs_status_check"),
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("job_runs_pkey")),
        schema="candlecast",
    )
    op.create_index(op.f("job_runs_job_slot_idx"), "job_runs", ["job", "slot"], unique=False, schema="candlecast")
    op.create_table(
        "ledger_heads",
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("chain_seq", sa.BigInteger(), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("model_name", "interval", name=op.f("ledger_heads_pkey")),
        schema="candlecast",
    )
    op.create_table(
        "model_versions",
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=True),
        sa.Column("adapter", sa.Text(), nullable=True),
        sa.Column("asset_class", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("takes_events", sa.Boolean(), nullable=True),
        sa.Column("state", sa.Text(), server_default=sa.text("'candidate'"), nullable=False),
        sa.Column("first_seen", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("details", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("model_name", "version", name=op.f("model_versions_pkey")),
        schema="candlecast",
    )
    op.create_table(
        "score_pending",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("target_at", INSTANT, nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("prediction_id", "step", name=op.f("score_pending_pkey")),
        schema="candlecast",
    )
    op.create_index(
        op.f("score_pending_interval_target_at_idx"),
        "score_pending",
        ["interval", "target_at"],
        unique=False,
        schema="candlecast",
    )
    op.create_table(
        "job_items",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("ms", REAL, nullable=True),
        sa.CheckConstraint(
            "outcome IN ('ok', 'exists', 'skipped', 'failed', 'refused')", name=op.f("job_items_outcome_check")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["candlecast.job_runs.run_id"], name=op.f("job_items_run_id_fkey")),
        sa.PrimaryKeyConstraint("run_id", "symbol", "model_name", name=op.f("job_items_pkey")),
        schema="candlecast",
    )
    op.create_table(
        "ml_predictions",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("chain_seq", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("target_at", INSTANTS, nullable=False),
        sa.Column("last_close", REAL, nullable=False),
        sa.Column("scale", REAL, nullable=False),
        sa.Column("p10", REALS, nullable=False),
        sa.Column("p50", REALS, nullable=False),
        sa.Column("p90", REALS, nullable=False),
        sa.Column("fan", REALS, nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("n_paths", sa.Integer(), nullable=False),
        sa.Column("lookback_start", INSTANT, nullable=False),
        sa.Column("lookback_end", INSTANT, nullable=False),
        sa.Column("data_hash", sa.LargeBinary(), nullable=False),
        sa.Column("event_context", postgresql.JSONB(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("paths_hash", sa.LargeBinary(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("run_id", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", INSTANT, server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("row_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("interval IN ('1h', '1d')", name=op.f("ml_predictions_interval_check")),
        sa.CheckConstraint("scale > 0 AND scale < 'Infinity'", name=op.f("ml_predictions_scale_check")),
        sa.CheckConstraint("status IN ('on_time', 'late', 'replay')", name=op.f("ml_predictions_status_check")),
        sa.CheckConstraint(
            "cardinality(target_at) = horizon AND cardinality(p10) = horizon AND cardinality(p50) = horizon "
            "AND cardinality(p90) = horizon AND cardinality(fan) = horizon * 11",
            name=op.f("ml_predictions_lengths_check"),
        ),
        sa.CheckConstraint("horizon > 0 AND chain_seq > 0 AND n_paths >= 0", name=op.f("ml_predictions_counts_check")),
        sa.CheckConstraint("issued_at < target_at[1]", name=op.f("ml_predictions_target_at_check")),
        sa.CheckConstraint(
            "lookback_start < lookback_end AND lookback_end <= issued_at", name=op.f("ml_predictions_lookback_check")
        ),
        sa.ForeignKeyConstraint(["symbol"], ["candlecast.instruments.symbol"], name=op.f("ml_predictions_symbol_fkey")),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("ml_predictions_pkey")),
        sa.UniqueConstraint(
            "model_name", "interval", "chain_seq", name=op.f("ml_predictions_model_name_interval_chain_seq_key")
        ),
        sa.UniqueConstraint(
            "symbol",
            "interval",
            "model_name",
            "issued_at",
            name=op.f("ml_predictions_symbol_interval_model_name_issued_at_key"),
        ),
        schema="candlecast",
    )
    op.create_index(
        op.f("ml_predictions_interval_issued_at_idx"),
        "ml_predictions",
        ["interval", "issued_at"],
        unique=False,
        schema="candlecast",
    )
    op.create_table(
        "ohlcv_1d",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("ts", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=False),
        sa.Column("open", REAL, nullable=False),
        sa.Column("high", REAL, nullable=False),
        sa.Column("low", REAL, nullable=False),
        sa.Column("close", REAL, nullable=False),
        sa.Column("volume", REAL, nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'final'"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.CheckConstraint("greatest(open, high, low, close, volume) < 'Infinity'", name=op.f("ohlcv_1d_finite_check")),
        sa.CheckConstraint("low > '-Infinity' AND volume >= 0", name=op.f("ohlcv_1d_bounded_check")),
        sa.CheckConstraint("closed_at > ts", name=op.f("ohlcv_1d_closed_at_check")),
        sa.CheckConstraint(
            "low <= least(open, close) AND high >= greatest(open, close)", name=op.f("ohlcv_1d_range_check")
        ),
        sa.ForeignKeyConstraint(["symbol"], ["candlecast.instruments.symbol"], name=op.f("ohlcv_1d_symbol_fkey")),
        sa.PrimaryKeyConstraint("symbol", "ts", name=op.f("ohlcv_1d_pkey")),
        schema="candlecast",
    )
    op.create_index(
        op.f("ohlcv_1d_symbol_closed_at_idx"), "ohlcv_1d", ["symbol", "closed_at"], unique=False, schema="candlecast"
    )
    op.create_table(
        "ohlcv_1h",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("ts", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=False),
        sa.Column("open", REAL, nullable=False),
        sa.Column("high", REAL, nullable=False),
        sa.Column("low", REAL, nullable=False),
        sa.Column("close", REAL, nullable=False),
        sa.Column("volume", REAL, nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'final'"), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("first_seen", INSTANT, nullable=False),
        sa.CheckConstraint("greatest(open, high, low, close, volume) < 'Infinity'", name=op.f("ohlcv_1h_finite_check")),
        sa.CheckConstraint("low > '-Infinity' AND volume >= 0", name=op.f("ohlcv_1h_bounded_check")),
        sa.CheckConstraint("closed_at > ts", name=op.f("ohlcv_1h_closed_at_check")),
        sa.CheckConstraint(
            "low <= least(open, close) AND high >= greatest(open, close)", name=op.f("ohlcv_1h_range_check")
        ),
        sa.ForeignKeyConstraint(["symbol"], ["candlecast.instruments.symbol"], name=op.f("ohlcv_1h_symbol_fkey")),
        sa.PrimaryKeyConstraint("symbol", "ts", name=op.f("ohlcv_1h_pkey")),
        schema="candlecast",
    )
    op.create_index(
        op.f("ohlcv_1h_symbol_closed_at_idx"), "ohlcv_1h", ["symbol", "closed_at"], unique=False, schema="candlecast"
    )
    op.create_table(
        "ohlcv_revisions",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("ts", INSTANT, nullable=False),
        sa.Column("revised_at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("old_open", REAL, nullable=False),
        sa.Column("old_high", REAL, nullable=False),
        sa.Column("old_low", REAL, nullable=False),
        sa.Column("old_close", REAL, nullable=False),
        sa.Column("old_volume", REAL, nullable=False),
        sa.Column("old_source", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.CheckConstraint("interval IN ('1h', '1d')", name=op.f("ohlcv_revisions_interval_check")),
        sa.ForeignKeyConstraint(
            ["symbol"], ["candlecast.instruments.symbol"], name=op.f("ohlcv_revisions_symbol_fkey")
        ),
        sa.PrimaryKeyConstraint("symbol", "interval", "ts", "revised_at", name=op.f("ohlcv_revisions_pkey")),
        schema="candlecast",
    )
    op.create_table(
        "prediction_paths",
        sa.Column("prediction_id", sa.Uuid(), nullable=False),
        sa.Column("n_paths", sa.Integer(), nullable=False),
        sa.Column("horizon", sa.Integer(), nullable=False),
        sa.Column("codec", sa.Text(), nullable=False),
        sa.Column("closes", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["candlecast.ml_predictions.prediction_id"],
            name=op.f("prediction_paths_prediction_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("prediction_paths_pkey")),
        schema="candlecast",
    )
