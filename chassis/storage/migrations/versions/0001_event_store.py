"""The event store, claims, idempotency keys, inbox, and the bookkeeping of read models."""

from pathlib import Path

from chassis.storage.migrations import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything a new service database needs."""
    run_script(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """Refuse: the event store is the truth, no migration drops it."""
    raise NotImplementedError("The event store is the truth: no migration drops it.")
