"""Scores: what every forecast was worth, the sums over days, and the view that readers see."""

from alembic import op

from candlecast.store.roles import protect, protect_view
from candlecast.store.sql import read, run_file

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The queue carries what the judgement needs, copied from the sealed row when that was written, so that no forecast
# has to be unpacked again: 1 kB a pair instead of 60.
QUEUE = """
ALTER TABLE candlecast.score_pending
    ADD COLUMN model_name text,
    ADD COLUMN record text,
    ADD COLUMN too_late boolean, -- the target had closed when the forecast was written
    ADD COLUMN issued_at timestamptz,
    ADD COLUMN last_close double precision,
    ADD COLUMN scale double precision,
    ADD COLUMN p10 double precision,
    ADD COLUMN p50 double precision,
    ADD COLUMN p90 double precision,
    ADD COLUMN fan double precision[], -- at the 11 levels
    ADD COLUMN closes bytea -- float32, little-endian: the sample paths at this step; NULL without paths
"""

# Pairs that were queued before keep their place; only their CRPS is lost, the paths are packed.
FILL_QUEUE = """
UPDATE candlecast.score_pending AS pending
SET model_name = sealed.model_name,
    record = candlecast.record_of(sealed.status, sealed.synthetic),
    too_late = sealed.status <> 'replay' AND pending.target_at <= sealed.recorded_at,
    issued_at = sealed.issued_at,
    last_close = sealed.last_close,
    scale = sealed.scale,
    p10 = sealed.p10[pending.step],
    p50 = sealed.p50[pending.step],
    p90 = sealed.p90[pending.step],
    fan = sealed.fan[(pending.step - 1) * 11 + 1 : pending.step * 11]
FROM candlecast.ml_predictions AS sealed
WHERE sealed.prediction_id = pending.prediction_id
"""

QUEUED = ("model_name", "record", "too_late", "issued_at", "last_close", "scale", "p10", "p50", "p90", "fan")

# A symbol at a time, so that its forecasts meet their baseline and its days are summed once.
QUEUE_ORDER = """
CREATE INDEX score_pending_order_idx ON candlecast.score_pending (interval, symbol, target_at, prediction_id, step)
"""

# Append-only. A corrected bar appends a revision; the highest one counts.
SCORES = """
CREATE TABLE candlecast.prediction_scores (
    prediction_id uuid NOT NULL,
    step integer NOT NULL,
    revision integer NOT NULL,
    symbol text NOT NULL,
    interval text NOT NULL,
    model_name text NOT NULL,
    record text NOT NULL CHECK (record IN ('live', 'late', 'replay', 'synthetic')),
    issued_at timestamptz NOT NULL,
    target_at timestamptz NOT NULL,
    outcome double precision NOT NULL, -- close of the target bar
    log_return double precision NOT NULL, -- a difference of prices where logarithms do not exist
    signal smallint NOT NULL, -- direction of p50 against the last close: -1, 0, 1
    move smallint NOT NULL, -- direction of the outcome
    hit boolean, -- NULL: forecast or outcome did not move
    inside boolean NOT NULL,
    below boolean NOT NULL,
    above boolean NOT NULL,
    pinball double precision NOT NULL, -- mean over the 11 levels; this and all below in sigmas at issue
    pinballs double precision[] NOT NULL,
    interval_score double precision NOT NULL,
    width double precision NOT NULL,
    abs_error double precision NOT NULL,
    crps double precision, -- fair; NULL without sample paths
    score_version smallint NOT NULL,
    scored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (prediction_id, step, revision, target_at)
) PARTITION BY RANGE (target_at)
"""

SCORES_BY_SERIES = """
CREATE INDEX prediction_scores_series_idx ON candlecast.prediction_scores (symbol, interval, step, target_at)
"""

# What the view needs, summed. Of pairs, by the day their target closed; of bars, by the day they closed; in UTC.
SUMS = """
    n bigint NOT NULL DEFAULT 0,
    n_moves bigint NOT NULL DEFAULT 0, -- pairs with a direction
    n_hits bigint NOT NULL DEFAULT 0,
    n_ups bigint NOT NULL DEFAULT 0, -- pairs with a direction whose outcome was up
    n_inside bigint NOT NULL DEFAULT 0,
    n_below bigint NOT NULL DEFAULT 0,
    n_above bigint NOT NULL DEFAULT 0,
    n_crps bigint NOT NULL DEFAULT 0,
    n_voids bigint NOT NULL DEFAULT 0,
    pinball double precision NOT NULL DEFAULT 0,
    interval_score double precision NOT NULL DEFAULT 0,
    width double precision NOT NULL DEFAULT 0,
    abs_error double precision NOT NULL DEFAULT 0,
    crps double precision NOT NULL DEFAULT 0,
    -- the calendar-time portfolio of the signals
    n_bars bigint NOT NULL DEFAULT 0,
    bar_return double precision NOT NULL DEFAULT 0,
    bar_square double precision NOT NULL DEFAULT 0,
    -- rows that the baseline was scored on too: the model's loss, the baseline's, and their squared difference
    n_common bigint NOT NULL DEFAULT 0,
    common_pinball double precision NOT NULL DEFAULT 0,
    baseline_pinball double precision NOT NULL DEFAULT 0,
    pinball_gap_square double precision NOT NULL DEFAULT 0,
    n_common_crps bigint NOT NULL DEFAULT 0,
    common_crps double precision NOT NULL DEFAULT 0,
    baseline_crps double precision NOT NULL DEFAULT 0,
"""

DAYS = f"""
CREATE TABLE candlecast.score_days (
    symbol text NOT NULL,
    interval text NOT NULL,
    model_name text NOT NULL,
    record text NOT NULL,
    step integer NOT NULL,
    day date NOT NULL,
    {SUMS}
    -- In this order the only index serves the scorer (days of a series) and the view (the last 90 of them).
    PRIMARY KEY (symbol, interval, record, step, day, model_name)
)
"""

TOTALS = f"""
CREATE TABLE candlecast.score_totals (
    symbol text NOT NULL,
    interval text NOT NULL,
    model_name text NOT NULL,
    record text NOT NULL,
    step integer NOT NULL,
    last_target_at timestamptz NOT NULL, -- the newest target among them
    {SUMS}
    PRIMARY KEY (symbol, interval, model_name, record, step)
)
"""

VOIDS = """
CREATE TABLE candlecast.score_voids (
    prediction_id uuid NOT NULL,
    step integer NOT NULL,
    symbol text NOT NULL,
    interval text NOT NULL,
    model_name text NOT NULL,
    record text NOT NULL,
    issued_at timestamptz NOT NULL,
    target_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason IN ('target had closed', 'no bar')),
    voided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (prediction_id, step)
)
"""

# How far the corrections of bars have been followed.
MARKS = """
CREATE TABLE candlecast.score_marks (
    interval text PRIMARY KEY,
    revised_until timestamptz NOT NULL
)
"""

PERFORMANCE_KEY = """
CREATE UNIQUE INDEX signal_performance_key
ON candlecast.signal_performance (symbol, interval, model_name, record, step, "window")
"""


def upgrade() -> None:
    run_file(op.get_bind(), "functions/record_of_1")
    for statement in (QUEUE, FILL_QUEUE):
        op.execute(statement)
    for column in QUEUED:
        op.alter_column("score_pending", column, nullable=False, schema="candlecast")
    op.drop_index("score_pending_interval_target_at_idx", table_name="score_pending", schema="candlecast")
    for statement in (QUEUE_ORDER, SCORES, SCORES_BY_SERIES, DAYS, TOTALS, VOIDS, MARKS):
        op.execute(statement)
    for table in ("prediction_scores", "score_voids"):
        protect(op, table, ("INSERT",))
        op.execute(
            f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change()"
        )
    for table in ("score_days", "score_totals", "score_marks"):
        protect(op, table, ("INSERT", "UPDATE"))
    run_file(op.get_bind(), "functions/ensure_score_partitions_1")
    op.execute(f"CREATE MATERIALIZED VIEW candlecast.signal_performance AS {read('views/signal_performance')}")
    op.execute(PERFORMANCE_KEY)
    protect_view(op, "signal_performance")
    run_file(op.get_bind(), "functions/refresh_signal_performance_1")


def downgrade() -> None:
    op.execute("DROP FUNCTION candlecast.refresh_signal_performance()")
    op.execute("DROP MATERIALIZED VIEW candlecast.signal_performance")
    op.execute("DROP FUNCTION candlecast.ensure_score_partitions(timestamptz, timestamptz)")
    for table in ("score_marks", "score_voids", "score_totals", "score_days", "prediction_scores"):
        op.drop_table(table, schema="candlecast")
    op.drop_index("score_pending_order_idx", table_name="score_pending", schema="candlecast")
    for column in (*QUEUED, "closes"):
        op.drop_column("score_pending", column, schema="candlecast")
    op.create_index(
        "score_pending_interval_target_at_idx", "score_pending", ["interval", "target_at"], schema="candlecast"
    )
    op.execute("DROP FUNCTION candlecast.record_of(text, boolean)")
