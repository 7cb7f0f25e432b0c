"""Read models in PostgreSQL: every generation a schema of its own, its rows and checkpoint in one transaction."""

from collections.abc import AsyncIterator, Collection, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.definitions import clock
from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint, GenerationMoved, NothingToFeed, Parked, SetAside
from chassis.storage import parked as parking
from chassis.storage.database import Database
from chassis.storage.rows import Rows, encoded_rows, refusals

PROCESS = clock.new_id()
"""Names this process where processes that died are counted."""

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
    sa.Column("fence", sa.BigInteger),
    sa.Column("revision", sa.BigInteger),
    sa.Column("attempts", sa.Integer),
    sa.Column("code", sa.Text),
    sa.Column("replaced_at", sa.DateTime(timezone=True)),
    sa.Column("made_at", sa.DateTime(timezone=True)),
    sa.Column("moved_at", sa.DateTime(timezone=True)),
)
controls = sa.Table(
    "projection_controls",
    sa.MetaData(),
    sa.Column("projection", sa.Text, primary_key=True),
    sa.Column("paused", sa.Boolean),
)
# Built once: every read begins with the first, and every idle second with the second.
_OF_STATUS = sa.select(generations).where(
    generations.c.projection == sa.bindparam("projection"), generations.c.status == sa.bindparam("status")
)
_NUMBERED = sa.select(generations).where(
    generations.c.projection == sa.bindparam("projection"), generations.c.generation == sa.bindparam("generation")
)
_TAKEN_AT_ONCE = 500
"""Rows that a stream holds."""
_LIVE_GENERATION = "SELECT generation FROM generations WHERE projection = $1 AND status = 'live'"
_PAUSED = sa.select(controls.c.projection).where(controls.c.projection == sa.bindparam("projection"), controls.c.paused)


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


@dataclass(frozen=True, slots=True)
class View:
    """A generation of a projection, the live one or another, at one moment: its rows, and the positions they stand for.

    Every statement is told the generation's schema by itself, so that views of several share one snapshot.
    """

    connection: AsyncConnection
    projection: str
    positions: Mapping[str, int]
    generation: int

    @classmethod
    async def of(cls, connection: AsyncConnection, projection: Projection[Any], generation: int | None) -> "View":
        """View a generation by its number, None the live one, in the connection's snapshot. Raises LookupError."""
        name = projection.name
        if generation is None:
            found = await _of_status(connection, name, "live")
        else:
            found = (await connection.execute(_NUMBERED, {"projection": name, "generation": generation})).first()
        if found is None:
            raise LookupError(f"projection {name} has no generation {'yet' if generation is None else generation}")
        return cls(connection, name, found.positions, found.generation)

    async def beside(self, projection: Projection[Any], generation: int | None = None) -> "View":
        """View another generation, or another projection's live one, at the same moment. Raises LookupError."""
        return await View.of(self.connection, projection, generation)

    @property
    def schema(self) -> str:
        """Return the schema that holds the generation."""
        return schema_of(self.projection, self.generation)

    async def fetch(self, query: sa.Select[Any], **parameters: object) -> Sequence[sa.Row[Any]]:
        """Run a query written against the projection's own table; `parameters` are for its bound names, if any."""
        result = await self.connection.execute(query, parameters, execution_options=self._options)
        rows: Sequence[sa.Row[Any]] = result.all()
        return rows

    async def stream(self, query: sa.Select[Any]) -> AsyncIterator[Sequence[Any]]:
        """Run a query whose rows are more than memory should hold: they come as they are taken."""
        async with self.connection.stream(query, execution_options=self._options) as result:
            async for rows in result.partitions(_TAKEN_AT_ONCE):
                for row in rows:
                    yield row

    @property
    def _options(self) -> dict[str, dict[str | None, str]]:
        return {"schema_translate_map": {None: self.schema}}

    async def rows[R: Row](self, projection: Projection[R], query: sa.Select[Any], **parameters: object) -> list[R]:
        """Run a query that selects the whole table, as the projection's rows."""
        return [projection.row(*row) for row in await self.fetch(query, **parameters)]


class ReadModels:
    """All projections of one service."""

    def __init__(self, database: Database, process: UUID | None = None) -> None:
        """Keep the generations and rows of read models in `database`.

        `process` names this process among those that feed them, should it not be the only one in here.
        """
        self._database = database
        self._process = process or PROCESS
        self._rows: dict[str, Rows[Any]] = {}

    @asynccontextmanager
    async def view(self, projection: Projection[Any], generation: int | None = None) -> AsyncIterator[View]:
        """Open the live generation, or another, for reading: one snapshot, so rows and positions belong together.

        Raises LookupError when there is no such generation.
        """
        async with self._database.snapshot() as connection:
            yield await View.of(connection, projection, generation)

    async def row[R: Row](self, projection: Projection[R], key: Hashable) -> R | None:
        """Return one row of the live generation, None when there is none: two quick queries, cheaper than a view.

        Raises LookupError when there is no generation yet.
        """
        while True:
            number = await self._database.pool.fetchval(_LIVE_GENERATION, projection.name)
            if number is None:
                raise LookupError(f"projection {projection.name} has no generation yet")
            schema = schema_of(projection.name, number)
            if schema not in self._rows:
                self._rows[schema] = Rows(projection, schema)
            rows = self._rows[schema]
            with suppress(asyncpg.UndefinedTableError):  # swapped and dropped in between
                return (await rows.read(self._database.pool, [key])).get(key)

    async def positions(self, projection: Projection[Any]) -> Mapping[str, int]:
        """Return the live generation's positions; empty when there is none yet."""
        async with self._database.engine.connect() as connection:
            live = await _of_status(connection, projection.name, "live")
        return live.positions if live else {}

    async def list(self) -> list[Generation]:
        """Return every generation of every projection of this service."""
        query = sa.select(generations).order_by(generations.c.projection, generations.c.generation)
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
            )
            for row in rows
        ]

    def live(self, projection: Projection[Any]) -> "FedReadModel":
        """Return the projector's side of the generation that readers see."""
        return FedReadModel(self._database, projection, "live", self._process)

    def returning(self, projection: Projection[Any]) -> "FedReadModel":
        """Return the projector's side of the generation that is being put back; a pause does not stop that."""
        return FedReadModel(self._database, projection, "returning", self._process)

    def previous(self, projection: Projection[Any]) -> "FedReadModel":
        """Return the projector's side of the generation before the live one: it stays fed, so that it can come back."""
        return FedReadModel(self._database, projection, "previous", self._process)


def _standing(first: int) -> str:
    """Return the condition that a generation is as its projector left it; FedReadModel._stands gives the parameters."""
    name, generation, status, positions, revision = (f"${number}" for number in range(first, first + 5))
    return f"""
        WHERE projection = {name} AND generation = {generation} AND status = {status}
          AND positions = {positions}::text::jsonb AND revision = {revision}
          AND (status = 'returning' OR NOT EXISTS (
              SELECT FROM projection_controls WHERE projection = {name} AND paused))"""


_MOVE = f"""UPDATE generations SET positions = $3::text::jsonb, log = $4, log_sequence = $5,
                   moved_at = clock_timestamp(), attempts = $6, attempted_by = NULL {_standing(7)}"""
_BEGIN = f"""UPDATE generations SET attempts = attempts + (attempted_by IS DISTINCT FROM $1)::integer,
                    attempted_by = $1 {_standing(2)} RETURNING attempts"""
_MOVED = "EXISTS (SELECT FROM moved)"


class FedReadModel:
    """A generation that a projector keeps up to date (engine.ports.ReadModel): the live one, or the one before."""

    def __init__(self, database: Database, projection: Projection[Any], status: str, process: UUID = PROCESS) -> None:
        """Write the generation of `projection` that is `live` or `previous`, whichever that is at the moment.

        Attempts are counted in the name of `process`.
        """
        self._database = database
        self._projection = projection
        self._status = status
        self._process = process
        self._use(0, 0)

    def _use(self, generation: int, revision: int) -> None:
        self._generation, self._revision = generation, revision
        self._rows = Rows(self._projection, schema_of(self._projection.name, generation))
        insert, delete = self._rows.insert(_MOVED), self._rows.delete("$2", _MOVED)
        rows = f"moved AS ({_MOVE} RETURNING 1), kept AS ({insert}), gone AS ({delete})"
        events = f"aside AS ({parking.insert(_MOVED, '$7', '$8', first=12)})"
        self._write = f"WITH {rows} SELECT count(*) FROM moved"
        self._write_and_park = f"WITH {rows}, {events} SELECT count(*) FROM moved"

    def _stands(self, checkpoint: Checkpoint) -> tuple[object, ...]:
        return self._projection.name, self._generation, self._status, _positions(checkpoint), self._revision

    async def checkpoint(self) -> Checkpoint:
        """Return the generation's checkpoint; makes the first live generation when there is none.

        Raises NothingToFeed when there is no previous one, or when another version of the code made it.
        """
        async with self._database.engine.begin() as connection:
            fed = await _of_status(connection, self._projection.name, self._status)
            if fed is None and self._status == "live":
                await _lock_projection(connection, self._projection.name)
                fed = await _of_status(connection, self._projection.name, self._status)
                if fed is None:
                    await create_generation(connection, self._projection, 1, "live")
                    self._use(1, 0)
                    return Checkpoint()
        if fed is None:
            raise NothingToFeed
        if fed.version != self._projection.version:
            raise NothingToFeed(
                f"generation {fed.generation} was made by version {fed.version} of the projection, and this code is"
                f" version {self._projection.version}: it stands still until you run `dinkop rebuild"
                f" {self._projection.name}`"
            )
        if (fed.generation, fed.revision) != (self._generation, self._revision):
            self._use(fed.generation, fed.revision)
        return Checkpoint(fed.positions, fed.log, fed.log_sequence)

    async def stands_at(self, checkpoint: Checkpoint) -> bool:
        """Tell whether nobody else has changed the generation since it was loaded and written up to `checkpoint`."""
        async with self._database.engine.connect() as connection:
            fed = await _of_status(connection, self._projection.name, self._status)
        stood = (self._generation, self._revision, checkpoint.positions)
        return fed is not None and (fed.generation, fed.revision, fed.positions) == stood

    async def set_aside(self) -> SetAside:
        """Return what the generation leaves out. Should that change, nothing can be written: its revision is raised."""
        name = self._projection.name
        return SetAside(
            await parking.waiting(self._database.pool, name, self._generation),
            await parking.left_out(self._database.pool, name),
        )

    async def paused(self) -> bool:
        """Tell whether an operator paused this projection."""
        async with self._database.engine.connect() as connection:
            return (await connection.execute(_PAUSED, {"projection": self._projection.name})).first() is not None

    async def begin(self, before: Checkpoint) -> int:
        """Count durably that this process is about to handle what comes after `before`.

        Returns how many processes have begun that, and not finished, this one included. Raises GenerationMoved.
        """
        begun: int | None = await self._database.pool.fetchval(_BEGIN, self._process, *self._stands(before))
        if begun is None:
            raise GenerationMoved(self._projection.name)
        return begun

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the present rows of these keys. Raises GenerationMoved when their table is gone; RowRefused."""
        try:
            with refusals():
                return await self._rows.read(self._database.pool, keys)
        except asyncpg.UndefinedTableError as gone:
            raise GenerationMoved(self._projection.name) from gone

    async def write(
        self,
        before: Checkpoint,
        after: Checkpoint,
        rows: Mapping[Hashable, Row | None],
        parked: Sequence[Parked] = (),
        attempts: int = 0,
    ) -> None:
        """Insert, replace or (None) delete rows, park events and move the checkpoint, all in one statement.

        Raises GenerationMoved, and has then changed nothing, when the checkpoint is not `before`. Moving it takes
        its row's lock: that fences off a second projector, a swap, a pause and a retry, so that what is written belongs
        to the generation it was folded for, and rows read since `before` are still what they were. Raises RowRefused.
        """
        kept = encoded_rows(rows.values())
        gone = [key for key, row in rows.items() if row is None]
        moves = (_positions(after), after.log, after.log_sequence, attempts)
        statement, aside = (self._write_and_park, parking.columns(parked)) if parked else (self._write, ())
        try:
            with refusals():
                moved = await self._database.pool.fetchval(statement, kept, gone, *moves, *self._stands(before), *aside)
        except asyncpg.UndefinedTableError:
            moved = 0
        if not moved:
            raise GenerationMoved(self._projection.name)


def _positions(checkpoint: Checkpoint) -> str:
    return msgspec.json.encode(dict(checkpoint.positions)).decode()


async def create_generation(
    connection: AsyncConnection, projection: Projection[Any], generation: int, status: str, *, indexes: bool = True
) -> None:
    """Make the schema, table and bookkeeping row of a generation."""
    schema = schema_of(projection.name, generation)
    await connection.execute(sa.select(sa.func.make_generation(projection.name, generation)))
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


async def _of_status(connection: AsyncConnection, projection: str, status: str) -> sa.Row[Any] | None:
    return (await connection.execute(_OF_STATUS, {"projection": projection, "status": status})).first()


async def _lock_projection(connection: AsyncConnection, projection: str) -> None:
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(projection))))
