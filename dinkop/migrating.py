"""Bringing a service's database to the newest schema: before the service, which never gets the owner's password."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from dinkop.embedded.postgres import EmbeddedPostgres

PACKAGES = Path(__file__).parents[1]

type Migrate = Callable[[str], Awaitable[None]]
"""Brings the database of a service to the newest schema."""


def versions(service: str) -> Path:
    """Return the folder of a service's own schema versions, which not every service has.

    As its manifest does, without loading the service for it.
    """
    return PACKAGES / "services" / service / "migrations" / "versions"


def migrations(postgres: EmbeddedPostgres) -> Migrate:
    """Return what migrates a database of this server, as its owner, and gives the role that serves its rights."""
    return partial(_migrate, postgres, asyncio.Lock())


async def _migrate(postgres: EmbeddedPostgres, alone: asyncio.Lock, service: str) -> None:
    from chassis.storage.migrations import migrate  # late: no other command needs to load it

    async with alone:  # Alembic keeps what it is doing in its module
        await migrate(postgres.owner_url(service), versions(service), role=service)
