"""A service's routes on a real database, without its background work: what would be projected, the test says."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date

import httpx
import issuing
from fastapi import FastAPI

from chassis.engine.gate import Gate
from chassis.http.application import application
from chassis.http.routing import Routes
from chassis.http.runtime import Runtime
from chassis.storage.archive import Archive
from chassis.storage.database import UNREACHABLE, Database
from chassis.storage.event_store import PostgresEventStore
from chassis.storage.read_models import ReadModels
from contracts.envelope import SERVICES


def runtime_on(database: Database, service: str, today: date | None) -> Runtime:
    """Return what the routes of a service use, on a database."""
    gate = Gate()
    gate.open()
    return Runtime(
        service=service,
        known_services=frozenset(SERVICES),
        store=PostgresEventStore(database.pool),
        read_models=ReadModels(database),
        today=today,
        wake=lambda: None,
        reachable=database.reachable,
        operations=dict,
        door=issuing.door(),
        archive=Archive(database.pool),
        gate=gate,
    )


@asynccontextmanager
async def answering(runtime: Runtime, routes: Sequence[Routes]) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the routes in this process; yield a client of them."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Runtime]:
        yield runtime

    app = application(runtime.service, "", routes, lifespan, UNREACHABLE)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), headers=issuing.everything(), base_url=f"http://{runtime.service}"
        ) as client,
    ):
        yield client
