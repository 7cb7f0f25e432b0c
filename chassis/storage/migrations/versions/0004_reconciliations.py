"""What comparing the store with the stream last found."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of findings."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Refuse: a record of what was found is not dropped."""
    raise NotImplementedError("The record of findings is not dropped: restore a backup instead.")
