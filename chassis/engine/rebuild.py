"""A rebuild: replay the public log into a new generation of a projection beside the live one, then swap."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psutil

from chassis.definitions.decoding import decoder
from chassis.definitions.projection import Projection, Received, Row
from chassis.engine.ports import Checkpoint, Feed
from chassis.engine.projector import SequenceGap

type Event = tuple[int, str, str, int, bytes, bytes, int, bytes, bytes]
"""Log sequence, service, type, ce-sequence, id, subject, stream version, time, data (messaging.replay.Event)."""

type Replay = Callable[[Collection[str], int, int], AsyncGenerator[list[Event]]]
"""(services, after, until) -> batches of events, by log sequence."""

MEMORY = 220_000_000
"""Bytes that rows may take before they are written out; the rest of 300 MB is for reading and for COPY."""


class Unappliable(Exception):
    """The fold can't apply an event. The rebuild fails whole; the live generation is as it was."""

    def __init__(self, projection: str, event: Event, cause: Exception) -> None:
        super().__init__(
            f"{projection} can't apply event {event[3]} of {event[1]} ({event[2]}, id {event[4].decode()}):"
            f" {type(cause).__name__}: {cause}"
        )


class Building(Protocol):
    """The new generation, as a rebuild writes it."""

    generation: int
    checkpoint: Checkpoint

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the rows of these keys that were written before."""

    async def write(self, rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint in one transaction."""

    async def finish(self) -> None:
        """Add keys and indexes."""

    async def swap(self, catch_up: Callable[[int], Awaitable[None]]) -> None:
        """Put it in the live generation's place; `catch_up` brings it to a log sequence first."""


@dataclass(slots=True)
class Report:
    """How far a rebuild is, or what it did. `rate` is events a second over the whole replay."""

    projection: str
    generation: int = 0
    events: int = 0
    total: int = 0
    rows: int = 0
    seconds: float = 0.0
    phase: str = "replay"

    @property
    def rate(self) -> float:
        """Return events a second."""
        return self.events / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """Return the seconds left at this rate; 0 when there is no telling."""
        return (self.total - self.events) / self.rate if self.rate else 0.0


@dataclass
class Rebuild[R: Row]:
    """One rebuild of one projection."""

    projection: Projection[R]
    building: Building
    feed: Feed
    replay: Replay
    progress: Callable[[Report], None] = lambda report: None
    memory: int = MEMORY

    async def run(self) -> Report:
        """Replay everything, catch up, swap. Raises SequenceGap or Unappliable, and has then changed nothing."""
        report = Report(self.projection.name, self.building.generation)
        begun = time.perf_counter()
        identity = await self.feed.identity()
        report.total = await self.feed.head()
        self._fold = Fold(self.projection, self.building, self.memory)
        checkpoint = Checkpoint({}, identity, 0)
        checkpoint = await self._bring(checkpoint, report.total, report, begun)
        report.phase = "indexes"
        self.progress(report)
        await self.building.finish()
        report.phase = "catch up"
        head = await self.feed.head()
        while head > checkpoint.log_sequence:
            checkpoint = await self._bring(checkpoint, head, report, begun)
            head = await self.feed.head()

        async def catch_up(until: int) -> None:
            nonlocal checkpoint
            if until > checkpoint.log_sequence:
                checkpoint = await self._bring(checkpoint, until, report, begun)

        report.phase = "swap"
        self.progress(report)
        await self.building.swap(catch_up)
        report.seconds = time.perf_counter() - begun
        report.phase = "done"
        self.progress(report)
        return report

    async def _bring(self, before: Checkpoint, until: int, report: Report, begun: float) -> Checkpoint:
        fold = self._fold
        positions = dict(before.positions)
        reached = before.log_sequence
        async with aclosing(self.replay(self.projection.services, before.log_sequence, until)) as batches:
            async for batch in batches:
                await fold.apply(batch, positions)
                reached = batch[-1][0]
                report.events = max(report.events, min(reached, report.total))
                report.seconds = time.perf_counter() - begun
                if fold.full():
                    report.rows += await fold.write(Checkpoint(dict(positions), before.log, reached))
                self.progress(report)
        after = Checkpoint(positions, before.log, max(reached, until))
        report.rows += await fold.write(after)
        return after


class Fold[R: Row]:
    """Rows being folded in memory, written out when they take too much of it."""

    def __init__(self, projection: Projection[R], building: Building, memory: int) -> None:
        """Fold into `building`, holding at most `memory` bytes of rows."""
        self._projection = projection
        self._building = building
        self._memory = memory
        self._process = psutil.Process()
        self._idle = self._process.memory_info().rss
        self._rows: dict[Hashable, R | None] = {}
        self._folded = 0
        self._most: int | None = None  # events between two writes, once measured
        self._complete = True  # whether a key that is not in memory is in no table either
        self._handlers = {kind: (decoder(event), handler) for kind, (event, handler) in projection.by_type.items()}

    async def apply(self, batch: list[Event], positions: dict[str, int]) -> None:
        """Fold a batch; moves `positions`. Raises SequenceGap, Unappliable."""
        self._folded += len(batch)
        handlers, rows, key_of = self._handlers, self._rows, self._projection.key
        pending: list[tuple[Hashable, Any, Any, Event]] = []
        for event in batch:
            _, service, type_, sequence, id_, subject, version, moment, data = event
            have = positions.get(service, 0)
            if sequence != have + 1:
                if sequence <= have:
                    continue
                raise SequenceGap(service, have, sequence)
            positions[service] = sequence
            entry = handlers.get((service, type_))
            if entry is None:
                continue
            decode, handler = entry
            try:
                received = Received(
                    service,
                    type_,
                    sequence,
                    UUID(id_.decode()),
                    UUID(subject.decode()),
                    version,
                    datetime.fromisoformat(moment.decode()),
                    decode(data),
                )
                key = key_of(received)
                if self._complete:
                    rows[key] = handler(rows.get(key), received)
                else:
                    pending.append((key, handler, received, event))
            except Exception as failed:
                raise Unappliable(self._projection.name, event, failed) from failed
        if pending:
            await self._load(key for key, *_ in pending)
            for key, handler, received, event in pending:
                try:
                    rows[key] = handler(rows.get(key), received)
                except Exception as failed:
                    raise Unappliable(self._projection.name, event, failed) from failed

    async def _load(self, keys: Any) -> None:
        absent = {key for key in keys if key not in self._rows}
        found: Any = await self._building.rows(absent)
        self._rows.update(found)

    def full(self) -> bool:
        """Tell whether the rows take more memory than they may.

        Measured the first time. From then on events are counted: memory that was freed stays with the
        process and is used again, so its size tells nothing any more.
        """
        if self._most is not None:
            return self._folded >= self._most
        if self._process.memory_info().rss - self._idle > self._memory:
            self._most = max(self._folded, 1)
            return True
        return False

    async def write(self, checkpoint: Checkpoint) -> int:
        """Write the rows out and forget them; return how many."""
        written = len(self._rows)
        self._folded = 0
        await self._building.write(self._rows, checkpoint)
        self._rows.clear()
        self._complete = False
        return written
