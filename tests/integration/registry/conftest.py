"""The registry on real servers."""

from collections.abc import AsyncIterator
from datetime import date

import httpx
import issuing
import pytest
from nats.aio.client import Client
from registry_service import serving
from servers import Nats

from chassis.settings import Settings


@pytest.fixture
async def registry(database_url: str, nats: Nats, public_stream: Client) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running service."""
    settings = Settings(
        database_url=database_url,
        nats_url=nats.url,
        nats_monitoring_url=nats.monitoring_url,
        today=date(2024, 11, 14),
        **issuing.SETTINGS,
    )
    async with serving(settings) as client:
        yield client
