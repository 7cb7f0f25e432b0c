"""What stands beside the projections of a service: events set aside, and replays that somebody carries out."""

from chassis.storage.database import Pool

_PARKED = "SELECT consumer, generation, count(*) FROM parked GROUP BY consumer, generation"
# A replay holds a lock under the projection's name (generations.lease) that ends with its process: a record alone may
# have been left by one that was killed. A lock's 64-bit key is told in two halves.
_WORKED_ON = """
    SELECT DISTINCT r.projection FROM rebuilds r
      JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (l.classid::bigint << 32) | l.objid::bigint = hashtext('rebuild:' || r.projection)::bigint
     WHERE r.state = 'running'"""


async def parked(pool: Pool) -> dict[tuple[str, int | None], int]:
    """Return how many events are set aside: those that could not be applied, and those that wait behind one.

    By consumer and generation: a projection by its name; `reaction:<name>`, which has no generation.
    """
    return {(consumer, generation): count for consumer, generation, count in await pool.fetch(_PARKED)}


async def worked_on(pool: Pool) -> frozenset[str]:
    """Return the projections that are being rebuilt, checked or rolled back at this moment."""
    return frozenset(name for (name,) in await pool.fetch(_WORKED_ON))
