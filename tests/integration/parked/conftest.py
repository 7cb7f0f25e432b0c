"""A projection whose code has mistakes, on PostgreSQL."""

from dataclasses import dataclass, field
from typing import Any

import pytest
import sqlalchemy as sa
from poisoned import Mistakes
from projecting import KEYS, MemoryFeed, Plot, message

from chassis.definitions import clock
from chassis.definitions.projection import Projection
from chassis.engine.ports import LogMessage
from chassis.engine.projector import Projector
from chassis.storage.database import Database
from chassis.storage.parked import ParkedEvent, ParkedEvents
from chassis.storage.read_models import ReadModels
from chassis.storage.releasing import ProjectionQueues
from contracts.envelope import PublicEvent


@dataclass
class Farm:
    """The plots of one database: what was published, and what became of it."""

    database: Database
    mistakes: Mistakes = field(default_factory=Mistakes)
    log: list[LogMessage] = field(default_factory=list)
    key: Any = None

    def __post_init__(self) -> None:
        self.projection: Projection[Plot] = self.mistakes.projection(self.key)
        self.models = ReadModels(self.database)
        self.parked = ParkedEvents(self.database.pool)
        self.queues = ProjectionQueues(self.database, [self.projection])

    def publish(self, event: PublicEvent, key: int = 0, *, broken: bool = False, garbled: bool = False) -> LogMessage:
        """Publish an event about a plot; one that the code can't fold (broken), or not even decode (garbled)."""
        sequence = 1 + sum(each.service == event.service for each in self.log)
        published = message(event, sequence, KEYS[key], len(self.log) + 1)
        self.log.append(published)
        if broken:
            self.mistakes.unfoldable.add((event.service, sequence))
        if garbled:
            self.mistakes.undecodable.add(published.data)
        return published

    def projector(self, feed: MemoryFeed | None = None, status: str = "live") -> Projector[Plot]:
        """Return a projector as a process of its own has it."""
        models = ReadModels(self.database, clock.new_id())
        model = models.live(self.projection) if status == "live" else models.previous(self.projection)
        return Projector(self.projection, model, feed or MemoryFeed())

    async def project(self, status: str = "live") -> None:
        """Project everything that was published, in one batch."""
        projector = self.projector(status=status)
        await projector.apply(self.log, await projector.load(), "log")

    async def rows(self) -> dict[Any, Plot]:
        """Return what readers see."""
        async with self.models.view(self.projection) as view:
            return {row.plot: row for row in await view.rows(self.projection, sa.select(self.projection.table))}

    async def aside(self) -> list[ParkedEvent]:
        """Return what is parked, in order."""
        return await self.parked.list(0, 1000)

    async def sequences(self) -> list[int]:
        """Return the numbers of what is parked, in order."""
        return [each.parked.sequence for each in await self.aside()]


@pytest.fixture
def farm(service_database: Database) -> Farm:
    """A farm in a fresh database."""
    return Farm(service_database)
