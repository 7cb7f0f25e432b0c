"""The projector: folds the public log into a projection's live generation, exactly once."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from chassis.definitions.projection import Projection, Row
from chassis.engine.parking import Batch, halves
from chassis.engine.ports import (
    Checkpoint,
    Failure,
    Feed,
    GenerationMoved,
    LogMessage,
    LogReplaced,
    NothingToFeed,
    Parked,
    ReadModel,
    RowRefused,
    SetAside,
)
from chassis.telemetry import logs, tracing

log = structlog.get_logger()

POLL = 0.5
DEATHS = 3
"""How often the process may end at one place before somebody is suspected."""


class SequenceGap(Exception):
    """An event is missing: the service's numbers jump. Going on would make the read model wrong for ever."""

    def __init__(self, service: str, have: int, got: int) -> None:
        super().__init__(
            f"{service} events {have + 1} to {got - 1} are missing from the stream: nothing after {have} is applied."
            " Run `dinkop reconcile` to see what is missing."
        )
        self.service, self.have, self.got = service, have, got


class BehindLive(Exception):
    """The log ends before what the live generation has read: swapping would take its readers back."""

    def __init__(self, projection: str, service: str, have: int, live: int) -> None:
        super().__init__(
            f"The stream holds {service} events up to {have}; {projection} has read up to {live} already."
            " Nothing is swapped. Run `dinkop reconcile`, and try again when everything is published anew."
        )


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

    An event that the fold can't apply is parked, and what comes later of its key waits behind it; see `Batch`. One that
    ends the process can't be told from its neighbours: after three deaths at one checkpoint events are handled one by
    one, and the one that has ended the process three times more is parked without being handled.

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
    _aside: SetAside = field(default_factory=SetAside)
    _begun: bool = False

    async def run(self) -> None:
        """Follow the log until cancelled, or until something is wrong: the caller then starts it again.

        Starting again is always safe: everything is read from the checkpoint, and events at or below it
        are ignored.
        """
        resumable = True
        while True:
            await self._while_paused()
            try:
                checkpoint = await self.load()
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

    async def reach(self, positions: Mapping[str, int]) -> Checkpoint:
        """Apply what the log has until nothing up to `positions` is missing. Raises BehindLive when it has no more."""
        checkpoint = await self.load()
        identity = await self.feed.identity()
        after = checkpoint.log_sequence if checkpoint.log == identity else 0
        if not missing(positions, checkpoint.positions):
            return checkpoint
        async with aclosing(self.feed.follow(self.projection.services, after)) as batches:
            async for batch in batches:
                if batch:
                    checkpoint = await self.apply(batch, checkpoint, identity)
                if not missing(positions, checkpoint.positions):
                    return checkpoint
                if not batch:
                    break
        service = missing(positions, checkpoint.positions)[0]
        raise BehindLive(self.projection.name, service, checkpoint.positions.get(service, 0), positions[service])

    async def load(self) -> Checkpoint:
        """Return where the generation stands, and keep in mind what is set aside. Raises NothingToFeed."""
        checkpoint = await self.read_model.checkpoint()
        # After the checkpoint: what is set aside in between voids the next write, and is read again.
        self._aside = await self.read_model.set_aside()
        self._begun = False
        return checkpoint

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
                elif not await self.read_model.stands_at(checkpoint):
                    raise GenerationMoved(self.projection.name)
                self.status.error = None
                await asyncio.sleep(self.pace)

    async def apply(self, batch: Sequence[LogMessage], before: Checkpoint, identity: str) -> Checkpoint:
        """Fold a batch into the rows and move the checkpoint, together. Raises SequenceGap."""
        fresh, _ = unseen(batch, before.positions)
        if not fresh:
            return before
        if not self._begun:
            begun = await self.read_model.begin(before)
            self._begun = True
            if begun > DEATHS:
                return await self._apply_carefully(fresh, before, identity, begun)
        return await self._apply(fresh, before, identity)

    async def _apply_carefully(
        self, fresh: Sequence[LogMessage], before: Checkpoint, identity: str, begun: int
    ) -> Checkpoint:
        """Apply events one by one, each counted before, until one is found that ends the process."""
        for place, message in enumerate(fresh):
            if place:
                begun = await self.read_model.begin(before)
            if begun > 2 * DEATHS:
                deadly = Parked(message, None, Failure(f"Handling it ended the process {DEATHS} times"), DEATHS)
                before = await self._leave(deadly, before, identity)
                return await self._apply(fresh[place + 1 :], before, identity) if fresh[place + 1 :] else before
            # Whoever dies at the next one counts on from here, and need not die three times to become careful again.
            before = await self._apply([message], before, identity, 0 if message is fresh[-1] else DEATHS)
        return before

    async def _apply(
        self, fresh: Sequence[LogMessage], before: Checkpoint, identity: str, attempts: int = 0
    ) -> Checkpoint:
        started = time.time_ns()
        after = _after(fresh, before, identity)
        batch = Batch(self.projection, self._aside)
        for message in fresh:
            batch.meet(message)
        try:
            rows = await self.read_model.rows(batch.keys) if batch.keys else {}
            changed, parked = batch.fold(rows)
            await self.read_model.write(before, after, changed, parked, attempts)
        except RowRefused as refused:
            # One of them is to blame; the others can be applied.
            if len(fresh) == 1:
                return await self._leave(batch.refused(refused), before, identity, attempts)
            first, second = halves(fresh)
            before = await self._apply(first, before, identity, attempts)
            return await self._apply(second, before, identity, attempts)
        self._set_aside(parked)
        if batch.last:
            self.status.event_time = batch.last.time
        if not self.pace:  # of what nobody reads, nobody is told
            self._tell(fresh, started)
        return after

    def _tell(self, fresh: Sequence[LogMessage], started: int) -> None:
        logs.followed(
            "projection.committed",
            (message.headers.get("ce-correlationid", "") for message in fresh),
            projection=self.projection.name,
            positions={message.service: int(message.headers["ce-sequence"]) for message in fresh},
        )
        if tracing.recording():
            tracing.follow(self.projection.name, started, ((message.type, message.headers) for message in fresh))

    async def _leave(self, parked: Parked, before: Checkpoint, identity: str, attempts: int = 0) -> Checkpoint:
        after = _after([parked.message], before, identity)
        await self.read_model.write(before, after, {}, [parked], attempts)
        self._set_aside([parked])
        return after

    def _set_aside(self, parked: Sequence[Parked]) -> None:
        for event in parked:
            self._aside.waiting.add(event)
            if event.failure:
                log.error(
                    "event.parked",
                    projection=self.projection.name,
                    service=event.message.service,
                    type=event.message.type,
                    sequence=event.sequence,
                    event_id=event.message.headers.get("ce-id"),
                )

    def _note(self, checkpoint: Checkpoint) -> None:
        self.status.positions = dict(checkpoint.positions)
        self.moved(self.projection.name, self.status.positions)


def _after(fresh: Sequence[LogMessage], before: Checkpoint, identity: str) -> Checkpoint:
    positions = dict(before.positions)
    for message in fresh:
        positions[message.service] = int(message.headers["ce-sequence"])
    return Checkpoint(positions, identity, fresh[-1].log_sequence)


def missing(wanted: Mapping[str, int], have: Mapping[str, int]) -> list[str]:
    """Return the services of which not everything up to `wanted` has been read."""
    return [service for service, position in wanted.items() if have.get(service, 0) < position]


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
