"""A rebuild: replay the public log into a new generation of a projection beside the live one, then swap."""

import asyncio
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, Self
from uuid import UUID

import psutil

from chassis.definitions.decoding import Decode
from chassis.definitions.projection import Handler, Projection, Received, Row, by_subject
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

    async def write(self, rows: Collection[Row], gone: Collection[Hashable], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint, and delete the rows of the keys that are gone, in one transaction."""

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
        self._fold = Fold(self.projection, self.building, have.positions, self.memory, self.discarded)

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
        reached = self._checkpoint.log_sequence
        if until <= reached:
            return
        written = time.monotonic()
        async with aclosing(self.replay(self.projection.services, reached, until, log)) as batches:
            async for batch in batches:
                await fold.apply(batch)
                reached = int(batch[-1][0])
                full = fold.full()
                if full or time.monotonic() - written > self.checkpoint_seconds:
                    place = min(reached, fold.left_out - 1)
                    report.rows += await fold.write(Checkpoint(fold.positions, log, place), forget=full)
                    written = time.monotonic()
                report.lag = await self.courtesy()
                report.events, report.skipped = min(reached, report.total), fold.skipped
                self.enter(report.phase)
        # What was left out, because it was recorded too late or is beyond the cap, is read by who reads on.
        reached = min(until, fold.left_out - 1)
        fold.left_out = sys.maxsize
        report.events, report.skipped = min(reached, report.total), fold.skipped
        self._checkpoint = Checkpoint(fold.positions, log, reached)
        report.rows += await fold.write(self._checkpoint, forget=False)


def _read(positions: Mapping[str, int]) -> dict[str, int]:
    return {name: at for name, at in sorted(positions.items()) if at}


class _Service:
    """A service on the way along the log: `have` is its last event that was met."""

    __slots__ = ("have", "name")

    def __init__(self, name: str, have: int) -> None:
        self.name, self.have = name, have


type _Kind[R: Row] = tuple[_Service, str, Handler[R] | None, Decode | None]


class Fold[R: Row]:
    """Rows being folded in memory, written out when they take too much of it."""

    def __init__(
        self,
        projection: Projection[R],
        building: Building[Any],
        positions: Mapping[str, int],
        memory: int,
        discarded: Collection[tuple[str, int]] = (),
    ) -> None:
        """Fold into `building`, whose rows stand for `positions`, holding at most `memory` bytes of rows.

        Events that were discarded are passed over.
        """
        self.not_after: bytes | None = None
        """Events recorded later are left out, if set."""
        self.cap: Mapping[str, int] | None = None
        """Events beyond these positions are left out, if set."""
        self.left_out = sys.maxsize
        """The first place in the log of an event that was left out."""
        self.skipped = 0
        self._projection = projection
        self._building = building
        self._services = {name: _Service(name, at) for name, at in positions.items()}
        self._kinds: dict[bytes, _Kind[R]] = {}
        self._discarded = frozenset(discarded)
        self._process = psutil.Process()
        # Where the subject is the key its text stands for it here: it is quicker to make, to hash and to compare.
        self._by_subject = projection.key is by_subject
        self._rows: dict[Hashable, R | None] = {}
        # Since the last write; None: all of them, for nothing was written yet.
        self._changed: set[Hashable] | None = None if building.empty else set()
        self._complete = building.empty  # whether a key that is not in memory is in no table either
        self._ceiling = self._process.memory_info().rss + memory
        self._folded = 0  # events since the last write
        self._most = sys.maxsize  # events between two writes, once measured

    @property
    def positions(self) -> dict[str, int]:
        """How far each service was read."""
        return {service.name: service.have for service in self._services.values() if service.have}

    async def apply(self, batch: Batch) -> None:
        """Fold a batch. Raises SequenceGap, Unappliable."""
        self._folded += len(batch)
        rows, changed = self._rows, self._changed
        met: Iterable[tuple[Hashable, Handler[R], Received[Any]]] = self._meet(batch)
        if not self._complete:
            met = list(met)
            await self._load({key for key, *_ in met})
        for key, handler, received in met:
            try:
                rows[key] = handler(rows.get(key), received)
            except Exception as failed:
                raise Unappliable(
                    self._projection.name, received.service, received.sequence, received.type, received.event_id, failed
                ) from failed
            if changed is not None:
                changed.add(key)

    def _meet(self, batch: Batch) -> Iterator[tuple[Hashable, Handler[R], Received[Any]]]:
        """Yield the new events that a handler reads, as it meets them, each with its key."""
        time_of, key_of, by_its_subject = datetime.fromisoformat, self._projection.key, self._by_subject
        kind_of, discarded = self._kinds.get, self._discarded
        ends = self.cap is not None or self.not_after is not None
        for place, kind, number, id_, subject, version, moment, data in batch:
            service, type_, handler, decode = kind_of(kind) or self._kind(kind)
            sequence = int(number)
            if ends and self._is_beyond(service.name, sequence, moment):
                self.left_out = min(self.left_out, int(place))
                continue
            if sequence != service.have + 1:
                if sequence <= service.have:
                    continue
                raise SequenceGap(service.name, service.have, sequence)
            service.have = sequence
            if discarded and (service.name, sequence) in discarded:
                self.skipped += 1
                continue
            if handler is None or decode is None:
                continue
            try:
                received = Received(
                    service.name,
                    type_,
                    sequence,
                    id_.decode(),
                    subject.decode(),
                    int(version),
                    time_of(moment.decode()),
                    decode(data),
                )
                key = subject if by_its_subject else key_of(received)
            except Exception as failed:
                raise Unappliable(
                    self._projection.name, service.name, sequence, type_, id_.decode(), failed
                ) from failed
            yield key, handler, received

    def _kind(self, kind: bytes) -> _Kind[R]:
        """Look up what every event of a kind needs, once."""
        name, _, type_ = kind.decode().partition(".")
        service = self._services.setdefault(name, _Service(name, 0))
        _, handler = self._projection.by_type.get((name, type_), (None, None))
        found = self._kinds[kind] = service, type_, handler, self._projection.decoders.get((name, type_))
        return found

    def _is_beyond(self, service: str, sequence: int, moment: bytes) -> bool:
        # Neither the numbers nor the recorded times of a service go back: of it, whatever follows is left out too.
        if self.cap is not None and sequence > self.cap.get(service, 0):
            return True
        return self.not_after is not None and moment > self.not_after

    async def _load(self, keys: set[Hashable]) -> None:
        lacking = keys - self._rows.keys()
        found: Any = await self._building.rows(list(map(self._key, lacking)))
        self._rows.update({str(key).encode(): row for key, row in found.items()} if self._by_subject else found)

    def _key(self, held: Any) -> Hashable:
        """Return the key of a row as the table has it."""
        return self._building.uuid(held.decode()) if self._by_subject else held

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
        rows = self._rows
        changed = rows if self._changed is None else self._changed
        kept = [row for key in changed if (row := rows[key]) is not None]
        gone = [self._key(key) for key in changed if rows[key] is None] if len(kept) < len(changed) else []
        await self._building.write(kept, gone, checkpoint)
        written = len(changed)
        self._changed = set()
        self._folded = 0
        if forget:
            self._rows.clear()
            self._complete = False
            self._ceiling = max(self._ceiling, self._process.memory_info().rss)
        return written
