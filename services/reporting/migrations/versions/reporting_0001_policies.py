"""The policies that verdicts go by, each with the period it is valid in."""

from alembic import op

revision = "reporting_0001"
down_revision = None
branch_labels = ("reporting",)
depends_on = "0001"


def upgrade() -> None:
    """Create the table, with the policy that every office starts with.

    No two periods overlap, so that which policy a day goes by is never a guess.
    """
    op.execute(
        """
        CREATE DOMAIN month_day AS text       -- MM-DD, a day that every year has
            CHECK (VALUE ~ '^[0-9]{2}-[0-9]{2}$'
                   AND make_date(2001, left(VALUE, 2)::int, right(VALUE, 2)::int) IS NOT NULL)
        """
    )
    op.execute(
        """
        CREATE TABLE policies (
            name               text      PRIMARY KEY CHECK (name ~ '^[a-z0-9-]{1,50}$'),
            valid_from         date,     -- both inclusive; null is open
            valid_to           date,
            window_years       smallint  NOT NULL CHECK (window_years BETWEEN 1 AND 10),
            due                month_day NOT NULL,
            primary_deadline   month_day NOT NULL,
            secondary_deadline month_day NOT NULL,
            attested_from      month_day NOT NULL,
            CONSTRAINT policies_do_not_overlap EXCLUDE USING gist (daterange(valid_from, valid_to, '[]') WITH &&)
        )
        """
    )
    op.execute("INSERT INTO policies VALUES ('rat-3y-2024', NULL, NULL, 3, '06-30', '03-31', '06-30', '12-31')")


def downgrade() -> None:
    """Drop the table: older code has the first policy built in."""
    op.execute("DROP TABLE policies")
    op.execute("DROP DOMAIN month_day")
