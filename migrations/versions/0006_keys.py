"""The keys of readers: a digest for each, never the key itself.

Revision 0006, after 0005. The text of a migration never changes once it was released.
"""

from alembic import op

from candlecast.store.roles import protect
from candlecast.store.sql import run_file

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEYS = """
CREATE TABLE candlecast.api_keys (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[2-9a-z]{10}$'),
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$'), -- who or what reads with it
    digest bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32), -- SHA-256 of the key's text
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz CHECK (expires_at > created_at), -- NULL: never
    revoked_at timestamptz
)
"""


def upgrade() -> None:
    op.execute(KEYS)
    # Keys are made by whoever owns the database; a job that is broken into can make none.
    protect(op, "api_keys", ())
    run_file(op.get_bind(), "functions/keep_key_1")
    run_file(op.get_bind(), "triggers/api_keys_revoke_only")
    op.execute(
        "CREATE TRIGGER append_only BEFORE DELETE OR TRUNCATE ON candlecast.api_keys "
        "FOR EACH STATEMENT EXECUTE FUNCTION candlecast.refuse_change()"
    )


def downgrade() -> None:
    op.drop_table("api_keys", schema="candlecast")
    op.execute("DROP FUNCTION candlecast.keep_key()")
