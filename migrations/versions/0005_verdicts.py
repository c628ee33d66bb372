"""Verdicts: whether a model beats the baseline, cell by cell, as the scorer last judged them.

And an index by which a day's forecasts are found to be sealed: rows come in the order of `recorded_at`.
"""

from alembic import op

from candlecast.store.roles import protect

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Made anew as a whole from score_days; nothing here that could not be computed again.
VERDICTS = """
CREATE TABLE candlecast.skill_verdicts (
    record text NOT NULL CHECK (record IN ('live', 'late', 'replay', 'synthetic')),
    interval text NOT NULL CHECK (interval IN ('1h', '1d')),
    model_name text NOT NULL,
    asset_class text NOT NULL, -- 'all': pooled
    step integer NOT NULL, -- 0: the judged steps pooled, each in sigmas over its own span
    verdict text NOT NULL CHECK (verdict IN ('better', 'worse', 'undecided', 'not_compared')),
    skill double precision, -- 1 - CRPS / CRPS of the baseline
    low double precision, -- 95 % interval for somebody who looks once
    high double precision,
    p_value double precision,
    q_value double precision,
    cs_low double precision, -- 95 % confidence sequence, for somebody who looks every day
    cs_high double precision,
    e_value double precision NOT NULL,
    n_common bigint NOT NULL, -- pairs that both were scored on, with and without sample paths
    n_forecasts bigint NOT NULL,
    n_symbols integer NOT NULL,
    n_pairs bigint NOT NULL,
    n_days integer NOT NULL,
    n_eff double precision NOT NULL,
    days_to_decision double precision,
    n_cells integer NOT NULL, -- judged together, in this record
    first_day date,
    last_day date,
    as_of timestamptz NOT NULL, -- days that were over by then were judged
    PRIMARY KEY (record, interval, model_name, asset_class, step)
)
"""


def upgrade() -> None:
    op.execute(VERDICTS)
    protect(op, "skill_verdicts", ("INSERT", "DELETE"))
    name, columns = "ml_predictions_recorded_at_idx", ["recorded_at"]
    op.create_index(name, "ml_predictions", columns, postgresql_using="brin", schema="candlecast")


def downgrade() -> None:
    op.drop_index("ml_predictions_recorded_at_idx", table_name="ml_predictions", schema="candlecast")
    op.drop_table("skill_verdicts", schema="candlecast")
