"""Eight processes, started once a module."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import nats as nats_py
import pytest
from nats.js.errors import NotFoundError
from replica_set import Replicas, Truth
from servers import Nats, Postgres, answers, make_database, migrate_database

from contracts.envelope import SERVICES, STREAM
from services.mentoring.service import service as mentoring
from services.reporting.service import service as reporting

_numbers = itertools.count(1)
_MIGRATIONS = {each.name: each.migrations for each in (mentoring, reporting)}


@pytest.fixture(scope="module")
def truth(_postgres: Postgres, _nats: Nats) -> Truth:
    """Fresh databases and no stream."""
    return asyncio.run(_fresh(_postgres, _nats, f"replicas_{next(_numbers)}"))


@pytest.fixture(scope="module")
def started(truth: Truth, _nats: Nats, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """Two processes of every service."""
    folder: Path = tmp_path_factory.mktemp("replicas")
    replicas = Replicas.made(truth.databases, _nats, folder)
    try:
        for each in replicas.all:
            each.start()
        asyncio.run(replicas.serving())
        yield replicas
    finally:
        for each in replicas.all:
            each.kill()


@pytest.fixture
async def replicas(started: Replicas) -> Replicas:
    """The same, all serving, whatever the test before did."""
    await started.serving()
    return started


@pytest.fixture
async def registry(replicas: Replicas) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each registry."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(each.client()) for each in replicas.of["registry"]]


@pytest.fixture
async def mentorings(replicas: Replicas) -> AsyncIterator[list[httpx.AsyncClient]]:
    """A client of each mentoring process."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(each.client()) for each in replicas.of["mentoring"]]


async def _fresh(postgres: Postgres, nats: Nats, prefix: str) -> Truth:
    for server in (postgres, nats):
        if not await answers(server):
            await server.start()
    client = await nats_py.connect(nats.url)
    try:
        await client.jetstream().delete_stream(STREAM)
    except NotFoundError:
        pass
    await client.close()
    databases = {}
    for service in SERVICES:
        databases[service] = await make_database(postgres, f"{prefix}_{service}", "template_of_a_service")
        await migrate_database(postgres, f"{prefix}_{service}", _MIGRATIONS.get(service))
    return Truth(databases, nats.url)
