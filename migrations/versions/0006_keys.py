"""The keys of readers.

Revision 0006, after 0005. The text of a migration never changes once it was released.
"""

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
