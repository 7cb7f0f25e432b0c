"""Building a new generation of a projection beside the live one, and putting it in the live one's place."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint
from chassis.storage.database import Database
from chassis.storage.read_models import RowWriter, create_generation, generations, schema_of

LOCK_TIMEOUT = "2s"


class RebuildRunning(Exception):
    """Another rebuild of this projection is under way."""


class BuildingGeneration:
    """A generation that is being built (engine.rebuild.Building). Nobody reads it until it is swapped in."""

    def __init__(self, database: Database, projection: Projection[Any], generation: int) -> None:
        """Build `generation` of `projection`."""
        self.generation = generation
        self.checkpoint = Checkpoint()
        self._database = database
        self._projection = projection
        self._schema = schema_of(projection.name, generation)
        self._table: sa.Table = projection.table
        self._empty = True
        self._keyed = False

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the rows of these keys that were written before."""
        if self._empty or not keys:
            return {}
        async with self._database.engine.connect() as connection:
            await self._in_schema(connection)
            return await RowWriter(connection, self._projection).rows(keys)

    async def write(self, rows: Mapping[Hashable, Row | None], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint in one transaction; into an empty table with COPY."""
        if self._empty:
            kept = (row for row in rows.values() if row is not None)
            await self._copy(kept, checkpoint)
            self._empty = False
        else:
            await self._key()
            async with self._database.engine.begin() as connection:
                await self._in_schema(connection)
                await RowWriter(connection, self._projection).save(rows)
                await self._move(connection, checkpoint)
        self.checkpoint = checkpoint

    async def _copy(self, rows: Any, checkpoint: Checkpoint) -> None:
        dialect = self._database.engine.dialect
        binds = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in self._table.columns]
        records = (
            tuple(
                bind(value) if bind else value for bind, value in zip(binds, msgspec.structs.astuple(row), strict=True)
            )
            for row in rows
        )
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.copy_records_to_table(
                self._table.name, schema_name=self._schema, records=records, columns=self._table.columns.keys()
            )
            await connection.execute(
                """UPDATE generations SET positions = $3::jsonb, log = $4, log_sequence = $5,
                   moved_at = clock_timestamp() WHERE projection = $1 AND generation = $2""",
                self._projection.name,
                self.generation,
                msgspec.json.encode(dict(checkpoint.positions)).decode(),
                checkpoint.log,
                checkpoint.log_sequence,
            )

    async def finish(self) -> None:
        """Add the primary key and the indexes: on full tables that is many times cheaper than keeping them."""
        await self._key()
        table = self._table.to_metadata(sa.MetaData(), schema=self._schema)
        async with self._database.engine.begin() as connection:
            for index in table.indexes:
                await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
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

    async def swap(self, catch_up: Callable[[int], Awaitable[None]]) -> None:
        """Put this generation in the live one's place, in one short transaction.

        The live generation stands still meanwhile: `catch_up` is told the log sequence it has reached, so
        that nobody who has read it is taken back. Waits at most two seconds for the lock.
        """
        name = self._projection.name
        of_projection = generations.c.projection == name
        async with self._database.engine.begin() as connection:
            await connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            live = (
                await connection.execute(
                    sa.select(generations).where(of_projection, generations.c.status == "live").with_for_update()
                )
            ).one()
            if live.log == self.checkpoint.log:
                await catch_up(live.log_sequence)
            await connection.execute(
                generations.update().where(of_projection, generations.c.status == "previous").values(status="failed")
            )
            await connection.execute(
                generations.update().where(of_projection, generations.c.status == "live").values(status="previous")
            )
            await connection.execute(
                generations.update()
                .where(of_projection, generations.c.generation == self.generation)
                .values(status="live")
            )

    async def _move(self, connection: AsyncConnection, checkpoint: Checkpoint) -> None:
        await connection.execute(
            generations.update()
            .where(generations.c.projection == self._projection.name, generations.c.generation == self.generation)
            .values(
                positions=dict(checkpoint.positions),
                log=checkpoint.log,
                log_sequence=checkpoint.log_sequence,
                moved_at=sa.func.clock_timestamp(),
            )
        )

    async def _in_schema(self, connection: AsyncConnection) -> None:
        await connection.execution_options(schema_translate_map={None: self._schema})


@asynccontextmanager
async def building(database: Database, projection: Projection[Any]) -> AsyncIterator[BuildingGeneration]:
    """Start a new generation; generations that are no use any more go. Raises RebuildRunning.

    The one after the live one is kept as `previous`; what a failed or killed rebuild left is dropped.
    """
    lock = f"rebuild:{projection.name}"
    async with database.pool.acquire() as holder:
        if not await holder.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", lock):
            raise RebuildRunning(f"A rebuild of {projection.name} is running already: wait for it, or stop it.")
        try:
            async with database.engine.begin() as connection:
                await _drop_useless(connection, projection.name)
                last = await connection.scalar(
                    sa.select(sa.func.coalesce(sa.func.max(generations.c.generation), 0)).where(
                        generations.c.projection == projection.name
                    )
                )
                generation = (last or 0) + 1
                await create_generation(connection, projection, generation, "building", indexes=False)
                table, schema = projection.table.name, schema_of(projection.name, generation)
                await connection.execute(sa.text(f'ALTER TABLE "{schema}"."{table}" DROP CONSTRAINT "{table}_pkey"'))
            yield BuildingGeneration(database, projection, generation)
        finally:
            async with database.engine.begin() as connection:
                await _drop_useless(connection, projection.name)
            await holder.execute("SELECT pg_advisory_unlock(hashtext($1))", lock)


async def _drop_useless(connection: AsyncConnection, projection: str) -> None:
    useless = sa.select(generations.c.generation).where(
        generations.c.projection == projection, generations.c.status.in_(["building", "failed"])
    )
    for generation in (await connection.execute(useless)).scalars().all():
        await connection.execute(sa.schema.DropSchema(schema_of(projection, generation), cascade=True, if_exists=True))
        await connection.execute(
            generations.delete().where(generations.c.projection == projection, generations.c.generation == generation)
        )
