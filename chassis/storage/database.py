"""Connections to a service's database: an asyncpg pool for appends and COPY, SQLAlchemy Core for queries."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import asyncpg
import sqlalchemy
import stamina
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

type Connection = asyncpg.Connection[asyncpg.Record]

# The server went away, is starting up or shuts down, or its disk is full: whether the statement took effect is unknown.
LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke while asyncpg was preparing a statement on it
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DiskFullError,
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


def engine(database_url: str, **options: Any) -> AsyncEngine:
    """Return an SQLAlchemy engine of a database; `options` are create_async_engine's.

    asyncpg reads the URL here as it does for the pool: one that lets the one in, or checks a certificate for it
    (`sslmode=verify-full`), does so for the other.
    """
    return create_async_engine("postgresql+asyncpg://", async_creator=partial(asyncpg.connect, database_url), **options)


class Pool:
    """Connections to one database, lent for a statement or a few.

    asyncpg's own pool makes a proxy for each loan and a task for each return: together as much as it takes to decide a
    command. Nothing here leaves state in a session, so a connection is handed on as it is; one that broke, or
    whose statement was left halfway, is thrown away.
    """

    def __init__(self, database_url: str, most: int) -> None:
        """Lend up to `most` connections at a time, made when wanted."""
        self._url = database_url
        self._permits = asyncio.Semaphore(most)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection; waits for one when all are lent. Raises one of LOST when the server is away."""
        connection, whole = await self._lend(), False
        try:
            yield connection
            whole = True
        except asyncpg.PostgresError:
            whole = True  # a refused statement leaves the connection as it was
            raise
        finally:
            self._take_back(connection, whole)

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement; return its rows. As with `acquire`, whose generator costs what a command would notice."""
        connection, whole = await self._lend(), False
        try:
            rows = await connection.fetch(query, *arguments)
            whole = True
        except asyncpg.PostgresError:
            whole = True
            raise
        finally:
            self._take_back(connection, whole)
        return rows

    async def fetchrow(self, query: str, *arguments: object) -> asyncpg.Record | None:
        """Run one statement; return its first row."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *arguments)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        """Run one statement; return the first value of its first row."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *arguments)

    async def execute(self, query: str, *arguments: object) -> str:
        """Run one statement; return its command tag."""
        async with self.acquire() as connection:
            return await connection.execute(query, *arguments)

    def terminate(self) -> None:
        """Close what isn't lent, without waiting."""
        while self._idle:
            self._idle.pop().terminate()

    async def _lend(self) -> Connection:
        await self._permits.acquire()
        try:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await asyncpg.connect(self._url, command_timeout=60)
        except BaseException:
            self._permits.release()
            raise

    def _take_back(self, connection: Connection, whole: bool) -> None:
        self._permits.release()  # first, so that nothing below can keep it; who waits comes after this
        if whole and not connection.is_closed() and not connection.is_in_transaction():
            self._idle.append(connection)
        else:
            connection.terminate()


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


def _still_open(connection: Any, _record: object, _proxy: object) -> None:
    # As pool_pre_ping, without its round trip: a server that went away has closed its connections.
    if connection.driver_connection.is_closed():
        raise sqlalchemy.exc.DisconnectionError


@asynccontextmanager
async def connect(database_url: str, connections: int = 8) -> AsyncIterator[Database]:
    """Open a service's database; waits up to a minute for a server that is still starting."""
    pool = Pool(database_url, connections)
    async for attempt in stamina.retry_context(on=may_come_back, timeout=60, attempts=None, wait_max=1.0):
        with attempt:
            await pool.execute("SELECT 1")
    opened = engine(database_url, pool_size=connections, max_overflow=connections)
    sqlalchemy.event.listen(opened.sync_engine, "checkout", _still_open)
    try:
        yield Database(pool, opened)
    finally:
        await opened.dispose()
        pool.terminate()


def may_come_back(error: Exception) -> bool:
    """Tell a server that is away from one that won't have us, or that we won't have: no waiting changes that."""
    hopeless = (ssl.SSLCertVerificationError, asyncpg.ClientConfigurationError)
    return isinstance(error, LOST) and not isinstance(error, hopeless)
