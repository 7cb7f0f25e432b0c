"""The event store in PostgreSQL: one server-side append, dense positions in commit order."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import stamina

from chassis.definitions.decider import Claim
from chassis.engine.gate import NotProven
from chassis.engine.ports import (
    AlreadyClaimed,
    Appended,
    Commit,
    Key,
    KeyReused,
    NewEvent,
    Outcome,
    StoredEvent,
    Stream,
    WrongVersion,
)
from chassis.storage.database import LOST, Connection, Pool

_COLUMNS = (
    "position, event_id, stream_kind, stream_id, version, type, schema_version, data::text, metadata::text, recorded_at"
)
_APPEND = "SELECT outcome, version, position, recorded_at, detail::text FROM append($1::jsonb)"
_LOAD = f"SELECT {_COLUMNS} FROM events WHERE stream_id = $1 AND stream_kind = $2 AND version > $3 ORDER BY version"
_LOAD_MANY = f"""SELECT {_COLUMNS} FROM events WHERE stream_kind = $1 AND stream_id = ANY($2::uuid[])
                 ORDER BY stream_id, version"""
_READ = f"SELECT {_COLUMNS} FROM events WHERE position > $1 ORDER BY position LIMIT $2"


async def _anybody() -> None:
    """Let everything pass."""


class PostgresEventStore:
    """The truth of one service in PostgreSQL (engine.ports.EventStore)."""

    def __init__(self, pool: Pool, patience: float = 15.0, admit: Callable[[], Awaitable[None]] = _anybody) -> None:
        """Use `pool`; wait up to `patience` seconds for a server that went away.

        `admit` is asked before every attempt to append, and raises engine.gate.NotAccepting.
        """
        self._pool = pool
        self._patience = patience
        self._admit = admit

    async def load(self, stream: Stream, after: int = 0) -> list[StoredEvent]:
        """Return the events of a stream with version > `after`, oldest first."""
        return [_stored(row) for row in await self._fetch(_LOAD, stream.id, stream.kind, after)]

    async def load_many(self, kind: str, ids: Collection[UUID]) -> dict[UUID, list[StoredEvent]]:
        """Return the events of many streams at once; absent streams are absent."""
        streams: dict[UUID, list[StoredEvent]] = {}
        for row in await self._fetch(_LOAD_MANY, kind, list(ids)):
            event = _stored(row)
            streams.setdefault(event.stream.id, []).append(event)
        return streams

    async def stream_ids(self, kind: str) -> list[UUID]:
        """Return the ids of all streams of a kind, in no particular order."""
        query = "SELECT stream_id FROM events WHERE stream_kind = $1 AND version = 1"
        return [row[0] for row in await self._fetch(query, kind)]

    async def has_streams(self, kind: str) -> bool:
        """Tell whether there is any stream of a kind."""
        rows = await self._fetch("SELECT EXISTS (SELECT FROM events WHERE stream_kind = $1)", kind)
        return bool(rows[0][0])

    async def append(self, commit: Commit) -> Appended:
        """Append durably in one round trip; see engine.ports.EventStore."""
        [outcome] = await self.append_many([commit])
        if isinstance(outcome, Appended):
            return outcome
        raise outcome

    async def append_many(self, commits: Sequence[Commit]) -> list[Outcome]:
        """Append many commits in one transaction; each succeeds or is refused on its own, in order.

        After a lost connection it asks again with the same event ids: the function then answers what
        came of the first attempt, so an unknown outcome never becomes a second event.
        """
        given = msgspec.json.encode([_as_json(commit) for commit in commits]).decode()
        rows = await self._fetch(_APPEND, given, admit=self._admit)
        return [_outcome(commit, row) for commit, row in zip(commits, rows, strict=True)]

    @staticmethod
    async def append_in(connection: Connection, stream: Stream, event: NewEvent, metadata: Mapping[str, Any]) -> None:
        """Append one event after whatever the stream has, in the transaction of `connection`.

        For facts that stand or fall with that transaction. It holds the store's lock until it ends: append last.
        """
        expected = await connection.fetchval(
            "SELECT coalesce(max(version), 0) FROM events WHERE stream_id = $1 AND stream_kind = $2",
            stream.id,
            stream.kind,
        )
        commit = Commit(stream, expected, [event], metadata)
        [row] = await connection.fetch(_APPEND, msgspec.json.encode([_as_json(commit)]).decode())
        outcome = _outcome(commit, row)
        if not isinstance(outcome, Appended):
            raise outcome

    async def read(self, after: int, limit: int) -> list[StoredEvent]:
        """Return up to `limit` events with position > `after`, in order."""
        return [_stored(row) for row in await self._fetch(_READ, after, limit)]

    async def head(self) -> int:
        """Return the last position, 0 when empty."""
        rows = await self._fetch("SELECT coalesce(max(position), 0) FROM events")
        return int(rows[0][0])

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """Return one event by its id."""
        rows = await self._fetch(f"SELECT {_COLUMNS} FROM events WHERE event_id = $1", event_id)
        return _stored(rows[0]) if rows else None

    async def holders(self, space: str, keys: Collection[str]) -> dict[str, list[tuple[str | None, UUID]]]:
        """Return who holds these keys: key -> [(qualifier, stream id)]; keys nobody holds are absent."""
        held: dict[str, list[tuple[str | None, UUID]]] = {}
        query = "SELECT key, qualifier, stream_id FROM claims WHERE space = $1 AND key = ANY($2::text[])"
        for key, qualifier, holder in await self._fetch(query, space, list(keys)):
            held.setdefault(key, []).append((qualifier, holder))
        return held

    async def recall(self, key: Key) -> Appended | None:
        """Return the first outcome under an idempotency key. Raises KeyReused."""
        query = "SELECT fingerprint, version, position, recorded_at, answer::text FROM idempotency_keys WHERE key = $1"
        rows = await self._fetch(query, key.key)
        if not rows:
            return None
        fingerprint, version, position, recorded_at, answer = rows[0]
        if fingerprint != key.fingerprint:
            raise KeyReused
        return Appended(version or 0, position or 0, recorded_at, msgspec.json.decode(answer), repeated=True)

    async def remember(self, key: Key, answer: Mapping[str, Any]) -> None:
        """Keep the answer of work that is not one commit, unless there is one already. Raises KeyReused."""
        encoded = msgspec.json.encode(answer).decode()
        await self._fetch("SELECT remember($1, $2, $3::jsonb)", key.key, key.fingerprint, encoded)
        await self.recall(key)

    async def _fetch(
        self, query: str, *arguments: object, admit: Callable[[], Awaitable[None]] = _anybody
    ) -> list[asyncpg.Record]:
        # Setting up for retries costs as much as the decision itself, so it waits until one is needed.
        try:
            await admit()
            return await self._pool.fetch(query, *arguments)
        except LOST:
            pass
        # Asked again each time: the server that comes back may have been restored from an older state.
        async for attempt in stamina.retry_context(
            on=(*LOST, NotProven),
            timeout=self._patience,
            attempts=None,
            wait_initial=0.05,
            wait_max=1.0,
            wait_jitter=0.05,
        ):
            with attempt:
                await admit()
                return await self._pool.fetch(query, *arguments)
        raise AssertionError("stamina either returns or raises")


def _claim(claim: Claim) -> dict[str, str | None]:
    return {"space": claim.space, "key": claim.key, "qualifier": claim.qualifier}


def _as_json(commit: Commit) -> dict[str, object]:
    return {
        "kind": commit.stream.kind,
        "id": commit.stream.id,
        "expected": commit.expected,
        "metadata": commit.metadata,
        "answer": commit.answer,
        "key": commit.key and commit.key.key,
        "fingerprint": commit.key and commit.key.fingerprint,
        "take": [_claim(claim) for claim in commit.take],
        "release": [_claim(claim) for claim in commit.release],
        "events": [
            {"id": e.id, "type": e.type, "schema_version": e.schema_version, "data": msgspec.Raw(e.data.encode())}
            for e in commit.events
        ],
    }


def _outcome(commit: Commit, row: asyncpg.Record) -> Outcome:
    outcome, version, position, recorded_at, detail_text = row
    detail = msgspec.json.decode(detail_text) if detail_text else {}
    match outcome:
        case "appended" | "repeated":
            return Appended(version or 0, position or 0, recorded_at, detail, repeated=outcome == "repeated")
        case "wrong_version":
            return WrongVersion(commit.expected, version)
        case "claimed":
            claim = Claim(detail["space"], detail["key"], detail["qualifier"])
            return AlreadyClaimed(claim, UUID(detail["holder"]))
        case "key_reused":
            return KeyReused()
        case _:
            raise AssertionError(f"append answered {outcome!r}")


def _stored(row: asyncpg.Record) -> StoredEvent:
    position, event_id, kind, stream_id, version, type_, schema_version, data, metadata, recorded_at = row
    # By position, and with the driver's own ids (equal to any UUID): a relay's backlog makes thousands a second.
    return StoredEvent(
        position,
        event_id,
        Stream(kind, stream_id),
        version,
        type_,
        schema_version,
        data,
        msgspec.json.decode(metadata),
        recorded_at,
    )
