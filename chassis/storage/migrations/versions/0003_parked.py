"""Events a projection or reaction could not apply, and those that wait behind them."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
UNNEEDED_SINCE = "0.0.0"  # docs/decisions/0018: no release has needed what this takes away


def upgrade() -> None:
    """Create the tables of parked and discarded events."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Refuse: a parked event is not dropped."""
    raise NotImplementedError("A parked event is not dropped: restore a backup instead.")
