"""A rebuild: replay the public log into a new generation of a projection beside the live one, then swap."""

import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psutil

from chassis.definitions.projection import Handler, Projection, Received, Row
from chassis.engine.ports import Checkpoint, Feed
from chassis.engine.projector import SequenceGap

type Event = tuple[int, str, str, int, bytes, bytes, int, bytes, bytes]
"""Log sequence, service, type, ce-sequence, id, subject, stream version, time, data (messaging.replay.Event)."""

type Batch = list[Event]

type Replay = Callable[[Collection[str], int, int, str], AsyncGenerator[Batch]]
"""(services, after, until, identity of the log) -> the events in between, in order. Raises LogReplaced."""

MEMORY = 220_000_000
"""Bytes that rows may take before they are written out; the rest of 300 MB is for reading and for COPY."""


class Unappliable(Exception):
    """The fold can't apply an event. The rebuild fails whole; the live generation is as it was."""

    def __init__(self, projection: str, event: Event, cause: Exception) -> None:
        _, service, type_, sequence, id_, *_ = event
        super().__init__(
            f"{projection} can't apply event {sequence} of {service} ({type_}, id {id_.decode()}):"
            f" {type(cause).__name__}: {cause}"
        )


class BehindLive(Exception):
    """The log ends before what the live generation has read: swapping would take its readers back."""

    def __init__(self, projection: str, service: str, have: int, live: int) -> None:
        super().__init__(
            f"The stream holds {service} events up to {have}; {projection} has read up to {live} already."
            " Nothing is swapped. Rebuild again when everything is published anew."
        )


class Building(Protocol):
    """The new generation, as a rebuild writes it. `uuid` makes keys from text, as `rows` returns them."""

    generation: int

    @property
    def uuid(self) -> Callable[[str], UUID]:
        """What makes ids of the kind the store returns: equal to any other UUID, but quick to make and to hash."""

    async def rows(self, keys: Collection[Hashable]) -> Mapping[Hashable, Row]:
        """Return the rows of these keys that were written before."""

    async def write(self, rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint in one transaction."""

    async def finish(self) -> None:
        """Add keys and indexes."""

    async def swap(self, catch_up: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        """Put it in the live generation's place; `catch_up` first brings it to these positions at least."""


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
    """One rebuild of one projection. `memory` is the most that rows may take, in bytes."""

    projection: Projection[R]
    building: Building
    feed: Feed
    replay: Replay
    progress: Callable[[Report], None] = lambda report: None
    memory: int = MEMORY

    async def run(self) -> Report:
        """Replay everything, catch up, swap.

        Raises SequenceGap, Unappliable, LogReplaced or BehindLive, and has then changed nothing.
        """
        self._begun = time.perf_counter()
        self._report = report = Report(self.projection.name, self.building.generation)
        self._fold = Fold(self.projection, self.building, self.memory)
        self._checkpoint = Checkpoint({}, await self.feed.identity(), 0)
        report.total = await self.feed.head()
        await self._read_until(report.total)
        self._enter("indexes")
        await self.building.finish()
        self._enter("catch up")
        while await self._read_to_head():
            pass
        self._enter("swap")
        await self.building.swap(self._catch_up)
        self._enter("done")
        return report

    def _enter(self, phase: str) -> None:
        self._report.phase = phase
        self._report.seconds = time.perf_counter() - self._begun
        self.progress(self._report)

    async def _catch_up(self, live: Mapping[str, int]) -> None:
        """Read what the live generation has read. It stands still meanwhile, so one look at the log is enough."""
        await self._read_to_head()
        for service, position in live.items():
            have = self._checkpoint.positions.get(service, 0)
            if have < position:
                raise BehindLive(self.projection.name, service, have, position)

    async def _read_to_head(self) -> bool:
        """Read what has come since; return whether there was anything."""
        head = await self.feed.head()
        if head <= self._checkpoint.log_sequence:
            return False
        await self._read_until(head)
        return True

    async def _read_until(self, until: int) -> None:
        report, fold, log = self._report, self._fold, self._checkpoint.log
        positions, reached = dict(self._checkpoint.positions), self._checkpoint.log_sequence
        async with aclosing(self.replay(self.projection.services, reached, until, log)) as batches:
            async for batch in batches:
                await fold.apply(batch, positions)
                reached = batch[-1][0]
                if fold.full():
                    report.rows += await fold.write(Checkpoint(dict(positions), log, reached))
                report.events = min(reached, report.total)
                self._enter(report.phase)
        report.events = min(until, report.total)
        self._checkpoint = Checkpoint(positions, log, until)
        report.rows += await fold.write(self._checkpoint)


class Fold[R: Row]:
    """Rows being folded in memory, written out when they take too much of it."""

    def __init__(self, projection: Projection[R], building: Building, memory: int) -> None:
        """Fold into `building`, holding at most `memory` bytes of rows."""
        self._projection = projection
        self._building = building
        self._process = psutil.Process()
        self._rows: dict[Hashable, R | None] = {}
        self._complete = True  # whether a key that is not in memory is in no table either
        self._ceiling = self._process.memory_info().rss + memory
        self._folded = 0  # events since the last write
        self._most = sys.maxsize  # events between two writes, once measured

    async def apply(self, batch: Batch, positions: dict[str, int]) -> None:
        """Fold a batch; moves `positions`. Raises SequenceGap, Unappliable."""
        self._folded += len(batch)
        rows = self._rows
        met = self._meet(batch, positions)
        if not self._complete:
            await self._load({key for key, *_ in met})
        for key, handler, received, event in met:
            try:
                rows[key] = handler(rows.get(key), received)
            except Exception as failed:
                raise Unappliable(self._projection.name, event, failed) from failed

    def _meet(self, batch: Batch, positions: dict[str, int]) -> list[tuple[Hashable, Handler[R], Any, Event]]:
        """Return the new events that a handler reads, as it meets them, each with its key."""
        projection, uuid, time_of = self._projection, self._building.uuid, datetime.fromisoformat
        handlers, decoders, key_of = projection.by_type, projection.decoders, projection.key
        met = []
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
            try:
                received = Received(
                    service,
                    type_,
                    sequence,
                    uuid(id_.decode()),
                    uuid(subject.decode()),
                    version,
                    time_of(moment.decode()),
                    decoders[service, type_](data),
                )
                met.append((key_of(received), entry[1], received, event))
            except Exception as failed:
                raise Unappliable(projection.name, event, failed) from failed
        return met

    async def _load(self, keys: set[Hashable]) -> None:
        found: Any = await self._building.rows(keys - self._rows.keys())
        self._rows.update(found)

    def full(self) -> bool:
        """Tell whether the rows take more memory than they may.

        What was freed stays with the process and is used again, so its size tells only when more is held than
        ever before. The events that led there then count as the most between two writes.
        """
        if self._folded >= self._most:
            return True
        if self._process.memory_info().rss <= self._ceiling:
            return False
        self._most = self._folded
        return True

    async def write(self, checkpoint: Checkpoint) -> int:
        """Write the rows out and forget them; return how many."""
        written = len(self._rows)
        await self._building.write(self._rows, checkpoint)
        self._rows.clear()
        self._complete = False
        self._folded = 0
        self._ceiling = max(self._ceiling, self._process.memory_info().rss)
        return written
