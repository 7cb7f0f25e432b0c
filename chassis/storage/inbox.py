"""The inbox of reactions in PostgreSQL (engine.reactions.Inbox), and their parked events."""

from uuid import UUID

from chassis.engine.gate import NotAccepting
from chassis.engine.ports import Parked
from chassis.engine.reactions import Begun
from chassis.storage.database import Connection, Pool, away
from chassis.storage.parked import REACTION, columns, insert

_BEGIN = """
    WITH counted AS (
        INSERT INTO inbox AS i (reaction, event_id, attempts) VALUES ($1, $2, 1)
        ON CONFLICT (reaction, event_id)
        DO UPDATE SET attempts = i.attempts + CASE WHEN i.outcome IS NULL THEN 1 ELSE 0 END
        RETURNING outcome, attempts)
    SELECT outcome, attempts, EXISTS (SELECT FROM parked WHERE consumer = $3 AND generation IS NULL AND subject = $4)
      FROM counted"""
FINISH = """UPDATE inbox SET outcome = $3, detail = $4, handled_at = clock_timestamp()
              WHERE reaction = $1 AND event_id = $2"""
# A stream made anew delivers everything again.
_PARK = f"""{insert("true", "$1", "NULL", first=2)} ON CONFLICT DO NOTHING"""
_SOME_PARKED = "SELECT EXISTS (SELECT FROM parked WHERE consumer = $1 AND generation IS NULL AND subject = $2)"


class PostgresInbox:
    """What each reaction has handled, how often it tried, and what it has put aside."""

    def __init__(self, pool: Pool) -> None:
        """Keep it in the service's own database."""
        self._pool = pool

    async def begin(self, reaction: str, event_id: UUID, subject: UUID) -> Begun:
        """Count an attempt durably, before it is made."""
        row = await self._pool.fetchrow(_BEGIN, reaction, event_id, REACTION + reaction, str(subject))
        assert row is not None
        return Begun(*row)

    async def finish(self, reaction: str, event_id: UUID, outcome: str, detail: str | None) -> None:
        """Keep what came of it: `handled` or `refused`."""
        await self._pool.execute(FINISH, reaction, event_id, outcome, detail)

    async def park(self, reaction: str, parked: Parked) -> None:
        """Put an event aside that can't be handled: what comes later of its subject waits behind it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await queue_lock(connection, REACTION + reaction, parked.subject)
            await connection.execute(_PARK, REACTION + reaction, *columns([parked]))

    async def wait(self, reaction: str, parked: Parked) -> bool:
        """Put an event aside behind those of its subject; False if none is there any more: it can be handled."""
        consumer = REACTION + reaction
        async with self._pool.acquire() as connection, connection.transaction():
            await queue_lock(connection, consumer, parked.subject)
            if not await connection.fetchval(_SOME_PARKED, consumer, parked.subject):
                return False
            await connection.execute(_PARK, consumer, *columns([parked]))
            return True

    def blames(self, failed: Exception) -> bool:
        """Tell whether the event may be to blame for a failure; not when nothing can be recorded now."""
        return not away(failed) and not isinstance(failed, NotAccepting)


async def queue_lock(connection: Connection, consumer: str, subject: str) -> None:
    """Lock what a reaction has parked of one subject, until the transaction ends.

    Whoever applies it, and whoever puts something behind it, must not miss the other.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{consumer} {subject}")
