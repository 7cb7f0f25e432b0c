"""Building a new generation of a projection beside the live one, and putting it in the live one's place."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import msgspec
import sqlalchemy as sa
import stamina
import structlog
from asyncpg.pgproto import pgproto
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis.definitions.projection import Projection, Row
from chassis.engine.ports import Checkpoint, NothingToFeed
from chassis.storage.comparing import Compared, Side, compare
from chassis.storage.database import LOST, UNREACHABLE, Connection, Database
from chassis.storage.read_models import FedReadModel, View, create_generation, generations, schema_of
from chassis.storage.rebuilds import Rebuilds
from chassis.storage.rows import Rows, encoded

log = structlog.get_logger()

type CatchUp = Callable[[Mapping[str, int]], Awaitable[object]]
"""Reads on until nothing that was read at these positions is missing."""
type Reach = Callable[[Checkpoint], Awaitable[None]]
"""Reads on until exactly that has been read."""
type Record = Callable[[Connection, int], Awaitable[None]]
"""Writes down, in the transaction of the swap, that this generation was replaced."""

LEASE_SECONDS = 2.0
"""How long a lease is waited for: a sweep holds it for a moment, and a killed holder's session ends a moment later."""
_LOOK = 0.1
LOCK_SECONDS = 2
"""How long anything waits for a lock. Whoever asks for the same one after us waits behind us meanwhile."""
SWAP_SECONDS = 60.0
"""How long a swap is tried."""
RETIRED_SECONDS = 60.0
"""How long a retired generation is kept: longer than any statement of a read may take (database.Pool)."""
_LIVE = "SELECT positions::text, log, log_sequence FROM generations WHERE projection = $1 AND status = 'live'"
_LOCK_NOT_AVAILABLE = "55P03"
_CHUNK = 1_000
"""Rows replaced in one statement."""


class RebuildRunning(Exception):
    """Another process rebuilds, checks or puts back this projection; the text names it."""


class RebuildReplaced(Exception):
    """Another process took over what this one was building."""


class SwapBlocked(Exception):
    """Somebody held the lock that a swap needs, for longer than it was tried."""


class NothingToPutBack(Exception):
    """There is no generation before the live one."""


class NotRetirable(Exception):
    """The generation is live, or there is none of that number."""


@asynccontextmanager
async def lease(database: Database, projection: Projection[Any]) -> AsyncIterator[None]:
    """Be the only one that builds generations of a projection. Raises RebuildRunning, naming the holder.

    The lock is the session's: it ends with this process, however it ends. What a process that lost it without noticing
    writes then is kept out by the generation's fence, which whoever takes over raises.
    """
    async with database.engine.connect() as holder:
        await holder.execution_options(isolation_level="AUTOCOMMIT")
        lock = sa.func.hashtext(f"rebuild:{projection.name}")
        patience = time.monotonic() + LEASE_SECONDS
        while not await holder.scalar(sa.select(sa.func.pg_try_advisory_lock(lock))):
            if time.monotonic() > patience:
                raise RebuildRunning(await _running(database, projection))
            await asyncio.sleep(_LOOK)
        try:
            await give_back(database, projection)  # what a rollback that was killed took
            yield
        finally:
            with suppress(*UNREACHABLE):
                await holder.execute(sa.select(sa.func.pg_advisory_unlock(lock)))


async def _running(database: Database, projection: Projection[Any]) -> str:
    running = [each for each in await Rebuilds(database.pool).list(projection.name) if each.state == "running"]
    by = (
        f"{running[0].kind} by {running[0].holder}, since {running[0].begun_at:%Y-%m-%d %H:%M:%S %Z}" if running else ""
    )
    return f"{projection.name} is being worked on already ({by or 'begun just now'}): wait for it, or stop it."


@dataclass(frozen=True, slots=True)
class Together:
    """The live generation and one built aside, in one snapshot and at the same positions.

    `version` is of the code that made the live one.
    """

    projection: Projection[Any]
    before: View
    after: View
    version: int

    async def compare(self, expected: Collection[str] = ()) -> Compared:
        """Compare all rows; those whose keys are `expected` to differ are counted apart."""
        connection = await _driver(self.before.connection)
        before, after = (
            Side(connection, view.schema, self.projection.table.name) for view in (self.before, self.after)
        )
        key: str = next(iter(self.projection.table.primary_key.columns)).name
        return await compare(before, after, key, self.before.positions, expected)


class BuildingGeneration:
    """A generation that is being built (engine.rebuild.Building). Nobody reads it until it is swapped in.

    Every write is fenced: it moves the generation's own bookkeeping row, which says by how many processes it was
    taken over. A process that another one took over from changes nothing any more.
    """

    uuid: Callable[[str], UUID] = pgproto.UUID  # the driver's own: in C

    def __init__(
        self, database: Database, projection: Projection[Any], row: sa.Row[Any], *, empty: bool, keyed: bool
    ) -> None:
        """Build the generation of this bookkeeping row, as it was taken over."""
        self.generation: int = row.generation
        self.version: int = row.version
        self.checkpoint = Checkpoint(row.positions, row.log, row.log_sequence)
        self.empty = empty
        self._database = database
        self._projection = projection
        self._schema = schema_of(projection.name, row.generation)
        self._table: sa.Table = projection.table
        self._rows = Rows(projection, self._schema)
        self._keyed = keyed
        self._finished = False
        c = generations.c
        self._own = (
            (c.projection == projection.name)
            & (c.generation == row.generation)
            & (c.status == row.status)
            & (c.fence == row.fence)
            & (c.made_at == row.made_at)
        )

    async def rows(self, keys: Collection[Hashable]) -> dict[Hashable, Row]:
        """Return the rows of these keys that were written before."""
        if not keys:
            return {}
        found: dict[Hashable, Row] = await self._rows.read(self._database.pool, keys)
        return found

    async def write(self, rows: Collection[Row], gone: Collection[Hashable], checkpoint: Checkpoint) -> None:
        """Write rows and checkpoint, and delete the rows of the keys that are gone, in one transaction.

        An empty table is written with COPY. Raises RebuildReplaced.
        """
        if not self.empty:
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
            if self.empty:
                await self._rows.copy(await _driver(connection), rows)
            elif rows or gone:
                await self._replace(await _driver(connection), list(rows), gone)
        self.checkpoint = checkpoint
        self.empty = self.empty and not rows

    async def _replace(self, connection: Connection, rows: Sequence[Row], gone: Collection[Hashable]) -> None:
        for start in range(0, len(rows), _CHUNK):
            await connection.execute(self._rows.insert(), encoded(rows[start : start + _CHUNK]))
        if gone:
            await connection.execute(self._rows.delete(), list(gone))

    async def _change(self, connection: AsyncConnection, change: sa.Update) -> None:
        if (await connection.execute(change)).rowcount != 1:
            raise RebuildReplaced(f"Another process took over rebuilding {self._projection.name}.")

    async def finish(self) -> None:
        """Add the primary key and the indexes: on full tables that is many times cheaper than keeping them."""
        if self._finished:
            return
        await self._key()
        table = self._table.to_metadata(sa.MetaData(), schema=self._schema)
        async with self._database.engine.begin() as connection:
            for index in table.indexes:
                await connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))
        async with self._database.engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            # Nobody asks for rows by what stands in their JSON, and of that statistics take longer than all indexes.
            asked = ", ".join(f'"{name}"' for name in self._rows.plain)
            await connection.execute(sa.text(f'ANALYZE "{self._schema}"."{self._table.name}" ({asked})'))
        self._finished = True

    async def _key(self) -> None:
        if self._keyed:
            return
        async with self._database.engine.begin() as connection:
            await connection.execute(
                sa.text(f'ALTER TABLE "{self._schema}"."{self._table.name}" ADD PRIMARY KEY ("{self._key_name}")')
            )
        self._keyed = True

    @property
    def _key_name(self) -> str:
        name: str = next(iter(self._table.primary_key.columns)).name
        return name

    async def bytes(self) -> int:
        """Return what it takes on disk, in bytes; where it has no indexes yet, those of the live one are added."""
        live = await self._database.pool.fetchval(
            "SELECT generation FROM generations WHERE projection = $1 AND status = 'live'", self._projection.name
        )
        size: int = await self._database.pool.fetchval(
            "SELECT pg_total_relation_size($1::text::regclass) + CASE WHEN $3 THEN 0"
            " ELSE pg_indexes_size($2::text::regclass) END",
            f'"{self._schema}"."{self._table.name}"',
            f'"{schema_of(self._projection.name, live)}"."{self._table.name}"',
            self._finished,
        )
        return size

    async def live(self) -> Checkpoint:
        """Return what the live generation has read."""
        row = await self._database.pool.fetchrow(_LIVE, self._projection.name)
        assert row is not None, "a live generation is made before one is built beside it"
        positions, log_, log_sequence = row
        return Checkpoint(msgspec.json.decode(positions), log_, log_sequence)

    @asynccontextmanager
    async def together(self, reach: Reach) -> AsyncIterator["Together"]:
        """Open the live generation and this one in one snapshot, at the same positions.

        The live one stands still while `reach` brings this one to what it has read and the snapshot is opened; then it
        goes on. Raises what `reach` raises, and SwapBlocked.
        """
        async with self._database.snapshot() as seen:
            async with self._held() as (_, live):
                await reach(Checkpoint(live.positions, live.log, live.log_sequence))
                before = await View.of(seen, self._projection, live.generation)
                after = await before.beside(self._projection, self.generation)
            yield Together(self._projection, before, after, live.version)

    async def swap(self, catch_up: CatchUp, record: Record) -> None:
        """Put this generation in the live one's place, in one short transaction, with what `record` writes in it.

        The live generation stands still meanwhile, and `catch_up` is told its positions, so that nobody who has
        read it is taken back. Raises SwapBlocked.
        """
        c = generations.c
        of_projection = c.projection == self._projection.name
        now = sa.func.clock_timestamp()
        async with self._held() as (connection, live):
            await catch_up(live.positions)
            for was, becomes in (("previous", "retired"), ("live", "previous")):
                change = generations.update().where(of_projection, c.status == was)
                await connection.execute(change.values(status=becomes, replaced_at=now))
            own = generations.update().where(self._own)
            await self._change(connection, own.values(status="live", replaced_at=None, revision=c.revision + 1))
            await record(await _driver(connection), live.generation)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[tuple[AsyncConnection, sa.Row[Any]]]:
        """Hold the live generation's row in a transaction: its projector stands still.

        Waits two seconds at a time for the lock, for others wait behind it, and raises SwapBlocked after a minute.
        """
        c = generations.c
        live = sa.select(generations).where(c.projection == self._projection.name, c.status == "live").with_for_update()
        async with AsyncExitStack() as stack:
            try:
                async for attempt in stamina.retry_context(
                    on=_locked, attempts=None, timeout=SWAP_SECONDS, wait_max=1.0
                ):
                    with attempt:
                        await stack.aclose()
                        connection = await stack.enter_async_context(self._database.engine.begin())
                        await _limit_waiting(connection)
                        row = (await connection.execute(live)).one()
            except sa.exc.DBAPIError as error:
                if not _locked(error):
                    raise
                raise SwapBlocked(
                    f"Somebody has kept {self._projection.name} locked for {SWAP_SECONDS:.0f} seconds, so nothing could"
                    " be compared or put in place. Nothing has changed: try again."
                ) from error
            yield connection, row

    async def keep(self) -> None:
        """Keep a trial to be looked at: until now nobody could have taken it for whole. Raises RebuildReplaced."""
        async with self._database.engine.begin() as connection:
            await self._change(connection, generations.update().where(self._own).values(status="inspection"))

    async def drop(self) -> None:
        """Drop it, unless it went live."""
        await _drop(self._database, self._projection.name, self._own)


async def resume(database: Database, projection: Projection[Any], code: str) -> BuildingGeneration | None:
    """Take over what an interrupted rebuild left, if the same code began it; else drop it and return None.

    Only under `lease`.
    """
    c = generations.c
    left = (c.projection == projection.name) & (c.status == "building")
    same = (c.version == projection.version) & (c.code == code)
    await _drop(database, projection.name, left & ~same)
    return await _take_over(database, projection, left & same)


async def start(database: Database, projection: Projection[Any], status: str, code: str) -> BuildingGeneration:
    """Make a new generation (`building` or `trial`) without keys or indexes. Only under `lease`."""
    with suppress(NothingToFeed):
        await FedReadModel(database, projection, "live").checkpoint()  # makes the first, if there is none
    c = generations.c
    of_projection = c.projection == projection.name
    await _drop(database, projection.name, c.status.in_(["trial", status] if status == "building" else ["trial"]))
    async with database.engine.begin() as connection:
        number = 1 + (await connection.execute(sa.select(sa.func.max(c.generation)).where(of_projection))).scalar_one()
        await create_generation(connection, projection, number, status, indexes=False)
        table, schema = projection.table.name, schema_of(projection.name, number)
        await connection.execute(sa.text(f'ALTER TABLE "{schema}"."{table}" DROP CONSTRAINT "{table}_pkey"'))
        await connection.execute(generations.update().where(of_projection, c.generation == number).values(code=code))
    taken = await _take_over(database, projection, c.generation == number)
    assert taken is not None, "only the holder of the lease drops it"
    return taken


async def take_back(database: Database, projection: Projection[Any]) -> BuildingGeneration:
    """Take the generation before the live one from its projector, to put it back. Only under `lease`.

    Raises NothingToPutBack.
    """
    c = generations.c
    which = (c.projection == projection.name) & c.status.in_(["previous", "returning"])
    async with database.engine.begin() as connection:
        await connection.execute(generations.update().where(which).values(status="returning"))
    taken = await _take_over(database, projection, which)
    if taken is None:
        raise NothingToPutBack(f"{projection.name} has no generation before the live one.")
    return taken


async def give_back(database: Database, projection: Projection[Any]) -> None:
    """Give the generation that was taken back, and did not go live, to its projector again."""
    c = generations.c
    which = (c.projection == projection.name) & (c.status == "returning")
    async with database.engine.begin() as connection:
        await connection.execute(generations.update().where(which).values(status="previous"))


async def _take_over(
    database: Database, projection: Projection[Any], which: sa.ColumnElement[bool]
) -> BuildingGeneration | None:
    condition = (generations.c.projection == projection.name) & which
    taken = generations.update().where(condition).values(fence=generations.c.fence + 1).returning(*generations.c)
    async with database.engine.begin() as connection:
        row = (await connection.execute(taken)).first()
        if row is None:
            return None
        place = f'"{schema_of(projection.name, row.generation)}"."{projection.table.name}"'
        some = await connection.scalar(sa.text(f"SELECT EXISTS (SELECT FROM {place})"))
        key = sa.text(
            "SELECT EXISTS (SELECT FROM pg_index WHERE indrelid = CAST(:place AS text)::regclass AND indisprimary)"
        )
        keyed = await connection.scalar(key, {"place": place})
    return BuildingGeneration(database, projection, row, empty=not some, keyed=bool(keyed))


async def retire(database: Database, projection: Projection[Any], generation: int | None = None) -> int:
    """Give up a generation: the previous one, or the one named. Only under `lease`. Raises NotRetirable.

    It is dropped a minute later, when no read that began before can still be on its way.
    """
    c = generations.c
    which = c.status == "previous" if generation is None else (c.generation == generation) & (c.status != "live")
    change = generations.update().where(c.projection == projection.name, which, c.status != "retired")
    values = change.values(status="retired", replaced_at=sa.func.clock_timestamp()).returning(c.generation)
    async with database.engine.begin() as connection:
        retired: int | None = await connection.scalar(values)
    if retired is None:
        what = "no generation before the live one" if generation is None else f"no generation {generation} beside it"
        raise NotRetirable(f"{projection.name} has {what}: the live one is never retired.")
    return retired


async def sweep(database: Database, projection: Projection[Any], grace: float) -> None:
    """Retire the previous generation after `grace` seconds, and drop what was retired a minute ago.

    What a killed check left goes too, and after `grace` what a rebuild left that nobody went on with. Does nothing
    while somebody works on the projection.
    """
    c = generations.c
    now = sa.func.clock_timestamp()

    def older(status: str, since: sa.Column[Any], seconds: float) -> sa.ColumnElement[bool]:
        return (c.status == status) & (since < now - sa.func.make_interval(0, 0, 0, 0, 0, 0, seconds))

    of_projection = c.projection == projection.name
    previous, left = older("previous", c.replaced_at, grace), older("building", c.moved_at, grace)
    useless = older("retired", c.replaced_at, RETIRED_SECONDS) | left | (c.status == "trial")
    async with database.engine.connect() as connection:
        # Asked first, so that a sweep with nothing to do is in nobody's way.
        anything = previous | useless | (c.status == "returning")
        if not (await connection.execute(sa.select(c.generation).where(of_projection, anything))).first():
            return
    with suppress(RebuildRunning):
        async with lease(database, projection):
            async with database.engine.begin() as connection:
                retired = generations.update().where(of_projection, previous)
                await connection.execute(retired.values(status="retired", replaced_at=now))
            await _drop(database, projection.name, useless)


async def _drop(database: Database, projection: str, which: sa.ColumnElement[bool]) -> None:
    """Drop generations; one that somebody still reads, or all when the server is gone, is left to the next time."""
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
