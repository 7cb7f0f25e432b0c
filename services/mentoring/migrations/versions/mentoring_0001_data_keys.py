"""The data keys of the vault, one for each request."""

from alembic import op

revision = "mentoring_0001"
down_revision = None
branch_labels = ("mentoring",)
depends_on = "0001"


def upgrade() -> None:
    """Create the table; a forgotten subject keeps its row, without the key."""
    op.execute(
        """
        CREATE TABLE data_keys (
            subject      uuid        PRIMARY KEY,
            wrapped      bytea,                  -- the data key under the master key; null once forgotten
            made_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
            forgotten_at timestamptz,
            CHECK ((wrapped IS NULL) = (forgotten_at IS NOT NULL))
        )
        """
    )


def downgrade() -> None:
    """Refuse: without the keys nobody reads the personal data again."""
    raise NotImplementedError("Without the keys nobody reads the personal data again.")
