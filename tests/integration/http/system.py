"""The four services as one small system in this process, each on a real port, beside the tests' own event loop."""

import asyncio
import base64
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import asyncpg
import httpx
import issuing
import uvicorn
import uvloop
from eventually import eventually
from fastapi import FastAPI
from fresh import SERVICES, fresh
from ports import free_ports
from servers import Nats, Postgres, name_of

from chassis.bootstrap import build
from chassis.settings import Settings

TODAY = date(2024, 11, 14)
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()


@dataclass
class System:
    """Four running services: where they listen, what they are, and which databases they have."""

    urls: dict[str, str]
    apps: dict[str, FastAPI]
    databases: dict[str, str]
    nats_url: str
    postgres: Postgres

    def client(self, service: str) -> httpx.AsyncClient:
        """Return a client of one service."""
        return httpx.AsyncClient(base_url=self.urls[service], headers=issuing.everything(), timeout=60, trust_env=False)

    async def execute(self, service: str, statement: str) -> None:
        """Carry out a statement in one service's database, behind its back."""
        connection = await asyncpg.connect(self.postgres.url(name_of(self.databases[service])))
        await connection.execute(statement)
        await connection.close()


@contextmanager
def running(postgres: Postgres, nats: Nats, prefix: str) -> Iterator[System]:
    """Run the four services on fresh databases, named by `prefix`, and an empty stream."""
    databases = asyncio.run(fresh(postgres, nats, prefix))
    keys = tempfile.TemporaryDirectory(prefix="dk-")
    ports = dict(zip(SERVICES, free_ports(len(SERVICES)), strict=True))
    apps = {
        name: build(
            service,
            Settings(
                database_url=databases[name],
                nats_url=nats.url,
                nats_monitoring_url=nats.monitoring_url,
                today=TODAY,
                master_key=MASTER_KEY,
                keys=Path(keys.name),
                connections=4,
                **issuing.SETTINGS,
            ),
        )
        for name, service in SERVICES.items()
    }
    servers = [
        uvicorn.Server(
            uvicorn.Config(
                app,
                port=ports[name],
                http="httptools",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        for name, app in apps.items()
    ]

    async def serve() -> None:
        await asyncio.gather(*(server.serve() for server in servers))

    thread = threading.Thread(target=uvloop.run, args=[serve()])
    thread.start()
    try:
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        asyncio.run(_ready(urls))
        yield System(urls, apps, databases, nats.url, postgres)
    finally:
        for server in servers:
            server.should_exit = True
        thread.join(60)
        keys.cleanup()
        assert not thread.is_alive()


async def _ready(urls: dict[str, str]) -> None:
    async with httpx.AsyncClient(headers=issuing.everything(), trust_env=False, timeout=10) as client:

        async def ready() -> bool:
            """Serving, and the background work has begun."""
            states = [(await client.get(f"{url}/v1/projections")).json() for url in urls.values()]
            return all(state["leading"] and state["relay"]["last_error"] is None for state in states)

        await eventually(ready, 60)
