"""The parked events of one service as its operator meets them: projections' and reactions' alike."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from chassis.definitions.decider import Decider
from chassis.definitions.projection import Projection
from chassis.definitions.reaction import Reaction
from chassis.engine.handling import Handler
from chassis.engine.ports import LogMessage
from chassis.engine.reactions import Reactor
from chassis.storage.database import Database
from chassis.storage.inbox import PostgresInbox
from chassis.storage.parked import REACTION, NotParked, ParkedEvent, ParkedEvents, Released
from chassis.storage.reaction_queues import ReactionQueues
from chassis.storage.releasing import ProjectionQueues
from contracts.envelope import PublicEvent, timestamp


class Queues(Protocol):
    """What can be done with parked events."""

    async def retry(self, id: UUID) -> Released:
        """Apply a parked event, and what waits behind it."""

    async def discard(self, id: UUID, by: str, reason: str) -> Released:
        """Give a parked event up, and apply what waits behind it."""


class Parking:
    """The parked events of one service: looked at, tried again, given up."""

    def __init__(
        self,
        service: str,
        database: Database,
        projections: Sequence[Projection[Any]],
        reactions: Sequence[Reaction],
        handler_of: Callable[[Decider[Any, Any, Any]], Handler[Any, Any, Any]],
    ) -> None:
        """Look after what the projections and reactions of `service` have parked in `database`."""
        self.service = service
        self.events = ParkedEvents(database.pool)
        inbox = PostgresInbox(database.pool)
        self._projections = ProjectionQueues(database, projections)
        self._reactions = ReactionQueues(database.pool, [Reactor(each, inbox, handler_of) for each in reactions])
        self._contracts: dict[tuple[str, str, str], type[PublicEvent]] = {
            (projection.name, *kind): event
            for projection in projections
            for kind, (event, _) in projection.by_type.items()
        } | {(REACTION + each.name, each.event.service, each.event.type_name()): each.event for each in reactions}

    def contract(self, consumer: str, message: LogMessage) -> type[PublicEvent] | None:
        """Return the public event that a parked one should be; None when its consumer does not read it any more."""
        return self._contracts.get((consumer, message.service, message.type))

    async def find(self, id: UUID) -> ParkedEvent:
        """Return a parked event. Raises NotParked, which tells of one that was discarded."""
        try:
            return await self.events.find(id)
        except NotParked:
            given_up = await self.events.given_up(id)
            if given_up is None:
                raise
            raise NotParked(
                f"{given_up.service} event {given_up.sequence} is not parked any more: {given_up.discarded_by}"
                f" discarded it for {self.service}.{given_up.consumer} at {timestamp(given_up.discarded_at)}."
            ) from None

    async def retry(self, id: UUID) -> Released:
        """Apply a parked event, and what waits behind it in order, until one fails again. Raises NotParked, NotFed."""
        return await self._queues(await self.find(id)).retry(id)

    async def discard(self, id: UUID, by: str, reason: str) -> Released:
        """Give a parked event up for ever, and apply what waits behind it in order. Raises NotParked, NotFed."""
        return await self._queues(await self.find(id)).discard(id, by, reason)

    def _queues(self, event: ParkedEvent) -> Queues:
        return self._reactions if event.consumer.startswith(REACTION) else self._projections
