"""Parked events of reactions tried again or given up, and what waits behind them handled in order."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from chassis.definitions.decider import Rejection
from chassis.engine.parking import failure
from chassis.engine.reactions import Reactor
from chassis.storage.database import Connection, Pool
from chassis.storage.inbox import FINISH, PostgresInbox, queue_lock
from chassis.storage.parked import (
    COUNT,
    DISCARD,
    REACTION,
    REMOVE,
    SELECT,
    STILL_PARKED,
    ParkedEvent,
    Released,
    found,
    loaded,
)


class NoSuchReaction(Rejection):
    """A parked event can be handled only while the service has its reaction."""


class ReactionQueues:
    """Retry and discard for the reactions of one service. Any replica may do it, while another one reacts.

    Each event's outcome is kept as soon as there is one: commands that were accepted are not undone.
    """

    def __init__(self, pool: Pool, reactors: Sequence[Reactor]) -> None:
        """Let `reactors` handle what is parked for them in the database of `pool`."""
        self._pool = pool
        self._inbox = PostgresInbox(pool)
        self._reactors: Mapping[str, Reactor] = {REACTION + each.reaction.name: each for each in reactors}
        # One at a time: each holds a connection, and whoever handles a command needs another one.
        self._turn = asyncio.Lock()

    async def retry(self, id: UUID) -> Released:
        """Handle a parked event, and what waits behind it in order, until one fails again: that stays, with the rest.

        For an event that itself waits, the first of its subject is tried. Raises NotParked, NoSuchReaction.
        """
        async with self._held(id) as (reactor, event):
            queue = await self._queue(event)
            return await self._follow(reactor, queue, {event.id if event.is_poison else queue[0].id})

    async def discard(self, id: UUID, by: str, reason: str) -> Released:
        """Give a parked event up for ever, and handle what waits behind it in order.

        Raises NotParked, NoSuchReaction.
        """
        async with self._held(id) as (reactor, event):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(DISCARD, id, by, reason)
                await _finish(connection, reactor, event, "discarded", None)
            return await self._follow(reactor, await self._queue(event), ())

    @asynccontextmanager
    async def _held(self, id: UUID) -> AsyncIterator[tuple[Reactor, ParkedEvent]]:
        event = await found(self._pool, id)
        reactor = self._reactors.get(event.consumer)
        if reactor is None:
            raise NoSuchReaction(f"This service has no {event.consumer} any more: deploy the code that has it.")
        async with self._turn, self._pool.acquire() as connection, connection.transaction():
            await queue_lock(connection, event.consumer, event.parked.subject)
            yield reactor, await found(self._pool, id)

    async def _queue(self, event: ParkedEvent) -> list[ParkedEvent]:
        of_subject = "consumer = $1 AND generation IS NULL AND subject = $2 ORDER BY place"
        records = await self._pool.fetch(f"{SELECT} WHERE {of_subject}", event.consumer, event.parked.subject)
        return [loaded(record) for record in records]

    async def _follow(self, reactor: Reactor, queue: Sequence[ParkedEvent], tried: Collection[UUID]) -> Released:
        for number, event in enumerate(queue):
            if event.is_poison and event.id not in tried:
                return Released(number, len(queue) - number, event.parked)
            await self._pool.execute(COUNT, [event.id])
            try:
                outcome, detail = await reactor.carry_out(event.parked.message)
            except Exception as failed:
                if not self._inbox.blames(failed):
                    raise
                why = failure(failed)
                await self._pool.execute(STILL_PARKED, event.id, None, why.exception, why.traceback, 0)
                return Released(number, len(queue) - number, replace(event.parked, failure=why))
            async with self._pool.acquire() as connection, connection.transaction():
                await _finish(connection, reactor, event, outcome, detail)
        return Released(len(queue), 0)


async def _finish(
    connection: Connection, reactor: Reactor, event: ParkedEvent, outcome: str, detail: str | None
) -> None:
    event_id = UUID(event.parked.message.headers["ce-id"])
    await connection.execute(FINISH, reactor.reaction.name, event_id, outcome, detail)
    await connection.execute(REMOVE, [event.id])
