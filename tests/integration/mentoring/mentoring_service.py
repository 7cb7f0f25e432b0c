"""Runs the mentoring service in the test's own process."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

from chassis.bootstrap import build
from chassis.settings import Settings
from services.mentoring.service import service

type Register = Callable[[], Awaitable[tuple[UUID, str]]]
"""Register a cooperative; return its id and the position to wait for."""


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run the service in this process."""
    app = build(service, settings)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mentoring", timeout=15) as client,
    ):
        yield client
