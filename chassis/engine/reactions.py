"""Reactions: a public event of another service makes a command here, once, however often it is delivered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import structlog

from chassis.definitions.decider import Decider, Rejection
from chassis.definitions.decoding import decoder
from chassis.definitions.projection import Received
from chassis.definitions.reaction import Reaction
from chassis.engine.handling import Handler, NothingDecided, Order
from chassis.engine.ports import AlreadyClaimed, Key
from contracts.envelope import Envelope

log = structlog.get_logger()


class Inbox(Protocol):
    """What each reaction has handled, and how often it tried."""

    async def begin(self, reaction: str, event_id: UUID) -> str | None:
        """Count an attempt durably, before it is made; return the outcome if there is one already."""

    async def finish(self, reaction: str, event_id: UUID, outcome: str, detail: str | None) -> None:
        """Keep what came of it: `handled` or `refused`."""


@dataclass
class Reactor:
    """Handles the events of one reaction.

    The command's append carries an idempotency key made of the reaction's name and the event's id, so a
    second delivery, also after a crash in between, finds the first outcome.
    """

    reaction: Reaction
    inbox: Inbox
    handler_of: Callable[[Decider[Any, Any, Any]], Handler[Any, Any, Any]]

    async def handle(self, headers: Mapping[str, str], data: bytes) -> None:
        """Handle one delivery. Returns when it is done with; raises when it must be delivered again."""
        envelope = Envelope.from_headers(headers)
        if await self.inbox.begin(self.reaction.name, envelope.id):
            return
        received = Received(
            service=envelope.service,
            type=envelope.type,
            sequence=envelope.sequence,
            id=envelope.id,
            subject=envelope.subject,
            stream_version=envelope.stream_version,
            time=envelope.time,
            data=decoder(self.reaction.event)(data),
        )
        outcome, detail = "handled", None
        for number, directive in enumerate(self.reaction.react(received)):
            key = f"reaction:{self.reaction.name}:{envelope.id}:{number}"
            metadata = {
                "actor": f"reaction:{self.reaction.name}",
                "correlation_id": envelope.correlation_id,
                "causation_id": str(envelope.id),
            }
            if envelope.traceparent:
                metadata["traceparent"] = envelope.traceparent
            order = Order(directive.stream_id, directive.command, metadata, key=Key(key, key))
            try:
                await self.handler_of(directive.decider).handle(order)
            except NothingDecided:
                continue
            except (Rejection, AlreadyClaimed) as refused:
                outcome, detail = "refused", str(refused)
                log.warning("reaction.refused", reaction=self.reaction.name, event_id=str(envelope.id), reason=detail)
        await self.inbox.finish(self.reaction.name, envelope.id, outcome, detail)
