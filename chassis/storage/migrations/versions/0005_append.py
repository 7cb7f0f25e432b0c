"""Appending costs the server less."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Replace the append function by one that does the same."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Leave it: the function does what the one before it did."""
