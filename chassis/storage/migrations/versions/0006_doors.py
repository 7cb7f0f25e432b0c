"""The role that serves appends, remembers and makes generations through functions, and needs fewer rights itself."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
UNNEEDED_SINCE = "0.0.0"  # docs/decisions/0018: no release has needed what this takes away


def upgrade() -> None:
    """Let the functions run with the rights of the role that owns them."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Leave it: older code calls the same functions, and makes schemas by itself where it may."""
