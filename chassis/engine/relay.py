"""The relay: carries every stored event to the public log, once, in order, resuming from the log itself."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog
from opentelemetry.trace import SpanKind

from chassis.engine.gate import proven
from chassis.engine.ports import EventStore, Fenced, LastPublished, PublicLog, PublicMessage, StoredEvent
from chassis.telemetry import logs, tracing

log = structlog.get_logger()

BATCH = 1_000
POLL = 0.5
LOOK = 2.0
HOLD = 1.0
"""Seconds for which a relay lets an import go first: it would share its processor, and publish by small batches."""


@dataclass(slots=True)
class RelayStatus:
    """What the relay last knew: `published` of `stored` positions, and what stopped it, if anything did."""

    published: int = 0
    stored: int = 0
    error: str | None = None


@dataclass
class Relay:
    """Publishes one service's events.

    `publication` turns a stored event into its public message. Exactly one relay per service runs at a
    time (`lead` waits for that right and returns when it is lost); the log's own check keeps out one that
    lost the right without noticing. An idle relay looks at the log every `look` seconds.
    """

    service: str
    store: EventStore
    log: PublicLog
    publication: Callable[[StoredEvent], PublicMessage]
    status: RelayStatus = field(default_factory=RelayStatus)
    published: Callable[[Sequence[StoredEvent]], None] = lambda _: None
    poll: float = POLL
    look: float = LOOK
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _held_until: float = 0.0

    def wake(self) -> None:
        """Say that something was appended. A light poll catches what other processes append."""
        self._more.set()

    def hold(self) -> None:
        """Say that many appends follow, and a wake after them: until then, or for HOLD seconds, none is looked for."""
        self._held_until = time.monotonic() + HOLD

    async def run(self) -> None:
        """Relay until cancelled; an error ends it, and the caller starts it again after a pause."""
        last = await self.resume()
        looked = time.monotonic()
        while True:
            self._more.clear()
            events = await self.store.read(last.sequence, BATCH)
            if events:
                last = await self.relay(events, last)
                continue
            self.status.error = None
            await self._idle()
            # Nothing to publish would tell an idle relay that the log was lost or cut short.
            if time.monotonic() - looked > self.look:
                if await self.log.last(self.service) != last:
                    last = await self.resume()
                looked = time.monotonic()

    async def _idle(self) -> None:
        seconds = self.poll
        while seconds > 0 and not await _within(self._more.wait(), seconds):
            seconds = self._held_until - time.monotonic()

    async def resume(self) -> LastPublished:
        """Return where to go on: the last message on the log, proven to be ours. Raises StoreBehindLog."""
        last = await proven(self.service, self.store, self.log)
        self.status.published = last.sequence
        return last

    async def relay(self, events: Sequence[StoredEvent], last: LastPublished) -> LastPublished:
        """Publish these events after `last`; when fenced, return where the log really stands."""
        started = time.time_ns()
        messages = [self.publication(event) for event in events]
        self.status.stored = max(self.status.stored, events[-1].position)
        try:
            last = await self.log.publish(self.service, messages, last)
        except Fenced as fenced:
            log.warning("relay.fenced", service=self.service, reason=str(fenced))
            return await self.resume()
        self.status.published = last.sequence
        self.status.error = None
        self.published(events)
        _tell(messages, started)
        return last


def _tell(messages: Sequence[PublicMessage], started: int) -> None:
    envelopes = [message.envelope for message in messages]
    logs.followed(
        "events.published",
        (envelope.correlation_id for envelope in envelopes),
        first=envelopes[0].sequence,
        last=envelopes[-1].sequence,
    )
    if tracing.recording():
        of_each = ((envelope.type, envelope.headers()) for envelope in envelopes)
        tracing.follow("publish", started, of_each, SpanKind.PRODUCER)


async def _within(awaitable: Awaitable[object], seconds: float) -> bool:
    try:
        await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        return False
    return True
