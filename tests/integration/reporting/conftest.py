"""Reporting on a real database, which its tests use one after another."""

import asyncio
from datetime import date

import asyncpg
import issuing
import pytest
from nats.aio.client import Client
from servers import ROLE, Nats, Postgres, answers, make_database, migrate_database
from whole_service import Others

from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from services.reporting.service import service

DATABASE = "reporting_of_tests"
KEPT = ["alembic_version", "policies"]


@pytest.fixture(scope="session")
def _reporting_url(_postgres: Postgres) -> str:
    async def prepare() -> None:
        if not await answers(_postgres):
            await _postgres.start()
        await make_database(_postgres, DATABASE, "template_of_a_service")
        await migrate_database(_postgres, DATABASE, service.migrations)

    asyncio.run(prepare())
    return _postgres.url(DATABASE, ROLE)


@pytest.fixture
async def database_url(postgres: Postgres, _reporting_url: str) -> str:
    """The URL of an empty database with the newest schema of reporting, and the policy every office starts with."""
    connection = await asyncpg.connect(postgres.url(DATABASE))
    await connection.fetch(
        """SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
           WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"""
    )
    found = await connection.fetch(
        "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    for schema in {schema for schema, _ in found} - {"public"}:
        await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
    tables = [name for schema, name in found if schema == "public" and name not in KEPT]
    await connection.execute(f"TRUNCATE {', '.join(tables)}")
    await connection.execute("DELETE FROM policies WHERE name <> 'rat-3y-2024'")
    await connection.execute("UPDATE policies SET valid_from = NULL, valid_to = NULL")
    await connection.close()
    return _reporting_url


@pytest.fixture
def settings(database_url: str, nats: Nats) -> Settings:
    """What the service is told."""
    return Settings(
        database_url=database_url,
        nats_url=nats.url,
        nats_monitoring_url=nats.monitoring_url,
        today=date(2024, 11, 14),
        **issuing.SETTINGS,
    )


@pytest.fixture
def others(public_stream: Client) -> Others:
    """The other services, on a fresh stream."""
    return Others(JetStreamLog(public_stream))
