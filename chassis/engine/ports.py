"""What the engine needs from storage and messaging, and what they promise in return."""

from collections.abc import AsyncGenerator, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from chassis.definitions.decider import Claim
from chassis.definitions.projection import Projection, Row
from contracts.envelope import Envelope, PublicEvent

# ---------------------------------------------------------------- event store


class Stream(NamedTuple):
    """The address of one stream: what kind it is, and whose."""

    kind: str
    id: UUID


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event about to be appended; `data` is its JSON."""

    id: UUID
    type: str
    schema_version: int
    data: str


class StoredEvent(NamedTuple):
    """An event with the facts the store added. `position` is dense per service, in commit order, from 1."""

    position: int
    id: UUID
    stream: Stream
    version: int
    type: str
    schema_version: int
    data: str
    metadata: Mapping[str, Any]
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key: repeats of `key` with the same `fingerprint` get the first answer."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Commit:
    """What one accepted command appends: all of it or nothing.

    `expected` is the stream's version the decision was made on. `take` and `release` are unique keys.
    `answer` is what a repeat of `key` gets back, besides version and position.
    """

    stream: Stream
    expected: int
    events: Sequence[NewEvent]
    metadata: Mapping[str, Any]
    take: Collection[Claim] = ()
    release: Collection[Claim] = ()
    key: Key | None = None
    answer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appended:
    """The outcome of a commit: the stream's new version, the last event's position and time.

    `answer` and `repeated` tell a repeat of an idempotency key from a first time.
    """

    version: int
    position: int
    recorded_at: datetime
    answer: Mapping[str, Any]
    repeated: bool = False


class WrongVersion(Exception):
    """The stream has moved on since the decision was made."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"expected version {expected}, the stream is at {actual}")
        self.expected, self.actual = expected, actual


class AlreadyClaimed(Exception):
    """Another stream holds a unique key."""

    def __init__(self, claim: Claim, holder: UUID) -> None:
        super().__init__(f"{claim.space} {claim.key} is held by {holder}")
        self.claim, self.holder = claim, holder


class KeyReused(Exception):
    """The idempotency key was used before with another request."""


type Outcome = Appended | WrongVersion | AlreadyClaimed | KeyReused


class EventStore(Protocol):
    """The truth of one service: an append-only log of streams."""

    async def load(self, stream: Stream, after: int = 0) -> list[StoredEvent]:
        """Return the events of a stream with version > `after`, oldest first."""

    async def load_many(self, kind: str, ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """Return the events of many streams at once; absent streams are absent."""

    async def stream_ids(self, kind: str) -> list[UUID]:
        """Return the ids of all streams of a kind, in no particular order."""

    async def append(self, commit: Commit) -> Appended:
        """Append durably in one round trip.

        Safe to call again with the same event ids after an unknown outcome: it then returns the first
        outcome. Raises WrongVersion, AlreadyClaimed or KeyReused, and has then changed nothing.
        """

    async def append_many(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Append many commits in one transaction; each succeeds or is refused on its own, in order."""

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Return up to `limit` events with position > `after`, in order."""

    async def head(self) -> int:
        """Return the last position, 0 when empty."""

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """Return one event by its id."""

    async def holders(self, space: str, keys: Collection[str]) -> dict[str, list[tuple[str | None, UUID]]]:
        """Return who holds these keys: key -> [(qualifier, stream id)]; keys nobody holds are absent."""

    async def recall(self, key: Key) -> Appended | None:
        """Return the first outcome under an idempotency key. Raises KeyReused."""

    async def remember(self, key: Key, answer: Mapping[str, Any]) -> None:
        """Keep the answer of work that is not one commit (an import) under an idempotency key.

        The first answer stands. Raises KeyReused when it belongs to another request.
        """


# ---------------------------------------------------------------- public log


@dataclass(frozen=True, slots=True)
class PublicMessage:
    """A public event ready to publish: its subject, envelope and JSON, and what that JSON says where it is known."""

    subject: str
    envelope: Envelope
    data: bytes
    event: PublicEvent | None = None


@dataclass(frozen=True, slots=True)
class LastPublished:
    """Where a service stands on the public log: its last sequence and event id, and that message's place."""

    sequence: int
    event_id: UUID | None
    log_sequence: int


class Fenced(Exception):
    """Somebody else published since we looked: read the last message again before going on."""


class PublicLog(Protocol):
    """The JetStream stream, as the relay writes it."""

    async def last(self, service: str) -> LastPublished:
        """Return the last message of a service; sequence 0 when it has none."""

    async def publish(self, service: str, messages: Sequence[PublicMessage], after: LastPublished) -> LastPublished:
        """Publish in order, all or nothing, only if `after` is still the last. Raises Fenced."""


# ---------------------------------------------------------------- projections


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a generation has read: `positions` per service decide, the log's place is a hint to resume.

    `log` identifies the incarnation of the public log; after its loss and repair the hint is void.
    """

    positions: Mapping[str, int] = field(default_factory=dict)
    log: str = ""
    log_sequence: int = 0


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A message as read back from the public log; its data is not decoded yet."""

    log_sequence: int
    service: str
    type: str
    headers: Mapping[str, str]
    data: bytes


type Replayed = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, bytes]
"""A message as read back by the thousand: log sequence, kind, ce-sequence, id, subject, stream version, time, data.

A plain tuple of what stands in the message, because nothing in Python is made faster. The kind is `<service>.<type>`,
numbers are ASCII digits, id and subject the ASCII of a lower-case UUID, time is RFC 3339 in UTC with microseconds and
`Z`: equal values are equal bytes, good as keys undecoded. They have the right place, and are not looked into further:
who decodes them finds out.
"""


class LogReplaced(Exception):
    """The public log is another incarnation than the one that was followed: its sequences mean nothing now."""


class Feed(Protocol):
    """The public log, as projectors and rebuilds read it."""

    async def identity(self) -> str:
        """Return what identifies this incarnation of the log (it changes when the log is made anew)."""

    async def head(self) -> int:
        """Return the log's last sequence."""

    def follow(self, services: Collection[str], after: int) -> AsyncGenerator[list[LogMessage]]:
        """Yield batches of messages after a log sequence, for ever; an empty batch now and then means idle."""


class GenerationMoved(Exception):
    """Another process advanced, swapped or paused this projection: load its state again."""


class NothingToFeed(Exception):
    """There is no generation that this projector could keep up to date; the text, if any, says what to do."""


class RowRefused(Exception):
    """The fold made a row, or the key of one, that the table can't hold. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event could not be applied: the exception in a line, and where it was raised."""

    exception: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Parked:
    """An event put aside: it could not be applied (`failure`), or waits behind one of its key that could not.

    Without a `key`, because it could not be told, everything about its subject waits behind it.
    """

    message: LogMessage
    key: str | None
    failure: Failure | None
    attempts: int = 0

    @property
    def subject(self) -> str:
        """Return what the event is about."""
        return self.message.headers.get("ce-subject", "")

    @property
    def sequence(self) -> int:
        """Return the event's number in its service."""
        return int(self.message.headers["ce-sequence"])


@dataclass(slots=True)
class Waiting:
    """What waits behind parked events: these keys, and everything about these subjects."""

    keys: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)

    def holds(self, key: str, subject: str) -> bool:
        """Tell whether an event of this key and subject must wait."""
        return key in self.keys or subject in self.subjects

    def add(self, parked: Parked) -> None:
        """Let what comes after a parked event wait behind it."""
        if parked.key is None:
            self.subjects.add(parked.subject)
        else:
            self.keys.add(parked.key)


@dataclass(frozen=True, slots=True)
class SetAside:
    """What a generation leaves out: what waits, and the events that were discarded, by service and sequence."""

    waiting: Waiting = field(default_factory=Waiting)
    discarded: frozenset[tuple[str, int]] = frozenset()


class ReadModel(Protocol):
    """A generation of a projection, as the projector writes it."""

    async def checkpoint(self) -> Checkpoint:
        """Return the generation's checkpoint; makes the first generation when there is none. Raises NothingToFeed."""

    async def set_aside(self) -> SetAside:
        """Return what the generation leaves out. Should that change, nothing can be written any more: see `write`."""

    async def stands_at(self, checkpoint: Checkpoint) -> bool:
        """Tell whether nobody else has changed the generation since it was loaded and written up to `checkpoint`."""

    async def paused(self) -> bool:
        """Tell whether an operator paused this projection."""

    async def begin(self, before: Checkpoint) -> int:
        """Count durably that this process is about to handle what comes after `before`.

        Returns how many processes have begun that, and not finished, this one included. Raises GenerationMoved.
        """

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the present rows of these keys; absent ones are absent. Raises RowRefused for a key that is none."""

    async def write(
        self,
        before: Checkpoint,
        after: Checkpoint,
        rows: Mapping[Hashable, Row | None],
        parked: Sequence[Parked] = (),
        attempts: int = 0,
    ) -> None:
        """Insert, replace or (None) delete rows, park events and move the checkpoint: all seen together, or nothing.

        `attempts` counts as begun already of what comes next. Raises RowRefused; GenerationMoved when the checkpoint
        is not `before`, or what is set aside is not what it was: so rows read since then are still what they were.
        """


type ReadModelOf = Callable[[Projection[Any]], ReadModel]
