"""The second version of the scores: what was served beside what the model said, sets of paths, reasons of voids.

What waits in the queue keeps its place both ways. A database that goes back to 0003 forgets which waiting fans were
corrected; after coming up again their scores as served are those of the raw fan: `candlecast score --check` says so.
"""

from alembic import op

from candlecast.store.roles import protect, protect_view
from candlecast.store.sql import read, run_file

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# NULL where nothing was corrected, and where no feed was pinned.
QUEUE = """
ALTER TABLE candlecast.score_pending
    ADD COLUMN feed text, -- source of the newest bar of the lookback
    ADD COLUMN calibrated double precision[] -- the fan as served, at the 11 levels
"""

FILL_QUEUE = """
UPDATE candlecast.score_pending AS pending
SET feed = sealed.feed
FROM candlecast.ml_predictions AS sealed
WHERE sealed.prediction_id = pending.prediction_id AND sealed.feed IS NOT NULL
"""

# The closes of the sample paths at the judged steps, until all of those are judged: 2 kB, where the packed paths of
# all steps are 30.
PATH_QUEUE = """
CREATE TABLE candlecast.path_pending (
    prediction_id uuid PRIMARY KEY,
    interval text NOT NULL,
    last_target_at timestamptz NOT NULL, -- of the last of the steps
    steps integer[] NOT NULL,
    target_at timestamptz[] NOT NULL,
    last_close double precision NOT NULL,
    scale double precision NOT NULL,
    fan double precision[] NOT NULL, -- step by step, 11 levels each, as the model gave it
    calibrated double precision[], -- as served; NULL without a correction
    closes bytea NOT NULL -- float32, little-endian, step by step: as many paths each
)
"""
PATH_QUEUE_ORDER = """
CREATE INDEX path_pending_order_idx ON candlecast.path_pending (interval, last_target_at, prediction_id)
"""

# Rows scored before keep version 1 and have NULL here. What such a row served was the fan as it came.
SCORES = """
ALTER TABLE candlecast.prediction_scores
    ADD COLUMN z double precision, -- log_return in sigmas
    ADD COLUMN calibrated_pinball double precision,
    ADD COLUMN calibrated_pinballs double precision[],
    ADD COLUMN raw_inside boolean,
    ADD COLUMN raw_below boolean,
    ADD COLUMN raw_above boolean,
    ADD COLUMN raw_interval_score double precision,
    ADD COLUMN raw_width double precision,
    ADD COLUMN calibrated_crps double precision, -- NULL without sample paths
    ADD COLUMN pit double precision, -- randomised, by a number made from prediction_id and step
    ADD COLUMN calibrated_pit double precision,
    ADD COLUMN p_up double precision, -- probability of a close above the last one
    ADD COLUMN calibrated_p_up double precision,
    ADD COLUMN brier double precision, -- of p_up; NULL where the outcome did not move
    ADD COLUMN calibrated_brier double precision
"""
SCORE_COLUMNS = (
    "z", "calibrated_pinball", "calibrated_pinballs", "raw_inside", "raw_below", "raw_above", "raw_interval_score",
    "raw_width", "calibrated_crps", "pit", "calibrated_pit", "p_up", "calibrated_p_up", "brier", "calibrated_brier",
)  # fmt: skip

# Over the vector of the judged steps, each return in sigmas times the root of its step; fair estimators.
PATH_SCORES = """
CREATE TABLE candlecast.path_scores (
    prediction_id uuid PRIMARY KEY,
    n_steps integer NOT NULL,
    energy double precision NOT NULL,
    calibrated_energy double precision NOT NULL,
    variogram double precision NOT NULL,
    calibrated_variogram double precision NOT NULL,
    score_version smallint NOT NULL,
    scored_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""

VOID_REASONS = "'target had closed', 'no bar', 'halt', 'no trade', 'feed switched'"
VOID_REASONS_BEFORE = "'target had closed', 'no bar'"

# Counts begin with n. The order is that of the code: sums of pairs, of voids by reason, of whole days.
SUM_COLUMNS = {
    "n_signals_up": "bigint",  # pairs with a direction whose signal was up
    "n_raw_inside": "bigint",
    "n_raw_below": "bigint",
    "n_raw_above": "bigint",
    "n_brier": "bigint",
    "raw_interval_score": "double precision",
    "raw_width": "double precision",
    "calibrated_pinball": "double precision",
    "calibrated_crps": "double precision",
    "brier": "double precision",
    "calibrated_brier": "double precision",
    "n_voids_closed": "bigint",
    "n_voids_no_bar": "bigint",
    "n_voids_halt": "bigint",
    "n_voids_no_trade": "bigint",
    "n_voids_feed": "bigint",
    "turnover": "double precision",  # sum over the portfolio's bars of |change of position|
    # on the rows that the baseline was scored on too, beside common_pinball, baseline_pinball and the rest
    "common_interval_score": "double precision",  # of the band that was served
    "baseline_interval_score": "double precision",
    "common_calibrated_pinball": "double precision",
    "common_calibrated_crps": "double precision",
}

# What was served then was the fan as it came, so these sums are known; those that need pairs are counted again.
FILL_SUMS = """
UPDATE candlecast.{table}
SET n_raw_inside = n_inside,
    n_raw_below = n_below,
    n_raw_above = n_above,
    raw_interval_score = interval_score,
    raw_width = width,
    calibrated_pinball = pinball,
    calibrated_crps = crps,
    common_calibrated_pinball = common_pinball,
    common_calibrated_crps = common_crps
"""
FILL_DAYS_BY_SCORES = """
UPDATE candlecast.score_days AS days
SET n_signals_up = counted.n
FROM (
    SELECT symbol, interval, model_name, record, step, (target_at AT TIME ZONE 'UTC')::date AS day, count(*) AS n
    FROM (
        SELECT DISTINCT ON (prediction_id, step) *
        FROM candlecast.prediction_scores
        ORDER BY prediction_id, step, revision DESC
    ) AS newest
    WHERE signal > 0 AND hit IS NOT NULL
    GROUP BY symbol, interval, model_name, record, step, day
) AS counted
WHERE days.symbol = counted.symbol
  AND days.interval = counted.interval
  AND days.model_name = counted.model_name
  AND days.record = counted.record
  AND days.step = counted.step
  AND days.day = counted.day
"""
FILL_DAYS_BY_VOIDS = """
UPDATE candlecast.score_days AS days
SET n_voids_closed = counted.n_closed,
    n_voids_no_bar = counted.n_no_bar
FROM (
    SELECT
        symbol, interval, model_name, record, step, (target_at AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE reason = 'target had closed') AS n_closed,
        count(*) FILTER (WHERE reason = 'no bar') AS n_no_bar
    FROM candlecast.score_voids
    GROUP BY symbol, interval, model_name, record, step, day
) AS counted
WHERE days.symbol = counted.symbol
  AND days.interval = counted.interval
  AND days.model_name = counted.model_name
  AND days.record = counted.record
  AND days.step = counted.step
  AND days.day = counted.day
"""
FILL_TOTALS = """
UPDATE candlecast.score_totals AS totals
SET n_signals_up = summed.n_signals_up,
    n_voids_closed = summed.n_voids_closed,
    n_voids_no_bar = summed.n_voids_no_bar
FROM (
    SELECT
        symbol, interval, model_name, record, step,
        sum(n_signals_up) AS n_signals_up, sum(n_voids_closed) AS n_voids_closed, sum(n_voids_no_bar) AS n_voids_no_bar
    FROM candlecast.score_days
    GROUP BY symbol, interval, model_name, record, step
) AS summed
WHERE totals.symbol = summed.symbol
  AND totals.interval = summed.interval
  AND totals.model_name = summed.model_name
  AND totals.record = summed.record
  AND totals.step = summed.step
"""

# Sums of whole days (turnover, the common interval scores) are made by the job, once, where days were summed before:
# `sums_version` says which intervals those are.
MARKS = """
ALTER TABLE candlecast.score_marks ADD COLUMN sums_version smallint NOT NULL DEFAULT 2
"""
MARK_BEFORE = """
INSERT INTO candlecast.score_marks (interval, revised_until, sums_version)
SELECT DISTINCT interval, TIMESTAMPTZ '1970-01-01 00:00:00+00', 1 FROM candlecast.score_totals
ON CONFLICT (interval) DO UPDATE SET sums_version = 1
"""

PERFORMANCE_KEY = """
CREATE UNIQUE INDEX signal_performance_key
ON candlecast.signal_performance (symbol, interval, model_name, record, step, "window")
"""


def upgrade() -> None:
    run_file(op.get_bind(), "functions/void_reason_1")
    for statement in (QUEUE, FILL_QUEUE, PATH_QUEUE, PATH_QUEUE_ORDER, SCORES, PATH_SCORES):
        op.execute(statement)
    for column in ("fan", "calibrated", "closes"):
        op.execute(f"ALTER TABLE candlecast.path_pending ALTER COLUMN {column} SET STORAGE EXTERNAL")
    protect(op, "path_pending", ("INSERT", "DELETE"))
    protect(op, "path_scores", ("INSERT",))
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON candlecast.path_scores "
        "FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change()"
    )
    op.execute("ALTER TABLE candlecast.score_voids DROP CONSTRAINT score_voids_reason_check")
    op.execute(
        f"ALTER TABLE candlecast.score_voids ADD CONSTRAINT score_voids_reason_check CHECK (reason IN ({VOID_REASONS}))"
    )
    for table in ("score_days", "score_totals"):
        added = ", ".join(f"ADD COLUMN {name} {kind} NOT NULL DEFAULT 0" for name, kind in SUM_COLUMNS.items())
        op.execute(f"ALTER TABLE candlecast.{table} {added}")
        op.execute(FILL_SUMS.format(table=table))
    for statement in (FILL_DAYS_BY_SCORES, FILL_DAYS_BY_VOIDS, FILL_TOTALS, MARKS, MARK_BEFORE):
        op.execute(statement)
    _make_view("views/signal_performance_2")


def downgrade() -> None:
    op.execute("DROP MATERIALIZED VIEW candlecast.signal_performance")
    op.drop_column("score_marks", "sums_version", schema="candlecast")
    for table in ("score_days", "score_totals"):
        for name in SUM_COLUMNS:
            op.drop_column(table, name, schema="candlecast")
    op.execute("ALTER TABLE candlecast.score_voids DROP CONSTRAINT score_voids_reason_check")
    # Voids of the new reasons stay, and no further ones are let in.
    op.execute(
        "ALTER TABLE candlecast.score_voids ADD CONSTRAINT score_voids_reason_check "
        f"CHECK (reason IN ({VOID_REASONS_BEFORE})) NOT VALID"
    )
    for table in ("path_scores", "path_pending"):
        op.drop_table(table, schema="candlecast")
    for name in SCORE_COLUMNS:
        op.drop_column("prediction_scores", name, schema="candlecast")
    for name in ("calibrated", "feed"):
        op.drop_column("score_pending", name, schema="candlecast")
    op.execute("DROP FUNCTION candlecast.void_reason(text, text, text)")
    _make_view("views/signal_performance", exists=False)


def _make_view(name: str, *, exists: bool = True) -> None:
    if exists:
        op.execute("DROP MATERIALIZED VIEW candlecast.signal_performance")
    op.execute(f"CREATE MATERIALIZED VIEW candlecast.signal_performance AS {read(name)}")
    op.execute(PERFORMANCE_KEY)
    protect_view(op, "signal_performance")
