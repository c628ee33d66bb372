"""The newest evaluation of each record, as the page of that name shows it; and slots that were missed, to be counted.

Revision 0007, after 0006. The text of a migration never changes once it was released.
"""

from alembic import op

from candlecast.store.roles import protect

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Made anew as a whole from the scores; nothing here that could not be computed again.
EVALUATIONS = """
CREATE TABLE candlecast.evaluations (
    record text NOT NULL CHECK (record IN ('live', 'late', 'replay', 'synthetic')),
    interval text NOT NULL CHECK (interval IN ('1h', '1d')),
    as_of timestamptz NOT NULL, -- days that were over by then are told
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    n_models integer NOT NULL,
    body text NOT NULL, -- a JSON object, sent as it is
    PRIMARY KEY (record, interval)
)
"""


def upgrade() -> None:
    op.execute(EVALUATIONS)
    protect(op, "evaluations", ("INSERT", "DELETE"))
    op.execute("CREATE INDEX job_runs_missed_idx ON candlecast.job_runs (job, slot) WHERE status = 'missed'")


def downgrade() -> None:
    op.drop_index("job_runs_missed_idx", table_name="job_runs", schema="candlecast")
    op.drop_table("evaluations", schema="candlecast")
