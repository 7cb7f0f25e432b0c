"""A read model of health on PostgreSQL, a public log in memory, and the monitor between them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from alone import runtime_on
from eventually import eventually
from projecting import MemoryFeed

from chassis.engine.codec import Codec
from chassis.engine.ports import StoredEvent
from chassis.engine.projector import Projector
from chassis.http.runtime import Runtime
from chassis.storage.database import Database
from contracts import rat, registry
from contracts.envelope import PublicEvent
from services.reporting.domain.announced_health import HealthStatusChanged, decider
from services.reporting.monitor import Monitor
from services.reporting.projections.health_status import projection

MELATI, ANGGREK = UUID(int=1), UUID(int=2)
WAGIR, TUMPANG = "35.07.21", "35.07.16"
TODAY = date(2024, 11, 14)

type Told = tuple[UUID, str | None, str | None]
"""A cooperative, what it was before, and what it is."""


def registered(cooperative_id: UUID, **more: Any) -> PublicEvent:
    return registry.CooperativeRegistered(
        **{
            "cooperative_id": cooperative_id,
            "kecamatan_code": WAGIR,
            "name": "Koperasi Melati",
            "legal_entity_number": "1",
            "legal_entity_date": date(2010, 1, 5),
            **more,
        }
    )


def held(cooperative_id: UUID, book_year: int, held_on: date | None = None) -> PublicEvent:
    return rat.RATHeld(
        cooperative_id=cooperative_id,
        kecamatan_code=WAGIR,
        book_year=book_year,
        held_on=held_on or date(book_year + 1, 2, 1),
        source="office",
    )


def healthy(cooperative_id: UUID) -> list[PublicEvent]:
    return [held(cooperative_id, year) for year in (2021, 2022, 2023)]


@dataclass
class Monitored:
    """What the projector and the relay of the other services would bring, `tell` brings."""

    database: Database
    runtime: Runtime
    feed: MemoryFeed = field(default_factory=lambda: MemoryFeed(batch=1_000))
    sequences: dict[str, int] = field(default_factory=dict)
    applied: int = 0

    @classmethod
    def on(cls, database: Database, today: date = TODAY) -> "Monitored":
        """Start on a database as a process would."""
        return cls(database, runtime_on(database, "reporting", today))

    def publish(self, *events: PublicEvent) -> None:
        """Put events about cooperatives on the log."""
        for event in events:
            sequence = self.sequences[event.service] = self.sequences.get(event.service, 0) + 1
            subject: UUID = getattr(event, "cooperative_id")  # noqa: B009
            self.feed.add(event, sequence, subject)

    async def apply(self) -> None:
        """Bring the read model to the end of the log."""
        live = self.runtime.read_models.live(projection)
        projector: Projector[Any] = Projector(projection, live, self.feed, self.runtime.note)
        batch = self.feed.messages[self.applied :]
        before = await live.checkpoint()
        after = await projector.apply(batch, before, self.feed.incarnation) if batch else before
        self.applied = len(self.feed.messages)
        self.runtime.note(projection.name, dict(after.positions))

    async def tell(self, *events: PublicEvent) -> None:
        """Publish events and apply them."""
        self.publish(*events)
        await self.apply()

    async def stored(self) -> list[StoredEvent]:
        """Return the events of reporting's own store."""
        return await self.runtime.store.read(0, 10_000)

    async def events(self) -> list[HealthStatusChanged]:
        """Return what was announced, decoded."""
        codec = Codec(decider, lambda: None)
        return [codec.decode(stored) for stored in await self.stored()]

    async def told(self) -> list[Told]:
        """Return what was announced, in order."""
        events = await self.events()
        return [(s.stream.id, e.before, e.after) for s, e in zip(await self.stored(), events, strict=True)]

    async def has_told(self, *expected: Told) -> None:
        """Wait until exactly this was announced."""

        async def so() -> bool:
            assert await self.told() == list(expected)
            return True

        await eventually(so, 5)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[Monitor]:
        """Run the monitor; it ends as abruptly as when its process is killed."""
        monitor = Monitor(self.runtime, self.feed, calm=0)
        task = asyncio.create_task(monitor.run())
        try:
            yield monitor
        finally:
            if task.done():
                task.result()  # it failed, which says more than what didn't come of it
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
