"""One connection to the event store, whose end is told at once: what it showed holds for as long as it lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from chassis.storage.database import Connection

ANSWER = 5.0
"""Seconds the server has to answer; one that vanished without a word shows only when asked."""


class StoreSession:
    """The event store as seen through one connection (engine.gate.Session)."""

    def __init__(self, connection: Connection) -> None:
        self.ended = asyncio.Event()
        self._connection = connection

    async def event_at(self, position: int) -> UUID | None:
        """Return the id of the event at a position, None when there is none."""
        found: UUID | None = await self._connection.fetchval(
            "SELECT event_id FROM events WHERE position = $1", position
        )
        return found


@asynccontextmanager
async def store_session(database_url: str, ended: Callable[[], None]) -> AsyncIterator[StoreSession]:
    """Open a session; `ended` is called the moment the connection ends, however it ends."""
    connection = await asyncpg.connect(database_url, timeout=ANSWER, command_timeout=ANSWER)
    session = StoreSession(connection)

    def tell(_: object) -> None:
        session.ended.set()
        ended()

    connection.add_termination_listener(tell)
    try:
        yield session
    finally:
        connection.terminate()
        tell(connection)
