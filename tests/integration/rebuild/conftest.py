"""Worlds: a stream, a database and one projection between them."""

import pytest
from nats.aio.client import Client
from replayed import World
from servers import Nats

from chassis.storage.database import Database
from services.reporting.projections import health_status


@pytest.fixture
def world(nats: Nats, public_stream: Client, service_database: Database, database_url: str) -> World:
    """The projection of plots."""
    return World(nats, public_stream, service_database, database_url)


@pytest.fixture
def health(nats: Nats, public_stream: Client, service_database: Database, database_url: str) -> World:
    """The projection behind every verdict."""
    return World(nats, public_stream, service_database, database_url, health_status.projection)
