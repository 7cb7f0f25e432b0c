"""The projector: folds the public log into a projection's live generation, exactly once."""

import asyncio
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.ports import Checkpoint, Feed, GenerationMoved, LogMessage, LogReplaced, NothingToFeed, ReadModel
from chassis.telemetry import tracing
from contracts.envelope import Envelope

log = structlog.get_logger()

POLL = 0.5


class SequenceGap(Exception):
    """An event is missing: the service's numbers jump. Going on would make the read model wrong for ever."""

    def __init__(self, service: str, have: int, got: int) -> None:
        super().__init__(
            f"{service} events {have + 1} to {got - 1} are missing from the stream: nothing after {have} is applied."
            " Run `dinkop reconcile` to see what is missing."
        )
        self.service, self.have, self.got = service, have, got


@dataclass(slots=True)
class ProjectorStatus:
    """What the projector last did, and what stopped it, if anything did."""

    positions: dict[str, int] = field(default_factory=dict)
    event_time: datetime | None = None
    error: str | None = None
    paused: bool = False


@dataclass
class Projector[R: Row]:
    """Keeps the live generation of one projection up to date. It holds no means of publishing anything.

    `moved` is called with the new positions after each commit: readers that wait for a position wake up.
    While paused, it asks every `poll` seconds whether it still is. After each batch it rests for `pace` seconds: what
    nobody reads may take fewer, larger batches.
    """

    projection: Projection[R]
    read_model: ReadModel
    feed: Feed
    moved: Callable[[str, dict[str, int]], None] = lambda name, positions: None
    status: ProjectorStatus = field(default_factory=ProjectorStatus)
    poll: float = POLL
    pace: float = 0.0

    async def run(self) -> None:
        """Follow the log until cancelled, or until something is wrong: the caller then starts it again.

        Starting again is always safe: everything is read from the checkpoint, and events at or below it
        are ignored.
        """
        resumable = True
        while True:
            await self._while_paused()
            try:
                checkpoint = await self.read_model.checkpoint()
                self._note(checkpoint)
                identity = await self.feed.identity()
                # In a log made anew the old place means nothing: read it from the start and skip what is known.
                after = checkpoint.log_sequence if resumable and checkpoint.log == identity else 0
                await self._follow(checkpoint, identity, after)
            except NothingToFeed as nothing:
                self.status.error = str(nothing) or None
                await asyncio.sleep(self.poll)
            except (GenerationMoved, LogReplaced) as moved:
                # A log cut short keeps its identity, and says here that the place is void.
                resumable = not isinstance(moved, LogReplaced)
                log.info("projection.reload", projection=self.projection.name, reason=repr(moved))

    async def _while_paused(self) -> None:
        while await self.read_model.paused():
            self.status.paused = True
            await asyncio.sleep(self.poll)
        self.status.paused = False

    async def _follow(self, checkpoint: Checkpoint, identity: str, after: int) -> None:
        async with aclosing(self.feed.follow(self.projection.services, after)) as batches:
            async for batch in batches:
                if batch:
                    checkpoint = await self.apply(batch, checkpoint, identity)
                    self._note(checkpoint)
                elif await self.read_model.paused():
                    raise GenerationMoved(f"{self.projection.name} is paused")
                elif (await self.read_model.checkpoint()).positions != checkpoint.positions:
                    raise GenerationMoved(self.projection.name)
                self.status.error = None
                await asyncio.sleep(self.pace)

    async def apply(self, batch: Sequence[LogMessage], before: Checkpoint, identity: str) -> Checkpoint:
        """Fold a batch into the rows and move the checkpoint, together. Raises SequenceGap."""
        fresh, positions = unseen(batch, before.positions)
        after = Checkpoint(positions, identity, batch[-1].log_sequence)
        if positions == before.positions:
            return before
        begun = time.time_ns()
        received = [r for r in map(self._receive, fresh) if r is not None]
        keyed = [(self.projection.key(event), event) for event in received]
        rows: dict[Hashable, Row] = await self.read_model.rows({key for key, _ in keyed}) if keyed else {}
        changed: dict[Hashable, R | None] = {}
        for key, event in keyed:
            row: Any = changed[key] if key in changed else rows.get(key)
            changed[key] = self.projection.apply(row, event)
        await self.read_model.write(before, after, changed)
        if received:
            self.status.event_time = received[-1].time
        if tracing.recording():
            tracing.follow(self.projection.name, begun, ((message.type, message.headers) for message in fresh))
        return after

    def _receive(self, message: LogMessage) -> Received[Any] | None:
        return receive(self.projection, message)

    def _note(self, checkpoint: Checkpoint) -> None:
        self.status.positions = dict(checkpoint.positions)
        self.moved(self.projection.name, self.status.positions)


def unseen(batch: Sequence[LogMessage], positions: Any) -> tuple[list[LogMessage], dict[str, int]]:
    """Return the messages beyond `positions`, and the positions after them.

    Duplicates and replays fall away here; a missing number raises SequenceGap.
    """
    fresh: list[LogMessage] = []
    after = dict(positions)
    for message in batch:
        sequence = int(message.headers["ce-sequence"])
        have = after.get(message.service, 0)
        if sequence <= have:
            continue
        if sequence != have + 1:
            raise SequenceGap(message.service, have, sequence)
        after[message.service] = sequence
        fresh.append(message)
    return fresh, after


def receive(projection: Projection[Any], message: LogMessage) -> Received[Any] | None:
    """Return the message as the projection's fold meets it, or None when no handler reads its type."""
    decode = projection.decoders.get((message.service, message.type))
    if decode is None:
        return None
    envelope = Envelope.from_headers(message.headers)
    return Received(
        service=envelope.service,
        type=envelope.type,
        sequence=envelope.sequence,
        id=envelope.id,
        subject=envelope.subject,
        stream_version=envelope.stream_version,
        time=envelope.time,
        data=decode(message.data),
    )
