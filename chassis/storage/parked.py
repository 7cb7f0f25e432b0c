"""Parked and discarded events in PostgreSQL: how they are written, and what an operator sees of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from chassis.definitions.decider import Missing
from chassis.engine.parking import key_text, storable
from chassis.engine.ports import Failure, LogMessage, Parked, Waiting
from chassis.storage.database import Connection, Pool

REACTION = "reaction:"
"""What the names of consumers that are reactions begin with; the others are projections."""

_KINDS = ("text[]", "bigint[]", "text[]", "text[]", "text[]", "text[]", "bytea[]", "text[]", "text[]", "integer[]")
SELECT = """SELECT id, place, consumer, generation, service, sequence, type, subject, key, headers::text, data,
                   exception, traceback, attempts, parked_at, tried_at FROM parked"""
COUNT = "UPDATE parked SET attempts = attempts + 1, tried_at = clock_timestamp() WHERE id = ANY($1)"
"""Counts an attempt, before it is made."""
STILL_PARKED = """UPDATE parked SET key = $2, exception = $3, traceback = $4, attempts = greatest(attempts, $5)
                   WHERE id = $1"""
REMOVE = "DELETE FROM parked WHERE id = ANY($1)"
DISCARD = """
    INSERT INTO discarded (consumer, service, sequence, id, type, subject, key, headers, exception, attempts, parked_at,
                           discarded_by, reason)
    SELECT consumer, service, sequence, id, type, subject, key, headers, exception, attempts, parked_at, $2, $3
      FROM parked WHERE id = $1 ON CONFLICT (consumer, service, sequence) DO NOTHING"""
# What is left of a generation that nobody feeds any more goes with it.
_SHOWN = """(generation IS NULL OR EXISTS (
    SELECT FROM generations g WHERE (g.projection, g.generation) = (parked.consumer, parked.generation)
       AND g.status IN ('live', 'previous', 'returning')))"""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that is parked: for which consumer, since when, and after how many attempts.

    `place` is the order in which its consumer met it; `generation` is None for a reaction.
    """

    id: UUID
    place: int
    consumer: str
    generation: int | None
    parked: Parked
    parked_at: datetime
    tried_at: datetime | None

    @property
    def is_poison(self) -> bool:
        """Tell whether it could not be applied; else it waits behind one that could not."""
        return self.parked.failure is not None


class NotParked(Missing):
    """No event is parked under this id."""


@dataclass(frozen=True, slots=True)
class Released:
    """What came of it: events applied, events connected with them that are still parked, and the first that failed."""

    applied: int
    still_parked: int
    failed: Parked | None = None


@dataclass(frozen=True, slots=True)
class DiscardedEvent:
    """An event that was given up: by whom, when and why, and what had been wrong with it."""

    id: UUID
    place: int
    consumer: str
    service: str
    sequence: int
    type: str
    subject: str
    key: str | None
    headers: Mapping[str, str]
    exception: str | None
    attempts: int
    parked_at: datetime
    discarded_at: datetime
    discarded_by: str
    reason: str


def insert(condition: str, consumer: str, generation: str, first: int) -> str:
    """Return the statement that parks events, given as `columns` in the parameters from number `first` on."""
    arrays = ", ".join(f"${number}::{kind}" for number, kind in enumerate(_KINDS, first))
    return f"""
        INSERT INTO parked (consumer, generation, service, sequence, type, subject, key, headers, data, exception,
                            traceback, attempts)
        SELECT {consumer}::text, {generation}::integer, service, sequence, type, subject, key, headers::jsonb, data,
               exception, traceback, attempts
          FROM unnest({arrays}) WITH ORDINALITY
               AS e (service, sequence, type, subject, key, headers, data, exception, traceback, attempts, number)
         WHERE {condition} ORDER BY number"""


def columns(events: Sequence[Parked]) -> tuple[list[Any], ...]:
    """Return events as `insert` takes them."""
    return (
        [event.message.service for event in events],
        [event.sequence for event in events],
        [storable(event.message.type) for event in events],
        [key_text(event.subject) for event in events],
        [event.key for event in events],
        [_headers(event.message) for event in events],
        [event.message.data for event in events],
        [event.failure.exception if event.failure else None for event in events],
        [event.failure.traceback if event.failure else None for event in events],
        [event.attempts for event in events],
    )


def loaded(record: asyncpg.Record) -> ParkedEvent:
    """Return what `SELECT` found."""
    failure = None if record["exception"] is None else Failure(record["exception"], record["traceback"] or "")
    message = LogMessage(0, record["service"], record["type"], msgspec.json.decode(record["headers"]), record["data"])
    return ParkedEvent(
        id=UUID(int=record["id"].int),
        place=record["place"],
        consumer=record["consumer"],
        generation=record["generation"],
        parked=Parked(message, record["key"], failure, record["attempts"]),
        parked_at=record["parked_at"],
        tried_at=record["tried_at"],
    )


async def waiting(connection: Pool | Connection, consumer: str, generation: int) -> Waiting:
    """Return what waits behind the parked events of a generation."""
    records = await connection.fetch(
        """SELECT DISTINCT key, CASE WHEN key IS NULL THEN subject END FROM parked
            WHERE consumer = $1 AND generation = $2""",
        consumer,
        generation,
    )
    found = Waiting()
    for key, subject in records:
        if key is None:
            found.subjects.add(subject)
        else:
            found.keys.add(key)
    return found


async def left_out(connection: Pool | Connection, consumer: str) -> frozenset[tuple[str, int]]:
    """Return the events that a consumer leaves out for ever, as (service, sequence)."""
    records = await connection.fetch("SELECT service, sequence FROM discarded WHERE consumer = $1", consumer)
    return frozenset((service, sequence) for service, sequence in records)


async def found(connection: Pool | Connection, id: UUID) -> ParkedEvent:
    """Return a parked event. Raises NotParked."""
    record = await connection.fetchrow(f"{SELECT} WHERE id = $1", id)
    if record is None:
        raise NotParked(f"No event is parked as {id}: it may have been applied or discarded meanwhile.")
    return loaded(record)


class ParkedEvents:
    """The parked and discarded events of one service, as an operator looks at them."""

    def __init__(self, pool: Pool) -> None:
        """Look at them through `pool`."""
        self._pool = pool

    async def list(
        self, after: int, limit: int, consumer: str | None = None, *, failed: bool | None = None
    ) -> list[ParkedEvent]:
        """Return up to `limit` parked events after place `after`, in the order in which they were parked."""
        records = await self._pool.fetch(
            f"""{SELECT} WHERE place > $1 AND ($2::text IS NULL OR consumer = $2)
                           AND ($3::boolean IS NULL OR (exception IS NOT NULL) = $3) AND {_SHOWN}
                         ORDER BY place LIMIT $4""",
            after,
            consumer,
            failed,
            limit,
        )
        return [loaded(record) for record in records]

    async def find(self, id: UUID) -> ParkedEvent:
        """Return one parked event. Raises NotParked."""
        return await found(self._pool, id)

    async def given_up(self, id: UUID) -> DiscardedEvent | None:
        """Return an event that was parked under `id` and is discarded."""
        record = await self._pool.fetchrow(f"{_DISCARDED} WHERE id = $1", id)
        return _given_up(record) if record else None

    async def given_up_after(self, after: int, limit: int) -> Sequence[DiscardedEvent]:
        """Return up to `limit` discarded events after place `after`, the first one first."""
        records = await self._pool.fetch(f"{_DISCARDED} WHERE place > $1 ORDER BY place LIMIT $2", after, limit)
        return [_given_up(record) for record in records]


_DISCARDED = """SELECT id, place, consumer, service, sequence, type, subject, key, headers::text, exception, attempts,
                       parked_at, discarded_at, discarded_by, reason FROM discarded"""


def _given_up(record: asyncpg.Record) -> DiscardedEvent:
    return DiscardedEvent(
        **{
            **dict(record),
            "id": UUID(int=record["id"].int),
            "headers": msgspec.json.decode(record["headers"]),
        }
    )


def _headers(message: LogMessage) -> str:
    return msgspec.json.encode({storable(name): storable(value) for name, value in message.headers.items()}).decode()
