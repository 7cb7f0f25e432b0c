"""A service whose database was restored from an older dump takes no command, and goes on answering reads."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import issuing
import pytest
from eventually import eventually
from nats.aio.client import Client
from servers import ROLE, Nats, Postgres, make_database, migrate_database, name_of

from chassis.bootstrap import build
from chassis.engine import gate
from chassis.messaging.public_log import JetStreamLog
from chassis.settings import Settings
from chassis.storage.roles import owner_of
from contracts.envelope import STREAM
from dinkop.embedded.postgres import find_binaries
from services.mentoring.service import service

REQUEST: dict[str, Any] = {
    "cooperative_name": "Koperasi Tani Contoh",
    "location": {"kecamatan_code": "35.07.21", "address": "Balai desa"},
    "people": [{"name": "Nama Pemohon", "role": "ketua"}],
    "complaint": "RAT belum terlaksana",
    "category": "rat",
    "channel": "visit",
}


@pytest.fixture
def settings(postgres: Postgres, empty_database_url: str, nats: Nats, tmp_path: Path) -> Settings:
    """The settings of a service with a database of its own, which tests drop and restore."""
    return Settings(
        database_url=postgres.url(name_of(empty_database_url), ROLE),
        nats_url=nats.url,
        nats_monitoring_url=nats.monitoring_url,
        master_key=base64.b64encode(bytes(32)).decode(),  # type: ignore[arg-type]  # pydantic makes it a secret
        keys=tmp_path / "keys",
        connections=4,
        **issuing.SETTINGS,
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process."""
    app = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url="http://mentoring", timeout=30
        ) as client,
    ):
        yield client


async def migrated(postgres: Postgres, settings: Settings) -> None:
    await migrate_database(postgres, name_of(settings.database_url), service.migrations)


async def asked(client: httpx.AsyncClient) -> str:
    """Have a request taken down; return its id."""
    answer = await client.post("/v1/requests", json=REQUEST)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["request_id"])


def dump(postgres: Postgres, database_url: str, file: Path) -> None:
    owner_url = postgres.url(name_of(database_url), owner_of(ROLE))
    subprocess.run([find_binaries() / "pg_dump", "-Fc", "-f", file, owner_url], check=True)


async def restored(postgres: Postgres, database_url: str, file: Path) -> None:
    """Take a database away from whoever uses it, and make it anew from a dump."""
    name = name_of(database_url)
    connection = await asyncpg.connect(postgres.url("postgres"))
    # Renamed, for dropping waits for a checkpoint.
    await connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", name)
    await connection.execute(f"ALTER DATABASE {name} RENAME TO {name}_{file.stem}_gone")
    await connection.close()
    await make_database(postgres, name)
    owner_url = postgres.url(name, owner_of(ROLE))
    restore = [find_binaries() / "pg_restore", "--single-transaction", "--no-owner", "-d", owner_url, file]
    await asyncio.to_thread(subprocess.run, restore, check=True)
    await migrate_database(postgres, name, service.migrations)


async def published(client: Client) -> int:
    return (await JetStreamLog(client).last("mentoring")).sequence


def refusal(answer: httpx.Response, slug: str) -> str:
    """Check that a command was refused in words; return them."""
    assert (answer.status_code, answer.json()["type"]) == (503, f"/problems/{slug}"), answer.text
    assert int(answer.headers["retry-after"]) > 0
    detail: str = answer.json()["detail"]
    return detail


async def test_a_database_restored_from_an_older_dump_is_refused_until_the_newest_is_restored(
    settings: Settings, postgres: Postgres, public_stream: Client, tmp_path: Path
) -> None:
    await migrated(postgres, settings)
    older, newest = tmp_path / "older.dump", tmp_path / "newest.dump"
    async with serving(settings) as client:
        kept = await asked(client)
        dump(postgres, settings.database_url, older)
        await asked(client)
        await eventually(lambda: _has(public_stream, 2))
        dump(postgres, settings.database_url, newest)

        await restored(postgres, settings.database_url, older)
        answer = await client.post("/v1/requests", json=REQUEST)
        assert "restore the newest backup" in refusal(answer, "store-behind-log")
        assert settings.keys is not None
        keys = {path: path.read_bytes() for path in settings.keys.iterdir()}
        # What can't be recorded is not done either: nobody is forgotten.
        refusal(await client.delete(f"/v1/requests/{kept}/people"), "store-behind-log")
        assert {path: path.read_bytes() for path in settings.keys.iterdir()} == keys
        assert (await client.get(f"/v1/requests/{kept}")).status_code == 200
        assert (await client.get(f"/v1/requests/{kept}/people")).status_code == 200
        status = (await client.get("/v1/projections")).json()
        assert status["writes"]["accepted"] is False
        assert "restore the newest backup" in status["writes"]["reason"]
        assert status["store"]["position"] == 1
        assert await published(public_stream) == 2

        await restored(postgres, settings.database_url, newest)
        await eventually(lambda: asked(client))
        await eventually(lambda: _has(public_stream, 3))
    stored = (await public_stream.jetstream().stream_info(STREAM)).state.messages
    assert stored == 3


async def test_a_service_that_starts_on_an_older_database_takes_no_command(
    settings: Settings, postgres: Postgres, public_stream: Client, tmp_path: Path
) -> None:
    await migrated(postgres, settings)
    older = tmp_path / "older.dump"
    dump(postgres, settings.database_url, older)
    async with serving(settings) as client:
        await asked(client)
        await eventually(lambda: _has(public_stream, 1))
    await restored(postgres, settings.database_url, older)
    async with serving(settings) as client, serving(settings) as replica:
        for each in (client, replica):
            refusal(await each.post("/v1/requests", json=REQUEST), "store-behind-log")
    assert await published(public_stream) == 1


async def test_commands_go_on_when_nats_dies_and_wait_for_it_when_the_database_restarts_meanwhile(
    settings: Settings,
    killable_postgres: Postgres,
    nats: Nats,
    public_stream: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gate, "PATIENCE", 0.5)
    monkeypatch.setattr(gate, "ANSWER", 0.5)
    await migrated(killable_postgres, settings)
    async with serving(settings) as client:
        await eventually(lambda: asked(client))
        await nats.kill()
        first = await asked(client)
        await killable_postgres.kill()
        await killable_postgres.start()
        await eventually(lambda: _refused(client))
        refusal(await client.post("/v1/requests", json=REQUEST), "not-proven")
        assert (await client.get(f"/v1/requests/{first}/people")).status_code == 200
        await nats.start()
        await eventually(lambda: asked(client))
        await eventually(lambda: _has(public_stream, 3))


async def _has(client: Client, count: int) -> bool:
    return await published(client) == count


async def _refused(client: httpx.AsyncClient) -> bool:
    return (await client.post("/v1/requests", json=REQUEST)).status_code == 503
