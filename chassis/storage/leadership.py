"""Who of several replicas carries the background work: an advisory lock that ends with its connection.

PostgreSQL ends the connection of a leader that has said nothing for a while: one that is stopped, hangs or was cut off
keeps its connection otherwise, and with it the lock, for hours. A leader that the stream doesn't answer gives way to a
process that it answers; where there is none, it goes on. What a former leader still does is refused by the stream and
by the checkpoints. See docs/decisions/0019-silent-leaders.md.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

LEADER_LOCK = 3
READY_LOCK = 4
"""Held by a process that doesn't lead, and could: the stream answers it."""
RETRY = 0.5
SILENCE = 2.5
"""Seconds without a word after which a leader leads no longer: none from it to PostgreSQL, to which it says one every
RETRY seconds; or none from the stream to it. Short enough that another publishes within five seconds, and longer than a
server needs that is restarted."""

type Heard = Callable[[], float]
"""The seconds for which the stream has answered this process without a break; negative: has not answered."""

_TRY = "SELECT pg_try_advisory_lock($1)"
_LET_GO = "SELECT pg_advisory_unlock_all()"
_IS_HELD = "SELECT NOT pg_try_advisory_xact_lock_shared($1)"


class LostLeadership(Exception):
    """Another process may lead from now on: the connection that held the lock is gone, or this process gave way."""


@asynccontextmanager
async def leadership(database_url: str, heard: Heard) -> AsyncIterator[asyncio.Future[None]]:
    """Wait until this process leads, which it does only while it hears the stream; then hold the lead.

    The future yielded fails with LostLeadership as soon as the connection breaks; when a process dies, the
    server releases its lock, and the next one leads within a second. When a process is stopped or cut off, the
    server ends its connection after SILENCE seconds. When it has not heard the stream for as long, and another process
    has heard it for as long, it gives way.
    """
    patience = f"{SILENCE * 1000:.0f}ms"
    connection = await asyncpg.connect(
        database_url, timeout=5, command_timeout=5, server_settings={"idle_session_timeout": patience}
    )
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lose(why: str) -> None:
        if not lost.done():
            lost.set_exception(LostLeadership(why))

    def ended(_: object) -> None:
        lose("the connection holding the lock ended")

    connection.add_termination_listener(ended)
    watch: asyncio.Task[None] | None = None
    try:
        await _stand(connection, heard)
        watch = asyncio.create_task(_watch(connection, heard, lose))
        yield lost
    finally:
        if watch:
            watch.cancel()
        lost.cancel()
        connection.remove_termination_listener(ended)
        connection.terminate()


async def _stand(connection: "asyncpg.Connection[asyncpg.Record]", heard: Heard) -> None:
    """Return when this process leads; until then, let the leader know of one that could."""
    ready = False
    while True:
        if heard() < 0:
            await connection.execute(_LET_GO)
            ready = False
        elif await connection.fetchval(_TRY, LEADER_LOCK):
            break
        elif not ready and heard() > SILENCE:
            ready = await connection.fetchval(_TRY, READY_LOCK)
        await asyncio.sleep(RETRY)
    if ready:
        await connection.execute("SELECT pg_advisory_unlock($1)", READY_LOCK)


async def _watch(connection: "asyncpg.Connection[asyncpg.Record]", heard: Heard, lose: Callable[[str], None]) -> None:
    # A peer that vanished without a word (a cut network) shows only when asked.
    try:
        while True:
            await asyncio.sleep(RETRY)
            another = await connection.fetchval(_IS_HELD, READY_LOCK)
            if another and heard() < -SILENCE:
                lose("the stream answers another process, and not this one")
                # At once, for it takes seconds to let go of a stream that says nothing.
                connection.terminate()
                return
    except Exception:  # whatever it is: who can't ask may no longer hold the lock
        lose("the connection holding the lock ended")
