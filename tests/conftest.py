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
from eventually import eventually
from nats.aio.client import Client
from nats.js.errors import NotFoundError
from servers import Nats, Postgres, answers, nats_server, postgres_server

from chassis.messaging import stream
from chassis.storage import database
from chassis.storage.database import Database
from chassis.storage.migrations import migrate
from contracts.envelope import STREAM

TEMPLATE = "template_of_a_service"
_numbers = itertools.count(1)


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
        connection = await asyncpg.connect(server.url("postgres"))
        await connection.execute(f"CREATE DATABASE {TEMPLATE}")
        await connection.close()
        await migrate(server.url(TEMPLATE))

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
async def nats(_nats: Nats) -> Nats:
    """The worker's NATS server. A test may kill it; the next one finds it running."""
    if not await answers(_nats):
        await _nats.start()
    return _nats


@pytest.fixture
async def empty_database_url(postgres: Postgres) -> str:
    """The URL of a fresh database without a schema."""
    return await _fresh_database(postgres, "template1")


@pytest.fixture
async def database_url(postgres: Postgres) -> str:
    """The URL of a fresh database with the newest schema of the chassis."""
    return await _fresh_database(postgres, TEMPLATE)


async def _fresh_database(postgres: Postgres, template: str) -> str:
    # Never dropped, since dropping waits for a checkpoint; the server goes with all of them.
    name = f"test_{next(_numbers)}"
    connection = await asyncpg.connect(postgres.url("postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await connection.close()
    return postgres.url(name)


@pytest.fixture
async def service_database(database_url: str) -> AsyncIterator[Database]:
    """An open fresh database."""
    async with database.connect(database_url) as opened:
        yield opened


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
