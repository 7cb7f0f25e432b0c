"""Generations that are built again after a crash, kept fed, and put back; a record of every rebuild."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
UNNEEDED_SINCE = "0.0.0"  # docs/decisions/0018: no release has needed what this takes away


def upgrade() -> None:
    """Widen the bookkeeping of generations."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Refuse: a record of what was rebuilt is not dropped."""
    raise NotImplementedError("The record of rebuilds is not dropped: restore a backup instead.")
