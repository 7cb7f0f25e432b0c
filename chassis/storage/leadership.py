"""Who of several replicas carries the background work: an advisory lock that ends with its connection.

PostgreSQL ends the connection of a leader that has said nothing for a while: one that is stopped, hangs or was cut off
keeps its connection otherwise, and with it the lock, for hours. What such a zombie still does is refused by the
stream and by the checkpoints. See docs/decisions/0019-silent-leaders.md.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

LEADER_LOCK = 3
RETRY = 0.5
SILENCE = 2.5
"""Seconds without a word after which a leader leads no longer; it says one every RETRY seconds."""


class LostLeadership(Exception):
    """The connection that held the lock is gone: another process may lead from now on."""


@asynccontextmanager
async def leadership(database_url: str) -> AsyncIterator[asyncio.Future[None]]:
    """Wait until this process leads, then hold the lead.

    The future yielded fails with LostLeadership as soon as the connection breaks; when a process dies, the
    server releases its lock, and the next one leads within a second. When a process is stopped or cut off, the
    server ends its connection after SILENCE seconds.
    """
    patience = f"{SILENCE * 1000:.0f}ms"
    connection = await asyncpg.connect(
        database_url, timeout=5, command_timeout=5, server_settings={"idle_session_timeout": patience}
    )
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def ended(_: object) -> None:
        if not lost.done():
            lost.set_exception(LostLeadership("the connection holding the lock ended"))

    connection.add_termination_listener(ended)
    watch: asyncio.Task[None] | None = None
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LEADER_LOCK):  # noqa: ASYNC110
            await asyncio.sleep(RETRY)
        watch = asyncio.create_task(_watch(connection, ended))
        yield lost
    finally:
        if watch:
            watch.cancel()
        lost.cancel()
        connection.remove_termination_listener(ended)
        connection.terminate()


async def _watch(connection: "asyncpg.Connection[asyncpg.Record]", ended: object) -> None:
    # A peer that vanished without a word (a cut network) shows only when asked.
    try:
        while True:
            await asyncio.sleep(RETRY)
            await connection.fetchval("SELECT 1")
    except Exception:  # whatever it is: who can't ask may no longer hold the lock
        assert callable(ended)
        ended(connection)
