"""Building a new generation of a projection beside the live one, and putting it in the live one's place."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import sqlalchemy as sa
import stamina
import structlog
from asyncpg.pgproto import pgproto
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint, NothingToFeed
from chassis.storage.database import LOST, UNREACHABLE, Connection, Database
from chassis.storage.read_models import FedReadModel, create_generation, generations, schema_of
from chassis.storage.rows import Rows, encoded

log = structlog.get_logger()

LOCK_SECONDS = 2
"""How long anything waits for a lock. Whoever asks for the same one after us waits behind us meanwhile."""
SWAP_SECONDS = 60.0
"""How long a swap is tried."""
_LOCK_NOT_AVAILABLE = "55P03"
_CHUNK = 1_000
"""Rows replaced in one statement."""


class RebuildRunning(Exception):
    """Another rebuild of this projection is under way."""


class RebuildReplaced(Exception):
    """This rebuild lost its lock, and another one took its place."""


class SwapBlocked(Exception):
    """Somebody held the lock that a swap needs, for longer than it was tried."""


class BuildingGeneration:
    """A generation that is being built (engine.rebuild.Building). Nobody reads it until it is swapped in.

    Every write is fenced: it moves the generation's own bookkeeping row, which says when it was made. A rebuild
    whose generation was dropped and made anew by another one changes nothing any more.
    """

    uuid: Callable[[str], UUID] = pgproto.UUID  # the driver's own: in C

    def __init__(self, database: Database, projection: Projection[Any], generation: int, made_at: datetime) -> None:
        """Build `generation` of `projection`, which was made at `made_at`."""
        self.generation = generation
        self._database = database
        self._projection = projection
        self._schema = schema_of(projection.name, generation)
        self._table: sa.Table = projection.table
        self._rows = Rows(projection, self._schema)
        self._empty = True
        self._keyed = False
        self._own = (
            (generations.c.projection == projection.name)
            & (generations.c.generation == generation)
            & (generations.c.status == "building")
            & (generations.c.made_at == made_at)
        )

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the rows of these keys that were written before."""
        if not keys:
            return {}
        found: dict[Hashable, Row] = await self._rows.read(self._database.pool, keys)
        return found

    async def write(self, rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint in one transaction; into an empty table with COPY. Raises RebuildReplaced."""
        if not self._empty:
            await self._key()  # without it, every row that is replaced would be searched for
        async with self._database.engine.begin() as connection:
            moved = generations.update().where(self._own)
            await self._change(
                connection,
                moved.values(
                    positions=dict(checkpoint.positions),
                    log=checkpoint.log,
                    log_sequence=checkpoint.log_sequence,
                    moved_at=sa.func.clock_timestamp(),
                ),
            )
            if self._empty:
                await self._rows.copy(await _driver(connection), (row for row in rows.values() if row is not None))
            elif rows:
                await self._replace(await _driver(connection), rows)
        self._empty = False

    async def _replace(self, connection: Connection, rows: Mapping[Hashable, Row | None]) -> None:
        kept = [row for row in rows.values() if row is not None]
        for start in range(0, len(kept), _CHUNK):
            await connection.execute(self._rows.insert(), encoded(kept[start : start + _CHUNK]))
        if gone := [key for key, row in rows.items() if row is None]:
            await connection.execute(self._rows.delete(), gone)

    async def _change(self, connection: AsyncConnection, change: sa.Update) -> None:
        if (await connection.execute(change)).rowcount != 1:
            raise RebuildReplaced(f"Another rebuild of {self._projection.name} took this one's place.")

    async def finish(self) -> None:
        """Add the primary key and the indexes: on full tables that is many times cheaper than keeping them."""
        await self._key()
        table = self._table.to_metadata(sa.MetaData(), schema=self._schema)
        async with self._database.engine.begin() as connection:
            for index in table.indexes:
                await connection.execute(sa.schema.CreateIndex(index))
        async with self._database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(sa.text(f'ANALYZE "{self._schema}"."{self._table.name}"'))

    async def _key(self) -> None:
        if self._keyed:
            return
        key = next(iter(self._table.primary_key.columns)).name
        async with self._database.engine.begin() as connection:
            await connection.execute(
                sa.text(f'ALTER TABLE "{self._schema}"."{self._table.name}" ADD PRIMARY KEY ("{key}")')
            )
        self._keyed = True

    async def swap(self, catch_up: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        """Put this generation in the live one's place, in one short transaction.

        The live generation stands still meanwhile, and `catch_up` is told its positions, so that nobody who has
        read it is taken back. Waits two seconds at a time for the lock, and raises SwapBlocked after a minute.
        """
        try:
            async for attempt in stamina.retry_context(on=_locked, attempts=None, timeout=SWAP_SECONDS, wait_max=1.0):
                with attempt:
                    await self._swap(catch_up)
        except sa.exc.DBAPIError as error:
            if not _locked(error):
                raise
            raise SwapBlocked(
                f"Somebody has kept {self._projection.name} locked for {SWAP_SECONDS:.0f} seconds, so the new"
                " generation could not be put in place. Nothing has changed: rebuild again."
            ) from error

    async def _swap(self, catch_up: Callable[[Mapping[str, int]], Awaitable[None]]) -> None:
        c = generations.c
        of_projection = c.projection == self._projection.name
        async with self._database.engine.begin() as connection:
            await _limit_waiting(connection)
            live = sa.select(c.positions).where(of_projection, c.status == "live").with_for_update()
            await catch_up(await connection.scalar(live) or {})
            for was, becomes in (("previous", "retired"), ("live", "previous")):
                change = generations.update().where(of_projection, c.status == was)
                await connection.execute(change.values(status=becomes))
            await self._change(connection, generations.update().where(self._own).values(status="live"))

    async def drop(self) -> None:
        """Drop it, unless it is live, and what its swap made useless."""
        await _drop(self._database, self._projection.name, self._own | (generations.c.status == "retired"))


@asynccontextmanager
async def building(database: Database, projection: Projection[Any]) -> AsyncIterator[BuildingGeneration]:
    """Start a new generation; generations that are no use any more go. Raises RebuildRunning.

    The one after the live one is kept as `previous`; what a failed or killed rebuild left is dropped.
    """
    async with database.engine.connect() as holder:
        await holder.execution_options(isolation_level="AUTOCOMMIT")
        # Held by the session: it ends with this process, however it ends.
        lock = sa.func.hashtext(f"rebuild:{projection.name}")
        if not await holder.scalar(sa.select(sa.func.pg_try_advisory_lock(lock))):
            raise RebuildRunning(f"A rebuild of {projection.name} is running already: wait for it, or stop it.")
        try:
            with suppress(NothingToFeed):
                await FedReadModel(database, projection, "live").checkpoint()  # makes the first, if there is none
            generation = await _start(database, projection)
            try:
                yield generation
            finally:
                await generation.drop()
        finally:
            with suppress(*UNREACHABLE):
                await holder.execute(sa.select(sa.func.pg_advisory_unlock(lock)))


async def _start(database: Database, projection: Projection[Any]) -> BuildingGeneration:
    c = generations.c
    of_projection = c.projection == projection.name
    await _drop(database, projection.name, c.status.in_(["building", "retired"]))
    async with database.engine.begin() as connection:
        number = 1 + (await connection.execute(sa.select(sa.func.max(c.generation)).where(of_projection))).scalar_one()
        await create_generation(connection, projection, number, "building", indexes=False)
        table, schema = projection.table.name, schema_of(projection.name, number)
        await connection.execute(sa.text(f'ALTER TABLE "{schema}"."{table}" DROP CONSTRAINT "{table}_pkey"'))
        made_at = await connection.execute(sa.select(c.made_at).where(of_projection, c.generation == number))
        return BuildingGeneration(database, projection, number, made_at.scalar_one())


async def _drop(database: Database, projection: str, which: sa.ColumnElement[bool]) -> None:
    """Drop generations; one that somebody still reads, or all when the server is gone, is left to the next rebuild."""
    condition = (generations.c.projection == projection) & which
    try:
        async with database.engine.connect() as connection:
            useless = (await connection.execute(sa.select(generations.c.generation).where(condition))).scalars().all()
        for generation in useless:
            async with database.engine.begin() as connection:
                await _limit_waiting(connection)
                gone = sa.delete(generations).where(condition, generations.c.generation == generation)
                if (await connection.execute(gone)).rowcount:
                    schema = schema_of(projection, generation)
                    await connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
    except (sa.exc.DBAPIError, *LOST) as error:
        log.warning("generation.left", projection=projection, reason=repr(error))


async def _driver(connection: AsyncConnection) -> Connection:
    raw: Any = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    return cast(Connection, raw)


async def _limit_waiting(connection: AsyncConnection) -> None:
    await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))


def _locked(error: Exception) -> bool:
    return isinstance(error, sa.exc.DBAPIError) and getattr(error.orig, "sqlstate", "") == _LOCK_NOT_AVAILABLE
