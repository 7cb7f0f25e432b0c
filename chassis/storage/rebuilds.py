"""The record of rebuilds: who made which generation, when, why, from which code and events, and what came of it."""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from chassis.storage.database import Connection, Pool

_COLUMNS = (
    "id, projection, kind, state, generation, replaced, version, code, actor, holder, reason, progress::text,"
    " outcome::text, error, begun_at, moved_at, ended_at"
)


class Record(msgspec.Struct, frozen=True):
    """One rebuild, dry run, verification, inspection copy or rollback.

    `state` is `running`; `interrupted` (killed: run it again and it goes on); `live` (its generation went live);
    `refused` (it would change what it should not, or nobody accepted that); `failed`; of a check `equal`
    or `different`; of an inspection copy `kept`.
    """

    id: UUID
    projection: str
    kind: str
    state: str
    generation: int | None
    replaced: int | None
    version: int
    code: str
    actor: str
    holder: str
    reason: str | None
    progress: Mapping[str, Any]
    outcome: Mapping[str, Any]
    error: str | None
    begun_at: datetime
    moved_at: datetime
    ended_at: datetime | None


class Rebuilds:
    """The records of one service."""

    def __init__(self, pool: Pool) -> None:
        """Keep them in the service's own database."""
        self._pool = pool

    async def begin(
        self,
        id_: UUID,
        projection: str,
        kind: str,
        *,
        version: int,
        code: str,
        actor: str,
        reason: str | None,
    ) -> Mapping[str, Any] | None:
        """Record that one begins, or goes on, in this process, which holds the projection's lease: no other one runs.

        Returns the outcome when its generation went live already.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """UPDATE rebuilds SET state = 'interrupted', ended_at = clock_timestamp()
                   WHERE projection = $1 AND state = 'running' AND id <> $2""",
                projection,
                id_,
            )
            begun = await connection.fetchrow(
                """INSERT INTO rebuilds (id, projection, kind, state, version, code, actor, holder, reason)
                   VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8)
                   ON CONFLICT (id) DO UPDATE
                   SET state = CASE WHEN rebuilds.state = 'live' THEN 'live' ELSE 'running' END,
                       holder = excluded.holder
                   RETURNING state, outcome::text""",
                id_,
                projection,
                kind,
                version,
                code,
                actor,
                this_process(),
                reason,
            )
        assert begun is not None
        state, outcome = begun
        return msgspec.json.decode(outcome) if state == "live" else None

    async def note(self, id_: UUID, generation: int, progress: Mapping[str, Any]) -> None:
        """Record how far it is."""
        await self._pool.execute(
            """UPDATE rebuilds SET generation = $2, progress = $3::text::jsonb, moved_at = clock_timestamp()
               WHERE id = $1 AND state = 'running'""",
            id_,
            generation,
            _json(progress),
        )

    async def end(self, id_: UUID, state: str, outcome: Mapping[str, Any], error: str | None = None) -> None:
        """Record what came of it, unless that is recorded already."""
        async with self._pool.acquire() as connection:
            await ended(connection, id_, state, outcome, error)

    async def list(
        self, projection: str | None = None, limit: int = 50, before: UUID | None = None
    ) -> Sequence[Record]:
        """Return the latest records, latest first; or those that began before another one."""
        rows = await self._pool.fetch(
            f"""SELECT {_COLUMNS} FROM rebuilds
                WHERE ($1::text IS NULL OR projection = $1)
                  AND ($3::uuid IS NULL OR (begun_at, id) < (SELECT b.begun_at, b.id FROM rebuilds b WHERE b.id = $3))
                ORDER BY begun_at DESC, id DESC LIMIT $2""",
            projection,
            limit,
            before,
        )
        return [_record(row) for row in rows]

    async def get(self, id_: UUID) -> Record | None:
        """Return one record."""
        row = await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM rebuilds WHERE id = $1", id_)
        return _record(row) if row else None


async def ended(
    connection: Connection,
    id_: UUID,
    state: str,
    outcome: Mapping[str, Any],
    error: str | None = None,
    replaced: int | None = None,
) -> None:
    """Record what came of it, in the transaction of `connection`."""
    await connection.execute(
        """UPDATE rebuilds SET state = $2, outcome = $3::text::jsonb, error = $4, replaced = coalesce($5, replaced),
                  generation = coalesce(nullif(($3::text::jsonb->>'generation')::integer, 0), generation),
                  moved_at = clock_timestamp(), ended_at = clock_timestamp()
           WHERE id = $1 AND state = 'running'""",
        id_,
        state,
        _json(outcome),
        error,
        replaced,
    )


def this_process() -> str:
    """Return how a holder is named to others: `siti@kantor, process 4711`."""
    return f"{this_user()}@{socket.gethostname()}, process {os.getpid()}"


def this_user() -> str:
    """Return the name of the account that this process runs as."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return f"user {os.getuid()}"  # an account without a name, as in some containers


def _json(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _record(row: Any) -> Record:
    values = dict(row)
    for name in ("progress", "outcome"):
        values[name] = msgspec.json.decode(values[name])
    return Record(**values)
