"""The inbox of reactions in PostgreSQL (engine.reactions.Inbox)."""

from uuid import UUID

from chassis.storage.database import Pool


class PostgresInbox:
    """What each reaction has handled, and how often it tried."""

    def __init__(self, pool: Pool) -> None:
        """Keep it in the service's own database."""
        self._pool = pool

    async def begin(self, reaction: str, event_id: UUID) -> str | None:
        """Count an attempt durably, before it is made; return the outcome if there is one already."""
        outcome: str | None = await self._pool.fetchval(
            """INSERT INTO inbox AS i (reaction, event_id, attempts) VALUES ($1, $2, 1)
               ON CONFLICT (reaction, event_id)
               DO UPDATE SET attempts = i.attempts + CASE WHEN i.outcome IS NULL THEN 1 ELSE 0 END
               RETURNING outcome""",
            reaction,
            event_id,
        )
        return outcome

    async def finish(self, reaction: str, event_id: UUID, outcome: str, detail: str | None) -> None:
        """Keep what came of it: `handled` or `refused`."""
        await self._pool.execute(
            """UPDATE inbox SET outcome = $3, detail = $4, handled_at = clock_timestamp()
               WHERE reaction = $1 AND event_id = $2""",
            reaction,
            event_id,
            outcome,
            detail,
        )
