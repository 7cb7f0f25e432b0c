"""Reactions: a public event of another service makes a command here, once, however often it is delivered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import structlog
from opentelemetry.trace import SpanKind

from chassis.definitions.decider import Decider, Rejection
from chassis.definitions.decoding import decoder
from chassis.definitions.projection import Received
from chassis.definitions.reaction import Reaction
from chassis.engine.handling import Handler, NothingDecided, Order
from chassis.engine.parking import failure
from chassis.engine.ports import AlreadyClaimed, Failure, Key, LogMessage, Parked
from chassis.telemetry import tracing
from contracts.envelope import Envelope

log = structlog.get_logger()


ATTEMPTS = 5
"""How often an event is tried before it is parked."""


class Begun(NamedTuple):
    """An attempt that was counted: the outcome if there is one already, which attempt it is, what it waits behind."""

    outcome: str | None
    attempts: int
    subject_is_parked: bool


class Inbox(Protocol):
    """What each reaction has handled, how often it tried, and what it has put aside."""

    async def begin(self, reaction: str, event_id: UUID, subject: UUID) -> Begun:
        """Count an attempt durably, before it is made."""

    async def finish(self, reaction: str, event_id: UUID, outcome: str, detail: str | None) -> None:
        """Keep what came of it: `handled` or `refused`."""

    async def park(self, reaction: str, parked: Parked) -> None:
        """Put an event aside that can't be handled: what comes later of its subject waits behind it."""

    async def wait(self, reaction: str, parked: Parked) -> bool:
        """Put an event aside behind those of its subject; False if none is there any more: it can be handled."""

    def blames(self, failed: Exception) -> bool:
        """Tell whether the event may be to blame for a failure; not when nothing can be recorded now."""


@dataclass
class Reactor:
    """Handles the events of one reaction.

    The command's append carries an idempotency key made of the reaction's name and the event's id, so a
    second delivery, also after a crash in between, finds the first outcome. An event that can't be handled is parked
    after five attempts, and the later ones of its subject behind it; all others go on. A refusal is an outcome.
    """

    reaction: Reaction
    inbox: Inbox
    handler_of: Callable[[Decider[Any, Any, Any]], Handler[Any, Any, Any]]

    async def handle(self, headers: Mapping[str, str], data: bytes) -> None:
        """Handle one delivery. Returns when it is done with; raises when it must be delivered again."""
        name, envelope = self.reaction.name, Envelope.from_headers(headers)
        message = LogMessage(0, envelope.service, envelope.type, headers, data)
        begun = await self.inbox.begin(name, envelope.id, envelope.subject)
        if begun.outcome:
            return
        if begun.subject_is_parked and await self.inbox.wait(name, Parked(message, None, None)):
            return
        if begun.attempts > ATTEMPTS:
            await self._park(message, Failure(f"It was begun {ATTEMPTS} times and never finished"))
            return
        try:
            outcome, detail = await self.carry_out(message)
        except Exception as failed:
            if begun.attempts < ATTEMPTS or not self.inbox.blames(failed):
                raise
            await self._park(message, failure(failed))
            return
        await self.inbox.finish(name, envelope.id, outcome, detail)

    async def _park(self, message: LogMessage, why: Failure) -> None:
        envelope = Envelope.from_headers(message.headers)
        await self.inbox.park(self.reaction.name, Parked(message, None, why, ATTEMPTS))
        log.error("reaction.parked", reaction=self.reaction.name, event_id=str(envelope.id), type=envelope.type)

    async def carry_out(self, message: LogMessage) -> tuple[str, str | None]:
        """Do what the reaction says; return the outcome, `handled` or `refused`, and why it was refused."""
        with tracing.span(f"{self.reaction.name} {message.type}", SpanKind.CONSUMER, message.headers):
            return await self._carry_out(message)

    async def _carry_out(self, message: LogMessage) -> tuple[str, str | None]:
        envelope = Envelope.from_headers(message.headers)
        received = Received.of(envelope, decoder(self.reaction.event)(message.data))
        outcome, detail = "handled", None
        for number, directive in enumerate(self.reaction.react(received)):
            key = f"reaction:{self.reaction.name}:{envelope.id}:{number}"
            metadata = {
                "actor": f"reaction:{self.reaction.name}",
                "correlation_id": envelope.correlation_id,
                "causation_id": str(envelope.id),
            }
            if traceparent := tracing.traceparent():
                metadata["traceparent"] = traceparent
            order = Order(directive.stream_id, directive.command, metadata, key=Key(key, key))
            try:
                await self.handler_of(directive.decider).handle(order)
            except NothingDecided:
                continue
            except (Rejection, AlreadyClaimed) as refused:
                outcome, detail = "refused", str(refused)
                log.warning("reaction.refused", reaction=self.reaction.name, event_id=str(envelope.id), reason=detail)
        return outcome, detail
