"""Connections to a service's database: an asyncpg pool for appends and COPY, SQLAlchemy Core for queries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import sqlalchemy
import stamina
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

type Pool = asyncpg.Pool[asyncpg.Record]

# The server went away, is starting up, or shuts down: whether the statement took effect is unknown.
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke while asyncpg was preparing a statement on it
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
)

# What may mean the same when it comes out of SQLAlchemy; `away` tells.
UNREACHABLE = (*LOST, sqlalchemy.exc.DBAPIError)


def away(error: Exception) -> bool:
    """Tell a database that is away from a mistake of ours in a statement.

    SQLAlchemy has no class of its own for a server that shuts down, crashed or is starting up: it raises the
    bare DBAPIError.
    """
    if not isinstance(error, sqlalchemy.exc.DBAPIError):
        return isinstance(error, LOST)
    bare = (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.OperationalError, sqlalchemy.exc.InterfaceError)
    return error.connection_invalidated or type(error) in bare


def sqlalchemy_url(database_url: str) -> sqlalchemy.URL:
    """Return a libpq URL (`postgresql://user@/db?host=/socket`) as SQLAlchemy takes it."""
    return sqlalchemy.make_url(database_url).set(drivername="postgresql+asyncpg")


@dataclass(frozen=True, slots=True)
class Database:
    """One service's database. Two pools, because a statement through SQLAlchemy costs more than the same
    one through asyncpg, and the append path is where that counts."""

    pool: Pool
    engine: AsyncEngine

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction that sees one moment throughout."""
        async with self.engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    async def reachable(self) -> bool:
        """Tell whether the database answers."""
        try:
            async with asyncio.timeout(2):
                await self.pool.fetchval("SELECT 1")
        except Exception:
            return False
        return True


async def _as_it_is(connection: object) -> None:
    """Hand a connection back without a round trip to reset it: nothing here leaves state in a session."""


@asynccontextmanager
async def connect(database_url: str, connections: int = 8) -> AsyncIterator[Database]:
    """Open a service's database; waits up to a minute for a server that is still starting."""
    async for attempt in stamina.retry_context(on=LOST, timeout=60, attempts=None, wait_max=1.0):
        with attempt:
            # Connections are made when wanted: a pool with a floor fills the log while the server is away.
            pool = await asyncpg.create_pool(
                database_url, min_size=0, init_size=1, max_size=connections, command_timeout=60, reset=_as_it_is
            )
    engine = create_async_engine(
        sqlalchemy_url(database_url), pool_size=connections, max_overflow=connections, pool_pre_ping=True
    )
    try:
        yield Database(pool, engine)
    finally:
        await engine.dispose()
        pool.terminate()
