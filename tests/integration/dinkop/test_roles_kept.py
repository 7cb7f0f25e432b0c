"""Homes of the first release are taken over, and a restored home keeps its doors: nothing is lost, and roles hold."""

import os
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from ledger import commit
from sqlalchemy import Connection

from chassis.storage import database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.migrations import configuration
from dinkop.backups import Tell, back_up, restore, restore_one
from dinkop.embedded.accounts import Account
from dinkop.embedded.postgres import EmbeddedPostgres
from dinkop.home import Home, Running
from dinkop.migrating import migrations, versions
from dinkop.processes import ProcessRecord
from dinkop.supervisor import SERVICES, embedded_postgres
from dinkop.system import System

pytestmark = pytest.mark.embedded

SERVICE, OTHER = "reporting", "registry"
ROW = "SELECT n FROM health_status_g1.health_status"


class FirstRelease(EmbeddedPostgres):
    """The server as it was before it had passwords: each service owned its database, and was trusted."""

    def url(self, database: str, role: str | None = None) -> str:
        return f"postgresql://{role or database}@/{database}?host={self.sockets}&port=5432"

    def _configure(self, account: Account) -> None:
        (self.data / "pg_hba.conf").write_text("local all dinkop trust\nlocal sameuser all trust\n")

    async def _set_password_of_superuser(self, binaries: Path, account: Account) -> None:
        pass

    async def _provision(self) -> None:
        connection = await asyncpg.connect(self.url("postgres", "dinkop"))
        for name in (SERVICE, OTHER):
            await connection.execute(f'CREATE ROLE "{name}" LOGIN')
            await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
            await connection.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')
        await connection.close()


async def migrated_by_the_first_release(url: str) -> None:
    """Bring a database to the schema that the first release had, as the role that served."""
    config = configuration(versions(SERVICE))

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, "0005")
        command.upgrade(config, "reporting_0002")

    opened = database.engine(url)
    async with opened.begin() as connection:
        await connection.run_sync(upgrade)
    await opened.dispose()


async def fill(url: str, make_schema: str) -> None:
    """Append two events and make a generation of a read model with a row in it."""
    async with database.connect(url) as opened:
        await PostgresEventStore(opened.pool).append(commit(events=2))
        await opened.pool.execute(make_schema)
        await opened.pool.execute("CREATE TABLE health_status_g1.health_status AS SELECT 1 AS n")


async def holds(postgres: EmbeddedPostgres) -> None:
    """Check that what `fill` made is there, and that the service can do its work and nothing beyond it."""
    async with database.connect(postgres.url(SERVICE)) as opened:
        head = await PostgresEventStore(opened.pool).head()
        assert head >= 2
        await PostgresEventStore(opened.pool).append(commit())
        assert await PostgresEventStore(opened.pool).head() == head + 1
        assert await opened.pool.fetchval(ROW) == 1
        await opened.pool.execute("ALTER TABLE health_status_g1.health_status ADD COLUMN IF NOT EXISTS more int")
        await opened.pool.execute("SELECT make_generation('health_status', 2)")
        await opened.pool.execute("DROP SCHEMA health_status_g2")
        assert await opened.pool.fetchval("SELECT count(*) FROM policies") == 1
        for beyond in (
            "UPDATE events SET data = '{}'",
            "TRUNCATE events",
            "DROP TABLE policies",
            "INSERT INTO policies SELECT * FROM policies",
            "ALTER DOMAIN month_day DROP NOT NULL",
            "DROP FUNCTION append(jsonb)",
            "CREATE TABLE public.mine (n int)",
            "CREATE SCHEMA mine",
            "SET ROLE reporting_owner",
            f"ALTER DATABASE {SERVICE} RENAME TO mine",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await opened.pool.execute(beyond)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await asyncpg.connect(postgres.url(OTHER, SERVICE))
    owner = await asyncpg.connect(postgres.owner_url(SERVICE))
    assert (
        await owner.fetchval(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> $1", f"{SERVICE}_owner"
        )
        == 0
    )
    await owner.close()


async def test_a_home_of_the_first_release_is_taken_over_and_nothing_is_lost(folder: Path) -> None:
    before = FirstRelease(folder)
    await before.start()
    await migrated_by_the_first_release(before.url(SERVICE))
    await fill(before.url(SERVICE), "CREATE SCHEMA health_status_g1")
    await before.stop()

    for _ in range(2):  # the second start finds a home of its own making
        postgres = EmbeddedPostgres(folder, databases=(SERVICE, OTHER))
        await postgres.start()
        try:
            await migrations(postgres)(SERVICE)
            await holds(postgres)
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
                await asyncpg.connect(before.url(SERVICE))
            with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InterfaceError)):
                await asyncpg.connect(before.url("postgres", "dinkop"))
        finally:
            await postgres.stop()


async def test_a_restored_home_and_a_restored_database_keep_their_doors(folder: Path) -> None:
    home, backups, master_key = Home(folder / "home"), folder / "backups", folder / "master.key"
    master_key.write_text("k")
    tell: Tell = [].append
    with home.held():
        postgres = embedded_postgres(home)
        await postgres.start()
        try:
            migrate = migrations(postgres)
            for service in SERVICES:
                await migrate(service)
            await fill(postgres.url(SERVICE), "SELECT make_generation('health_status', 1)")
            await holds(postgres)
            await back_up(a_system(home, postgres), backups, tell)
        finally:
            await postgres.stop()

    another = Home(folder / "another")
    await restore(another, backups, None, master_key, tell)
    await restore_one(home, SERVICE, backups, None, tell)
    for restored in (another, home):
        postgres = embedded_postgres(restored)
        await postgres.start()
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await (await asyncpg.connect(postgres.url(SERVICE))).execute(
                    "SELECT FROM events"
                )  # not before it is migrated
            await migrations(postgres)(SERVICE)
            await holds(postgres)
            owner = await asyncpg.connect(postgres.owner_url(SERVICE))
            names = await owner.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'reporting_until_%'")
            await owner.close()
            assert len(names) == (restored is home)
            for (aside,) in names:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await asyncpg.connect(postgres.url(aside, SERVICE))
        finally:
            await postgres.stop()


def a_system(home: Home, postgres: EmbeddedPostgres) -> System:
    """Return a system of which only the databases run."""
    supervisor = ProcessRecord.of(os.getpid())
    assert supervisor is not None
    nowhere = "http://127.0.0.1:1"
    databases = {name: postgres.url(name) for name in SERVICES}
    return System(home, Running(supervisor, True, {}, nowhere, nowhere, databases, {}))
