"""A rebuild: replay the public log into a new generation of a projection beside the live one, then swap."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self
from uuid import UUID

import psutil

from chassis.definitions.projection import Handler, Projection, Received, Row
from chassis.engine.parking import receive
from chassis.engine.ports import Checkpoint, Feed, LogMessage, Replayed
from chassis.engine.projector import BehindLive, SequenceGap, missing
from contracts.envelope import timestamp

type Batch = list[Replayed]

type Replay = Callable[[Collection[str], int, int, str], AsyncGenerator[Batch]]
"""(services, after, until, identity of the log) -> the events in between, in order. Raises LogReplaced."""

MEMORY = 220_000_000
"""Bytes that rows may take before they are written out; the rest of 300 MB is for reading and for COPY."""
CHECKPOINT_SECONDS = 60.0
"""The most work that a crash takes back: writing rows that change again costs more than it saves, so not sooner."""
PATIENCE = 30.0
"""Seconds that the live projection is given to come to where a rebuild is."""
_LOOK = 0.2


class Unappliable(Exception):
    """The fold can't apply an event. The rebuild fails whole; the live generation is as it was."""

    def __init__(
        self, projection: str, service: str, sequence: int | str, type_: str, id_: str, cause: Exception
    ) -> None:
        super().__init__(
            f"{projection} can't apply event {sequence} of {service} ({type_}, id {id_}):"
            f" {type(cause).__name__}: {cause}"
        )

    @classmethod
    def event(cls, projection: str, event: Replayed, cause: Exception) -> Self:
        """Tell of an event of a replay."""
        _, service, type_, sequence, id_, *_ = event
        return cls(projection, service, sequence, type_, id_.decode(), cause)

    @classmethod
    def of(cls, projection: str, message: LogMessage, cause: Exception) -> Self:
        """Tell of a message of the log."""
        headers = message.headers
        sequence, id_ = headers.get("ce-sequence", "?"), headers.get("ce-id", "?")
        return cls(projection, message.service, sequence, message.type, id_, cause)


class NotComparable(Exception):
    """The live generation does not come to where this one is, so the two can't be compared."""


class _LiveBehind(Exception):
    def __init__(self, live: Mapping[str, int]) -> None:
        super().__init__()
        self.live = live


class Building[T](Protocol):
    """The new generation, as a rebuild writes it. `uuid` makes keys from text, as `rows` returns them."""

    generation: int
    checkpoint: Checkpoint
    """What its rows stand for: where an interrupted rebuild left it."""
    empty: bool
    """Whether it has no rows yet."""

    @property
    def uuid(self) -> Callable[[str], UUID]:
        """What makes ids of the kind the store returns: equal to any other UUID, but quick to make and to hash."""

    async def rows(self, keys: Collection[Hashable]) -> Mapping[Hashable, Row]:
        """Return the rows of these keys that were written before."""

    async def write(self, rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint in one transaction."""

    async def finish(self) -> None:
        """Add keys and indexes."""

    async def live(self) -> Checkpoint:
        """Return what the live generation has read."""

    def together(self, reach: Callable[[Checkpoint], Awaitable[None]]) -> AbstractAsyncContextManager[T]:
        """Open both generations at one moment, after `reach` brought this one to what the live one has read."""


@dataclass(slots=True)
class Report:
    """How far a rebuild is, or what it did. `rate` is events a second, `lag` what the live projection had not read.

    `resumed_at` is the place in the log where it went on after an interruption; `skipped` counts the discarded events.
    """

    projection: str
    generation: int = 0
    events: int = 0
    total: int = 0
    rows: int = 0
    seconds: float = 0.0
    phase: str = "replay"
    resumed_at: int = 0
    skipped: int = 0
    lag: int = 0

    @property
    def rate(self) -> float:
        """Return events a second."""
        return (self.events - self.resumed_at) / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float:
        """Return the seconds left at this rate; 0 when there is no telling."""
        return (self.total - self.events) / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Until:
    """Where a replay ends: at a place in the log, or with the last event recorded at a time; or where the log ends."""

    log_sequence: int = sys.maxsize
    time: datetime | None = None


class Courtesy(Protocol):
    """Lets the live projection go first."""

    async def __call__(self) -> int:
        """Wait while the live projection falls behind; return how many events it has not read."""


async def _no_courtesy() -> int:
    return 0


@dataclass
class Rebuild[R: Row, T]:
    """One replay of one projection into a generation beside the live one, in steps that each leave it whole.

    `memory` is the most that rows may take, in bytes; `discarded` are the events (service, sequence) that an operator
    gave up. Rows and place are written together, at the latest every `checkpoint_seconds`: from there it can go on.
    """

    projection: Projection[R]
    building: Building[T]
    feed: Feed
    replay: Replay
    progress: Callable[[Report], None] = lambda report: None
    memory: int = MEMORY
    discarded: Collection[tuple[str, int]] = ()
    courtesy: Courtesy = _no_courtesy
    checkpoint_seconds: float = CHECKPOINT_SECONDS

    async def begin(self) -> None:
        """Go on where the generation stands. Raises what the feed raises when the log can't be reached."""
        self._begun = time.perf_counter()
        have, identity = self.building.checkpoint, await self.feed.identity()
        # In a log made anew the old place means nothing: read it from the start and skip what is known.
        place = have.log_sequence if have.log == identity else 0
        self._checkpoint = Checkpoint(have.positions, identity, place)
        self._report = Report(self.projection.name, self.building.generation, events=place, resumed_at=place)
        self._report.total = await self.feed.head()
        self._fold = Fold(self.projection, self.building, self.memory, self.discarded)

    @property
    def report(self) -> Report:
        """How far it is."""
        return self._report

    @property
    def positions(self) -> Mapping[str, int]:
        """What the new generation has read."""
        return self._checkpoint.positions

    async def preflight(self, samples: AsyncIterable[LogMessage]) -> None:
        """Decode an event of each kind before all of them are read. Raises Unappliable."""
        self.enter("samples")
        async for message in samples:
            try:
                receive(self.projection, message)
            except Exception as failed:
                raise Unappliable.of(self.projection.name, message, failed) from failed

    async def read(self, until: Until = Until()) -> None:
        """Replay to `until`. Raises SequenceGap, Unappliable, LogReplaced, or what the generation's write raises."""
        self.enter("replay")
        end = min(until.log_sequence, await self.feed.head())
        self._report.total = end
        self._fold.not_after = timestamp(until.time).encode() if until.time else None
        await self._read_until(end)

    async def read_what_live_has(self) -> None:
        """Replay what the live generation has read, nearly: it goes on meanwhile. Raises as `read` does."""
        self.enter("replay")
        await self._read_capped(await self.building.live())

    async def finish(self) -> None:
        """Add keys and indexes, unless they are there."""
        self.enter("indexes")
        await self.building.finish()

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[T]:
        """Open both generations at one common position, to compare them; the live one goes on meanwhile.

        Raises NotComparable when the live one does not come to where this one is.
        """
        self.enter("verify")
        patience = time.monotonic() + PATIENCE
        async with AsyncExitStack() as stack:
            while True:
                try:
                    both = await stack.enter_async_context(self.building.together(self._reach_exactly))
                except _LiveBehind as behind:
                    if time.monotonic() > patience:
                        raise NotComparable(
                            f"The live generation of {self.projection.name} stands at {_read(behind.live)} and does not"
                            f" come to {_read(self.positions)}, so the two can't be compared: see `dinkop status`, then"
                            " resume it or mend what stops it."
                        ) from behind
                    await asyncio.sleep(_LOOK)
                else:
                    break
            yield both

    async def _reach_exactly(self, live: Checkpoint) -> None:
        if any(at > live.positions.get(name, 0) for name, at in self.positions.items()):
            raise _LiveBehind(live.positions)
        await self._read_capped(live)
        self._check_not_behind(live.positions)

    async def catch_up(self) -> None:
        """Read what has come since, until nothing has."""
        self.enter("catch up")
        while await self._read_to_head():
            pass

    async def reach(self, live: Mapping[str, int]) -> None:
        """Read what the live generation has read, which stands still: one look at the log is enough.

        Raises BehindLive.
        """
        await self._read_to_head()
        self._check_not_behind(live)

    def enter(self, phase: str) -> None:
        """Tell that a phase begins, or goes on."""
        self._report.phase = phase
        self._report.seconds = time.perf_counter() - self._begun
        self.progress(self._report)

    def _check_not_behind(self, live: Mapping[str, int]) -> None:
        for service in missing(live, self.positions):
            raise BehindLive(self.projection.name, service, self.positions.get(service, 0), live[service])

    async def _read_capped(self, live: Checkpoint) -> None:
        """Read what the live generation has read, and nothing else.

        Its place in the log says where that ends, unless it read another log: its positions decide in any case.
        """
        self._report.total = live.log_sequence if live.log == self._checkpoint.log else await self.feed.head()
        if any(live.positions.values()):
            self._fold.cap = live.positions
            await self._read_until(self._report.total)
            self._fold.cap = None

    async def _read_to_head(self) -> bool:
        """Read what has come since; return whether there was anything."""
        head = await self.feed.head()
        if head <= self._checkpoint.log_sequence:
            return False
        self._report.total = head
        await self._read_until(head)
        return True

    async def _read_until(self, until: int) -> None:
        report, fold, log = self._report, self._fold, self._checkpoint.log
        positions, reached = dict(self._checkpoint.positions), self._checkpoint.log_sequence
        if until <= reached:
            return
        written = time.monotonic()
        async with aclosing(self.replay(self.projection.services, reached, until, log)) as batches:
            async for batch in batches:
                await fold.apply(batch, positions)
                reached = batch[-1][0]
                full = fold.full()
                if full or time.monotonic() - written > self.checkpoint_seconds:
                    place = min(reached, fold.left_out - 1)
                    report.rows += await fold.write(Checkpoint(dict(positions), log, place), forget=full)
                    written = time.monotonic()
                report.lag = await self.courtesy()
                report.events, report.skipped = min(reached, report.total), fold.skipped
                self.enter(report.phase)
        # What was left out, because it was recorded too late or is beyond the cap, is read by who reads on.
        reached = min(until, fold.left_out - 1)
        fold.left_out = sys.maxsize
        report.events, report.skipped = min(reached, report.total), fold.skipped
        self._checkpoint = Checkpoint(positions, log, reached)
        report.rows += await fold.write(self._checkpoint, forget=False)


def _read(positions: Mapping[str, int]) -> dict[str, int]:
    return {name: at for name, at in sorted(positions.items()) if at}


class Fold[R: Row]:
    """Rows being folded in memory, written out when they take too much of it."""

    def __init__(
        self,
        projection: Projection[R],
        building: Building[Any],
        memory: int,
        discarded: Collection[tuple[str, int]] = (),
    ) -> None:
        """Fold into `building`, holding at most `memory` bytes of rows; events that were discarded are passed over."""
        self.not_after: bytes | None = None
        """Events recorded later are left out, if set."""
        self.cap: Mapping[str, int] | None = None
        """Events beyond these positions are left out, if set."""
        self.left_out = sys.maxsize
        """The first place in the log of an event that was left out."""
        self.skipped = 0
        self._projection = projection
        self._building = building
        self._entries = {
            kind: (handler, projection.decoders[kind]) for kind, (_, handler) in projection.by_type.items()
        }
        self._discarded = frozenset(discarded)
        self._process = psutil.Process()
        self._rows: dict[Hashable, R | None] = {}
        self._changed: set[Hashable] = set()  # since the last write
        self._complete = building.empty  # whether a key that is not in memory is in no table either
        self._ceiling = self._process.memory_info().rss + memory
        self._folded = 0  # events since the last write
        self._most = sys.maxsize  # events between two writes, once measured

    async def apply(self, batch: Batch, positions: dict[str, int]) -> None:
        """Fold a batch; moves `positions`. Raises SequenceGap, Unappliable."""
        self._folded += len(batch)
        rows, changed = self._rows, self._changed
        met = self._meet(batch, positions)
        if not self._complete:
            await self._load({key for key, *_ in met})
        for key, handler, received, event in met:
            try:
                rows[key] = handler(rows.get(key), received)
                changed.add(key)
            except Exception as failed:
                raise Unappliable.event(self._projection.name, event, failed) from failed

    def _meet(self, batch: Batch, positions: dict[str, int]) -> list[tuple[Hashable, Handler[R], Any, Replayed]]:
        """Return the new events that a handler reads, as it meets them, each with its key."""
        uuid, time_of, key_of = self._building.uuid, datetime.fromisoformat, self._projection.key
        entries, discarded, not_after = self._entries, self._discarded, self.not_after
        caps = self.cap
        # Of each service how far it is, and how far it may come: looked up once an event.
        standing = {
            service: [have, sys.maxsize if caps is None else caps.get(service, 0)]
            for service, have in {**dict.fromkeys(self._projection.services, 0), **positions}.items()
        }
        met = []
        for event in batch:
            log_sequence, service, type_, sequence, id_, subject, version, moment, data = event
            at = standing[service]
            have, cap = at
            # Neither the numbers nor the recorded times of a service go back: of it, whatever follows is left out too.
            if sequence > cap or (not_after is not None and moment > not_after):
                self.left_out = min(self.left_out, log_sequence)
                continue
            if sequence != have + 1:
                if sequence <= have:
                    continue
                raise SequenceGap(service, have, sequence)
            at[0] = positions[service] = sequence
            entry = entries.get((service, type_))
            if discarded and (service, sequence) in discarded:
                self.skipped += 1
                continue
            if entry is None:
                continue
            handler, decode = entry
            try:
                received = Received(
                    service,
                    type_,
                    sequence,
                    uuid(id_.decode()),
                    uuid(subject.decode()),
                    version,
                    time_of(moment.decode()),
                    decode(data),
                )
                met.append((key_of(received), handler, received, event))
            except Exception as failed:
                raise Unappliable.event(self._projection.name, event, failed) from failed
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

    async def write(self, checkpoint: Checkpoint, *, forget: bool) -> int:
        """Write out the rows that changed since the last time, and forget all of them or none; return how many."""
        changed = self._changed
        rows = self._rows if len(changed) == len(self._rows) else {key: self._rows[key] for key in changed}
        await self._building.write(rows, checkpoint)
        written = len(rows)
        changed.clear()
        self._folded = 0
        if forget:
            self._rows.clear()
            self._complete = False
            self._ceiling = max(self._ceiling, self._process.memory_info().rss)
        return written
