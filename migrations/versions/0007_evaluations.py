"""The newest evaluation of each record.

Revision 0007, after 0006. The text of a migration never changes once it was released.
"""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
