"""Parked events of projections tried again or given up, and what waits behind them applied in order."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from chassis.definitions.decider import Rejection
from chassis.definitions.projection import Projection
from chassis.engine.parking import Batch, halves
from chassis.engine.ports import Failure, Parked, RowRefused, SetAside
from chassis.storage.database import Connection, Database
from chassis.storage.parked import (
    COUNT,
    DISCARD,
    REMOVE,
    SELECT,
    STILL_PARKED,
    ParkedEvent,
    Released,
    found,
    left_out,
    loaded,
)
from chassis.storage.read_models import schema_of
from chassis.storage.rows import Rows, encoded_rows, refusals

# In the order in which a swap locks them.
_HOLD = """SELECT generation FROM generations WHERE projection = $1 AND version = $2 AND status IN ('live', 'previous')
            ORDER BY status FOR UPDATE"""
_MARK = "UPDATE generations SET revision = revision + 1 WHERE projection = $1 AND generation = ANY($2)"
_SAME_EVENT = "consumer = $1 AND generation = $2 AND service = $3 AND sequence = $4"
_CONNECTED = "consumer = $1 AND generation = $2 AND (key = ANY($3) OR subject = ANY($4))"


class NotFed(Rejection):
    """A parked event can be applied only to a generation that this code keeps up to date."""

    slug = "generation-not-fed"


class ProjectionQueues:
    """Retry and discard for the projections of one service. Any replica may do it, while another one projects.

    Both hold the lock of the generation's row and raise its revision: the projector stands still meanwhile, and then
    reads anew what is set aside.
    """

    def __init__(self, database: Database, projections: Sequence[Projection[Any]]) -> None:
        """Work on the read models of `projections`, which are in `database`."""
        self._pool = database.pool
        self._projections: Mapping[str, Projection[Any]] = {each.name: each for each in projections}

    async def retry(self, id: UUID) -> Released:
        """Apply a parked event, and what waits behind it in order, until one fails again: that stays, with the rest.

        For an event that itself waits, those are tried that it waits behind. Raises NotParked, NotFed.
        """
        event = await found(self._pool, id)
        projection = self._projection(event)
        # Counted for good before it is tried, for that may end the process.
        async with self._pool.acquire() as connection:
            tried = {event.id}
            if not event.is_poison:
                connected = await _connected(connection, event)
                tried = {each.id for each in connected if each.is_poison and each.place < event.place}
            await connection.execute(COUNT, tried)
        async with self._pool.acquire() as connection, connection.transaction():
            await self._hold(connection, projection, event)
            return await self._release(connection, projection, await found(connection, id), tried)

    async def discard(self, id: UUID, by: str, reason: str) -> Released:
        """Give a parked event up, for every generation and for ever, and apply what waits behind it in order.

        Raises NotParked, NotFed.
        """
        event = await found(self._pool, id)
        projection = self._projection(event)
        async with self._pool.acquire() as connection, connection.transaction():
            generations = await self._hold(connection, projection, event)
            event = await found(connection, id)  # it may have been applied while the lock was waited for
            await connection.execute(DISCARD, id, by, reason)
            came_of_it: dict[int | None, Released] = {}
            for generation in generations:
                place = (event.consumer, generation, event.parked.message.service, event.parked.sequence)
                if record := await connection.fetchrow(f"{SELECT} WHERE {_SAME_EVENT}", *place):
                    came_of_it[generation] = await self._release(connection, projection, loaded(record), ())
            return came_of_it[event.generation]

    def _projection(self, event: ParkedEvent) -> Projection[Any]:
        if event.consumer not in self._projections:
            raise NotFed(f"This service has no projection {event.consumer} any more.")
        return self._projections[event.consumer]

    async def _hold(self, connection: Connection, projection: Projection[Any], event: ParkedEvent) -> list[int]:
        """Lock and mark the generations that are fed, for this transaction. Raises NotFed if the event's is not."""
        fed = [row[0] for row in await connection.fetch(_HOLD, projection.name, projection.version)]
        if event.generation not in fed:
            raise NotFed(
                f"Generation {event.generation} of {projection.name} is not kept up to date by this version of the"
                f" code, so what is parked in it stays parked. `dinkop rebuild {projection.name}` replaces it."
            )
        await connection.execute(_MARK, projection.name, fed)
        return fed

    async def _release(
        self, connection: Connection, projection: Projection[Any], event: ParkedEvent, tried: Collection[UUID]
    ) -> Released:
        """Apply what is connected with an event, of the poison only what is `tried`; write down what stays parked."""
        assert event.generation is not None, "only a reaction has none"
        aside = SetAside(discarded=await left_out(connection, projection.name))
        rows = Rows(projection, schema_of(projection.name, event.generation))
        connected = await _connected(connection, event)
        stay = {
            (parked.message.service, parked.sequence): parked
            for parked in await _apply(connection, projection, rows, connected, tried, aside)
        }
        gone = []
        for each in connected:
            event_number = (each.parked.message.service, each.parked.sequence)
            parked = stay.get(event_number)
            if parked is None:
                gone.append(each)
            elif (parked.key, parked.failure) != (each.parked.key, each.parked.failure):
                failure = parked.failure or Failure("")
                await connection.execute(
                    STILL_PARKED, each.id, parked.key, failure.exception, failure.traceback, parked.attempts
                )
        await connection.execute(REMOVE, [each.id for each in gone])
        applied = [e for e in gone if (e.parked.message.service, e.parked.sequence) not in aside.discarded]
        failed = (parked for parked in stay.values() if parked.failure)
        return Released(len(applied), len(stay), next(failed, None))


async def _connected(connection: Connection, event: ParkedEvent) -> list[ParkedEvent]:
    """Return all parked events that may wait behind an event or before it, in order: by key or subject, however far."""
    keys, subjects = {event.parked.key} - {None}, {event.parked.subject}
    while True:
        place = (event.consumer, event.generation, list(keys), list(subjects))
        labels = await connection.fetch(f"SELECT DISTINCT key, subject FROM parked WHERE {_CONNECTED}", *place)
        more_keys = {key for key, _ in labels if key is not None} - keys
        more_subjects = {subject for _, subject in labels} - subjects
        if not more_keys and not more_subjects:
            break
        keys |= more_keys
        subjects |= more_subjects
    return [loaded(record) for record in await connection.fetch(f"{SELECT} WHERE {_CONNECTED} ORDER BY place", *place)]


async def _apply(
    connection: Connection,
    projection: Projection[Any],
    rows: Rows[Any],
    events: Sequence[ParkedEvent],
    tried: Collection[UUID],
    aside: SetAside,
) -> list[Parked]:
    """Fold events into the rows; return those that stay parked, which are then set `aside` too."""
    batch = Batch(projection, aside)
    for event in events:
        if event.is_poison and event.id not in tried:
            batch.leave(event.parked)
        else:
            batch.meet(event.parked.message)
    try:
        async with connection.transaction():  # within the other one: undone alone
            with refusals():
                changed, parked = batch.fold(await rows.read(connection, batch.keys))
                await connection.execute(rows.insert(), encoded_rows(changed.values()))
                await connection.execute(rows.delete(), [key for key, row in changed.items() if row is None])
    except RowRefused as refused:
        if len(events) > 1:
            stay = [await _apply(connection, projection, rows, half, tried, aside) for half in halves(events)]
            return [parked for half in stay for parked in half]
        parked = [batch.refused(refused)]
    for each in parked:
        aside.waiting.add(each)
    return parked
