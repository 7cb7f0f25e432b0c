"""What an operator has set about a projection: whether it is paused, by whom, since when."""

from dataclasses import dataclass
from datetime import datetime

from chassis.storage.database import Pool

# Not only the flag: a batch that is being written has read it already. Such a write is fenced by the generation's
# revision, so raising that waits for the batch or makes it void. Locked in the order in which a swap does.
_PAUSE = """
    WITH changed AS (
        INSERT INTO projection_controls AS c (projection, paused, changed_by, changed_at)
        VALUES ($1, true, $2, clock_timestamp())
        ON CONFLICT (projection) DO UPDATE
           SET paused = true, changed_by = excluded.changed_by, changed_at = excluded.changed_at WHERE NOT c.paused
        RETURNING 1
    ), fed AS (
        SELECT generation FROM generations
         WHERE projection = $1 AND status IN ('live', 'previous', 'returning') AND EXISTS (SELECT FROM changed)
         ORDER BY status FOR UPDATE
    ), fenced AS (
        UPDATE generations g SET revision = revision + 1 FROM fed
         WHERE g.projection = $1 AND g.generation = fed.generation
    )
    SELECT count(*) FROM changed"""
_RESUME = """
    UPDATE projection_controls SET paused = false, changed_by = $2, changed_at = clock_timestamp()
     WHERE projection = $1 AND paused RETURNING 1"""
_PAUSED = "SELECT projection, changed_by, changed_at FROM projection_controls WHERE paused"


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a projection and since when; unknown for one that was paused behind our back."""

    by: str | None
    since: datetime | None


class Controls:
    """The controls of one service's projections. They outlast restarts, and count for every replica."""

    def __init__(self, pool: Pool) -> None:
        """Keep the controls through `pool`."""
        self._pool = pool

    async def pause(self, projection: str, actor: str) -> bool:
        """Pause a projection; False when it was paused already. From the return on it applies no event."""
        return bool(await self._pool.fetchval(_PAUSE, projection, actor))

    async def resume(self, projection: str, actor: str) -> bool:
        """Let a projection go on, from where it stood; False when it was not paused."""
        return bool(await self._pool.fetchval(_RESUME, projection, actor))

    async def paused(self) -> dict[str, Pause]:
        """Return what is paused."""
        return {name: Pause(by, since) for name, by, since in await self._pool.fetch(_PAUSED)}
