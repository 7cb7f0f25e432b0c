"""Comparing a service's store with the public log: every event stands there once and in order, and nothing else does.

The log is walked once, from its first message to its last; each message is held against the store's event of that
number. Nothing is kept but what is wrong, so that memory doesn't depend on how much there is, and what is
appended and published meanwhile does no harm.
"""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import ValidationError

from chassis.engine.ports import EventStore, PublicMessage, Replayed, StoredEvent
from contracts.envelope import PublicEvent, timestamp

RANGE = 10_000
"""Events under one digest."""
NAMED = 100
"""Places of one kind of damage that are named; all further ones are counted."""
_WINDOW = 1_000


@dataclass(slots=True)
class Places:
    """Numbers of events: how many, and the first of them as ranges, both ends included."""

    events: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, first: int, last: int | None = None) -> None:
        """Count `first`, or everything from `first` to `last`."""
        last = first if last is None else last
        self.events += last - first + 1
        if self.ranges and self.ranges[-1][1] + 1 == first:
            self.ranges[-1] = (self.ranges[-1][0], last)
        elif len(self.ranges) < NAMED:
            self.ranges.append((first, last))

    def remove(self, number: int) -> bool:
        """Take a number out again; False when it is not among those named."""
        for at, (first, last) in enumerate(self.ranges):
            if first <= number <= last:
                rest = [(first, number - 1), (number + 1, last)]
                self.ranges[at : at + 1] = [pair for pair in rest if pair[0] <= pair[1]]
                self.events -= 1
                return True
        return False

    def __str__(self) -> str:
        named = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in self.ranges[:5])
        return named + (" …" if len(self.ranges) > 5 else "")


@dataclass(frozen=True, slots=True)
class Digest:
    """SHA-256 of what the log holds of a range, for comparing two copies: all that is compared."""

    first: int
    last: int
    events: int
    sha256: str


@dataclass(slots=True)
class Finding:
    """What comparing one service's store with the log found. All numbers are `ce-sequence`.

    `stored` is the store's last event when the comparison began, `published` how many messages the log has of the
    service. `missing` are not on the log; of them the last `unpublished` are behind everything that is. `late` stand
    after a later one, `doubled` stand there again, `foreign` are not the store's event of that number,
    `differing` are, but say something else. `behind` means that the log's last event is none of the store's.
    """

    service: str
    stored: int = 0
    published: int = 0
    missing: Places = field(default_factory=Places)
    unpublished: int = 0
    late: Places = field(default_factory=Places)
    doubled: Places = field(default_factory=Places)
    foreign: Places = field(default_factory=Places)
    differing: Places = field(default_factory=Places)
    behind: bool = False
    digests: list[Digest] = field(default_factory=list)

    @property
    def fine(self) -> bool:
        """Whether every event is on the log, once and in order, and nothing else."""
        return not self.missing.events and not self.damaged

    @property
    def damaged(self) -> bool:
        """Whether something is wrong that publishing what is missing at the end cannot mend."""
        wrong = (self.late, self.doubled, self.foreign, self.differing)
        return any(places.events for places in wrong) or self.missing.events > self.unpublished


class Comparison:
    """One service's store on the way along the log.

    Compared are the number, id, type, subject, stream version, time and data of every event. Not compared are the
    ids of correlation, cause and trace, which the fast reader of the log leaves aside, and the kecamatan in a
    message's subject, which is in the data where an event has one.
    """

    def __init__(self, service: str, store: EventStore, publication: Callable[[StoredEvent], PublicMessage]) -> None:
        """Hold the log against `store`; `publication` is how an event of it looks when it is published."""
        self.finding = Finding(service)
        self._store = store
        self._publication = publication
        self._next = 1
        self._window: Sequence[StoredEvent] = ()
        self._last: tuple[int, bytes] | None = None
        self._digest = sha256()
        self._digested = Digest(1, 0, 0, "")

    async def take(self, published: Replayed) -> None:
        """Compare the next message of the service."""
        number, id_ = int(published[2]), published[3]
        found = self.finding
        found.published += 1
        self._last = number, id_
        stored = await self._stored(number)
        if stored is None or str(stored.id).encode() != id_:
            found.foreign.add(number)
            return
        if number < self._next:
            (found.late if found.missing.remove(number) else found.doubled).add(number)
        else:
            if number > self._next:
                found.missing.add(self._next, number - 1)
            self._next = number + 1
            self._note(published)
        if _differs(self._publication(stored), published):
            found.differing.add(number)

    async def finish(self, stored: int) -> Finding:
        """Return what was found, all events up to `stored` being due on the log."""
        found = self.finding
        found.stored = stored
        if stored >= self._next:
            found.unpublished = stored - self._next + 1
            found.missing.add(self._next, stored)
        if self._last:
            number, id_ = self._last
            last = await self._stored(number)
            found.behind = last is None or str(last.id).encode() != id_
        self._close_digest()
        return found

    async def _stored(self, number: int) -> StoredEvent | None:
        first = self._window[0].position if self._window else 0
        if not self._window or not 0 <= number - first < len(self._window):
            self._window = await self._store.read(number - 1, _WINDOW)
            first = number
        return self._window[number - first] if self._window else None

    def _note(self, published: Replayed) -> None:
        _, kind, sequence, id_, subject, version, time, data = published
        number, type_ = int(sequence), kind.partition(b".")[2]
        if not self._digested.events or (number - 1) // RANGE != (self._digested.first - 1) // RANGE:
            self._close_digest()
            self._digest, self._digested = sha256(), Digest(number, 0, 0, "")
        self._digest.update(b"%d %b %b %b %b %b %d " % (number, id_, type_, subject, version, time, len(data)))
        self._digest.update(data)
        self._digested = Digest(self._digested.first, number, self._digested.events + 1, "")

    def _close_digest(self) -> None:
        noted = self._digested
        if noted.events:
            self.finding.digests.append(Digest(noted.first, noted.last, noted.events, self._digest.hexdigest()))


async def compare(
    comparisons: Mapping[str, Comparison], log: AsyncIterable[Sequence[Replayed]], progress: Callable[[int], None]
) -> Places:
    """Take all messages of a log in; return the log sequences of those that are no service's of these.

    `progress` is told the log sequence reached. Raises what reading the log or a store raises.
    """
    strangers = Places()
    async for batch in log:
        for published in batch:
            comparison = comparisons.get(published[1].partition(b".")[0].decode())
            if comparison:
                await comparison.take(published)
            else:
                strangers.add(int(published[0]))
        progress(int(batch[-1][0]))
    return strangers


def _differs(due: PublicMessage, published: Replayed) -> bool:
    _, kind, _, _, subject, version, time, data = published
    envelope = due.envelope
    return (
        kind.partition(b".")[2] != envelope.type.encode()
        or subject != str(envelope.subject).encode()
        or int(version) != envelope.stream_version
        or time != timestamp(envelope.time).encode()
        or (data != due.data and not (due.event and _says_the_same(due.event, data)))
    )


def _says_the_same(event: PublicEvent, data: bytes) -> bool:
    """Tell whether `data` says what `event` does, as far as its contract went when it was published."""
    try:
        published = type(event).model_validate_json(data)
    except ValidationError:
        return False
    return all(getattr(published, name) == getattr(event, name) for name in published.model_fields_set)
