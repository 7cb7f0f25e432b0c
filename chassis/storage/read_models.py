"""Read models in PostgreSQL: every generation a schema of its own, its rows and checkpoint in one transaction."""

from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint, GenerationMoved
from chassis.storage.database import Database

generations = sa.Table(
    "generations",
    sa.MetaData(),
    sa.Column("projection", sa.Text, primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True),
    sa.Column("version", sa.Integer),
    sa.Column("status", sa.Text),
    sa.Column("positions", JSONB),
    sa.Column("log", sa.Text),
    sa.Column("log_sequence", sa.BigInteger),
    sa.Column("made_at", sa.DateTime(timezone=True)),
    sa.Column("moved_at", sa.DateTime(timezone=True)),
)
controls = sa.Table(
    "projection_controls",
    sa.MetaData(),
    sa.Column("projection", sa.Text, primary_key=True),
    sa.Column("paused", sa.Boolean),
)
_paused = sa.select(controls.c.projection).where(controls.c.paused)


def schema_of(projection: str, generation: int) -> str:
    """Return the schema that holds one generation, such as `health_status_g3`."""
    return f"{projection}_g{generation}"


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation of a projection, as an operator sees it."""

    projection: str
    generation: int
    version: int
    status: str
    checkpoint: Checkpoint
    made_at: datetime
    moved_at: datetime
    paused: bool


@dataclass(frozen=True, slots=True)
class View:
    """The live generation of a projection at one moment: its rows, and the positions they stand for."""

    connection: AsyncConnection
    positions: Mapping[str, int]
    generation: int

    async def fetch(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        """Run a query written against the projection's own table."""
        result = await self.connection.execute(query)
        rows: Sequence[sa.Row[Any]] = result.all()
        return rows

    async def rows[R: Row](self, projection: Projection[R], query: sa.Select[Any]) -> list[R]:
        """Run a query that selects the whole table, as the projection's rows."""
        return [projection.row(*row) for row in await self.fetch(query)]


class ReadModels:
    """All projections of one service."""

    def __init__(self, database: Database) -> None:
        """Keep the generations and rows of read models in `database`."""
        self._database = database

    @asynccontextmanager
    async def view(self, projection: Projection[Any]) -> AsyncIterator[View]:
        """Open the live generation for reading: one snapshot, so rows and positions belong together."""
        async with self._database.snapshot() as connection:
            live = await _live(connection, projection.name)
            if live is None:
                raise LookupError(f"projection {projection.name} has no generation yet")
            schema = schema_of(projection.name, live.generation)
            await connection.execution_options(schema_translate_map={None: schema})
            yield View(connection, live.positions, live.generation)

    async def positions(self, projection: Projection[Any]) -> Mapping[str, int]:
        """Return the live generation's positions; empty when there is none yet."""
        async with self._database.engine.connect() as connection:
            live = await _live(connection, projection.name)
        return live.positions if live else {}

    async def list(self) -> list[Generation]:
        """Return every generation of every projection of this service."""
        query = (
            sa.select(generations, sa.func.coalesce(controls.c.paused, sa.false()).label("paused"))
            .outerjoin(controls, controls.c.projection == generations.c.projection)
            .order_by(generations.c.projection, generations.c.generation)
        )
        async with self._database.engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Generation(
                projection=row.projection,
                generation=row.generation,
                version=row.version,
                status=row.status,
                checkpoint=Checkpoint(row.positions, row.log, row.log_sequence),
                made_at=row.made_at,
                moved_at=row.moved_at,
                paused=row.paused,
            )
            for row in rows
        ]

    def live(self, projection: Projection[Any]) -> "LiveReadModel":
        """Return the projector's side of a projection."""
        return LiveReadModel(self._database, projection)


class LiveReadModel:
    """A projection's live generation as the projector writes it (engine.ports.ReadModel)."""

    def __init__(self, database: Database, projection: Projection[Any]) -> None:
        """Write the live generation of `projection`."""
        self._engine = database.engine
        self._projection = projection
        self._generation = 0

    async def checkpoint(self) -> Checkpoint:
        """Return the live generation's checkpoint; makes the first generation when there is none."""
        async with self._engine.begin() as connection:
            live = await _live(connection, self._projection.name)
            if live is None:
                await _lock_projection(connection, self._projection.name)
                live = await _live(connection, self._projection.name)
            if live is None:
                await create_generation(connection, self._projection, 1, "live")
                self._generation = 1
                return Checkpoint()
            self._generation = live.generation
            return Checkpoint(live.positions, live.log, live.log_sequence)

    async def paused(self) -> bool:
        """Tell whether an operator paused this projection."""
        query = _paused.where(controls.c.projection == self._projection.name)
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).first() is not None

    @asynccontextmanager
    async def write(self, before: Checkpoint, after: Checkpoint) -> AsyncIterator["RowWriter"]:
        """Open a transaction that moves the checkpoint. Raises GenerationMoved when it is not `before`.

        The update comes first: its row lock and its condition fence off a second projector, a swap and a
        pause, so whatever follows in this transaction belongs to the generation that is live at commit.
        """
        move = (
            generations.update()
            .where(
                generations.c.projection == self._projection.name,
                generations.c.generation == self._generation,
                generations.c.status == "live",
                generations.c.positions == dict(before.positions),
                ~sa.exists(_paused.where(controls.c.projection == self._projection.name)),
            )
            .values(
                positions=dict(after.positions),
                log=after.log,
                log_sequence=after.log_sequence,
                moved_at=sa.func.clock_timestamp(),
            )
        )
        schema = schema_of(self._projection.name, self._generation)
        async with self._engine.begin() as connection:
            if (await connection.execute(move)).rowcount != 1:
                raise GenerationMoved(self._projection.name)
            await connection.execution_options(schema_translate_map={None: schema})
            yield RowWriter(connection, self._projection)


class RowWriter:
    """Rows of one generation inside a transaction (engine.ports.ReadModelWrite)."""

    def __init__(self, connection: AsyncConnection, projection: Projection[Any]) -> None:
        """Write through a connection whose schema is the generation's."""
        self._connection = connection
        self._projection = projection

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the present rows of these keys."""
        table: sa.Table = self._projection.table
        key = next(iter(table.primary_key.columns))
        query = sa.select(table).where(key == sa.any_(sa.literal(list(keys), postgresql.ARRAY(key.type))))
        result = (await self._connection.execute(query)).all()
        return {row[0]: self._projection.row(*row) for row in result}

    async def save(self, rows: Mapping[Hashable, Row | None]) -> None:
        """Insert, replace, or (None) delete rows."""
        table: sa.Table = self._projection.table
        key = next(iter(table.primary_key.columns))
        gone = [k for k, row in rows.items() if row is None]
        if gone:
            await self._connection.execute(
                sa.delete(table).where(key == sa.any_(sa.literal(gone, postgresql.ARRAY(key.type))))
            )
        kept = [msgspec.structs.asdict(row) for row in rows.values() if row is not None]
        if kept:
            insert = postgresql.insert(table)
            columns = {c.name: insert.excluded[c.name] for c in table.columns if not c.primary_key}
            await self._connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=columns), kept)


async def create_generation(
    connection: AsyncConnection, projection: Projection[Any], generation: int, status: str, *, indexes: bool = True
) -> None:
    """Make the schema, table and bookkeeping row of a generation."""
    schema = schema_of(projection.name, generation)
    await connection.execute(sa.schema.CreateSchema(schema))
    table: sa.Table = projection.table.to_metadata(sa.MetaData(), schema=schema)
    await connection.execute(sa.schema.CreateTable(table))
    if indexes:
        for index in table.indexes:
            await connection.execute(sa.schema.CreateIndex(index))
    await connection.execute(
        generations.insert().values(
            projection=projection.name, generation=generation, version=projection.version, status=status
        )
    )


async def _live(connection: AsyncConnection, projection: str) -> sa.Row[Any] | None:
    query = sa.select(generations).where(generations.c.projection == projection, generations.c.status == "live")
    return (await connection.execute(query)).first()


async def _lock_projection(connection: AsyncConnection, projection: str) -> None:
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(projection))))
