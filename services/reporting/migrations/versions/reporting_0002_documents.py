"""The documents that were issued, byte for byte."""

from alembic import op

revision = "reporting_0002"
down_revision = "reporting_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table: what was issued is read again as it was, also when later code would write it differently."""
    op.execute(
        """
        CREATE TABLE documents (
            sha256  bytea       PRIMARY KEY CHECK (length(sha256) = 32),
            content bytea       NOT NULL,
            kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )


def downgrade() -> None:
    """Refuse: issued documents can't be had again."""
    raise NotImplementedError("Issued documents can't be had again.")
