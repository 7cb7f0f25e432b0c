"""An event store in memory that behaves as the one in PostgreSQL: for tests, and as its specification."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from chassis.definitions import clock
from chassis.definitions.decider import Claim
from chassis.engine.ports import (
    AlreadyClaimed,
    Appended,
    Commit,
    Key,
    KeyReused,
    Outcome,
    StoredEvent,
    Stream,
    WrongVersion,
)


class InMemoryEventStore:
    """The truth of one service in a list (engine.ports.EventStore)."""

    def __init__(self, now: Callable[[], datetime] = clock.now) -> None:
        """Take recorded times from `now`."""
        self._now = now
        self._events: list[StoredEvent] = []
        self._streams: dict[Stream, list[StoredEvent]] = {}
        self._claims: list[tuple[Claim, UUID]] = []
        self._keys: dict[str, tuple[str, Appended]] = {}

    async def load(self, stream: Stream, after: int = 0) -> list[StoredEvent]:
        """Return the events of a stream with version > `after`, oldest first."""
        return self._streams.get(stream, [])[after:]

    async def load_many(self, kind: str, ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """Return the events of many streams at once; absent streams are absent."""
        return {i: list(self._streams[Stream(kind, i)]) for i in ids if Stream(kind, i) in self._streams}

    async def stream_ids(self, kind: str) -> list[UUID]:
        """Return the ids of all streams of a kind, in no particular order."""
        return [stream.id for stream in self._streams if stream.kind == kind]

    async def append(self, commit: Commit) -> Appended:
        """Append all or nothing; see engine.ports.EventStore."""
        outcome = self._append(commit)
        if isinstance(outcome, Appended):
            return outcome
        raise outcome

    async def append_many(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Append many commits; each succeeds or is refused on its own, in order."""
        return [self._append(commit) for commit in commits]

    def _append(self, commit: Commit) -> Outcome:
        known = next((e for e in self._events if e.id == commit.events[-1].id), None)
        if known:
            return Appended(known.version, known.position, known.recorded_at, dict(commit.answer))
        if commit.key and commit.key.key in self._keys:
            fingerprint, first = self._keys[commit.key.key]
            return first if fingerprint == commit.key.fingerprint else KeyReused()
        stream = self._streams.get(commit.stream, [])
        if len(stream) != commit.expected:
            return WrongVersion(commit.expected, len(stream))
        for claim in commit.take:
            holder = self._rival(claim, commit.stream.id)
            if holder:
                return AlreadyClaimed(claim, holder)
        moment = max([self._now(), *(e.recorded_at for e in self._events[-1:])])
        for new in commit.events:
            event = StoredEvent(
                position=len(self._events) + 1,
                id=new.id,
                stream=commit.stream,
                version=len(stream) + 1,
                type=new.type,
                schema_version=new.schema_version,
                data=new.data,
                metadata=dict(commit.metadata),
                recorded_at=moment,
            )
            self._events.append(event)
            stream = self._streams.setdefault(commit.stream, stream)
            stream.append(event)
        released = {(claim.space, claim.key) for claim in (*commit.release, *commit.take)}
        self._claims = [
            (claim, holder)
            for claim, holder in self._claims
            if holder != commit.stream.id or (claim.space, claim.key) not in released
        ] + [(claim, commit.stream.id) for claim in commit.take]
        last = self._events[-1]
        appended = Appended(last.version, last.position, moment, dict(commit.answer))
        if commit.key:
            again = Appended(last.version, last.position, moment, dict(commit.answer), repeated=True)
            self._keys[commit.key.key] = (commit.key.fingerprint, again)
        return appended

    def _rival(self, wanted: Claim, stream_id: UUID) -> UUID | None:
        for held, holder in self._claims:
            same = (held.space, held.key) == (wanted.space, wanted.key) and holder != stream_id
            if same and (held.qualifier is None or wanted.qualifier is None or held.qualifier == wanted.qualifier):
                return holder
        return None

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Return up to `limit` events with position > `after`, in order."""
        return self._events[after : after + limit]

    async def head(self) -> int:
        """Return the last position, 0 when empty."""
        return len(self._events)

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """Return one event by its id."""
        return next((e for e in self._events if e.id == event_id), None)

    async def holders(self, space: str, keys: Collection[str]) -> dict[str, list[tuple[str | None, UUID]]]:
        """Return who holds these keys: key -> [(qualifier, stream id)]; keys nobody holds are absent."""
        held: dict[str, list[tuple[str | None, UUID]]] = {}
        for claim, holder in self._claims:
            if claim.space == space and claim.key in keys:
                held.setdefault(claim.key, []).append((claim.qualifier, holder))
        return held

    async def recall(self, key: Key) -> Appended | None:
        """Return the first outcome under an idempotency key. Raises KeyReused."""
        if key.key not in self._keys:
            return None
        fingerprint, first = self._keys[key.key]
        if fingerprint != key.fingerprint:
            raise KeyReused
        return first

    async def remember(self, key: Key, answer: Mapping[str, Any]) -> None:
        """Keep the answer of work that is not one commit, unless there is one already. Raises KeyReused."""
        if await self.recall(key) is None:
            self._keys[key.key] = (key.fingerprint, Appended(0, 0, self._now(), dict(answer), repeated=True))
