"""The rat service on real servers, and a registry that tells it what a test wants it to know."""

from collections.abc import AsyncIterator
from datetime import date

import httpx
import issuing
import pytest
from nats.aio.client import Client
from rat_service import Registry, serving
from servers import Nats

from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings


@pytest.fixture
async def rat(database_url: str, nats: Nats, public_stream: Client) -> AsyncIterator[httpx.AsyncClient]:
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


@pytest.fixture
def registry(public_stream: Client) -> Registry:
    """The registry's side of the stream."""
    return Registry(JetStreamLog(public_stream))
