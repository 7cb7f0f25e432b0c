"""The four services, served once a module."""

import itertools
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from servers import Nats, Postgres
from system import System, running

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def system(_postgres: Postgres, _nats: Nats) -> Iterator[System]:
    """The four services, running."""
    with running(_postgres, _nats, f"http_{next(_numbers)}") as started:
        yield started


@pytest.fixture
async def registry(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the registry."""
    async with system.client("registry") as client:
        yield client


@pytest.fixture
async def rat(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the rat service."""
    async with system.client("rat") as client:
        yield client


@pytest.fixture
async def mentoring(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the mentoring service."""
    async with system.client("mentoring") as client:
        yield client


@pytest.fixture
async def reporting(system: System) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the reporting service."""
    async with system.client("reporting") as client:
        yield client
