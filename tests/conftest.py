"""Servers for integration tests: one PostgreSQL and one NATS a worker, a fresh database and stream a test."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import nats as nats_py
import pytest
import structlog
from behind import Behind, behind_back
from eventually import eventually
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from servers import (
    ROLE,
    Nats,
    Postgres,
    answers,
    make_database,
    make_roles,
    migrate_database,
    name_of,
    nats_server,
    postgres_server,
)

from chassis.messaging import stream
from chassis.storage import database
from chassis.storage.database import Connection, Database
from chassis.storage.roles import owner_of
from contracts.envelope import STREAM

TEMPLATE = "template_of_a_service"
TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
_numbers = itertools.count(1)

# The default shows every variable of every frame: seconds of work for each failure that a test provokes.
PROCESSORS = [
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="%H:%M:%S.%f"),
    structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
]


@pytest.fixture(autouse=True)
def _logging() -> None:
    """Log as tests do, whatever a command that was carried out here set before: its output may be closed by now."""
    structlog.reset_defaults()
    structlog.configure(processors=PROCESSORS)


@pytest.fixture(scope="session")
def _server_folder() -> Iterator[Path]:
    # Short, for a socket's path is limited.
    folder = Path(tempfile.mkdtemp(prefix="dt-")).resolve()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _postgres(_server_folder: Path) -> Iterator[Postgres]:
    server = postgres_server(_server_folder / "p")

    async def prepare() -> None:
        await server.start()
        await make_roles(server)
        await make_database(server, TEMPLATE)
        await migrate_database(server, TEMPLATE)

    asyncio.run(prepare())
    yield server
    asyncio.run(server.stop())


@pytest.fixture(scope="session")
def _nats(_server_folder: Path) -> Iterator[Nats]:
    server = nats_server(_server_folder / "n")
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
async def postgres(_postgres: Postgres) -> Postgres:
    """The worker's PostgreSQL server. A test may kill it; the next one finds it running."""
    if not await answers(_postgres):
        await _postgres.start()
    return _postgres


@pytest.fixture
async def killable_postgres(postgres: Postgres) -> Postgres:
    """The same, ready to be killed."""
    # Recovery would otherwise do the work of all tests before again, under a patience that is finite.
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute("CHECKPOINT")
    await connection.close()
    return postgres


@pytest.fixture
async def nats(_nats: Nats) -> Nats:
    """The worker's NATS server. A test may kill it; the next one finds it running."""
    if not await answers(_nats):
        await _nats.start()
    return _nats


@pytest.fixture
async def empty_database_url(postgres: Postgres) -> str:
    """The URL of a fresh database without a schema, for the role that owns it."""
    return postgres.url(name_of(await make_database(postgres, f"test_{next(_numbers)}")), owner_of(ROLE))


@pytest.fixture
async def database_url(postgres: Postgres, _shared: dict[str, set[str]]) -> str:
    """The URL of an empty database with the newest schema of the chassis, for the role that serves."""
    # One for all tests of a worker: after a crash PostgreSQL syncs every file of every database.
    for url, schema in list(_shared.items()):
        if await _empty(postgres.url(name_of(url)), schema):
            return url
        del _shared[url]
    url = await make_database(postgres, f"test_{next(_numbers)}", TEMPLATE)
    connection = await asyncpg.connect(url)
    _shared[url] = await _schema(connection, await connection.fetch(TABLES))
    await connection.close()
    return url


@pytest.fixture(scope="session")
def _shared() -> dict[str, set[str]]:
    """The database that tests of this worker share, one after another: its URL, and its schema when it was new."""
    return {}


async def _schema(connection: Connection, found: list[asyncpg.Record]) -> set[str]:
    """Return what tells whether a test changed the schema: the names of its tables, and the versions it has reached."""
    # Versions too, since one may make a table that a later one drops.
    tables = {name for schema, name in found if schema == "public"}
    return tables | {version for (version,) in await connection.fetch("SELECT version_num FROM alembic_version")}


async def _empty(database_url: str, schema_when_new: set[str]) -> bool:
    """Take all rows and generations out of a database; False when a test gave it another schema."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.fetch(
            """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
        )
        found = await connection.fetch(TABLES)
        if await _schema(connection, found) != schema_when_new:
            return False
        for schema in {schema for schema, _ in found} - {"public"}:
            await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        tables = {name for schema, name in found if schema == "public"}
        await connection.execute(f"TRUNCATE {', '.join(tables - {'alembic_version'})}")
        return True
    finally:
        await connection.close()


@pytest.fixture
async def service_database(database_url: str) -> AsyncIterator[Database]:
    """An open fresh database."""
    async with database.connect(database_url) as opened:
        yield opened


@pytest.fixture
def behind(postgres: Postgres, database_url: str) -> Behind:
    """Changes the test's database behind the service's back."""
    return behind_back(postgres, database_url)


@pytest.fixture
async def nats_client(nats: Nats) -> AsyncIterator[Client]:
    """A client of the NATS server, on which no stream exists yet."""
    client = await nats_py.connect(
        nats.url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, connect_timeout=2, error_cb=_ignore
    )
    await _delete_stream(client)
    yield client
    await client.close()


@pytest.fixture
async def public_stream(nats_client: Client) -> Client:
    """A client of the NATS server with a fresh, empty stream."""
    # A stream deleted this moment may still be in the way of its successor.
    await eventually(lambda: stream.ensure(nats_client.jetstream()))
    return nats_client


async def _delete_stream(client: Client) -> None:
    try:
        await client.jetstream().delete_stream(STREAM)
    except NotFoundError:
        pass


async def _ignore(_: Exception) -> None:
    """Tests that kill the server expect its clients to notice."""
