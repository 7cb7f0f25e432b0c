"""The servers of integration tests: from wheels, or from images when DINKOP_TEST_ENGINE=containers."""

import asyncio
import os
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
import nats
import psutil
from eventually import eventually
from ports import free_ports

from chassis.storage.migrations import migrate
from chassis.storage.roles import owner_of
from dinkop.embedded.nats import EmbeddedNats
from dinkop.embedded.postgres import SUPERUSER, EmbeddedPostgres

ROLE, PASSWORD = "service_of_tests", "not: a/secret@all"
"""Who serves from every test's database; the owner's password is the same."""
CONTAINERS = os.environ.get("DINKOP_TEST_ENGINE") == "containers"
POSTGRES_IMAGE, NATS_IMAGE = "postgres:18-alpine", "nats:2.15-alpine"


class Postgres(Protocol):
    """A PostgreSQL server that a test may kill. `url` is a superuser's, unless for another role."""

    def url(self, database: str, role: str | None = None) -> str: ...

    async def start(self) -> None: ...

    async def kill(self) -> None: ...

    async def stop(self) -> None: ...


class Nats(Protocol):
    """A NATS server that a test may kill; it comes back at the same address with the same streams."""

    url: str
    monitoring_url: str

    async def start(self) -> None: ...

    async def kill(self) -> None: ...

    async def stop(self) -> None: ...


class WheelPostgres:
    """PostgreSQL from its wheel."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedPostgres(directory, databases=())

    def url(self, database: str, role: str | None = None) -> str:
        if role is None:
            return self._server.url(database, SUPERUSER)
        sockets = quote(str(self._server.sockets), safe="/")
        return f"postgresql://{role}:{quote(PASSWORD, safe='')}@/{database}?host={sockets}"

    async def start(self) -> None:
        await self._server.start()

    async def kill(self) -> None:
        """kill -9 the server with all its backends, as when the machine stops."""
        assert self._server.process is not None
        server = psutil.Process(self._server.process.pid)
        server.suspend()  # or it would notice that its backends die, and begin to recover
        for process in (*server.children(recursive=True), server):
            process.kill()
        await asyncio.to_thread(self._server.process.wait)

    async def stop(self) -> None:
        await self.kill()  # it is thrown away, so it need not write everything down first


class WheelNats:
    """NATS from its wheel."""

    def __init__(self, directory: Path) -> None:
        self._server = EmbeddedNats(directory, *free_ports(2))
        self.url, self.monitoring_url = self._server.url, self._server.monitoring_url

    async def start(self) -> None:
        await self._server.start()

    async def kill(self) -> None:
        assert self._server.process is not None
        self._server.process.kill()
        await asyncio.to_thread(self._server.process.wait)

    async def stop(self) -> None:
        await self._server.stop()


class _Container:
    """A container at ports that stay the same when it is killed and started again."""

    def __init__(self, image: str) -> None:
        from testcontainers.core.config import testcontainers_config
        from testcontainers.core.container import DockerContainer

        testcontainers_config.ryuk_disabled = True  # the fixtures remove their containers themselves
        self._container: Any = DockerContainer(image)
        self._made = False

    async def _run(self) -> None:
        if self._made:
            await asyncio.to_thread(self._container.get_wrapped_container().start)
        else:
            await asyncio.to_thread(self._container.start)
            self._made = True

    async def kill(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().kill)

    async def stop(self) -> None:
        await asyncio.to_thread(self._container.stop)


class ContainerPostgres(_Container):
    """PostgreSQL from the official image."""

    def __init__(self, directory: Path) -> None:
        super().__init__(POSTGRES_IMAGE)
        [self._port] = free_ports(1)
        self._container.with_env("POSTGRES_USER", SUPERUSER).with_env("POSTGRES_PASSWORD", PASSWORD)
        # The image would trust whoever comes from the container itself, and so whoever an engine lets seem to.
        self._container.with_env("POSTGRES_INITDB_ARGS", "--auth-host=scram-sha-256")
        self._container.with_bind_ports(5432, self._port)

    def url(self, database: str, role: str | None = None) -> str:
        return f"postgresql://{role or SUPERUSER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self._port}/{database}"

    async def start(self) -> None:
        await self._run()

        async def answers() -> bool:
            # The image first starts a server that listens on no network, to set the cluster up.
            await (await asyncpg.connect(self.url("postgres"), timeout=2)).close()
            return True

        await eventually(answers, 60)


class ContainerNats(_Container):
    """NATS from the official image, told to sync before it acknowledges."""

    def __init__(self, directory: Path) -> None:
        super().__init__(NATS_IMAGE)
        port, monitoring = free_ports(2)
        self.url, self.monitoring_url = f"nats://127.0.0.1:{port}", f"http://127.0.0.1:{monitoring}"
        directory.mkdir(parents=True, exist_ok=True)
        configuration = directory / "nats.conf"
        configuration.write_text("http: 8222\njetstream { store_dir: /data, sync_interval: always }\n")
        self._container.with_volume_mapping(str(configuration), "/etc/nats/test.conf", "ro")
        self._container.with_command("-c /etc/nats/test.conf")
        self._container.with_bind_ports(4222, port).with_bind_ports(8222, monitoring)

    async def start(self) -> None:
        await self._run()

        async def healthy() -> bool:
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                return (await client.get(f"{self.monitoring_url}/healthz")).status_code == 200

        await eventually(healthy, 60)


def postgres_server(directory: Path) -> Postgres:
    """Return a PostgreSQL server, not started yet."""
    return ContainerPostgres(directory) if CONTAINERS else WheelPostgres(directory)


def nats_server(directory: Path) -> Nats:
    """Return a NATS server, not started yet."""
    return ContainerNats(directory) if CONTAINERS else WheelNats(directory)


async def answers(server: Postgres | Nats) -> bool:
    """Tell whether the server accepts connections."""
    try:
        if isinstance(server, WheelNats | ContainerNats):
            await (await nats.connect(server.url, connect_timeout=2, allow_reconnect=False)).close()
        else:
            await (await asyncpg.connect(server.url("postgres"), timeout=2)).close()
    except Exception:
        return False
    return True


async def make_roles(server: Postgres) -> None:
    """Make the two roles that every test's database has, as every service has them (chassis.storage.roles)."""
    owner = owner_of(ROLE)
    connection = await asyncpg.connect(server.url("postgres"))
    for role in (ROLE, owner):
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    await connection.execute(f"GRANT {ROLE} TO {owner}")
    await connection.close()


async def make_database(server: Postgres, name: str, template: str = "template0") -> str:
    """Make a database that the one role owns and the other may enter; return that one's URL."""
    # Never dropped, since dropping waits for a checkpoint; the server goes with all of them.
    connection = await asyncpg.connect(server.url("postgres"))
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} OWNER {owner_of(ROLE)}")
    await connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    await connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {ROLE}")
    await connection.close()
    return server.url(name, ROLE)


async def migrate_database(server: Postgres, name: str, service_versions: Path | None = None) -> None:
    """Bring a database to the newest schema, as its owner, and give the role that serves its rights."""
    await migrate(server.url(name, owner_of(ROLE)), service_versions, ROLE)


def name_of(database_url: str) -> str:
    """Return the name of the database that a URL leads to."""
    return urlsplit(database_url).path.removeprefix("/")
