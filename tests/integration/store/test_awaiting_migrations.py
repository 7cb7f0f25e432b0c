"""A service serves when its database has been migrated, which another process with other rights does."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from alembic import command
from eventually import eventually
from issuing import ENVIRONMENT
from nats.aio.client import Client
from servers import PASSWORD, ROLE, Nats, Postgres, free_ports, migrate_database, name_of
from sqlalchemy import Connection

from chassis.storage import database
from chassis.storage.migrations import configuration, migrate
from chassis.storage.migrations.awaiting import NotMigrated, migrated
from services.reporting.service import service as reporting

REPOSITORY = Path(__file__).parents[3]
SERVICE = [sys.executable, "-m", "services.registry"]


@pytest.fixture
def served_url(postgres: Postgres, empty_database_url: str) -> str:
    """The URL of a fresh database for the role that serves; `empty_database_url` is its owner's."""
    return postgres.url(name_of(empty_database_url), ROLE)


async def test_a_database_without_a_schema_is_told_from_one_without_grants(
    empty_database_url: str, served_url: str
) -> None:
    with pytest.raises(NotMigrated, match="no schema yet"):
        await migrated(served_url, patience=0.1)
    await migrate(empty_database_url)
    with pytest.raises(NotMigrated, match=r"lacks its rights .permission denied for table alembic_version"):
        await migrated(served_url, patience=0.1)
    await migrate(empty_database_url, role=ROLE)
    await migrated(served_url, patience=0.1)


async def test_what_is_missing_of_the_chassis_and_of_the_service_is_named(
    empty_database_url: str, served_url: str
) -> None:
    opened = database.engine(empty_database_url)

    def until_0005(connection: Connection) -> None:
        config = configuration()
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")

    async with opened.begin() as connection:
        await connection.run_sync(until_0005)
    await opened.dispose()
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute(f"GRANT SELECT ON alembic_version TO {ROLE}")
    with pytest.raises(NotMigrated, match=r"lacks schema versions 0006.*, reporting_0001, reporting_0002"):
        await migrated(served_url, reporting.migrations, patience=0.1)
    await migrate(empty_database_url, reporting.migrations, ROLE)
    await migrated(served_url, reporting.migrations, patience=0.1)

    await owner.execute("UPDATE alembic_version SET version_num = '9999' WHERE version_num LIKE '0%'")
    await migrated(served_url, reporting.migrations, patience=0.1)  # by newer code, on whose schema this one runs
    await owner.close()


async def test_it_is_waited_for(postgres: Postgres, served_url: str) -> None:
    waiting = asyncio.create_task(migrated(served_url))
    await asyncio.sleep(0)
    assert not waiting.done()
    await migrate_database(postgres, name_of(served_url))
    await asyncio.wait_for(waiting, 10)


@pytest.fixture
def environment(served_url: str, nats: Nats, public_stream: Client) -> dict[str, str]:
    """What a service is told."""
    return (
        os.environ
        | ENVIRONMENT
        | {
            "DINKOP_DATABASE_URL": served_url,
            "DINKOP_NATS_URL": nats.url,
            "DINKOP_NATS_MONITORING_URL": nats.monitoring_url,
            "DINKOP_PORT": str(free_ports(1)[0]),
        }
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of the service."""
    return tmp_path / "registry.log"


@pytest.fixture
def process(environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service in a process of its own, on a database that nobody has migrated."""
    with log.open("wb") as output:
        started = subprocess.Popen(SERVICE, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT)
    yield started
    started.terminate()
    started.wait(20)


async def test_a_service_that_starts_before_its_migrations_serves_after_them_and_tells_nobody_its_password(
    process: subprocess.Popen[bytes], environment: dict[str, str], log: Path, empty_database_url: str
) -> None:
    await eventually(lambda: "database.awaits_migrations" in log.read_text(), 30)
    job = [*SERVICE, "migrate"]
    given = environment | {"DINKOP_MIGRATION_URL": empty_database_url}
    done = await asyncio.to_thread(subprocess.run, job, cwd=REPOSITORY, env=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    async def ready() -> bool:
        assert process.poll() is None, log.read_text()
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{environment['DINKOP_PORT']}/readyz")).status_code == 200

    await eventually(ready, 30)
    said = log.read_text() + done.stdout + done.stderr
    assert [secret for secret in (PASSWORD, quote(PASSWORD, safe="")) if secret in said] == []


def test_a_service_that_is_given_the_owners_way_in_does_not_serve(
    environment: dict[str, str], empty_database_url: str
) -> None:
    given = environment | {"DINKOP_MIGRATION_URL": empty_database_url}
    done = subprocess.run(SERVICE, cwd=REPOSITORY, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("DINKOP_MIGRATION_URL: only `migrate` may have it.")


def test_a_service_that_is_not_let_in_says_why_and_ends(environment: dict[str, str]) -> None:
    url = environment["DINKOP_DATABASE_URL"].replace(quote(PASSWORD, safe=""), "verysecret")
    given = environment | {"DINKOP_DATABASE_URL": url}
    done = subprocess.run(SERVICE, cwd=REPOSITORY, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "no connection to the database: password authentication failed" in done.stderr
    assert "verysecret" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
