"""Eight processes, started once a module."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from fresh import fresh
from replica_set import Replicas, Truth
from servers import Nats, Postgres

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def truth(_postgres: Postgres, _nats: Nats) -> Truth:
    """Fresh databases and no stream."""
    return Truth(asyncio.run(fresh(_postgres, _nats, f"replicas_{next(_numbers)}")), _nats.url)


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
