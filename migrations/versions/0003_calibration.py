"""Calibration: what corrected a forecast, what each one said at its judged steps, and the calibrator's snapshots.

A database that goes back to 0002 loses the columns `feed` and `calibration`; rows that were sealed with them no longer
verify there.
"""

from alembic import op

from candlecast.store.roles import protect
from candlecast.store.sql import run_file

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# An empty feed would hash like none, and a yardstick does not move.
PREDICTIONS = """
ALTER TABLE candlecast.ml_predictions
    ADD COLUMN feed text, -- source of the newest bar of the lookback, as known at issue
    ADD COLUMN calibration jsonb, -- what turned the raw fan into p10, p50, p90; NULL: served as the model gave them
    ADD CONSTRAINT ml_predictions_feed_check CHECK (feed <> ''),
    ADD CONSTRAINT ml_predictions_calibration_check CHECK (
        calibration IS NULL OR (jsonb_typeof(calibration) = 'object' AND NOT starts_with(model_name, 'baseline-'))
    )
"""

# Append-only: a forecast in 300 bytes where the sealed row has 60 kB. The calibrator learns from it.
STEPS = """
CREATE TABLE candlecast.forecast_steps (
    prediction_id uuid NOT NULL,
    step integer NOT NULL,
    symbol text NOT NULL,
    interval text NOT NULL,
    model_name text NOT NULL,
    record text NOT NULL CHECK (record IN ('live', 'late', 'replay', 'synthetic')),
    too_late boolean NOT NULL, -- the target had closed when the forecast was written
    feed text,
    issued_at timestamptz NOT NULL,
    target_at timestamptz NOT NULL,
    last_close double precision NOT NULL,
    scale double precision NOT NULL,
    fan double precision[] NOT NULL, -- raw, at the 11 levels
    PRIMARY KEY (prediction_id, step)
)
"""

STEPS_BY_TARGET = """
CREATE INDEX forecast_steps_target_idx ON candlecast.forecast_steps (interval, model_name, target_at, symbol)
"""

FILL_STEPS = """
INSERT INTO candlecast.forecast_steps
SELECT
    sealed.prediction_id,
    judged.step,
    sealed.symbol,
    sealed.interval,
    sealed.model_name,
    candlecast.record_of(sealed.status, sealed.synthetic),
    sealed.status <> 'replay' AND sealed.target_at[judged.step] <= sealed.recorded_at,
    sealed.feed,
    sealed.issued_at,
    sealed.target_at[judged.step],
    sealed.last_close,
    sealed.scale,
    sealed.fan[(judged.step - 1) * 11 + 1 : judged.step * 11]
FROM candlecast.ml_predictions AS sealed
INNER JOIN (
    VALUES ('1h', 1), ('1h', 4), ('1h', 24), ('1h', 120), ('1d', 1), ('1d', 5), ('1d', 20), ('1d', 120)
) AS judged (interval, step) ON judged.interval = sealed.interval AND judged.step <= sealed.horizon
"""

# A cache: emptied, it is made again from forecast_steps and the bars.
STATES = """
CREATE TABLE candlecast.calibration_states (
    interval text NOT NULL,
    model_name text NOT NULL,
    synthetic boolean NOT NULL,
    known_until timestamptz NOT NULL, -- it has learned every label known by then, and none known later
    state jsonb NOT NULL,
    PRIMARY KEY (interval, model_name, synthetic, known_until)
)
"""

TRIGGERS = (
    "forecast_steps_append_only",
    "forecast_steps_forget",
    "ohlcv_1h_forget_calibration",
    "ohlcv_1d_forget_calibration",
)


def upgrade() -> None:
    op.execute(PREDICTIONS)
    run_file(op.get_bind(), "functions/seal_prediction_2")
    for statement in (STEPS, FILL_STEPS, STEPS_BY_TARGET, STATES):
        op.execute(statement)
    for name in ("forget_by_steps_1", "forget_by_bars_1"):
        run_file(op.get_bind(), f"functions/{name}")
    for name in TRIGGERS:
        run_file(op.get_bind(), f"triggers/{name}")
    protect(op, "forecast_steps", ("INSERT",))
    protect(op, "calibration_states", ("INSERT", "DELETE"))


def downgrade() -> None:
    for interval in ("1h", "1d"):
        op.execute(f"DROP TRIGGER forget_calibration ON candlecast.ohlcv_{interval}")
    for table in ("calibration_states", "forecast_steps"):
        op.drop_table(table, schema="candlecast")
    op.execute("DROP FUNCTION candlecast.forget_by_steps()")
    op.execute("DROP FUNCTION candlecast.forget_by_bars()")
    op.execute("DROP TRIGGER seal ON candlecast.ml_predictions")
    op.execute("DROP FUNCTION candlecast.seal_prediction()")
    op.drop_column("ml_predictions", "calibration", schema="candlecast")
    op.drop_column("ml_predictions", "feed", schema="candlecast")
    for name in ("functions/seal_prediction_1", "triggers/ml_predictions_seal"):
        run_file(op.get_bind(), name)
