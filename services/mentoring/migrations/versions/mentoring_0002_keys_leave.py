"""The data keys leave the database: what is deleted there lives on in its log and in its backups."""

from alembic import op

revision = "mentoring_0002"
down_revision = "mentoring_0001"
branch_labels = None
depends_on = None
UNNEEDED_SINCE = "0.0.0"  # docs/decisions/0018: no release has needed what this takes away


def upgrade() -> None:
    """Drop the table. Refuses while it holds keys: no release wrote any, so only a trial from before has them."""
    op.execute(
        """
        DO $$ BEGIN
            IF EXISTS (SELECT FROM data_keys WHERE wrapped IS NOT NULL) THEN
                RAISE EXCEPTION 'This trial was made before the first release, with keys of personal data in its '
                                'database. Start with a new one.';
            END IF;
        END $$
        """
    )
    op.execute("DROP TABLE data_keys")


def downgrade() -> None:
    """Refuse: keys do not go back to where they cannot be destroyed."""
    raise NotImplementedError("Keys do not go back to where they cannot be destroyed.")
